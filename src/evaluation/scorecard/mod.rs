//! The scorecard: every success metric of specification 1 with its target, what a campaign shows of it, on how much, how
//! surely. What was not measured says so; it is never taken for a 0 or for a success.
//!
//! A share or a difference meets its target when its whole interval does, misses it when no part of the interval does, and is
//! undecided between. A gain is met only where the evaluation itself shows an improvement in that metric; of several adapters
//! the best is taken, and its interval is that of the best of so many (Bonferroni). "+20 % over baseline" is read as 20 points of the share, the stricter reading. Counts are exact.

mod rows;
#[cfg(test)]
mod tests;

pub use rows::Rows;

use super::{
    job::{Measured, Metric},
    paired::{Comparison, Shown, quantile},
    proportion::wilson_interval,
};
use crate::words::words;
use serde::{Deserialize, Serialize};

words! {
    /// The success metrics of specification 1.
    pub enum Success {
        /// Phases 1 to 3: different queries, 1,000.
        Queries = "unique_queries",
        /// Generated workflows that passed validation, 80 %.
        Generations = "successful_generations",
        /// Trajectories that say everything that was done, 95 %.
        Logging = "full_logging",
        /// Analysis types, 15 of 15.
        Types = "analysis_types",
        /// Trajectories to train on, 10,000.
        Trajectories = "trajectories",
        /// Phase 4: routing accuracy over the base model's, +20 points.
        RoutingAccuracy = "routing_accuracy_gain",
        /// Validation pass rate of generated code, +15 points.
        CodegenPass = "codegen_pass_rate_gain",
        /// Precision of the validator, +25 points.
        ValidatorPrecision = "validator_precision_gain",
        /// Errors that are recovered from, +30 points.
        Recovery = "error_recovery_gain",
        /// Phases 5 and 6: executed workflows that succeeded, 70 %.
        Executed = "workflows_executed",
        /// Executions whose logs were collected, 95 %.
        Logs = "execution_logs_collected",
        /// Workflows that were turned down and then passed, 85 %.
        Refinement = "cyclic_refinement_success",
        /// Cost that routing saved, 50 %.
        RoutingCost = "routing_cost_reduction",
    }
}

words! {
    /// How a number is read.
    pub enum Unit {
        /// How many.
        Count = "count",
        /// A share, 0 to 1.
        Share = "share",
        /// A difference of two shares.
        Points = "points",
    }
}

words! {
    /// How a target stands.
    pub enum Standing {
        /// Met, as surely as is asked.
        Met = "met",
        /// Missed, as surely.
        Missed = "missed",
        /// The interval has the target within.
        Undecided = "undecided",
        /// Nothing is known.
        NotMeasured = "not_measured",
    }
}

impl Success {
    /// What is asked for, as people say it.
    pub fn title(self) -> &'static str {
        match self {
            Success::Queries => "unique queries",
            Success::Generations => "successful workflow generations",
            Success::Logging => "trajectories with full logging",
            Success::Types => "analysis types covered",
            Success::Trajectories => "trajectories",
            Success::RoutingAccuracy => "routing accuracy over baseline",
            Success::CodegenPass => "code validation pass rate over baseline",
            Success::ValidatorPrecision => "validator precision over baseline",
            Success::Recovery => "error recovery over baseline",
            Success::Executed => "workflows executed successfully",
            Success::Logs => "execution logs collected",
            Success::Refinement => "cyclic refinement success",
            Success::RoutingCost => "cost reduction from routing",
        }
    }

    /// The least that is asked for.
    pub fn target(self) -> f64 {
        match self {
            Success::Queries => 1_000.0,
            Success::Types => 15.0,
            Success::Trajectories => 10_000.0,
            Success::Generations => 0.80,
            Success::Logging | Success::Logs => 0.95,
            Success::RoutingAccuracy => 0.20,
            Success::CodegenPass => 0.15,
            Success::ValidatorPrecision => 0.25,
            Success::Recovery => 0.30,
            Success::Executed => 0.70,
            Success::Refinement => 0.85,
            Success::RoutingCost => 0.50,
        }
    }

    /// How its number is read.
    pub fn unit(self) -> Unit {
        match self {
            Success::Queries | Success::Types | Success::Trajectories => Unit::Count,
            _ => match self.measured_by() {
                Some(_) => Unit::Points,
                None => Unit::Share,
            },
        }
    }

    /// The metric of an evaluation that it is a difference in.
    fn measured_by(self) -> Option<Metric> {
        match self {
            Success::RoutingAccuracy => Some(Metric::Routing),
            Success::CodegenPass => Some(Metric::LintPass),
            Success::ValidatorPrecision => Some(Metric::Precision),
            Success::Recovery => Some(Metric::Recovery),
            _ => None,
        }
    }
}

/// One success metric of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Which.
    pub metric: Success,
    /// What is asked for, in words.
    pub title: String,
    /// The least that is asked for.
    pub target: f64,
    /// What was seen; none: nothing was.
    pub observed: Option<f64>,
    /// How both are read.
    pub unit: Unit,
    /// On how much: trajectories, executions, decisions or held-out items.
    pub n: u64,
    /// The 95 % interval of what was seen; none for a count, and where there is too little for one.
    pub interval: Option<(f64, f64)>,
    /// How the target stands.
    pub standing: Standing,
    /// What exactly was seen; why nothing was.
    pub note: String,
}

impl Line {
    fn new(metric: Success, note: impl Into<String>) -> Self {
        Self {
            metric,
            title: metric.title().into(),
            target: metric.target(),
            observed: None,
            unit: metric.unit(),
            n: 0,
            interval: None,
            standing: Standing::NotMeasured,
            note: note.into(),
        }
    }

