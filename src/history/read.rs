//! Reads `training_history.json` again: ours, and what earlier versions wrote. What is torn or somebody else's is an error
//! that says where, and never half a history.

use super::{Experiment, Failure, History, Status};
use crate::{parameters::Assignment, time::Timestamp};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};

/// Why a file is no history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong with it.
    pub message: String,
    /// Where: `line 3, column 9`, or `experiments[4].status`; empty where it is the whole.
    pub place: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.message),
            place => write!(f, "{place}: {}", self.message),
        }
    }
}

impl History {
    /// The history of a `training_history.json`.
    ///
    /// # Errors
    /// It is torn, not JSON, or not a history: what is wrong, and where.
    pub fn read(bytes: &[u8]) -> Result<History, Unreadable> {
        let written: Value = serde_json::from_slice(bytes).map_err(|error| Unreadable {
            message: match error.classify() {
                _ if bytes.trim_ascii().is_empty() => "it is empty".into(),
                serde_json::error::Category::Eof => "it ends in the middle: it is torn".into(),
                _ => format!("it is no JSON: {}", bare(&error)),
            },
            place: format!("line {}, column {}", error.line(), error.column()),
        })?;
        let Some(listed) = written.get("experiments").and_then(Value::as_array) else {
            return Err(Unreadable {
                message: "it has no list \"experiments\": it is not a training history".into(),
                place: String::new(),
            });
        };
        let read = |(at, one): (usize, &Value)| {
            experiment(one).map_err(|error| Unreadable {
                place: match error.place.as_str() {
                    "" => format!("experiments[{at}]"),
                    inside => format!("experiments[{at}].{inside}"),
                },
                ..error
            })
        };
        let all: Result<Vec<Experiment>, Unreadable> =
            listed.iter().enumerate().map(read).collect();
        Ok(History::new(all?))
    }
}

/// The sentence of an error without the place, which stands before it.
fn bare(error: &serde_json::Error) -> String {
    let said = error.to_string();
    match said.rsplit_once(" at line ") {
        Some((sentence, _)) => sentence.into(),
        None => said,
    }
}

/// One experiment as `training_history.json` has it. What the specification does not ask for may be missing.
///
/// # Errors
/// A field that is needed is missing or of another type: which.
pub fn experiment(one: &Value) -> Result<Experiment, Unreadable> {
    let Some(fields) = one.as_object() else {
        return Err(wrong("", "it is no object"));
    };
    let fields = Fields(fields);
    let cycle = fields.0.get("cycle_id").and_then(Value::as_u64);
    let cycle = cycle.and_then(|cycle| u32::try_from(cycle).ok());
    let status: Result<Status, String> = fields.needed("status")?.parse();
    Ok(Experiment {
        experiment_id: fields.needed("experiment_id")?,
        campaign: fields.text("campaign")?.unwrap_or_default(),
        cycle_id: cycle.ok_or_else(|| wrong("cycle_id", "it is missing, or no whole number"))?,
        status: status.map_err(|said| wrong("status", &said))?,
        config: config(fields.object("config")?)?,
        metrics: metrics(fields.object("metrics")?)?,
        duration_seconds: fields.number("duration_seconds")?.unwrap_or(0.0),
        gpu_hours: fields.number("gpu_hours")?.unwrap_or(0.0),
        proposal_type: fields.text("proposal_type")?.unwrap_or_default(),
        risk_level: fields.text("risk_level")?.unwrap_or_default(),
        proposal: fields.text("proposal")?,
        adapter: fields.text("adapter")?,
        verdict: fields.text("verdict")?,
        failure: fields.0.get("failure").and_then(failure),
        ended_at: Timestamp(
            fields
                .0
                .get("ended_at_ms")
                .and_then(Value::as_i64)
                .unwrap_or(0),
        ),
    })
}

fn wrong(place: &str, message: &str) -> Unreadable {
    Unreadable {
        message: message.into(),
        place: place.into(),
    }
}

/// The fields of an experiment; null is as good as missing.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn there(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<String>, Unreadable> {
        let text = |value: &Value| value.as_str().map(String::from);
        let read = |value| text(value).ok_or_else(|| wrong(key, "it is no text"));
        self.there(key).map(read).transpose()
    }

    fn needed(&self, key: &str) -> Result<String, Unreadable> {
        self.text(key)?.ok_or_else(|| wrong(key, "it is missing"))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, Unreadable> {
        let read = |value: &Value| value.as_f64().ok_or_else(|| wrong(key, "it is no number"));
        self.there(key).map(read).transpose()
    }

    fn object(&self, key: &str) -> Result<&'a Map<String, Value>, Unreadable> {
        let there = self.there(key).ok_or_else(|| wrong(key, "it is missing"))?;
        there
            .as_object()
            .ok_or_else(|| wrong(key, "it is no object"))
    }
}

