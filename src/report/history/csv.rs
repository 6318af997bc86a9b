//! Experiments as CSV (RFC 4180): a header, CRLF, quotes where they are needed; what is missing is empty.

use super::table::{row, schema};
use crate::history::Experiment;
use serde_json::Value;

/// All of them, with a header.
pub fn csv(experiments: &[Experiment]) -> String {
    let schema = schema(experiments);
    let names: Vec<String> = schema.0.iter().map(|field| quoted(&field.name)).collect();
    let mut text = names.join(",") + "\r\n";
    for one in experiments {
        let row = row(one, &schema);
        let cells = schema.0.iter().map(|field| match row.get(&field.name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => quoted(text),
            Some(other) => other.to_string(),
        });
        text += &(cells.collect::<Vec<String>>().join(",") + "\r\n");
    }
    text
}

/// In quotes if there is a comma, a quote, a line's end, or a space at an end in it; quotes are doubled.
fn quoted(text: &str) -> String {
    let plain = !text.contains([',', '"', '\r', '\n']) && text.trim() == text;
    if plain {
        text.into()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}
