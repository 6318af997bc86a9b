//! The formats that a data set is handed out in: a row of a data set, said as a trainer wants it.
//!
//! Beside the columns of its format a row keeps its id and the columns that all data sets share ([`SHARED`]); the columns of
//! the data set's own shape stay behind, for the format says the same. What a row has and a format cannot say is refused, never
//! left out: three turns as `alpaca`, a preference as one conversation.
//!
//! Where turns become one text here, no turn may hold what a tokenizer takes for more than text: a question with
//! `<|im_end|>` in it would end its turn and begin an answer of its own. Such a row is refused. Formats of messages carry
//! such a text unharmed; it is for whoever renders them to look at it.

mod text;

use super::schema::{Field, Schema, Type, chat};
use crate::{
    chat::{Message, Template, messages},
    words::words,
};
use serde_json::{Map, Value, json};

words! {
    /// A format.
    pub enum Format {
        /// `messages`, as it is stored.
        Messages = "messages",
        /// `prompt` and `completion`.
        PromptCompletion = "prompt_completion",
        /// Qwen's blocks as `text`.
        Qwen = "qwen",
        /// ChatML blocks as `text`.
        Chatml = "chatml",
        /// Llama 3's headers as `text`.
        Llama3 = "llama3",
        /// `instruction`, `input`, `output`.
        Alpaca = "alpaca",
        /// `conversations`.
        Sharegpt = "sharegpt",
        /// `prompt`, `chosen`, `rejected`.
        Dpo = "dpo",
        /// A model's own template as `text`.
        Template = "template",
    }
}

/// Columns that stay beside those of a format, where the row has them. `outcome` is not among them where a data set has another
/// meaning for it: then `trajectory_outcome` is the one that is shared.
pub const SHARED: [&str; 10] = [
    "id",
    "trajectory_id",
    "analysis_type",
    "organism",
    "complexity",
    "outcome",
    "trajectory_outcome",
    "template",
    "quality_score",
    "training_value",
];

/// The columns of a preference.
const PREFERENCE: [&str; 3] = ["prompt", "chosen", "rejected"];

/// A row in a format. [`Format::Messages`] is the row as it is, whichever of the two shapes of messages it has.
///
/// # Errors
/// Why it cannot be said so: a sentence that is the same for all rows of which it is true.
pub fn render(
    format: Format,
    row: &Map<String, Value>,
    template: Option<&Template>,
) -> Result<Map<String, Value>, String> {
    let given = |key: &str| row.get(key).filter(|said| !said.is_null());
    // Of rows of both kinds in one data set, each has the columns of the other as nulls; some have both.
    if given("chosen").is_some() && given("rejected").is_some() {
        return preference(format, row);
    }
    let said = given("messages").ok_or("it has no messages")?;
    let turns = messages("messages", said)?;
    let columns = match format {
        Format::Messages => return Ok(row.clone()),
        Format::PromptCompletion => prompt_completion(&turns)?,
        Format::Alpaca => alpaca(&turns)?,
        Format::Sharegpt => sharegpt(&turns)?,
        Format::Dpo => return Err("it has no rejected answer".into()),
        Format::Qwen => json!({ "text": text::qwen(&answered(&turns)?)? }),
        Format::Chatml => json!({ "text": text::chatml(&answered(&turns)?)? }),
        Format::Llama3 => json!({ "text": text::llama3(&answered(&turns)?)? }),
        Format::Template => {
            let template = template.ok_or("no model is named whose template it could be")?;
            let turns = answered(&turns)?;
            text::unforged(&turns, template.specials())?;
            json!({ "text": template.render(&turns, false)? })
        }
    };
    Ok(beside(row, columns))
}

/// A preference: two answers to one prompt.
fn preference(format: Format, row: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let part = |key: &str| {
        let said = row.get(key).filter(|said| !said.is_null());
        said.map(|said| messages(key, said)).transpose()
    };
    let [prompt, chosen, rejected] = PREFERENCE.map(part);
    let (Some(prompt), Some(chosen), Some(rejected)) = (prompt?, chosen?, rejected?) else {
        return Err("it has no prompt".into());
    };
    match format {
        Format::Messages => Ok(row.clone()),
        Format::Dpo => {
            let only = |turns: &[Message]| turns.iter().all(|turn| turn.role == "assistant");
            if !only(&chosen) || !only(&rejected) {
                return Err("an answer of it has turns that are not the assistant's".into());
            }
            if prompt.last().is_none_or(|turn| turn.role != "user") {
                return Err("its prompt does not end with a user's turn".into());
            }
            let columns = json!({ "prompt": prompt, "chosen": chosen, "rejected": rejected });
            Ok(beside(row, columns))
        }
        _ => Err("it is a preference: only dpo and messages say it".into()),
    }
}

