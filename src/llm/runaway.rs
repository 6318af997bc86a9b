//! Answers that never end: white space without bound (a grammar allows it), digits, the same words again and again.
//!
//! The watch is fed as the text arrives, so that a stream can be left as soon as it is plain that nothing follows. Each look
//! costs a fixed amount and there is one every few hundred bytes, so the whole is linear.

use std::fmt;

/// White space in a row.
const SPACES: usize = 256;
/// Digits in a row.
const DIGITS: usize = 128;
/// Bytes between two looks for repetition.
const STRIDE: usize = 256;
/// Bytes of the tail that are looked at.
const TAIL: usize = 6144;
/// The longest piece whose repetition is noticed.
const PERIOD: usize = 256;
/// Exact repetition: bytes, and times.
const EXACT: (usize, usize) = (640, 6);
/// Repetition but for the digits ("step 1, step 2, ..."), which tables have too: it has to be much more.
const BUT_DIGITS: (usize, usize) = (6000, 48);

/// What an answer lost itself in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runaway {
    /// White space.
    Whitespace,
    /// Digits.
    Digits,
    /// A piece of so many bytes, again and again.
    Repetition(usize),
}

impl fmt::Display for Runaway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Runaway::Whitespace => write!(f, "white space without end"),
            Runaway::Digits => write!(f, "digits without end"),
            Runaway::Repetition(bytes) => write!(f, "the same {bytes} bytes again and again"),
        }
    }
}

/// Watches an answer as it grows.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    spaces: usize,
    digits: usize,
    tail: Vec<u8>,
    since: usize,
}

impl Watch {
    /// Takes the next piece; says when the answer has run away.
    pub fn feed(&mut self, piece: &str) -> Option<Runaway> {
        for c in piece.chars() {
            self.spaces = if c.is_whitespace() {
                self.spaces + 1
            } else {
                0
            };
            self.digits = if c.is_ascii_digit() {
                self.digits + 1
            } else {
                0
            };
            if self.spaces >= SPACES {
                return Some(Runaway::Whitespace);
            }
            if self.digits >= DIGITS {
                return Some(Runaway::Digits);
            }
        }
        for block in piece.as_bytes().chunks(STRIDE) {
            self.tail.extend_from_slice(block);
            self.since += block.len();
            if self.since >= STRIDE {
                self.since = 0;
                if let Some(found) = self.look() {
                    return Some(found);
                }
            }
        }
        None
    }

    fn look(&mut self) -> Option<Runaway> {
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        let exact: Vec<u8> = self
            .tail
            .iter()
            .rev()
            .take(PERIOD * (EXACT.1 + 1))
            .copied()
            .collect();
        if let Some(period) = period(&exact, EXACT) {
            return Some(Runaway::Repetition(period));
        }
        if self.tail.len() < BUT_DIGITS.0 {
            return None;
        }
        period(&without_digits(&self.tail), BUT_DIGITS).map(Runaway::Repetition)
    }
}

/// Whether a whole text looks as a runaway does.
pub fn of(text: &str) -> Option<Runaway> {
    Watch::default().feed(text)
}

/// The bytes backwards, each run of digits as one 0.
fn without_digits(tail: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(tail.len());
    for &byte in tail.iter().rev() {
        match byte {
            b'0'..=b'9' if out.last() == Some(&b'0') => {}
            b'0'..=b'9' => out.push(b'0'),
            other => out.push(other),
        }
    }
    out
}

/// The shortest period that the first bytes have for at least `enough` bytes and times. Z-algorithm: `z[i]` is how far the text
/// from `i` on agrees with its beginning, so that the first `i + z[i]` bytes have the period `i`.
fn period(bytes: &[u8], enough: (usize, usize)) -> Option<usize> {
    // Digits taken together make a text shorter than what was measured.
    let least = enough.0.min(bytes.len().max(enough.0 / 2));
    let mut z = vec![0_usize; bytes.len()];
    let (mut left, mut right) = (0, 0);
    for at in 1..bytes.len() {
        let mut length = if at < right {
            z[at - left].min(right - at)
        } else {
            0
        };
        while at + length < bytes.len() && bytes[length] == bytes[at + length] {
            length += 1;
        }
        z[at] = length;
        if at + length > right {
            (left, right) = (at, at + length);
        }
        if at <= PERIOD && at + length >= least.max(at * enough.1) {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn rows(count: usize) -> String {
        (0..count).fold(String::new(), |mut text, row| {
            let _ = writeln!(
                text,
                "sample_{row},reads/s{row}_R1.fastq.gz,reads/s{row}_R2.fastq.gz,auto"
            );
            text
        })
    }

    #[test]
    fn loops_are_found_whatever_the_pieces() {
        let space = format!("{{\"a\": 1,{}", " \n".repeat(200));
        let digits = format!("0.{}", "3".repeat(200));
        let words = "and so on ".repeat(100);
        for (text, found) in [
            (&space, Runaway::Whitespace),
            (&digits, Runaway::Digits),
            (&words, Runaway::Repetition(10)),
        ] {
            assert_eq!(of(text), Some(found));
            let mut watch = Watch::default();
            let by_one = text
                .chars()
                .find_map(|c| watch.feed(c.encode_utf8(&mut [0; 4])));
            assert_eq!(by_one, Some(found));
        }
        assert_eq!(of(&"é".repeat(700)), Some(Runaway::Repetition(2)));
        assert!(
            of(&rows(400)).is_some(),
            "counting without end is a loop too"
        );
    }

    #[test]
    fn what_people_write_is_none() {
        let rule = format!("{}\n{}", "=".repeat(200), "-".repeat(200));
        let source = include_str!("runaway.rs");
        for text in [
            &rule,
            &rows(60),
            source,
            &"    ".repeat(30),
            "3.14159265358979",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
