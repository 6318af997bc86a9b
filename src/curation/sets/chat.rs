//! The conversations of all data sets: who the model is told to be, what it is given, what it should say.
//!
//! System prompts are short and never change, so that a model that was trained on them is asked by the same words. Answers
//! that are JSON are written from structures, which keep the order of the specification's keys.

use crate::curation::words::DataSet;
use serde::Serialize;
use serde_json::{Value, json};

/// Who the model is told to be.
pub(super) fn system(set: DataSet) -> &'static str {
    match set {
        DataSet::Routing => {
            "You choose the model that a request of a workflow agent is sent to: the cheapest that does it well. Answer with JSON: {\"optimal_tier\", \"optimal_model\", \"reasoning\"}."
        }
        DataSet::Codegen => {
            "You write Nextflow DSL2. Turn the plan into one complete main.nf. Answer with the code alone."
        }
        DataSet::Validation | DataSet::ValidationPreferences => {
            "You review Nextflow DSL2 workflows, whose lines are numbered. Report only what is really wrong. Answer with JSON: {\"issues\": [{\"line\", \"type\", \"message\"}], \"severity\", \"auto_fixable\"}."
        }
        DataSet::ErrorRecovery => {
            "You find out why a Nextflow task failed, and what helps. Answer with JSON: {\"error_type\", \"resolution\": {\"action\", \"new_value\", \"config_change\"}}."
        }
        DataSet::Samples => "",
    }
}

/// One turn.
pub(super) fn turn(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

/// What a model is given.
pub(super) fn prompt(set: DataSet, user: &str) -> Vec<Value> {
    vec![turn("system", system(set)), turn("user", user)]
}

/// The whole conversation: `messages`.
pub(super) fn messages(set: DataSet, user: &str, assistant: &str) -> Value {
    let mut turns = prompt(set, user);
    turns.push(turn("assistant", assistant));
    Value::Array(turns)
}

/// Compact JSON, keys in the order of the structure.
pub(super) fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and lists of them have a JSON")
}

/// Code with its lines numbered, because models count lines badly; the agents of the generator are shown it so, too.
pub(super) fn numbered(code: &str) -> String {
    let mut text = String::with_capacity(code.len() + code.len() / 8);
    for (at, line) in code.lines().enumerate() {
        text.push_str(&format!("{}: {line}\n", at + 1));
    }
    text
}
