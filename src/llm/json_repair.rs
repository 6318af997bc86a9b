//! Finds the JSON value in what a model wrote and mends what models get wrong.
//!
//! Strict first: text that is JSON is returned as it is. Otherwise each place where an object or a list may begin is read by a
//! forgiving parser, and the longest reading wins; prose and Nextflow code have braces too, but no keys behind them. What is
//! read twice is paid from a fixed amount of work per byte, so hostile text costs no more than other text of its length.

mod parser;
#[cfg(test)]
mod tests;

use crate::words::words;
use parser::Parser;
use serde_json::Value;

/// Values may be nested this deep, as for `serde_json`.
const MAX_DEPTH: usize = 120;
/// How often each byte may be read.
const READS: usize = 16;

words! {
    /// What was mended.
    pub enum Repair {
        /// The value stood in a code fence.
        CodeFence = "code_fence",
        /// There was text around the value.
        ProseAround = "prose_around",
        /// A comma with nothing behind or before it.
        TrailingComma = "trailing_comma",
        /// No comma between two members.
        MissingComma = "missing_comma",
        /// Strings in other quotes.
        OtherQuotes = "other_quotes",
        /// A quote inside a string without its backslash.
        InnerQuote = "inner_quote",
        /// A key without quotes.
        UnquotedKey = "unquoted_key",
        /// A value without quotes.
        UnquotedValue = "unquoted_value",
        /// `True`, `False`, `None`.
        PythonLiteral = "python_literal",
        /// `NaN`, `Infinity`, `undefined`: there is no such value, it became null.
        NoValue = "no_value",
        /// A number that JSON writes otherwise: `+1`, `.5`, `1_000`.
        Number = "number",
        /// A string, list or object that was not ended.
        MissingCloser = "missing_closer",
        /// A closer of the wrong kind.
        WrongCloser = "wrong_closer",
        /// A line break or another control character in a string.
        RawNewline = "raw_newline",
        /// A backslash before a character that takes none.
        BadEscape = "bad_escape",
        /// A comment.
        Comment = "comment",
    }
}

/// A value, and what was done to get it.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    /// The value.
    pub value: Value,
    /// Each kind of repair once, in the order of its first use; empty for text that was JSON.
    pub repairs: Vec<Repair>,
}

/// The JSON value in `text`.
///
/// # Errors
/// One lower-case sentence when there is none.
pub fn repair(text: &str) -> Result<Repaired, String> {
    if let Ok(value) = serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        return Ok(Repaired {
            value,
            repairs: Vec::new(),
        });
    }
    if let Some(value) = fenced(text) {
        return Ok(Repaired {
            value,
            repairs: vec![Repair::CodeFence],
        });
    }
    let mut work = text.len().saturating_mul(READS) + 1024;
    let mut best: Option<((bool, usize), Found)> = None;
    let mut at = 0;
    while let Some(start) = text[at..].find(['{', '[']).map(|found| at + found) {
        at = start + 1;
        let mut parser = Parser::new(text, start, work);
        let read = parser.top();
        work = parser.work_left();
        if let Some(value) = read {
            let end = parser.at();
            let repairs = parser.into_repairs();
            let rank = (!like_code(&repairs), end - start);
            if best.as_ref().is_none_or(|(other, _)| rank > *other) {
                best = Some((
                    rank,
                    Found {
                        value,
                        repairs,
                        start,
                        end,
                    },
                ));
            }
            at = end.max(at);
        }
        if work == 0 {
            break;
        }
    }
    let (_, found) = best.ok_or("there is no JSON object or list in the text")?;
    Ok(found.around(text))
}

/// Whether it may as well be a block of code: neither its keys nor its values have quotes.
fn like_code(repairs: &[Repair]) -> bool {
    repairs.contains(&Repair::UnquotedKey) && repairs.contains(&Repair::UnquotedValue)
}

struct Found {
    value: Value,
    repairs: Vec<Repair>,
    start: usize,
    end: usize,
}

impl Found {
    /// Adds what stood around the value.
    fn around(self, text: &str) -> Repaired {
        let (before, after) = (text[..self.start].trim(), text[self.end..].trim());
        let mut repairs = Vec::new();
        let opened = before.rfind("```");
        if opened.is_some() {
            repairs.push(Repair::CodeFence);
        }
        let prose_before = before[..opened.unwrap_or(before.len())].trim();
        let prose_after = after.strip_prefix("```").unwrap_or(after).trim();
        if !prose_before.is_empty() || !prose_after.is_empty() {
            repairs.push(Repair::ProseAround);
        }
        repairs.extend(self.repairs);
        Repaired {
            value: self.value,
            repairs,
        }
    }
}

/// The content of the first code fence that is strict JSON.
fn fenced(text: &str) -> Option<Value> {
    text.split("```").skip(1).step_by(2).find_map(|block| {
        let body = block.split_once('\n').map_or(block, |(_, body)| body);
        serde_json::from_str(body).ok()
    })
}
