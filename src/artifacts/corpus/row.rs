//! One element's text, parsed, or what is wrong with it.

use super::{Fault, What, batch::EXCERPT, scan::Span};
use serde_json::Value;

/// Reads the text of a span.
pub(super) fn read(text: &[u8], span: &Span) -> What {
    let invalid = |reason, why| What::Invalid {
        reason,
        why,
        excerpt: excerpt(text),
    };
    let words = match std::str::from_utf8(text) {
        Ok(words) => words,
        // Cut in the middle of a character, not wrong in itself.
        Err(error) if span.torn && error.error_len().is_none() => {
            return invalid(Fault::InvalidJson, torn(text));
        }
        Err(error) => {
            let why = format!("its byte {} is no UTF-8", error.valid_up_to() + 1);
            return invalid(Fault::InvalidUtf8, why);
        }
    };
    match serde_json::from_str(words) {
        Ok(value) if !span.torn || closed(&value) => What::Row(value),
        Err(error) if !span.torn || !error.is_eof() => {
            invalid(Fault::InvalidJson, reason(&error, text, span))
        }
        _ => invalid(Fault::InvalidJson, torn(text)),
    }
}

/// Whether the end of a value is seen from the value alone: `12` may have been going to be `123`.
fn closed(value: &Value) -> bool {
    value.is_object() || value.is_array() || value.is_string()
}

fn torn(text: &[u8]) -> String {
    match text {
        [] => "torn: the file ends before its array does".into(),
        _ => "torn: the file ends before the row does".into(),
    }
}

/// The parser's reason with the line of the file in place of its own count.
fn reason(error: &serde_json::Error, text: &[u8], span: &Span) -> String {
    if text.contains(&0) {
        return "it holds NUL bytes, as a disk may leave them after a crash".into();
    }
    let whole = error.to_string();
    let what = whole.split(" at line ").next().unwrap_or(&whole);
    match error.line() {
        0 => what.into(),
        1 => format!("{what} at its column {}", error.column()),
        line => {
            let line = span.line + line as u64 - 1;
            format!("{what} at line {line} column {}", error.column())
        }
    }
}

/// The first bytes as text; a character that the cut splits is left out.
pub(super) fn excerpt(text: &[u8]) -> String {
    let cut = &text[..text.len().min(EXCERPT)];
    let whole = match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() && cut.len() < text.len() => error.valid_up_to(),
        _ => cut.len(),
    };
    String::from_utf8_lossy(&cut[..whole]).into_owned()
}
