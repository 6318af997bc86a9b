//! Whether a proposal may run: named checks, each with its reason, and how daring it is.
//!
//! A proposal that a check refuses is refused whatever its risk. Of the others, those of at most the risk that a person has
//! released run by themselves, and the rest wait for a person.

use super::{acquisition::BETA, space::NEAR, surrogate::Prediction};
use crate::words::words;
use serde::{Deserialize, Serialize};

words! {
    /// What is checked.
    pub enum CheckName {
        /// No hard constraint is violated.
        Constraints = "constraints",
        /// What it is estimated to cost is left of every budget.
        Budget = "budget",
        /// It is no near duplicate.
        Novelty = "novelty",
        /// It may beat the best so far.
        PredictedGain = "predicted_gain",
    }
}

words! {
    /// How daring a proposal is.
    pub enum Risk {
        /// Close to what is known, and cheap.
        Low = "low",
        /// Something is less sure.
        Medium = "medium",
        /// It is likely to fail, far from all that was tried, or most of the budget.
        High = "high",
    }
}

words! {
    /// What becomes of a proposal.
    pub enum Ruling {
        /// It runs by itself.
        Automatic = "automatic",
        /// It waits for a person.
        Waits = "waits",
        /// A check refuses it.
        Refused = "refused",
    }
}

/// One budget, and what the proposal is estimated to take of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// What is counted, as `GPU hours`.
    pub what: String,
    /// The estimate; none where the history shows nothing to estimate from.
    pub estimate: Option<f64>,
    /// What is left, less what is running.
    pub left: f64,
}

/// What is known of a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The hard constraints that it violates, each a sentence.
    pub violations: Vec<String>,
    /// The budgets that are set.
    pub costs: Vec<Cost>,
    /// How far the nearest setting lies that was tried or is pending, from 0 to 1.
    pub distance: f64,
    /// Whether that is a near duplicate (see [`super::space::NEAR`]).
    pub duplicate: bool,
    /// Whether results differ so much by chance that a near duplicate is meant.
    pub repeats: bool,
    /// What is expected of it; none before there is a model.
    pub prediction: Option<Prediction>,
    /// What is expected of the best so far, or was measured; none before there is one.
    pub incumbent: Option<f64>,
    /// Which way the metric is better.
    pub smaller_is_better: bool,
    /// The standard deviation of all results so far; none with fewer than two.
    pub spread: Option<f64>,
    /// The probability that it fails.
    pub failing: f64,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// Whether it lets the proposal pass.
    pub passed: bool,
    /// Why, as a sentence with the numbers.
    pub reason: String,
}

/// All checks of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The checks, in the order of [`CheckName::ALL`].
    pub checks: Vec<Check>,
    /// How daring it is: the highest of [`Approval::risks`].
    pub risk: Risk,
    /// What the risk rests on, each a sentence; those above low.
    pub risks: Vec<String>,
}

/// Where a number begins to be of medium and of high risk.
type Steps = (f64, f64);

/// Probability of failure.
const FAILING: Steps = (0.2, 0.5);
/// Distance from the nearest setting that was tried.
const DISTANCE: Steps = (0.25, 0.45);
/// Share of what is left of a budget.
const SHARE: Steps = (0.2, 0.5);
/// Standard deviation of the prediction, in those of all results.
const UNCERTAIN: Steps = (0.75, 1.5);

impl Approval {
    /// Checks a candidate by its evidence.
    pub fn of(evidence: &Evidence) -> Self {
        let checks = [constraints, budget, novelty, predicted_gain].map(|check| check(evidence));
        let (risk, risks) = risk(evidence);
        Self {
            checks: checks.into(),
            risk,
            risks,
        }
    }

    /// Whether every check lets it pass; false where nothing was checked.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }

    /// What becomes of it where risks up to `released` are automatic; none waits for a person each time.
    pub fn ruling(&self, released: Option<Risk>) -> Ruling {
        match released {
            _ if !self.passed() => Ruling::Refused,
            Some(most) if self.risk <= most => Ruling::Automatic,
            _ => Ruling::Waits,
        }
    }
}

fn told(name: CheckName, passed: bool, reason: String) -> Check {
    Check {
        name,
        passed,
        reason,
    }
}

fn constraints(evidence: &Evidence) -> Check {
    let passed = evidence.violations.is_empty();
    let reason = if passed {
        "no hard constraint is violated".into()
    } else {
        evidence.violations.join("; ")
    };
    told(CheckName::Constraints, passed, reason)
}

