//! One raw sample as curation sees it: who it is, what it says, how good it is.

use super::Reason;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its id, as text.
    pub id: String,
    /// Its quality, 0 to 1.
    pub score: Option<f64>,
    /// What its generator said of it.
    pub accepted: Option<bool>,
    /// What it says, normalised and hashed; none where it says nothing.
    pub text_key: Option<u64>,
    /// Its structure, hashed: template and slots, else what it says, else its id.
    pub structure: u64,
    /// All of it as JSON with sorted keys: text takes a quarter of the memory of a value.
    text: String,
}

/// FNV-1a over parts; the same on every machine.
pub fn hash(parts: &[&[u8]]) -> u64 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.iter().chain(&[0xFF]) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // FNV's high bits mix slowly; draws need all of them.
    state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state ^ (state >> 33)
}

impl Row {
    /// Reads a value.
    ///
    /// # Errors
    /// [`Reason::InvalidJson`] for what is no object, [`Reason::NoId`] for an object without one.
    pub fn read(value: &mut Value) -> Result<Row, Reason> {
        let Value::Object(value) = value else {
            return Err(Reason::InvalidJson);
        };
        // When our own generator made a sample is no part of a data set: the same seed makes the same one.
        if value.contains_key("trajectory_id") {
            value.remove("created_at");
            value.remove("completed_at");
        }
        let id = match value.get("id") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(Reason::NoId),
        };
        let score = value.get("quality_score").and_then(Value::as_f64);
        let text_key = said(value).map(|text| hash(&[normalised(&text).as_bytes()]));
        let structure = match (value.get("template"), value.get("slots")) {
            (Some(template), Some(slots)) => hash(&[
                template.to_string().as_bytes(),
                slots.to_string().as_bytes(),
            ]),
            _ => text_key.unwrap_or_else(|| hash(&[id.as_bytes()])),
        };
        Ok(Row {
            score: score.filter(|score| (0.0..=1.0).contains(score)),
            accepted: value.get("accepted").and_then(Value::as_bool),
            id,
            text_key,
            structure,
            text: json!(value).to_string(),
        })
    }

    /// Best score first, then id, then the whole text: a full order.
    pub fn rank(&self, other: &Row) -> Ordering {
        let score = |row: &Row| row.score.unwrap_or(-1.0);
        score(other)
            .total_cmp(&score(self))
            .then_with(|| self.id.cmp(&other.id))
            .then_with(|| self.text.cmp(&other.text))
    }

    /// All of it.
    pub fn value(&self) -> Map<String, Value> {
        serde_json::from_str(&self.text).expect("it was written from an object")
    }

    /// The row as the data set has it: its own fields and a chat.
    pub fn curated(&self) -> Map<String, Value> {
        let mut value = self.value();
        if !value.contains_key("messages") {
            let turn = |role: &str, text: String| json!({ "role": role, "content": text });
            let mut messages: Vec<Value> = said(&value)
                .map(|text| turn("user", text))
                .into_iter()
                .collect();
            let answer = ["output", "completion", "response", "generated_code"]
                .iter()
                .find_map(|key| value.get(*key)?.as_str());
            messages.extend(answer.map(|text| turn("assistant", text.into())));
            value.insert("messages".into(), Value::Array(messages));
        }
        value
    }
}

/// What a row asks or says, whatever its shape.
fn said(value: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    if let Some(instruction) = text("instruction") {
        return Some(match text("input") {
            Some(input) if !input.is_empty() => format!("{instruction}\n{input}"),
            _ => instruction.into(),
        });
    }
    if let Some(text) = ["query", "text", "prompt", "question"]
        .iter()
        .find_map(|key| text(key))
    {
        return Some(text.into());
    }
    let messages = value.get("messages").and_then(Value::as_array)?;
    let turns: Vec<&str> = messages
        .iter()
        .filter_map(|turn| turn.get("content")?.as_str())
        .collect();
    (!turns.is_empty()).then(|| turns.join("\n"))
}

fn normalised(text: &str) -> String {
    text.split_whitespace()
        .map(str::to_lowercase)
        .collect::<Vec<_>>()
        .join(" ")
}
