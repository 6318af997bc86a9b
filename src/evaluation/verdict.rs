//! What the gate decided, and everything it decided on: each check with what was required, seen,
//! and on how many samples.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::GateKind;
use super::wording;

/// What follows from a pilot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// The full generation may start.
    #[serde(rename = "APPROVE")]
    Approve,
    /// It may not, unless a person amends the criteria.
    #[serde(rename = "REJECT")]
    Reject,
    /// Not decided: more pilot samples are asked for on the same outputs.
    #[serde(rename = "EXTEND")]
    Extend,
}

impl Decision {
    /// The word on screens and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Approve => "APPROVE",
            Decision::Reject => "REJECT",
            Decision::Extend => "EXTEND",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One requirement and what was seen of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// `completion`, `min_samples` or `quality`.
    pub check: String,
    /// The least that passes: samples, or a quality of 0 to 1.
    pub required: f64,
    /// What was seen, in the same unit; None if nothing could be.
    pub observed: Option<f64>,
    /// The lower confidence bound, for a quality under the confidence gate.
    pub low: Option<f64>,
    /// The upper confidence bound.
    pub high: Option<f64>,
    /// The number of samples behind it.
    pub n: u64,
    /// Whether it passed; None while it is open.
    pub passed: Option<bool>,
}

impl Check {
    /// The observation as screens show it: `380`, `0.679 (0.614 to 0.744)`, or `-` for none.
    pub fn shown(&self) -> String {
        match self.observed {
            None => "-".to_owned(),
            Some(mean) if self.check == "quality" => {
                wording::interval(mean, self.low, self.high, self.required)
            }
            Some(count) => count.to_string(),
        }
    }

    /// `yes`, `no` or `open`.
    pub fn outcome(&self) -> &'static str {
        match self.passed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "open",
        }
    }
}

/// What the gate decided on one pilot at one look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What follows.
    pub decision: Decision,
    /// The gate that decided.
    pub gate: GateKind,
    /// The look, from 1.
    pub look: u32,
    /// The last look there may be.
    pub max_looks: u32,
    /// The number of distinct valid samples judged.
    pub n: u64,
    /// Their mean quality; None if it cannot be computed.
    pub mean: Option<f64>,
    /// The lower confidence bound of the quality; None under the point gate.
    pub low: Option<f64>,
    /// The upper confidence bound.
    pub high: Option<f64>,
    /// `completion`, `min_samples`, `quality`, in this order.
    pub checks: Vec<Check>,
    /// Why, with the numbers that decided.
    pub reason: String,
    /// What to do next, in one sentence.
    pub recommendation: String,
    /// True if the quality is what a log says, and not what the samples show.
    pub rests_on_log: bool,
}

impl Verdict {
    /// True if the full generation may start. Nothing but the decision is asked.
    pub fn approved(&self) -> bool {
        self.decision == Decision::Approve
    }

    /// The numbers and where the threshold lies, for one line of a follower: `0.705 (0.616 to
    /// 0.795): 0.75 is inside`. If no quality decided, the reason.
    pub fn headline(&self) -> String {
        let quality = self.checks.iter().find(|check| check.check == "quality");
        let others_passed = self
            .checks
            .iter()
            .all(|check| check.check == "quality" || check.passed == Some(true));
        match quality {
            Some(quality) if others_passed && quality.observed.is_some() => {
                wording::headline(quality)
            }
            _ => self.reason.clone(),
        }
    }
}
