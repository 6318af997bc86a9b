//! A small tokenizer of one's own: byte-level BPE learned from texts, with ChatML's turns.

use super::bpe::merges;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    pre_tokenizers::byte_level::ByteLevel,
};

/// The tokens that no text becomes, behind all others: end of text (which fills up, too), start and end of a turn.
pub const SPECIALS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// ChatML, without a default system turn.
const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// The files of a tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `tokenizer.json`.
    pub tokenizer: String,
    /// `tokenizer_config.json`.
    pub config: String,
    /// How many tokens it has, at most as many as were asked for.
    pub tokens: usize,
}

/// A tokenizer of at most `vocabulary` tokens: the 256 bytes, merges of what is most frequent in `texts`, and [`SPECIALS`].
/// The same texts make the same bytes.
///
/// # Errors
/// `vocabulary` has no room for bytes and specials.
pub fn make<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    vocabulary: usize,
    context: usize,
) -> Result<Made, String> {
    let fixed = 256 + SPECIALS.len();
    let room = vocabulary.checked_sub(fixed).ok_or_else(|| {
        format!("a vocabulary of {vocabulary} has no room for {fixed} bytes and special tokens")
    })?;
    // Lines repeat, and cutting one into words takes long.
    let mut lines: BTreeMap<&str, u64> = BTreeMap::new();
    for line in texts
        .into_iter()
        .flat_map(|text| text.split_inclusive('\n'))
    {
        *lines.entry(line).or_default() += 1;
    }
    let mut words = BTreeMap::new();
    for (line, times) in lines {
        count(line, times, &mut words)?;
    }
    let letters = letters();
    let name =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| letters[*byte as usize]).collect() };
    let merges = merges(&words, room);
    let merges: Vec<[String; 2]> = merges
        .iter()
        .map(|pair| [name(&pair[0]), name(&pair[1])])
        .collect();
    // Bytes in the order of their letters, as other tokenizers of this kind have them, and what merges make, each once.
    let mut names: Vec<String> = letters.iter().map(char::to_string).collect();
    names.sort();
    let mut known: BTreeSet<String> = names.iter().cloned().collect();
    names.extend(
        merges
            .iter()
            .map(|pair| pair.concat())
            .filter(|name| known.insert(name.clone())),
    );
    let vocab = names.iter().cloned().zip((0..).map(Value::from)).collect();
    let first = names.len();
    Ok(Made {
        tokenizer: text(&tokenizer(&vocab, &merges, first)),
        config: text(&config(first, context)),
        tokens: first + SPECIALS.len(),
    })
}

/// Counts the words of a text that occurs so many times, as the tokenizer will cut it.
fn count(text: &str, times: u64, words: &mut BTreeMap<Vec<u8>, u64>) -> Result<(), String> {
    let mut cut = PreTokenizedString::from(text);
    let done = ByteLevel::new(false, false, true).pre_tokenize(&mut cut);
    done.map_err(|error| format!("the text cannot be cut into words: {error}"))?;
    for (_, (from, to), _) in cut.get_splits(OffsetReferential::Original, OffsetType::Byte) {
        let word = text.as_bytes()[from..to].to_vec();
        *words.entry(word).or_default() += times;
    }
    Ok(())
}

/// A letter that can be seen for each byte, as GPT-2 has them: printable ones are themselves, the others follow from U+0100.
fn letters() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| match byte as u8 {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte as u8),
        _ => {
            next += 1;
            char::from_u32(next - 1).expect("these are letters of the Latin blocks")
        }
    })
}

fn special(content: &str) -> Map<String, Value> {
    let mut token = Map::new();
    token.insert("content".into(), content.into());
    for key in ["lstrip", "normalized", "rstrip", "single_word"] {
        token.insert(key.into(), false.into());
    }
    token.insert("special".into(), true.into());
    token
}

fn tokenizer(vocab: &Map<String, Value>, merges: &[[String; 2]], first: usize) -> Value {
    let added = SPECIALS.iter().enumerate().map(|(at, content)| {
        let mut token = special(content);
        token.insert("id".into(), (first + at).into());
        Value::Object(token)
    });
    let level = |regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": level(true),
        "post_processor": null,
        "decoder": level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": merges,
        },
    })
}

fn config(first: usize, context: usize) -> Value {
    let added = SPECIALS.iter().enumerate();
    let added: Map<String, Value> = added
        .map(|(at, content)| ((first + at).to_string(), special(content).into()))
        .collect();
    json!({
        "added_tokens_decoder": added,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": false,
        "eos_token": SPECIALS[2],
        "model_max_length": context,
        "pad_token": SPECIALS[0],
        "tokenizer_class": "PreTrainedTokenizerFast",
    })
}

fn text(value: &Value) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{value:#}");
    text
}
