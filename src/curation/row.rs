//! One raw sample as curation sees it: who it is, what it says, how good it is, what it is kin to.
//!
//! Everything that later decisions need is read once, so that no sample has to stay in memory.

mod chat;
mod sample;

pub use chat::{Chat, read as chat};
pub use sample::{Preference, conform, fixed_columns, preference, sample, schema, talk};

use super::{
    filters::{incomplete, trivial},
    near::{normalised, text_key},
    words::Reason,
};
use serde_json::{Map, Value};

/// What is read of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its id, as text: the number 1 and the text "1" are one id.
    pub id: String,
    /// Whether that is its own; else it was made of its content.
    pub given_id: bool,
    /// Whether our own generator made it.
    pub ours: bool,
    /// All of it, hashed: two samples of one id are told apart by it.
    pub content: u64,
    /// Its quality, 0 to 1.
    pub score: Option<f64>,
    /// What it says, normalised; none where it says nothing.
    pub text: Option<String>,
    /// Its structure: template and slots of what a template made.
    pub structure: Option<u128>,
    /// The trajectory it is, or the one that it repairs.
    pub source: u128,
    /// Its template.
    pub template: Option<String>,
    /// Its analysis type.
    pub kind: Option<String>,
    /// Analysis type, outcome and complexity, hashed.
    pub stratum: u64,
    /// Whether what it tells of went well.
    pub success: Option<bool>,
    /// Why it is not wanted, whatever the others are.
    pub refused: Option<Reason>,
    /// What is missing of an incomplete one.
    pub missing: Option<&'static str>,
}

/// What every row has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Quality, 0 to 1.
    pub min_quality: f64,
    /// Words that are not trivial.
    pub min_words: usize,
}

/// Least characters of a text that is not trivial, where words are asked for at all.
const MIN_CHARS: usize = 8;

impl Seen {
    /// Reads a sample.
    ///
    /// # Errors
    /// [`Reason::InvalidJson`] for what is no object.
    pub fn read(value: &Value, bar: Bar) -> Result<Seen, Reason> {
        let Value::Object(row) = value else {
            return Err(Reason::InvalidJson);
        };
        let (id, given_id) = id(row);
        let ours = is_trajectory(row);
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let said = said(row);
        let score = row.get("quality_score").and_then(Value::as_f64);
        let score = score.filter(|score| (0.0..=1.0).contains(score));
        let kind = text("analysis_type");
        let about = ABOUT.iter().find_map(|key| text(key));
        let missing = incomplete(row);
        let refused = if missing.is_some() {
            Some(Reason::Incomplete)
        } else if bar.min_words > 0
            && said
                .as_deref()
                .is_some_and(|said| trivial(said, bar.min_words, MIN_CHARS))
        {
            Some(Reason::Trivial)
        } else {
            judge(score, row.get("accepted").and_then(Value::as_bool), bar)
        };
        let outcome = text("outcome");
        Ok(Seen {
            ours,
            given_id,
            content: content(row),
            score,
            text: said.map(|said| normalised(&said)),
            structure: structure(row),
            // What others call a parent may be anything, such as a folder.
            source: id_key(text("parent").filter(|_| ours).unwrap_or(&id)),
            template: text("template").map(String::from),
            stratum: stratum(&[about, outcome, text("complexity")]),
            kind: kind.map(String::from),
            success: outcome
                .map(|outcome| outcome.eq_ignore_ascii_case("success"))
                .or_else(|| row.get("success").and_then(Value::as_bool)),
            refused,
            missing,
            id,
        })
    }
}

/// Fields that say what a sample is about, the first that there is.
const ABOUT: [&str; 4] = ["analysis_type", "domain", "type", "category"];

fn judge(score: Option<f64>, accepted: Option<bool>, bar: Bar) -> Option<Reason> {
    match (score, accepted) {
        (Some(score), _) if score >= bar.min_quality => None,
        (Some(_), _) => Some(Reason::BelowMinQuality),
        (None, Some(false)) => Some(Reason::NotAccepted),
        (None, _) => None,
    }
}

/// Whether a row is a trajectory of the built-in generator.
pub fn is_trajectory(row: &Map<String, Value>) -> bool {
    ["trajectory_id", "steps", "outcome_reason"]
        .iter()
        .all(|key| row.contains_key(*key))
}

/// A row without what no data set holds: when our own generator made a sample depends on the clock, and the same seed is
/// to make the same data set.
pub fn timeless(row: &mut Map<String, Value>) {
    if is_trajectory(row) {
        row.remove("created_at");
        row.remove("completed_at");
    }
}

/// The id of a row as text, and whether it is its own. A number and the text of it are the same id. Whatever else stands
/// there is none: then the id is `h-` and 16 hexadecimal digits of a hash of the whole row.
pub fn id(row: &Map<String, Value>) -> (String, bool) {
    match row.get("id") {
        Some(Value::String(id)) if !id.is_empty() => (id.clone(), true),
        Some(Value::Number(id)) => (id.to_string(), true),
        _ => (format!("h-{:016x}", content(row)), false),
    }
}

/// The key of an id; no text and no structure has the same.
pub fn id_key(id: &str) -> u128 {
    text_key(&format!("id\n{id}"))
}

fn structure(row: &Map<String, Value>) -> Option<u128> {
    let (template, slots) = (row.get("template")?, row.get("slots")?);
    // Without slots all texts of a template would be one.
    let filled = slots.as_object().is_some_and(|slots| !slots.is_empty());
    // Maps of this crate are sorted, so equal slots have equal text.
    // A repair asks the same as what it repairs, and answers otherwise.
    let repaired = row.get("parent").filter(|_| is_trajectory(row));
    let repaired = repaired.map_or(String::new(), |parent| format!("\nrepair of {parent}"));
    let text = || format!("structure\n{template}\n{slots}{repaired}");
    (!template.is_null() && filled).then(|| text_key(&text()))
}

fn stratum(parts: &[Option<&str>]) -> u64 {
    let parts: Vec<&str> = parts.iter().map(|part| part.unwrap_or("")).collect();
    text_key(&parts.join("\n")) as u64
}

fn content(row: &Map<String, Value>) -> u64 {
    let timely = is_trajectory(row);
    let mut all = String::new();
    for (key, value) in row {
        if !(timely && (key == "created_at" || key == "completed_at")) {
            all += &format!("{key}\n{value}\n");
        }
    }
    text_key(&all) as u64
}

/// What a row asks or says, whatever its shape: of a preference what its prompt asks.
pub fn said(row: &Map<String, Value>) -> Option<String> {
    if let Some(preference) = preference(row) {
        return preference.prompt.of("user");
    }
    asked(row).or_else(|| {
        // What is asked, where somebody asks; else all that is said.
        let talk = talk(row);
        talk.of("user").or_else(|| talk.all())
    })
}

/// The text that asks, of a row that has one beside its chat.
fn asked(row: &Map<String, Value>) -> Option<String> {
    let Some(instruction) = text(row, "instruction") else {
        let names = ["query", "text", "prompt", "question"];
        return names
            .iter()
            .find_map(|name| text(row, name))
            .map(String::from);
    };
    Some(match text(row, "input") {
        Some(input) => format!("{instruction}\n{input}"),
        None => instruction.into(),
    })
}

/// The text that asks, of a row that has no chat.
fn question(row: &Map<String, Value>) -> Option<String> {
    let others = || text(row, "input").or_else(|| text(row, "content"));
    asked(row).or_else(|| others().map(String::from))
}

fn text<'a>(row: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    let text = row.get(key)?.as_str()?;
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
