//! What is to be tried next: a fine-tune with other values, why, and what was thought of it before it ran.

use super::spec::RunSpec;
use crate::{
    parameters::{Assignment, Value},
    planning::approval::{Check, Risk},
    time::Timestamp,
    words::words,
};
use serde::{Deserialize, Serialize};

words! {
    /// What has become of a proposal.
    pub enum State {
        /// A person is asked.
        Waiting = "waiting",
        /// It is to be tried, or is being tried.
        Approved = "approved",
        /// A check, or a person, said no.
        Refused = "refused",
        /// Its result is in the history.
        Tried = "tried",
    }
}

/// What was expected of a proposal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Of which metric.
    pub metric: String,
    /// The expected value, in the metric's own unit.
    pub mean: f64,
    /// Its standard deviation.
    pub sd: f64,
}

/// The record; its key is its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// `p4`: the name of its fine-tune; given by the machine.
    pub id: String,
    /// The cycle that tries it; none until it is decided.
    pub cycle: Option<u32>,
    /// The fine-tune, whole.
    pub run: RunSpec,
    /// What differs from the baseline.
    pub values: Assignment,
    /// `space_filling`, `explore`, `exploit`, `recover`, or `person`.
    pub kind: String,
    /// Why this one, in a sentence.
    pub why: String,
    /// What is expected of it, where there were results to expect from.
    pub prediction: Option<Prediction>,
    /// What was asked of it.
    pub checks: Vec<Check>,
    /// How daring it is.
    pub risk: Risk,
    /// What that rests on, a sentence each.
    pub risks: Vec<String>,
    /// The experiments that it rests on, by id.
    pub evidence: Vec<String>,
    /// What has become of it.
    pub state: State,
    /// `checks`, `uid 1000`; empty while it waits.
    pub decided_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
}

impl Proposal {
    /// The first check that speaks against it.
    pub fn refusal(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.passed)
    }
}

impl RunSpec {
    /// The fine-tune with other settings, under another name.
    ///
    /// # Errors
    /// A sentence: a setting that there is not, or a value that it cannot have.
    pub fn with(&self, name: &str, values: &Assignment) -> Result<RunSpec, String> {
        let mut settings = serde_json::to_value(&self.settings).map_err(|why| why.to_string())?;
        for (key, value) in values {
            let Some(place) = settings.get_mut(key) else {
                return Err(format!("{key} is no setting of a fine-tune"));
            };
            *place = match value {
                // Modules are written with commas between them.
                Value::Text(text) if place.is_array() => {
                    let words = text.split([',', '+']).map(str::trim);
                    words.collect::<Vec<&str>>().into()
                }
                Value::Number(number) if place.is_u64() && number.fract() == 0.0 => {
                    (*number as u64).into()
                }
                Value::Flag(flag) => (*flag).into(),
                Value::Whole(whole) => (*whole).into(),
                Value::Number(number) => (*number).into(),
                Value::Text(text) => text.as_str().into(),
            };
        }
        let settings: crate::training::settings::Settings =
            serde_json::from_value(settings).map_err(|why| why.to_string())?;
        if let Some((key, value, right)) = settings.problems().into_iter().next() {
            return Err(format!("{key} = {value}, not {right}"));
        }
        Ok(RunSpec {
            name: name.into(),
            settings,
            ..self.clone()
        })
    }
}
