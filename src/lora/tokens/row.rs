//! One row of JSON as tokens, whatever its format: which it has is told by its keys, row by row, so that files may be mixed.
//!
//! | keys | format | learned |
//! |---|---|---|
//! | `input_ids`, `labels` | tokens | labels that are not -100 (not shifted); without labels all |
//! | `chosen`, `rejected`, `prompt` | preference: texts, messages or tokens | the answers |
//! | `messages` | chat | every assistant's turn |
//! | `conversations` | ShareGPT | every assistant's turn |
//! | `prompt`, `completion` | texts or messages | the completion |
//! | `instruction`, `input`, `output` | Alpaca | the output |
//! | `text` | rendered | see [`marks`](super::marks) |
//!
//! A key with null is not there. Texts are continued as they stand, without a template; Alpaca is a chat where the model has a
//! template: with an input the instruction is the system's turn and the input the user's, as curation divides them.

use super::{Example, Row, Tokens};
use crate::{
    chat::{Message, messages},
    training::words::Loss,
};
use serde_json::{Map, Value};

/// A row that a line holds.
///
/// # Errors
/// Why nothing can be learned of it: a sentence, mostly the same for all rows of which it is true.
pub fn row(tokens: &Tokens, row: &Map<String, Value>, loss: Loss) -> Result<Row, String> {
    let (chosen, rejected) = (given(row, "chosen"), given(row, "rejected"));
    let row = match (chosen, rejected, loss) {
        (Some(chosen), Some(rejected), Loss::Dpo) => {
            pair(tokens, given(row, "prompt"), chosen, rejected)?
        }
        (Some(_), Some(_), Loss::Sft) => {
            return Err("it is a preference, which loss = \"sft\" does not learn from".into());
        }
        (_, _, Loss::Dpo) => {
            return Err("it is no preference: loss = \"dpo\" needs chosen and rejected".into());
        }
        (_, _, Loss::Sft) => Row::Sft(sft(tokens, row)?.shrunk()),
    };
    if row.documents().any(|document| document.supervised() == 0) {
        return Err("no token of it is learned: no turn is the assistant's".into());
    }
    Ok(row)
}

fn given<'a>(row: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    row.get(key).filter(|value| !value.is_null())
}

fn sft(tokens: &Tokens, row: &Map<String, Value>) -> Result<Example, String> {
    let given = |key: &str| given(row, key);
    if let Some(ids) = given("input_ids") {
        return told(tokens, ids, given("labels"), given("attention_mask"));
    }
    if let Some(said) = given("messages") {
        return tokens.chat(&messages("messages", said)?, 0);
    }
    if let Some(said) = given("conversations") {
        return tokens.chat(&conversations(said)?, 0);
    }
    if let (Some(prompt), Some(said)) = (given("prompt"), given("completion")) {
        return answer(tokens, prompt, said, "completion");
    }
    if let (Some(instruction), Some(output)) = (given("instruction"), given("output")) {
        return alpaca(tokens, instruction, given("input"), output);
    }
    match given("text").map(Value::as_str) {
        Some(Some(text)) => tokens.text(text),
        Some(None) => Err("its text is none".into()),
        None => Err(
            "it has none of the keys of a format: messages, conversations, prompt and completion, instruction and \
             output, text, input_ids"
                .into(),
        ),
    }
}

/// Tokens that somebody else made.
fn told(
    tokens: &Tokens,
    ids: &Value,
    labels: Option<&Value>,
    mask: Option<&Value>,
) -> Result<Example, String> {
    let numbers = |key: &str, value: &Value| -> Result<Vec<i64>, String> {
        let list = value.as_array().map(|list| list.iter().map(Value::as_i64));
        let numbers = list.and_then(Iterator::collect::<Option<Vec<i64>>>);
        numbers.ok_or_else(|| format!("{key} is no list of integers"))
    };
    let ids = numbers("input_ids", ids)?;
    let labels = labels.map_or_else(|| Ok(ids.clone()), |labels| numbers("labels", labels))?;
    let mask = mask
        .map(|mask| numbers("attention_mask", mask))
        .transpose()?;
    let mask = mask.unwrap_or_else(|| vec![1; ids.len()]);
    if labels.len() != ids.len() || mask.len() != ids.len() {
        return Err("input_ids, labels and attention_mask differ in length".into());
    }
    let mut example = Example::default();
    for ((id, label), _) in ids
        .iter()
        .zip(&labels)
        .zip(&mask)
        .filter(|(_, mask)| **mask != 0)
    {
        let known = u32::try_from(*id)
            .ok()
            .filter(|id| (*id as usize) < tokens.vocabulary());
        example.ids.push(known.ok_or_else(|| {
            let most = tokens.vocabulary();
            format!(
                "a token of input_ids is none of the model's, which are 0 to {}",
                most - 1
            )
        })?);
        if *label != -100 && label != id {
            return Err(
                "a label is neither -100 nor its token: labels are not to be shifted".into(),
            );
        }
        example.learned.push(*label != -100);
    }
    Ok(example)
}

