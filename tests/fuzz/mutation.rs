//! Bytes that were right once: what a torn write, a bad disk or a careless editor makes of a valid file.

use proptest::{collection::vec, prelude::*, sample::Index};

/// One thing that befalls a file.
#[derive(Clone, Debug)]
enum Edit {
    FlipBit(Index, u8),
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize),
    Zero(Index, usize),
}

/// Words that mean something to one of the parsers.
const WORDS: [&str; 22] = [
    "null",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "4294967295",
    "NaN",
    "\"\"",
    "[]",
    "{}",
    "[[",
    "{\"",
    "\\u0000",
    "\\ud800",
    "\n",
    "\r",
    "= ",
    "[x]",
    "\u{feff}",
    "🦀",
    "true",
    "# end",
];

fn inserted() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 1..5),
        prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec()),
        "[0-9]{1,25}".prop_map(String::into_bytes),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::FlipBit(at, bit)),
        1 => at().prop_map(Edit::Cut),
        2 => (at(), 1..20_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        3 => (at(), inserted()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => (at(), 1..40_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
        1 => (at(), 1..20_usize).prop_map(|(at, length)| Edit::Zero(at, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let total = bytes.len();
    let place = |at: &Index| at.index(total + 1);
    let piece = |at: &Index, length: usize| {
        let start = place(at);
        start..(start + length).min(total)
    };
    match edit {
        Edit::FlipBit(at, bit) => {
            let at = place(at);
            bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= 1 << bit);
        }
        Edit::Cut(at) => bytes.truncate(place(at)),
        Edit::Remove(at, length) => drop(bytes.drain(piece(at, *length))),
        Edit::Insert(at, more) => drop(bytes.splice(place(at)..place(at), more.iter().copied())),
        Edit::Repeat(at, length) => {
            let copy = bytes[piece(at, *length)].to_vec();
            drop(bytes.splice(place(at)..place(at), copy));
        }
        Edit::Zero(at, length) => bytes[piece(at, *length)].fill(0),
    }
}

/// `valid` after at most three accidents; every eighth time after none.
pub fn mutated(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop_oneof![1 => Just(Vec::new()), 7 => vec(edit(), 1..4)];
    edits.prop_map(move |edits| {
        let mut bytes = valid.clone();
        edits.iter().for_each(|edit| apply(&mut bytes, edit));
        bytes
    })
}

/// The same for a file of lines: one value of a line is exchanged for a word, which gets past the grammar more often.
pub fn reworded(valid: &str, separator: char) -> impl Strategy<Value = String> + use<> {
    let lines: Vec<String> = valid.split_inclusive('\n').map(String::from).collect();
    let word = prop_oneof![
        prop::sample::select(&WORDS[..]).prop_map(String::from),
        "[0-9]{1,25}",
        "\"[a-z./{}-]{0,6}\"",
        "[0-9]\\.[0-9]{1,3}",
    ];
    vec((any::<Index>(), word), 0..3).prop_map(move |edits| {
        let mut lines = lines.clone();
        for (at, word) in edits {
            let line = at.get(&lines).clone();
            if let Some((key, rest)) = line.split_once(separator) {
                let end = if rest.trim_end().ends_with(',') {
                    ","
                } else {
                    ""
                };
                let at = at.index(lines.len());
                lines[at] = format!("{key}{separator} {word}{end}\n");
            }
        }
        lines.concat()
    })
}

/// Any bytes, or bytes of the letters that JSON and TOML are made of.
pub fn anything() -> impl Strategy<Value = Vec<u8>> {
    let letters = b"{}[]\"\\:,=.#-+eE0129 \n\r\tnulltruefalse\x00\xff".to_vec();
    prop_oneof![
        vec(any::<u8>(), 0..300),
        vec(prop::sample::select(letters), 0..300),
    ]
}