/// What was set. Earlier versions wrote every value as a text: where all of them are texts they mean what they say.
fn config(written: &Map<String, Value>) -> Result<Assignment, Unreadable> {
    let only_texts = written.values().all(Value::is_string);
    let read = |(key, value): (&String, &Value)| {
        let plain = match value {
            Value::String(text) if only_texts => text.parse().ok(),
            // Lists and tables stand as their text.
            other => serde_json::from_value(other.clone())
                .ok()
                .or_else(|| Some(crate::parameters::Value::Text(other.to_string()))),
        };
        let place = || wrong(&format!("config.{key}"), "it is no value");
        Ok((key.clone(), plain.ok_or_else(place)?))
    };
    let set = written.iter().filter(|(_, value)| !value.is_null());
    set.map(read).collect()
}

/// What was measured; what was no number when it was written is null, and is not there.
fn metrics(written: &Map<String, Value>) -> Result<BTreeMap<String, f64>, Unreadable> {
    let measured = written.iter().filter(|(_, value)| !value.is_null());
    let read = |(key, value): (&String, &Value)| {
        let place = || wrong(&format!("metrics.{key}"), "it is no number");
        Ok((key.clone(), value.as_f64().ok_or_else(place)?))
    };
    measured.map(read).collect()
}

/// A cause that is not known is of a later version: then there is no failure to learn from.
fn failure(written: &Value) -> Option<Failure> {
    Some(Failure {
        cause: written["cause"].as_str()?.parse().ok()?,
        text: written["text"].as_str().unwrap_or_default().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{FailureCause, tests::one};
    use super::*;
    use crate::parameters::Value as Set;
    use serde_json::json;

    fn refused(text: &str) -> String {
        History::read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut failed = one("b", 2, Status::Failed, 0.5, 2);
        failed.failure = Some(Failure {
            cause: FailureCause::Memory,
            text: "CUDA out of memory".into(),
        });
        failed.verdict = Some("regressed".into());
        failed.config.insert("fp16".into(), Set::Flag(true));
        failed.config.insert("name".into(), Set::Text("8".into()));
        let history = History::new(vec![one("a", 1, Status::Completed, 0.8, 1), failed]);
        let written = serde_json::to_vec_pretty(&history.render()).unwrap();
        assert_eq!(History::read(&written), Ok(history));
    }

    #[test]
    fn a_torn_or_foreign_file_says_what_is_wrong_and_where() {
        let whole = serde_json::to_string(
            &History::new(vec![one("a", 1, Status::Completed, 0.8, 1)]).render(),
        )
        .unwrap();
        for kept in 1..whole.len() {
            let said = refused(&whole[..kept]);
            assert!(said.starts_with("line 1, column "), "{kept}: {said}");
        }
        assert!(refused(&whole[..whole.len() / 2]).ends_with("it is torn"));
        assert_eq!(refused(""), "line 1, column 0: it is empty");
        assert!(refused("{]").contains("it is no JSON: key must be a string"));
        for foreign in ["[]", "3", "{}", r#"{"experiments":{}}"#, r#"{"runs":[]}"#] {
            assert!(
                refused(foreign).contains("not a training history"),
                "{foreign}"
            );
        }
        let with = |key: &str, value: Value| {
            let mut history: Value = serde_json::from_str(&whole).unwrap();
            history["experiments"][0][key] = value;
            refused(&history.to_string())
        };
        assert_eq!(
            with("experiment_id", Value::Null),
            "experiments[0].experiment_id: it is missing"
        );
        assert_eq!(
            with("status", json!("running")),
            "experiments[0].status: \"running\" is none of completed, failed, cancelled"
        );
        assert_eq!(
            with("metrics", json!({"auc": "high"})),
            "experiments[0].metrics.auc: it is no number"
        );
        assert_eq!(
            with("cycle_id", json!(-1)),
            "experiments[0].cycle_id: it is missing, or no whole number"
        );
        assert_eq!(
            with("config", json!([])),
            "experiments[0].config: it is no object"
        );
        assert_eq!(
            with("duration_seconds", json!("long")),
            "experiments[0].duration_seconds: it is no number"
        );
        assert_eq!(
            refused(r#"{"experiments":[7]}"#),
            "experiments[0]: it is no object"
        );
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let text = json!({ "experiments": [{
            "experiment_id": "exp_001", "cycle_id": 1, "status": "completed",
            "config": { "r": "16", "learning_rate": "1e-4", "model": "Qwen3-8B", "bf16": "true" },
            "metrics": { "auc": 0.87, "loss": null },
            "proposal_type": "hyperparameter_tuning", "risk_level": "low", "duration_seconds": 12.5,
            "failure": { "cause": "unheard_of", "text": "x" },
        }] });
        let history = History::read(text.to_string().as_bytes()).unwrap();
        let one = &history.experiments()[0];
        assert_eq!(one.config["r"], Set::Whole(16));
        assert_eq!(one.config["learning_rate"], Set::Number(1e-4));
        assert_eq!(one.config["model"], Set::Text("Qwen3-8B".into()));
        assert_eq!(one.config["bf16"], Set::Flag(true));
        assert_eq!((one.metrics.len(), one.failure.as_ref()), (1, None));
    }

    #[test]
    fn a_text_beside_numbers_stays_a_text() {
        let set = json!({ "name": "8", "r": 8, "betas": [0.9, 0.99] });
        let read = config(set.as_object().unwrap()).unwrap();
        assert_eq!(read["name"], Set::Text("8".into()));
        assert_eq!(read["betas"], Set::Text("[0.9,0.99]".into()));
    }
}