fn budget(evidence: &Evidence) -> Check {
    let short = |cost: &Cost| match cost.estimate {
        None => Some(format!(
            "what it costs in {} cannot be estimated",
            cost.what
        )),
        // A number that is none is over any budget.
        Some(estimate) if !(estimate >= 0.0 && estimate <= cost.left) => Some(format!(
            "it takes about {estimate:.4} {} and {:.4} are left",
            cost.what, cost.left
        )),
        Some(_) => None,
    };
    let short: Vec<String> = evidence.costs.iter().filter_map(short).collect();
    let reason = match (short.is_empty(), evidence.costs.as_slice()) {
        (false, _) => short.join("; "),
        (true, []) => "no budget is set".into(),
        (true, costs) => {
            let all = costs.iter().map(|cost| {
                let estimate = cost.estimate.unwrap_or(f64::NAN);
                format!("about {estimate:.4} of {:.4} {}", cost.left, cost.what)
            });
            format!("it takes {}", all.collect::<Vec<_>>().join(", "))
        }
    };
    told(CheckName::Budget, short.is_empty(), reason)
}

fn novelty(evidence: &Evidence) -> Check {
    let known = evidence.distance.is_finite();
    let reason = match (evidence.duplicate, evidence.repeats) {
        _ if !known => format!("how far the nearest setting lies is {}", evidence.distance),
        (false, _) => format!("the nearest setting lies {:.4} away", evidence.distance),
        (true, true) => "near a setting that was tried, as results differ by chance".into(),
        (true, false) => format!(
            "a setting that was tried or is pending is the same, or no number differs by {NEAR} of its range: {:.4} away",
            evidence.distance
        ),
    };
    let passed = known && (!evidence.duplicate || evidence.repeats);
    told(CheckName::Novelty, passed, reason)
}

fn predicted_gain(evidence: &Evidence) -> Check {
    let name = CheckName::PredictedGain;
    let (Some(prediction), Some(best)) = (evidence.prediction, evidence.incumbent) else {
        return told(name, true, "there is no prediction yet".into());
    };
    let way = if evidence.smaller_is_better {
        -1.0
    } else {
        1.0
    };
    let bound = prediction.mean + way * BETA * prediction.sd;
    let passed = way * (bound - best) > 0.0 && prediction.sd >= 0.0;
    let reason = format!(
        "{:.4} ± {:.4} is predicted: {} beat the best, {best:.4}, within {BETA} standard deviations",
        prediction.mean,
        prediction.sd,
        if passed { "it may" } else { "it does not" },
    );
    told(name, passed, reason)
}

fn risk(evidence: &Evidence) -> (Risk, Vec<String>) {
    let mut parts = vec![
        (evidence.failing, FAILING, "the probability of failure is"),
        (
            evidence.distance,
            DISTANCE,
            "the distance from what was tried is",
        ),
    ];
    for cost in &evidence.costs {
        // Of an empty budget anything is all.
        let share = cost.estimate.map_or(f64::NAN, |estimate| {
            if estimate > 0.0 {
                estimate / cost.left.max(0.0)
            } else {
                estimate
            }
        });
        parts.push((share, SHARE, "the share of what is left of a budget is"));
    }
    let relative = match (evidence.prediction, evidence.spread) {
        (Some(prediction), Some(spread)) if spread > 0.0 => Some(prediction.sd / spread),
        _ => None,
    };
    if let Some(relative) = relative {
        let what = "the prediction's standard deviation, in those of all results, is";
        parts.push((relative, UNCERTAIN, what));
    }
    let judged = parts.into_iter().map(|(number, (medium, high), what)| {
        let risk = match number {
            // A number that is none is not known to be low.
            number if number.is_nan() || number >= high => Risk::High,
            number if number >= medium => Risk::Medium,
            _ => Risk::Low,
        };
        (risk, format!("{what} {number:.2}, which is {risk}"))
    });
    // Results that do not differ, or no prediction at all: neither sure nor known to be dangerous.
    let unknown = relative.is_none().then(|| {
        let why = "nothing sure is expected of it yet, which is medium";
        (Risk::Medium, why.to_string())
    });
    let judged = judged.chain(unknown);
    let raised: Vec<(Risk, String)> = judged.filter(|(risk, _)| *risk > Risk::Low).collect();
    let most = raised
        .iter()
        .map(|(risk, _)| *risk)
        .max()
        .unwrap_or(Risk::Low);
    (most, raised.into_iter().map(|(_, why)| why).collect())
}

#[cfg(test)]
mod tests;