/// The columns of a format, with those that are shared.
fn beside(row: &Map<String, Value>, columns: Value) -> Map<String, Value> {
    let Value::Object(mut said) = columns else {
        return Map::new();
    };
    for key in SHARED {
        if let Some(value) = row.get(key) {
            said.insert(key.into(), value.clone());
        }
    }
    said
}

/// The same turns, where the last is the assistant's: there is something to learn.
fn answered(turns: &[Message]) -> Result<Vec<Message>, String> {
    match turns.last() {
        Some(last) if last.role == "assistant" => Ok(turns.to_vec()),
        _ => Err("it does not end with an assistant's turn".into()),
    }
}

/// TRL's conversational prompt and completion: everything up to the last user's turn, and the answer to it.
fn prompt_completion(turns: &[Message]) -> Result<Value, String> {
    let turns = answered(turns)?;
    let asked = turns.iter().rposition(|turn| turn.role == "user");
    let asked = asked.ok_or("it has no user's turn")?;
    let (prompt, completion) = turns.split_at(asked + 1);
    if completion.iter().any(|turn| turn.role != "assistant") {
        return Err("its answer has turns that are not the assistant's".into());
    }
    Ok(json!({ "prompt": prompt, "completion": completion }))
}

/// One question, one answer. A system turn is the instruction and the question its input, for so the format divides them:
/// what is to be done, and what with.
fn alpaca(turns: &[Message]) -> Result<Value, String> {
    let roles: Vec<&str> = turns.iter().map(|turn| turn.role.as_str()).collect();
    let said = |at: usize| turns[at].content.as_str();
    let (instruction, input, output) = match roles.as_slice() {
        ["user", "assistant"] => (said(0), "", said(1)),
        ["system", "user", "assistant"] => (said(0), said(1), said(2)),
        _ => return Err("it is not one question and its answer, which is all alpaca says".into()),
    };
    Ok(json!({ "instruction": instruction, "input": input, "output": output }))
}

fn sharegpt(turns: &[Message]) -> Result<Value, String> {
    let named = |turn: &Message| {
        let from = match turn.role.as_str() {
            "system" => "system",
            "user" => "human",
            "assistant" => "gpt",
            role => return Err(format!("sharegpt has no name for the role {role:?}")),
        };
        Ok(json!({ "from": from, "value": turn.content }))
    };
    let turns = answered(turns)?;
    let said: Result<Vec<Value>, String> = turns.iter().map(named).collect();
    Ok(json!({ "conversations": said? }))
}

/// The shared columns that a row has, with their types: what [`schema()`] needs to know of a data set whose own schema is
/// not at hand.
pub fn shared(row: &Map<String, Value>) -> Schema {
    let field = |key: &&str| {
        let of = match *key {
            "quality_score" | "training_value" => Type::Float,
            _ => Type::Text,
        };
        row.contains_key(*key).then(|| Field::new(key, of))
    };
    Schema(SHARED.iter().filter_map(field).collect())
}

/// The columns of rows in a format, of rows that had those of `from`: the id, the format's own, the shared ones.
pub fn schema(format: Format, from: &Schema) -> Schema {
    if format == Format::Messages {
        return from.clone();
    }
    let texts = |names: &[&str]| {
        names
            .iter()
            .map(|name| Field::new(name, Type::Text))
            .collect()
    };
    let own: Vec<Field> = match format {
        Format::PromptCompletion => chats(&["prompt", "completion"]),
        Format::Dpo => chats(&PREFERENCE),
        Format::Alpaca => texts(&["instruction", "input", "output"]),
        Format::Sharegpt => {
            let turn = Type::Struct(texts(&["from", "value"]));
            vec![Field::new("conversations", Type::List(Box::new(turn)))]
        }
        _ => texts(&["text"]),
    };
    let shared = SHARED
        .iter()
        .filter_map(|key| from.0.iter().find(|field| field.name == *key));
    let (id, rest): (Vec<Field>, Vec<Field>) =
        shared.cloned().partition(|field| field.name == "id");
    Schema(id.into_iter().chain(own).chain(rest).collect())
}

fn chats(names: &[&str]) -> Vec<Field> {
    names.iter().map(|name| Field::new(name, chat())).collect()
}

#[cfg(test)]
mod tests;
