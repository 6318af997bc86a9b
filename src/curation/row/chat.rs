//! Who says what in a row that somebody else wrote, as turns of a role and a text.
//!
//! A turn elsewhere may have a name, a weight, tool calls, a content in parts. What is trained on here is texts, so every
//! turn is made one, and whether anything beside its text was left behind is told, for whoever wants to keep it.

use crate::chat::Message;
use serde_json::{Map, Value};

/// Turns, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
    /// The turns in their order.
    pub turns: Vec<Message>,
    /// Whether they say all that was there.
    pub whole: bool,
}

impl Default for Chat {
    /// No turn, and nothing lost.
    fn default() -> Self {
        Chat {
            turns: Vec::new(),
            whole: true,
        }
    }
}

impl Chat {
    /// Whether any turn says more than white space.
    pub fn says(&self) -> bool {
        self.turns.iter().any(says)
    }

    /// Whether the last turn that says anything asks.
    pub fn ends_with_a_question(&self) -> bool {
        let last = self.turns.iter().rfind(|turn| says(turn));
        last.is_some_and(|turn| turn.role == "user")
    }

    /// The texts of one role.
    pub fn of(&self, role: &str) -> Option<String> {
        joined(self.turns.iter().filter(|turn| turn.role == role))
    }

    /// All texts.
    pub fn all(&self) -> Option<String> {
        joined(self.turns.iter())
    }

    fn one(role: &str, text: impl Into<String>) -> Chat {
        Chat {
            turns: vec![Message::new(role, text)],
            whole: true,
        }
    }
}

fn joined<'a>(turns: impl Iterator<Item = &'a Message>) -> Option<String> {
    let said: Vec<&str> = turns
        .filter(|turn| says(turn))
        .map(|turn| turn.content.as_str())
        .collect();
    (!said.is_empty()).then(|| said.join("\n"))
}

fn says(turn: &Message) -> bool {
    !turn.content.trim().is_empty()
}

/// A list of turns, or a text that is one as JSON. None where there is no turn or one cannot be read: a chat with a hole in
/// it would be another chat.
pub fn read(value: &Value) -> Option<Chat> {
    match value {
        Value::Array(list) if !list.is_empty() => {
            let turns: Vec<(Message, bool)> = list.iter().map(turn).collect::<Option<_>>()?;
            let whole = turns.iter().all(|(_, whole)| *whole);
            let turns = turns.into_iter().map(|(turn, _)| turn).collect();
            Some(Chat { turns, whole })
        }
        Value::String(text) if text.trim_start().starts_with('[') => {
            let list: Value = serde_json::from_str(text).ok()?;
            list.is_array().then(|| read(&list)).flatten()
        }
        _ => None,
    }
}

/// What one side says: turns, one turn, a text or a number that is the turn of `role`.
pub fn speech(value: &Value, role: &str) -> Option<Chat> {
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => read(value).or_else(|| Some(Chat::one(role, text.as_str()))),
        Value::Number(number) => Some(Chat::one(role, number.to_string())),
        Value::Object(_) => turn(value).map(|(turn, whole)| Chat {
            turns: vec![turn],
            whole,
        }),
        _ => read(value),
    }
}

/// The names by which turns know who speaks.
const SPEAKERS: [&str; 2] = ["role", "from"];
/// The names by which turns know what is said.
const TEXTS: [&str; 3] = ["content", "value", "text"];
/// The names by which turns call tools.
const CALLS: [&str; 2] = ["tool_calls", "function_call"];

/// A turn, and whether nothing is lost by it.
fn turn(value: &Value) -> Option<(Message, bool)> {
    let turn = value.as_object()?;
    let given = |name: &&&str| turn.get(**name).is_some_and(|value| !is_empty(value));
    let speaker = SPEAKERS.iter().find(given)?;
    let text = TEXTS.iter().find(given);
    let (mut content, mut whole) = text.map_or((String::new(), true), |name| plain(&turn[*name]));
    if content.trim().is_empty()
        && let Some(calls) = CALLS.iter().find(given)
    {
        content = turn[*calls].to_string();
    }
    whole &= turn
        .iter()
        .all(|(name, value)| is_empty(value) || name == speaker || text.is_some_and(|t| t == name));
    Some((Message::new(role(turn[*speaker].as_str()?), content), whole))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A content as a text: its own, the texts of its parts each on a line, or else its JSON.
fn plain(content: &Value) -> (String, bool) {
    match content {
        Value::String(text) => (text.clone(), true),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(part).collect();
            let only = |part: &Value| part.as_object().is_none_or(is_text_alone);
            let whole = texts.len() == parts.len() && parts.iter().all(only);
            (texts.join("\n"), whole)
        }
        other => (other.to_string(), false),
    }
}

fn part(part: &Value) -> Option<&str> {
    part.as_str().or_else(|| part.get("text")?.as_str())
}

fn is_text_alone(part: &Map<String, Value>) -> bool {
    let known = |name: &str| ["type", "text"].contains(&name);
    part.iter()
        .all(|(name, value)| known(name) || is_empty(value))
}

/// The names of speakers that data sets have beside those of chat templates.
fn role(who: &str) -> &str {
    match who {
        "human" => "user",
        "gpt" | "bot" | "chatgpt" | "model" | "function_call" => "assistant",
        "observation" => "tool",
        other => other,
    }
}

/// The turns of a text that is written as `\n\nHuman: ...\n\nAssistant: ...`.
pub fn transcript(text: &str) -> Option<Chat> {
    let said = text.trim();
    if !said.starts_with("Human:") || !said.contains("\n\nAssistant:") {
        return None;
    }
    let mut turns: Vec<Message> = Vec::new();
    for block in said.split("\n\n") {
        let spoken = [("Human:", "user"), ("Assistant:", "assistant")]
            .iter()
            .find_map(|(mark, role)| Some((*role, block.strip_prefix(mark)?)));
        match (spoken, turns.last_mut()) {
            (Some((role, text)), _) => turns.push(Message::new(role, text.trim())),
            (None, Some(last)) => last.content = format!("{}\n\n{block}", last.content),
            (None, None) => {}
        }
    }
    Some(Chat { turns, whole: true })
}
