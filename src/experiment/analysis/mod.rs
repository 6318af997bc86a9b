//! What an experiment came to: the runs' results side by side, the effect of each variable, the best against the baseline.

pub mod effects;
pub mod items;
pub mod logs;

use super::plan::{Plan, Run};
use crate::{history::smaller_is_better, parameters::Assignment, training::metrics::Row};
use effects::{Effects, effects};
use items::Versus;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The loss on the holdout of what a run exports.
pub const EVAL_LOSS: &str = "eval_loss";
/// The loss of its last steps.
pub const TRAIN_LOSS: &str = "train_loss";
/// Seconds that it took.
pub const SECONDS: &str = "duration_seconds";

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// The run.
    pub name: String,
    /// Its values of what is varied.
    pub varied: Assignment,
    /// Whether it is what the others are compared with.
    pub baseline: bool,
    /// What was measured; finite numbers.
    pub metrics: BTreeMap<String, f64>,
    /// What was measured and is no number.
    pub not_finite: Vec<String>,
    /// Its losses by step.
    #[serde(skip)]
    pub rows: Vec<Row>,
    /// Why there is nothing, or not everything.
    pub why: Vec<String>,
    /// What was read.
    pub sources: Vec<String>,
}

impl RunResult {
    /// A run of which nothing is known yet.
    pub fn of(run: &Run) -> Self {
        Self {
            name: run.name.clone(),
            varied: run.varied.clone(),
            baseline: run.baseline,
            metrics: BTreeMap::new(),
            not_finite: Vec::new(),
            rows: Vec::new(),
            why: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Notes a number. One that is none is noted as that: it counts as no result.
    pub fn measured(&mut self, metric: impl Into<String>, value: Option<f64>) {
        let metric = metric.into();
        match value {
            Some(value) if value.is_finite() => {
                self.metrics.insert(metric, value);
            }
            _ => self.not_finite.push(metric),
        }
    }

    /// The number that runs are compared by. A run whose loss was no number has none, whatever else it says.
    pub fn score(&self, metric: &str) -> Option<f64> {
        let broken = |name: &String| name == metric || name.ends_with("loss");
        match self.not_finite.iter().any(broken) {
            true => None,
            false => self.metrics.get(metric).copied(),
        }
    }
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The experiment.
    pub name: String,
    /// What it is to find out.
    pub question: String,
    /// What runs are compared by.
    pub metric: String,
    /// Whether less of it is better.
    pub smaller_is_better: bool,
    /// Runs with it, the best first.
    pub ranked: Vec<RunResult>,
    /// Runs without, each with why.
    pub without: Vec<RunResult>,
    /// What each variable does to it.
    pub effects: Effects,
    /// The best run: of several seeds, the first of the values whose mean is best.
    pub best: Option<String>,
    /// The baseline run that it is compared with.
    pub baseline: Option<String>,
    /// That comparison, on the same items.
    pub versus: Versus,
}

/// Why there is no analysis: (what is wrong, what would be right).
pub type Unanalysed = (String, String);

/// Names of metrics that some run has.
pub fn metrics(results: &[RunResult]) -> BTreeSet<&str> {
    results
        .iter()
        .flat_map(|one| one.metrics.keys().map(String::as_str))
        .collect()
}

/// What runs are compared by where nobody says: the loss on the holdout, else what an evaluation calls accuracy, else the first
/// of its numbers, else the loss in training.
///
/// # Errors
/// No run has the metric that is asked for, or any.
pub fn choose(results: &[RunResult], asked: Option<&str>) -> Result<String, Unanalysed> {
    let all = metrics(results);
    let names = || all.iter().copied().collect::<Vec<_>>().join(", ");
    if let Some(asked) = asked {
        return match all.contains(asked) {
            true => Ok(asked.into()),
            false if all.is_empty() => Err((
                format!("no run has {asked}: no run has results"),
                "runs that have ended".into(),
            )),
            false => Err((format!("no run has the metric {asked}"), names())),
        };
    }
    let evaluated = |name: &&&str| name.contains('/') && !name.contains("stderr");
    let accuracy = all
        .iter()
        .filter(evaluated)
        .find(|name| name.contains("accuracy"));
    let found = all
        .get(EVAL_LOSS)
        .or(accuracy)
        .or_else(|| all.iter().find(evaluated))
        .or_else(|| all.get(TRAIN_LOSS));
    found.map(|name| name.to_string()).ok_or_else(|| {
        (
            "no run has results".into(),
            "runs that have ended: campaignctl experiment analyze says why for each".into(),
        )
    })
}

/// Compares the runs by a metric; what [`Versus`] says is added by whoever has the items.
pub fn analyse(plan: &Plan, results: Vec<RunResult>, metric: &str) -> Analysis {
    let smaller = smaller_is_better(metric);
    let (mut ranked, mut without): (Vec<RunResult>, Vec<RunResult>) = results
        .into_iter()
        .partition(|one| one.score(metric).is_some());
    let place = |one: &RunResult| {
        let score = one.score(metric).unwrap_or(f64::NAN);
        if smaller { score } else { -score }
    };
    ranked.sort_by(|a, b| {
        place(a)
            .total_cmp(&place(b))
            .then_with(|| a.name.cmp(&b.name))
    });
    for one in &mut without {
        explain(one, metric);
    }
    let seen: Vec<(&Assignment, f64)> = ranked
        .iter()
        .filter_map(|one| Some((&one.varied, one.score(metric)?)))
        .collect();
    let reference = plan.baseline_run().map(|run| &run.varied);
    let effects = effects(&plan.variables, &seen, reference);
    let best = best(&ranked, metric, smaller);
    let baseline = ranked.iter().filter(|one| one.baseline);
    // Of several seeds, the one that the best has.
    let seed = |one: &RunResult| one.varied.get("seed").cloned();
    let of_best = best.map(seed);
    let baseline = baseline.min_by_key(|one| (Some(seed(one)) != of_best, one.name.clone()));
    Analysis {
        name: plan.name.clone(),
        question: plan.question.clone(),
        metric: metric.into(),
        smaller_is_better: smaller,
        best: best.map(|one| one.name.clone()),
        baseline: baseline.map(|one| one.name.clone()),
        versus: Versus::default(),
        effects,
        ranked,
        without,
    }
}

fn explain(one: &mut RunResult, metric: &str) {
    if !one.not_finite.is_empty() {
        let said = format!("no number: {}", one.not_finite.join(", "));
        one.why.insert(0, said);
    } else if one.why.is_empty() {
        one.why.push(format!("it has no {metric}"));
    }
}

/// The first run of the values whose mean over seeds is best.
fn best<'a>(ranked: &'a [RunResult], metric: &str, smaller: bool) -> Option<&'a RunResult> {
    let key = |one: &RunResult| {
        let mut values = one.varied.clone();
        values.remove("seed");
        super::config::said(&values)
    };
    let mut means: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for one in ranked {
        let mean = means.entry(key(one)).or_default();
        *mean = (mean.0 + one.score(metric)?, mean.1 + 1.0);
    }
    let place = |one: &RunResult| {
        let (sum, count) = means[&key(one)];
        if smaller { sum / count } else { -sum / count }
    };
    let seed = |one: &RunResult| {
        one.varied
            .get("seed")
            .and_then(crate::parameters::Value::number)
    };
    ranked.iter().min_by(|a, b| {
        let seeds = seed(a).unwrap_or(0.0).total_cmp(&seed(b).unwrap_or(0.0));
        place(a).total_cmp(&place(b)).then(seeds)
    })
}

#[cfg(test)]
pub(crate) mod tests;
