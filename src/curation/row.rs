//! One raw sample as curation sees it: who it is, what it says, how good it is, what it is kin to.
//!
//! Everything that later decisions need is read once, so that no sample has to stay in memory.

use super::{
    filters::{incomplete, trivial},
    near::{normalised, text_key},
    words::Reason,
};
use serde_json::{Map, Value};

/// What is read of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its id, as text.
    pub id: String,
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
    /// [`Reason::InvalidJson`] for what is no object, [`Reason::NoId`] for an object without one.
    pub fn read(value: &Value, bar: Bar) -> Result<Seen, Reason> {
        let Value::Object(row) = value else {
            return Err(Reason::InvalidJson);
        };
        let id = id(row).ok_or(Reason::NoId)?;
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
            ours: is_trajectory(row),
            content: content(row),
            score,
            text: said.map(|said| normalised(&said)),
            structure: structure(row),
            source: id_key(text("parent").unwrap_or(&id)),
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

fn id(row: &Map<String, Value>) -> Option<String> {
    match row.get("id") {
        Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    }
}

/// The key of an id; no text and no structure has the same.
pub fn id_key(id: &str) -> u128 {
    text_key(&format!("id\n{id}"))
}

fn structure(row: &Map<String, Value>) -> Option<u128> {
    let (template, slots) = (row.get("template")?, row.get("slots")?);
    // Maps of this crate are sorted, so equal slots have equal text.
    (!template.is_null() && slots.is_object())
        .then(|| text_key(&format!("structure\n{template}\n{slots}")))
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

/// What a row asks or says, whatever its shape.
pub fn said(row: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
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
    // What is asked, where somebody asks; else all that is said.
    let turns = turns(row)?;
    let of = |roles: &[&str]| {
        let said: Vec<&str> = turns
            .iter()
            .filter(|(role, _)| roles.is_empty() || roles.contains(role))
            .map(|(_, text)| *text)
            .collect();
        (!said.is_empty()).then(|| said.join("\n"))
    };
    of(&["user", "human"]).or_else(|| of(&[]))
}

/// Who says what in a row that is a chat: `messages`, or `conversations` as ShareGPT has them.
pub fn turns(row: &Map<String, Value>) -> Option<Vec<(&str, &str)>> {
    let (list, who, what) = [
        ("messages", "role", "content"),
        ("conversations", "from", "value"),
        ("prompt", "role", "content"),
    ]
    .iter()
    .find_map(|(list, who, what)| Some((row.get(*list)?.as_array()?, *who, *what)))?;
    Some(
        list.iter()
            .filter_map(|turn| Some((turn.get(who)?.as_str()?, turn.get(what)?.as_str()?)))
            .collect(),
    )
}

/// A foreign row as the data set `samples` has it: its own fields and a chat.
pub fn sample(mut row: Map<String, Value>) -> Map<String, Value> {
    if row.get("messages").is_some_and(Value::is_array) {
        return row;
    }
    let turn = |role: &str, text: &str| serde_json::json!({ "role": role, "content": text });
    let messages: Vec<Value> = match row.get("conversations").and_then(Value::as_array) {
        Some(_) => turns(&row)
            .into_iter()
            .flatten()
            .map(|(who, text)| turn(role(who), text))
            .collect(),
        None => {
            let answer = [
                "output",
                "completion",
                "response",
                "answer",
                "generated_code",
            ]
            .iter()
            .find_map(|key| row.get(*key)?.as_str());
            let asked = said(&row);
            let asked = asked.iter().map(|text| turn("user", text));
            asked
                .chain(answer.map(|text| turn("assistant", text)))
                .collect()
        }
    };
    row.insert("messages".into(), Value::Array(messages));
    row
}

/// ShareGPT's names of who speaks.
fn role(who: &str) -> &str {
    match who {
        "human" => "user",
        "gpt" | "bot" => "assistant",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BAR: Bar = Bar {
        min_quality: 0.7,
        min_words: 3,
    };

    fn read(value: Value) -> Seen {
        Seen::read(&value, BAR).unwrap()
    }

    #[test]
    fn what_is_no_row_is_said_by_its_reason() {
        assert_eq!(Seen::read(&json!([1]), BAR), Err(Reason::InvalidJson));
        assert_eq!(Seen::read(&json!({ "query": "x" }), BAR), Err(Reason::NoId));
        assert_eq!(Seen::read(&json!({ "id": "" }), BAR), Err(Reason::NoId));
        assert_eq!(read(json!({ "id": 7, "text": "a b c d e" })).id, "7");
    }

    #[test]
    fn scores_rule_and_without_them_acceptance() {
        let refused = |value: Value| read(value).refused;
        let text = "align the reads of a human sample";
        let row = |more: Value| {
            let mut row = json!({ "id": "a", "text": text });
            row.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            row
        };
        assert_eq!(refused(row(json!({ "quality_score": 0.7 }))), None);
        assert_eq!(
            refused(row(json!({ "quality_score": 0.69, "accepted": true }))),
            Some(Reason::BelowMinQuality)
        );
        assert_eq!(
            refused(row(json!({ "accepted": false }))),
            Some(Reason::NotAccepted)
        );
        // A quality that is none says nothing.
        assert_eq!(refused(row(json!({ "quality_score": 7 }))), None);
        assert_eq!(
            refused(json!({ "id": "a", "text": "hi" })),
            Some(Reason::Trivial)
        );
        assert_eq!(refused(json!({ "id": "a" })), Some(Reason::Incomplete));
    }

    #[test]
    fn structure_is_template_and_slots_in_any_order_of_keys() {
        let one: Value = serde_json::from_str(
            r#"{"id":1,"text":"a b c d","template":"t","slots":{"a":1,"b":2}}"#,
        )
        .unwrap();
        let two: Value = serde_json::from_str(
            r#"{"slots":{"b":2,"a":1},"template":"t","text":"other words here","id":2}"#,
        )
        .unwrap();
        let three =
            json!({ "id": 3, "text": "a b c d", "template": "u", "slots": { "a": 1, "b": 2 } });
        let (one, two, three) = (read(one), read(two), read(three));
        assert_eq!(one.structure, two.structure);
        assert_ne!(one.structure, three.structure);
        assert_eq!(
            read(json!({ "id": 1, "text": "a b c d", "template": "t" })).structure,
            None
        );
    }

    #[test]
    fn chats_of_all_shapes_say_what_is_asked_and_become_messages() {
        let chat = json!({ "id": 1, "messages": [
            { "role": "system", "content": "be brief" }, { "role": "user", "content": "align my reads" },
            { "role": "assistant", "content": "bwa mem" } ] });
        let shared = json!({ "id": 1, "conversations": [
            { "from": "human", "value": "align my reads" }, { "from": "gpt", "value": "bwa mem" } ] });
        for row in [&chat, &shared] {
            assert_eq!(said(row.as_object().unwrap()).unwrap(), "align my reads");
        }
        let messages = |row: Value| sample(row.as_object().unwrap().clone())["messages"].clone();
        assert_eq!(messages(chat.clone()), chat["messages"]);
        let asked = json!([{ "role": "user", "content": "align my reads" }, { "role": "assistant", "content": "bwa mem" }]);
        assert_eq!(messages(shared), asked);
        assert_eq!(
            messages(json!({ "prompt": "align my reads", "completion": "bwa mem" })),
            asked
        );
        assert_eq!(
            messages(json!({ "instruction": "align", "input": "my reads", "output": "bwa mem" }))
                [0]["content"],
            "align\nmy reads"
        );
    }

    #[test]
    fn times_of_our_own_samples_are_not_their_content() {
        let row = |time: &str| json!({ "id": "t", "trajectory_id": "t", "steps": [], "outcome_reason": "", "created_at": time });
        assert_eq!(read(row("1")).content, read(row("2")).content);
        let foreign = |time: &str| json!({ "id": "t", "text": "a b c d e", "created_at": time });
        assert_ne!(read(foreign("1")).content, read(foreign("2")).content);
    }
}