    fn count(metric: Success, n: u64, observed: u64, note: impl Into<String>) -> Self {
        let standing = match observed as f64 >= metric.target() {
            _ if n == 0 => Standing::NotMeasured,
            true => Standing::Met,
            false => Standing::Missed,
        };
        Self {
            observed: (n > 0).then_some(observed as f64),
            n,
            standing,
            ..Self::new(metric, note)
        }
    }

    fn share(metric: Success, part: u64, n: u64, seen: &str, none: &str) -> Self {
        match n {
            0 => Self::new(metric, format!("not measured: {none}")),
            n => Self::seen(
                metric,
                part as f64 / n as f64,
                n,
                wilson_interval(part, n),
                seen,
            ),
        }
    }

    /// A number with an interval, held against the target. What is no number was not measured.
    fn seen(
        metric: Success,
        observed: f64,
        n: u64,
        interval: Option<(f64, f64)>,
        note: impl Into<String>,
    ) -> Self {
        if !observed.is_finite() || n == 0 {
            return Self::new(metric, "not measured: what was seen is no number");
        }
        let target = metric.target();
        let standing = match interval {
            Some((low, _)) if low >= target => Standing::Met,
            Some((_, high)) if high < target => Standing::Missed,
            _ => Standing::Undecided,
        };
        Self {
            observed: Some(observed),
            n,
            interval,
            standing,
            ..Self::new(metric, note)
        }
    }
}

/// Every success metric, in the order of the specification.
pub fn scorecard(rows: &Rows, evaluations: &[Measured]) -> Vec<Line> {
    let line = |metric: &Success| match metric.measured_by() {
        Some(by) => gain(*metric, by, evaluations),
        None => rows.line(*metric),
    };
    Success::ALL.iter().map(line).collect()
}

/// The adapter with the largest gain in a metric, against its own base, as one chosen among all that were measured.
fn gain(metric: Success, by: Metric, evaluations: &[Measured]) -> Line {
    let all = evaluations.iter().flat_map(|measured| {
        let of = measured.comparisons.iter().filter(move |c| c.metric == by);
        of.map(move |comparison| (measured, comparison))
    });
    let all: Vec<(&Measured, &Comparison)> = all.collect();
    let best = all.iter().filter_map(|(measured, comparison)| {
        let gain = comparison.difference.filter(|gain| gain.is_finite())?;
        Some((gain, *measured, *comparison))
    });
    let Some((gain, measured, found)) = best.reduce(|best, next| match next.0 > best.0 {
        true => next,
        false => best,
    }) else {
        return Line::new(
            metric,
            format!("not measured: {}", unmeasured(by, evaluations)),
        );
    };
    let others = match all.len() {
        1 => String::new(),
        n => format!(", the best of {n} adapters, its interval corrected for the choice"),
    };
    let (interval, confidence) = (found.interval, measured.settings.confidence);
    let interval = interval.and_then(|ends| among(all.len(), gain, ends, confidence));
    let line = Line::seen(metric, gain, found.items, interval, "");
    let (standing, why) = standing(line.standing, measured, found);
    let note = format!(
        "{} of {}: {} {}{others}{why}; points of {by}, {}",
        found.adapter,
        measured.name,
        change(found),
        found.shown,
        meaning(by)
    );
    Line {
        standing,
        note,
        ..line
    }
}

/// The 95 % interval of the best of `n`: each side moved out as far as the normal's quantile of 1 - 0.05 / n lies further out
/// than that of the confidence it was made with.
fn among(n: usize, value: f64, (low, high): (f64, f64), confidence: f64) -> Option<(f64, f64)> {
    let wider = quantile(1.0 - ERROR / (2.0 * n as f64)) / quantile(0.5 + confidence / 2.0);
    let ends = (
        value - (value - low) * wider,
        value + (high - value) * wider,
    );
    (ends.0.is_finite() && ends.1.is_finite()).then_some(ends)
}

/// Of an interval that leaves the truth out.
const ERROR: f64 = 0.05;

/// What stands of a gain after the evaluation's own verdict on it, and why where it is less than its interval says.
fn standing(by: Standing, measured: &Measured, found: &Comparison) -> (Standing, String) {
    let few = found.items < measured.settings.least_items;
    let kept = match by {
        Standing::Met => found.shown == Shown::Improved,
        Standing::Missed => !few,
        _ => true,
    };
    if kept {
        return (by, String::new());
    }
    let why = found.why.as_deref().unwrap_or("nothing is shown");
    (Standing::Undecided, format!(" ({why})"))
}

fn change(found: &Comparison) -> String {
    let share =
        |value: Option<f64>| value.map_or("-".into(), |value| format!("{:.1} %", value * 100.0));
    format!("{} after {},", share(found.value), share(found.base))
}

/// What a metric of an evaluation stands for.
fn meaning(by: Metric) -> &'static str {
    match by {
        Metric::Routing => "greedy decisions on held-out requests",
        Metric::LintPass => "greedy workflows of held-out plans, checked by the linter",
        Metric::Precision => "true findings among those of greedy reviews of held-out workflows",
        Metric::Recovery => {
            "greedy diagnoses of held-out errors that name kind and remedy; no remedy was tried out"
        }
        Metric::Loss | Metric::Ranking | Metric::ExactMatch => "held-out rows",
    }
}

fn unmeasured(by: Metric, evaluations: &[Measured]) -> String {
    if evaluations.is_empty() {
        return "no adapter was evaluated".into();
    }
    let sets: Vec<&str> = evaluations
        .iter()
        .flat_map(|measured| measured.datasets.iter().map(String::as_str))
        .collect();
    format!(
        "no evaluation decoded answers that {by} is counted in; it was evaluated on {}",
        sets.join(", ")
    )
}
