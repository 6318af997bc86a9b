//! A row that somebody else wrote, as the data set `samples` has it: its own fields and what is trained on, always of the
//! same types.
//!
//! One odd row must not decide the type of a column for all others. So `messages` is made anew in every row, and a preference
//! has `prompt`, `chosen` and `rejected` as lists of messages and no `messages`. What was there and says more than was made
//! of it stays as JSON text under its name with `_given` behind it.

use super::{
    chat::{Chat, read, speech, transcript},
    id, question,
};
use crate::{
    chat::Message,
    curation::schema::{Field, Misfit, Schema, chat},
};
use serde_json::{Map, Value, json};

/// Two answers to one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    /// What is asked.
    pub prompt: Chat,
    /// The better answer.
    pub chosen: Chat,
    /// The worse answer.
    pub rejected: Chat,
}

impl Preference {
    /// What it lacks to be learned from.
    pub fn lacks(&self) -> Option<&'static str> {
        if self.prompt.of("user").is_none() {
            Some("prompt")
        } else if !self.chosen.says() {
            Some("chosen")
        } else {
            (!self.rejected.says()).then_some("rejected")
        }
    }
}

/// Where a row answers.
const ANSWERS: [&str; 5] = [
    "output",
    "completion",
    "response",
    "answer",
    "generated_code",
];

fn given<'a>(row: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    row.get(name).filter(|value| !value.is_null())
}

/// The chat of a row that has it as a list.
fn lists(row: &Map<String, Value>) -> Option<Chat> {
    let names = ["messages", "conversations"];
    names.iter().find_map(|name| read(given(row, name)?))
}

/// The chat of a row, whatever its shape: `messages`, `conversations`, or a question and its answer. Without turns where
/// nothing can be read.
pub fn talk(row: &Map<String, Value>) -> Chat {
    if let Some(chat) = lists(row) {
        return chat;
    }
    let prompt = given(row, "prompt").and_then(read);
    let asked = || speech(&question(row)?.into(), "user");
    let answer = ANSWERS
        .iter()
        .find_map(|name| speech(given(row, name)?, "assistant"));
    let turns = [prompt.or_else(asked), answer].into_iter().flatten();
    Chat {
        turns: turns.flat_map(|chat| chat.turns).collect(),
        whole: true,
    }
}

/// The two answers of a row that has both, and what they answer: the turns that both begin with, `prompt`, or what else
/// the row asks.
pub fn preference(row: &Map<String, Value>) -> Option<Preference> {
    let answer = |name: &str| match row.get(name)? {
        Value::Number(_) => None,
        Value::String(text) => transcript(text).or_else(|| speech(&row[name], "assistant")),
        other => speech(other, "assistant"),
    };
    let (mut chosen, mut rejected) = (answer("chosen")?, answer("rejected")?);
    let common = common(&chosen.turns, &rejected.turns);
    let begun: Vec<Message> = chosen.turns.drain(..common).collect();
    rejected.turns.drain(..common);
    let mut prompt = prompt(row);
    prompt.turns = joined(prompt.turns, begun);
    Some(Preference {
        prompt,
        chosen,
        rejected,
    })
}

/// A prompt and what its answers begin with: they repeat it, the end of it, or go on from it.
fn joined(mut prompt: Vec<Message>, begun: Vec<Message>) -> Vec<Message> {
    let same = |one: &[Message], other: &[Message]| {
        let mut pairs = one.iter().zip(other);
        pairs.all(|(one, other)| {
            one.role == other.role && one.content.trim() == other.content.trim()
        })
    };
    if prompt.is_empty() || begun.windows(prompt.len()).any(|part| same(part, &prompt)) {
        return begun;
    }
    let overlap = (0..=begun.len().min(prompt.len()))
        .rfind(|many| same(&prompt[prompt.len() - many..], &begun[..*many]));
    prompt.extend(begun.into_iter().skip(overlap.unwrap_or(0)));
    prompt
}

/// How many turns two answers begin with and answer both: what only one of them says is never among them, nor a turn of the
/// assistant just before it.
fn common(one: &[Message], other: &[Message]) -> usize {
    let most = one.len().min(other.len()).saturating_sub(1);
    let same = one[..most].iter().zip(other);
    let same = same.take_while(|(one, other)| one == other).count();
    let asked = one[..same]
        .iter()
        .rposition(|turn| turn.role != "assistant");
    asked.map_or(0, |at| at + 1)
}