/// A prompt and an answer to it, as texts or, where either is a list, as messages.
fn answer(tokens: &Tokens, prompt: &Value, said: &Value, key: &str) -> Result<Example, String> {
    match (prompt, said) {
        (Value::String(prompt), Value::String(said)) => tokens.completion(prompt, said),
        _ => {
            let mut turns = speech("prompt", prompt, "user")?;
            let from = turns.len();
            turns.extend(speech(key, said, "assistant")?);
            tokens.chat(&turns, from)
        }
    }
}

/// Turns of a value: a list of messages, or the text of one.
fn speech(key: &str, value: &Value, role: &str) -> Result<Vec<Message>, String> {
    match value {
        Value::String(text) => Ok(vec![Message::new(role, text)]),
        Value::Object(_) => messages(key, &Value::Array(vec![value.clone()])),
        list => messages(key, list),
    }
}

fn pair(
    tokens: &Tokens,
    prompt: Option<&Value>,
    chosen: &Value,
    rejected: &Value,
) -> Result<Row, String> {
    if chosen == rejected {
        return Err("both answers are the same".into());
    }
    let [chosen, rejected] = match (prompt, chosen, rejected) {
        (_, Value::Object(of), Value::Object(against)) if of.contains_key("input_ids") => {
            let read = |row: &Map<String, Value>| {
                let ids = given(row, "input_ids").ok_or("rejected has no input_ids")?;
                told(
                    tokens,
                    ids,
                    given(row, "labels"),
                    given(row, "attention_mask"),
                )
            };
            [read(of)?, read(against)?]
        }
        (prompt, Value::String(chosen), Value::String(rejected))
            if prompt.is_none_or(Value::is_string) =>
        {
            let prompt = prompt.and_then(Value::as_str).unwrap_or_default();
            [
                tokens.completion(prompt, chosen)?,
                tokens.completion(prompt, rejected)?,
            ]
        }
        (prompt, chosen, rejected) => {
            let both = [
                speech("chosen", chosen, "assistant")?,
                speech("rejected", rejected, "assistant")?,
            ];
            let (prompt, both) = divided(prompt, both)?;
            let whole =
                both.map(|said| tokens.chat(&[prompt.as_slice(), &said].concat(), prompt.len()));
            let [chosen, rejected] = whole;
            [chosen?, rejected?]
        }
    };
    Ok(Row::Pair {
        chosen: chosen.shrunk(),
        rejected: rejected.shrunk(),
    })
}

/// Prompt and answers. Answers that begin with another's turn are whole conversations: what both begin with is the prompt.
fn divided(
    prompt: Option<&Value>,
    mut both: [Vec<Message>; 2],
) -> Result<(Vec<Message>, [Vec<Message>; 2]), String> {
    let whole = both
        .iter()
        .all(|turns| turns.first().is_some_and(|turn| turn.role != "assistant"));
    match prompt.filter(|_| !whole) {
        Some(prompt) => Ok((speech("prompt", prompt, "user")?, both)),
        None => {
            let same = both[0]
                .iter()
                .zip(&both[1])
                .take_while(|(a, b)| a == b)
                .count();
            let prompt: Vec<Message> = both[0].drain(..same).collect();
            both[1].drain(..same);
            Ok((prompt, both))
        }
    }
}

fn alpaca(
    tokens: &Tokens,
    instruction: &Value,
    input: Option<&Value>,
    output: &Value,
) -> Result<Example, String> {
    let input = input.map_or(Some(""), Value::as_str);
    let (Some(instruction), Some(input), Some(output)) =
        (instruction.as_str(), input, output.as_str())
    else {
        return Err("instruction, input or output is no text".into());
    };
    if tokens.template.is_none() {
        let asked = [instruction, input].map(str::trim);
        let asked = asked.iter().filter(|part| !part.is_empty());
        let prompt: String = asked.map(|part| format!("{part}\n\n")).collect();
        return tokens.completion(&prompt, output);
    }
    let mut turns = Vec::new();
    if input.trim().is_empty() {
        turns.push(Message::new("user", instruction));
    } else {
        turns.push(Message::new("system", instruction));
        turns.push(Message::new("user", input));
    }
    let from = turns.len();
    turns.push(Message::new("assistant", output));
    tokens.chat(&turns, from)
}

/// ShareGPT's turns: `from` and `value`. Some files of that name hold messages.
fn conversations(value: &Value) -> Result<Vec<Message>, String> {
    let turns = value.as_array().filter(|turns| !turns.is_empty());
    let turns = turns.ok_or("conversations has no turns")?;
    if turns.iter().all(|turn| turn.get("role").is_some()) {
        return messages("conversations", value);
    }
    let turn = |turn: &Value| {
        let text = |key: &str| turn.get(key).and_then(Value::as_str);
        let (Some(from), Some(said)) = (text("from"), text("value")) else {
            return Err("a turn of conversations has no from or no value".into());
        };
        let role = match from {
            "system" => "system",
            "human" | "user" => "user",
            "gpt" | "assistant" | "model" | "chatgpt" | "bot" => "assistant",
            other => return Err(format!("no role is known for {other:?} of conversations")),
        };
        Ok(Message::new(role, said))
    };
    turns.iter().map(turn).collect()
}
