//! The texts of training rows: what a tokenizer is trained on.

use crate::artifacts::{
    jsonl::{JsonlReader, Line},
    named,
};
use serde_json::Value;
use std::{fs::File, io::BufReader, path::Path};

/// Bytes of text that are read of one file: more makes no other tokenizer of a few thousand tokens, and a data set may have
/// gigabytes.
const MOST: usize = 4 << 20;

/// The fields of a row that a model is shown: chats, preferences, and rows of one text.
const SHOWN: [&str; 7] = [
    "messages",
    "prompt",
    "completion",
    "chosen",
    "rejected",
    "text",
    "answer",
];

/// The texts of every file, up to 4 MiB of each, in their order.
///
/// # Errors
/// A sentence that names the file, and the line where there is one.
pub fn read(files: &[String]) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for file in files {
        of(Path::new(file), &mut texts)?;
    }
    if texts.iter().all(String::is_empty) {
        let all = files.join(", ");
        return Err(format!("there is no text to train a tokenizer on in {all}"));
    }
    Ok(texts)
}

fn of(path: &Path, texts: &mut Vec<String>) -> Result<(), String> {
    let file = File::open(path).map_err(|error| named(error, "open", path).to_string())?;
    let mut left = MOST;
    for line in JsonlReader::<_, Value>::new(BufReader::new(file)) {
        let line = line.map_err(|error| named(error, "read", path).to_string())?;
        let row = match line {
            Line::Row { value, .. } => value,
            Line::Invalid { line_no, why } => {
                return Err(format!("{}:{line_no}: {why}", path.display()));
            }
        };
        for text in SHOWN
            .iter()
            .filter_map(|&field| row.get(field))
            .flat_map(said)
        {
            left = left.saturating_sub(text.len());
            texts.push(text.to_owned());
        }
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// The texts of a field: itself, or those of its messages.
fn said(field: &Value) -> Vec<&str> {
    match field {
        Value::String(text) => vec![text],
        Value::Array(messages) => {
            let contents = messages.iter().filter_map(|message| message.get("content"));
            contents.filter_map(Value::as_str).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn of_lines(lines: &str) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rows.jsonl");
        fs::write(&file, lines).unwrap();
        let found = read(&[file.display().to_string()]);
        found.map_err(|text| text.replace(&dir.path().display().to_string(), ""))
    }

    #[test]
    fn what_a_model_is_shown_is_read_and_nothing_else() {
        let rows = concat!(
            r#"{"id":"a","messages":[{"role":"user","content":"why"},{"role":"assistant","content":"so"}],"code":"no"}"#,
            "\n",
            r#"{"prompt":[{"role":"user","content":"p"}],"chosen":[{"role":"assistant","content":"c"}],"rejected":"r"}"#,
            "\n",
            r#"{"text":"t","messages":null}"#,
            "\n",
        );
        assert_eq!(of_lines(rows).unwrap(), ["why", "so", "p", "c", "r", "t"]);
    }

    #[test]
    fn a_row_that_is_none_is_named_by_its_line() {
        let error = of_lines("{\"text\":\"a\"}\n{\"text\":\n").unwrap_err();
        assert!(error.starts_with("/rows.jsonl:2: "), "{error}");
    }

    #[test]
    fn rows_without_text_are_refused() {
        let error = of_lines("{\"input_ids\":[1]}\n").unwrap_err();
        assert_eq!(
            error,
            "there is no text to train a tokenizer on in /rows.jsonl"
        );
        let error = read(&["/nowhere/rows.jsonl".into()]).unwrap_err();
        assert!(error.contains("/nowhere/rows.jsonl"), "{error}");
    }

    #[test]
    fn a_large_file_is_read_only_as_far_as_it_teaches() {
        let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(1 << 20));
        assert_eq!(of_lines(&line.repeat(6)).unwrap().len(), 4);
    }
}