/// What two answers answer, as far as the row says it beside them.
fn prompt(row: &Map<String, Value>) -> Chat {
    let given_prompt = given(row, "prompt");
    let own = given_prompt.and_then(|prompt| speech(prompt, "user"));
    let read_own = given_prompt.is_none() || own.is_some();
    let asked = || speech(&question(row)?.into(), "user");
    // A chat beside two answers ends before the answer, or with one of the two.
    let chat = || {
        let mut chat = lists(row)?;
        while chat.turns.pop_if(|turn| turn.role == "assistant").is_some() {}
        Some(chat)
    };
    let mut prompt = own.or_else(asked).or_else(chat).unwrap_or_default();
    prompt.whole &= read_own;
    let system = row.get("system").and_then(Value::as_str);
    let system = system.filter(|system| !system.trim().is_empty());
    if let Some(system) = system.filter(|_| prompt.turns.iter().all(|turn| turn.role != "system")) {
        prompt.turns.insert(0, Message::new("system", system));
    }
    prompt
}

/// A foreign row as the data set `samples` has it: its own fields, an id, and a chat or a preference. What it has been made
/// once stays as it is.
pub fn sample(mut row: Map<String, Value>) -> Map<String, Value> {
    let (name, own) = id(&row);
    if !own && let Some(odd) = row.insert("id".into(), name.into()) {
        keep(&mut row, "id", odd);
    }
    if let Some(preference) = preference(&row) {
        prefer(&mut row, preference);
        return row;
    }
    // One answer, or two that cannot be read.
    for name in ["chosen", "rejected"] {
        let Some(odd) = given(&row, name).cloned() else {
            continue;
        };
        match speech(&odd, "assistant") {
            Some(chat) => put(&mut row, name, &chat),
            None => {
                row.remove(name);
                keep(&mut row, name, odd);
            }
        }
    }
    let mut chat = talk(&row);
    // What is no chat is another thing of the same name.
    chat.whole &= given(&row, "messages").is_none_or(|own| read(own).is_some());
    put(&mut row, "messages", &chat);
    row
}

fn prefer(row: &mut Map<String, Value>, preference: Preference) {
    let Preference {
        prompt,
        chosen,
        rejected,
    } = preference;
    if let Some(messages) = row.remove("messages") {
        let said = read(&messages).filter(|chat| chat.whole);
        let repeats = |said: Chat| {
            let rest = said.turns.strip_prefix(prompt.turns.as_slice());
            rest.is_some_and(|rest| {
                rest.is_empty() || rest == chosen.turns || rest == rejected.turns
            })
        };
        if !said.is_some_and(repeats) {
            keep(row, "messages", messages);
        }
    }
    for (name, chat) in [
        ("prompt", prompt),
        ("chosen", chosen),
        ("rejected", rejected),
    ] {
        put(row, name, &chat);
    }
}

/// Gives a column its messages.
fn put(row: &mut Map<String, Value>, name: &str, chat: &Chat) {
    let old = row.insert(name.into(), json!(chat.turns));
    if let Some(old) = old.filter(|_| !chat.whole) {
        keep(row, name, old);
    }
}

/// Keeps what was there, where nothing is kept yet.
fn keep(row: &mut Map<String, Value>, name: &str, old: Value) {
    let place = format!("{name}_given");
    if old.is_null() || given(row, &place).is_some() {
        return;
    }
    let text = match old {
        Value::String(text) => text,
        other => other.to_string(),
    };
    row.insert(place, Value::String(text));
}

/// The columns whose type no row decides.
pub fn fixed_columns() -> Vec<Field> {
    let fields = ["messages", "chosen", "rejected"].map(|name| Field::new(name, chat()));
    fields.into()
}

/// The schema of rows that [`sample`] made, from the one that was inferred from all of them: [`fixed_columns`] that it has
/// get their type, and so does `prompt` where there are preferences.
///
/// Whoever writes the rows infers over what [`sample`] gives, asks here for the schema, and makes each row fit by
/// [`conform`].
pub fn schema(mut inferred: Schema) -> Schema {
    let fixed = fixed_columns();
    let has = |name: &str| inferred.0.iter().any(|field| field.name == name);
    let preferences = has("chosen") && has("rejected");
    for field in &mut inferred.0 {
        let known = fixed.iter().any(|known| known.name == field.name);
        if known || preferences && field.name == "prompt" {
            field.of = chat();
        }
    }
    inferred
}

/// [`Schema::conform_noting`] for rows that [`sample`] made: where preferences make `prompt` a chat, it is one in rows that are
/// none, too.
pub fn conform(
    schema: &Schema,
    mut row: Map<String, Value>,
    note: &mut dyn FnMut(&str, Misfit),
) -> Map<String, Value> {
    let prompt = Field::new("prompt", chat());
    if schema.0.contains(&prompt)
        && let Some(said) = given(&row, "prompt").and_then(|said| speech(said, "user"))
    {
        if !said.whole {
            note("prompt", Misfit::Lost);
        }
        row.insert("prompt".into(), json!(said.turns));
    }
    schema.conform_noting(row, note)
}
