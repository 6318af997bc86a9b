//! Text as sets: what two texts have in common, whatever their case, spacing and last full stop.

use sha2::{Digest, Sha256};

/// Characters in a shingle. Four: "human" and "mouse" differ in enough of them to stay apart in a sentence of eight words.
const SHINGLE: usize = 4;
/// Bits that hold any character.
const CHARACTER: u32 = 21;

/// A text as it is compared: lower case, one space for any white space, no sentence end.
///
/// Case is that of Unicode, with the context of a final sigma. A run of `. ! ? …` (and their wide forms) at the very end
/// is dropped, unless nothing would remain; all other punctuation stays wherever it is, for `c` and `c++`, `v` and `-v`
/// are not the same. Characters are not composed: who mixes forms of one accent has different texts.
pub fn normalised(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    // Words of ASCII, nearly all there are, need no table.
    let lowered;
    let lower = if text.is_ascii() {
        text
    } else {
        lowered = text.to_lowercase();
        &lowered
    };
    for word in lower.split_whitespace() {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(word);
    }
    plain.make_ascii_lowercase();
    let ends = |c: char| matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | ' ');
    let kept = plain.trim_end_matches(ends).len();
    if kept > 0 {
        plain.truncate(kept);
    }
    plain
}

/// The set of a normalised text: its character 4-grams, hashed, ascending, distinct. `into` is overwritten.
///
/// A text with fewer than two of them, above all one that is shorter than a shingle, is hashed as itself, in 64 bits: so
/// "r", "c++" and "" are three texts, and `00000` is not `000000`.
pub fn shingles(normalised: &str, into: &mut Vec<u32>) {
    into.clear();
    let mut window = 0_u128;
    for (at, c) in normalised.chars().enumerate() {
        window = (window << CHARACTER | c as u128) & ((1 << (SHINGLE as u32 * CHARACTER)) - 1);
        if at + 1 >= SHINGLE {
            let (low, high) = (window as u64, (window >> 64) as u64);
            into.push((mixed(low ^ high.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 32) as u32);
        }
    }
    into.sort_unstable();
    into.dedup();
    if into.len() < 2 {
        itself(normalised, into);
    }
}

/// Two halves of one hash: distinct texts share both only once in 2^64.
fn itself(text: &str, into: &mut Vec<u32>) {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let hash = mixed(state);
    into.clear();
    into.extend([hash as u32, (hash >> 32) as u32]);
    into.sort_unstable();
    into.dedup();
}

/// Spreads every bit over all 64; a bijection (the end of MurmurHash3). The same on every machine.
pub(super) const fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// The key of a normalised text: the first 128 bits of its SHA-256, so that equal keys are equal texts.
pub fn text_key(normalised: &str) -> u128 {
    let digest = Sha256::digest(normalised.as_bytes());
    digest
        .iter()
        .take(16)
        .fold(0, |key, byte| key << 8 | u128::from(*byte))
}

/// How many elements two ascending sets share.
pub(super) fn shared(a: &[u32], b: &[u32]) -> usize {
    // Without a branch on the data, which no predictor could learn.
    let (mut i, mut j, mut both) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        let (x, y) = (a[i], b[j]);
        both += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    both
}

/// The Jaccard index of two ascending sets, 0 to 1. Of two empty sets nothing is known to be similar: 0.
pub fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let both = shared(a, b);
    let either = a.len() + b.len() - both;
    if either == 0 {
        return 0.0;
    }
    both as f64 / either as f64
}
