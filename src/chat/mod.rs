//! Conversations: messages, and the text that a model's own chat template makes of them.
//!
//! A model is tuned on exactly the bytes that it is later asked with, so there is one way from messages to text: the model's
//! Jinja, read as the `transformers` library reads it.

mod json;
mod python;
mod template;

pub use template::Template;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else a template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A turn.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// The messages of a value such as `[{"role": "user", "content": "..."}]`: at least one, each with both keys, both texts.
///
/// # Errors
/// A sentence that names `key` and the turn, counted from 1. A turn that calls tools, or holds anything but text, is one.
pub fn messages(key: &str, value: &Value) -> Result<Vec<Message>, String> {
    let turns = value
        .as_array()
        .ok_or_else(|| format!("{key} is no list of messages"))?;
    if turns.is_empty() {
        return Err(format!("{key} has no message"));
    }
    let read = |(at, turn): (usize, &Value)| {
        let text = |field: &str| {
            let text = turn.get(field).and_then(Value::as_str);
            text.ok_or_else(|| format!("turn {} of {key} has no text under {field:?}", at + 1))
        };
        if turn
            .get("tool_calls")
            .is_some_and(|calls| !calls.is_null() && calls != &Value::Array(Vec::new()))
        {
            return Err(format!("turn {} of {key} calls tools", at + 1));
        }
        Ok(Message::new(text("role")?, text("content")?))
    };
    turns.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_read_and_what_is_none_is_named() {
        let value = json!([{"role": "user", "content": "hi", "weight": 1, "tool_calls": null}]);
        assert_eq!(
            messages("messages", &value),
            Ok(vec![Message::new("user", "hi")])
        );
        let wrong = [
            (json!("hi"), "messages is no list"),
            (json!([]), "messages has no message"),
            (
                json!([{"role": "user"}]),
                "turn 1 of messages has no text under \"content\"",
            ),
            (
                json!([{"role": "user", "content": "x"}, {"role": 1, "content": "x"}]),
                "turn 2",
            ),
            (
                json!([{"role": "user", "content": [{"type": "text"}]}]),
                "\"content\"",
            ),
            (
                json!([{"role": "assistant", "content": "", "tool_calls": [{}]}]),
                "calls tools",
            ),
        ];
        for (value, expected) in wrong {
            let error = messages("messages", &value).unwrap_err();
            assert!(error.contains(expected), "{expected:?} is not in {error}");
        }
    }
}
