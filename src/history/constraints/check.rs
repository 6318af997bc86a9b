//! Settings held to constraints.

use super::{Constraint, Origin, Strength, takes::said};
use crate::{
    history::{Experiment, Status},
    parameters::{Assignment, Value},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// How many experiments of the evidence are named.
const NAMED: usize = 3;

/// A constraint that settings break.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Its id.
    pub constraint: String,
    /// Whether it is refused or doubted for that.
    pub strength: Strength,
    /// One sentence: parameter, value, bound, evidence.
    pub text: String,
    /// The parameters.
    pub parameters: Vec<String>,
    /// The experiments that failed there.
    pub evidence: Vec<String>,
}

/// The constraints that settings for a model break, in the order of the constraints.
pub fn check(constraints: &[Constraint], values: &Assignment, model: &str) -> Vec<Violation> {
    let broken = constraints
        .iter()
        .filter(|one| one.is_for(model) && one.broken_in(values));
    broken.map(|one| violation(one, values)).collect()
}

/// Those that have not expired.
pub fn in_force(constraints: &[Constraint], now: Timestamp) -> Vec<Constraint> {
    let holds = |one: &&Constraint| one.pinned || one.expires_at.is_none_or(|at| at > now);
    constraints.iter().filter(holds).cloned().collect()
}

/// Counts for each constraint of a person, or that a person pinned, which experiments failed and how many completed where
/// it forbids; its confidence follows. Those that are merely learned know that already.
pub fn weigh(constraints: &mut [Constraint], experiments: &[&Experiment]) {
    for one in constraints {
        if one.origin == Origin::Learned && !one.pinned {
            continue;
        }
        let there = |experiment: &&&Experiment| {
            let model = experiment.config.get("model").map(Value::to_string);
            one.is_for(model.as_deref().unwrap_or_default()) && one.broken_in(&experiment.config)
        };
        let there: Vec<&&Experiment> = experiments.iter().filter(there).collect();
        let completed = there
            .iter()
            .filter(|found| found.status == Status::Completed);
        one.counter_evidence = completed.count() as u64;
        let failed = there.iter().filter(|found| {
            let cause = found.failure.as_ref().map(|failure| failure.cause);
            let of_it = one.cause.is_none() || one.cause == cause;
            found.status == Status::Failed && found.teaches() && of_it
        });
        one.evidence = failed.map(|found| found.experiment_id.clone()).collect();
        one.evidence.sort();
        one.confidence = super::lower_bound(one.evidence.len() as u64, one.counter_evidence);
    }
}

impl Constraint {
    /// Whether settings break it: every one of its bounds.
    pub fn broken_in(&self, values: &Assignment) -> bool {
        !self.bounds.is_empty() && self.bounds.iter().all(|bound| bound.broken_in(values))
    }
}

fn violation(one: &Constraint, values: &Assignment) -> Violation {
    let set = one.bounds.iter().filter_map(|bound| {
        let value = values.get(&bound.parameter)?;
        Some(format!("{} = {value}", bound.parameter))
    });
    let set: Vec<String> = set.collect();
    let verb = if set.len() == 1 { "breaks" } else { "break" };
    let mut text = format!("{} {verb} {} ({})", set.join(" and "), one.text(), one.id);
    text += &match one.cause {
        Some(cause) => format!(": {} {}", evidence(&one.evidence), said(cause)),
        None if one.evidence.is_empty() => ": a person wrote it".into(),
        None => format!(
            ": a person wrote it, and {} failed there",
            evidence(&one.evidence)
        ),
    };
    Violation {
        constraint: one.id.clone(),
        strength: one.strength,
        text,
        parameters: one
            .bounds
            .iter()
            .map(|bound| bound.parameter.clone())
            .collect(),
        evidence: one.evidence.clone(),
    }
}

/// `2 runs (a-run-1, a-run-2)`; the latest of many.
fn evidence(ids: &[String]) -> String {
    let count = ids.len();
    let runs = if count == 1 { "run" } else { "runs" };
    let latest = ids[count.saturating_sub(NAMED)..].join(", ");
    let more = if count > NAMED { "the latest " } else { "" };
    match count {
        0 => "no run that is known".into(),
        _ => format!("{count} {runs} ({more}{latest})"),
    }
}
