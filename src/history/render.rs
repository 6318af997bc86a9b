//! `training_history.json`.

use super::{Best, Cycle, Experiment, History, Pattern};
use crate::parameters::Assignment;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The file: the fields of the specification, and beside them whose the best are and what the successful have in common.
#[derive(Serialize)]
struct File<'a> {
    experiments: Vec<Row<'a>>,
    total_experiments: usize,
    best_metrics: BTreeMap<String, f64>,
    best_experiments: &'a BTreeMap<String, Best>,
    cycles: Vec<Cycle>,
    recent_experiments: Vec<Row<'a>>,
    patterns: Vec<Pattern>,
}

/// One experiment as `training_history.json` has it; [`read::experiment`](super::read::experiment) reads it again.
#[derive(Serialize)]
pub struct Row<'a> {
    experiment_id: &'a str,
    campaign: &'a str,
    cycle_id: u32,
    status: &'static str,
    config: &'a Assignment,
    metrics: BTreeMap<&'a str, f64>,
    duration_seconds: f64,
    gpu_hours: f64,
    proposal_type: &'a str,
    risk_level: &'a str,
    proposal: Option<&'a str>,
    adapter: Option<&'a str>,
    verdict: Option<&'a str>,
    failure: Option<Value>,
    ended_at_ms: i64,
}

impl<'a> Row<'a> {
    /// Of an experiment, with these metrics; with all of them where none is named.
    pub fn of(one: &'a Experiment, metrics: &[&str]) -> Row<'a> {
        let told = |name: &str| metrics.is_empty() || metrics.contains(&name);
        let all = one
            .metrics
            .iter()
            .map(|(name, value)| (name.as_str(), *value));
        let failure = one.failure.as_ref();
        Row {
            experiment_id: &one.experiment_id,
            campaign: &one.campaign,
            cycle_id: one.cycle_id,
            status: one.status.name(),
            config: &one.config,
            metrics: all.filter(|(name, _)| told(name)).collect(),
            duration_seconds: one.duration_seconds,
            gpu_hours: one.gpu_hours,
            proposal_type: &one.proposal_type,
            risk_level: &one.risk_level,
            proposal: one.proposal.as_deref(),
            adapter: one.adapter.as_deref(),
            verdict: one.verdict.as_deref(),
            failure: failure
                .map(|failure| json!({ "cause": failure.cause.name(), "text": failure.text })),
            ended_at_ms: one.ended_at.0,
        }
    }
}

fn rows(all: &[Experiment]) -> Vec<Row<'_>> {
    all.iter().map(|one| Row::of(one, &[])).collect()
}

impl History {
    fn file(&self) -> File<'_> {
        File {
            experiments: rows(self.experiments()),
            total_experiments: self.experiments().len(),
            best_metrics: self.best_metrics(),
            best_experiments: self.best(),
            cycles: self.cycles(),
            recent_experiments: rows(self.recent()),
            patterns: self.patterns(None),
        }
    }

    /// `training_history.json` as a value.
    pub fn render(&self) -> Value {
        serde_json::to_value(self.file()).expect("its keys are texts")
    }

    /// `training_history.json` as people read it: much quicker than over a value.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.file()).expect("its keys are texts")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Status, tests::one};
    use super::*;

    #[test]
    fn every_field_of_the_specification_is_there() {
        let history = History::new(vec![
            one("exp_002", 1, Status::Failed, 0.99, 2),
            one("exp_001", 1, Status::Completed, 0.87, 1),
        ]);
        let written = history.render();
        let first = &written["experiments"][0];
        assert_eq!(first["experiment_id"], "exp_001");
        for field in [
            "experiment_id",
            "cycle_id",
            "status",
            "config",
            "metrics",
            "duration_seconds",
            "proposal_type",
            "risk_level",
        ] {
            assert!(!first[field].is_null(), "{field}");
        }
        assert_eq!(first["metrics"], json!({ "auc": 0.87 }), "NaN is no number");
        assert_eq!(written["total_experiments"], 2);
        assert_eq!(
            written["best_metrics"],
            json!({ "auc": 0.87 }),
            "a failed experiment is no best"
        );
        assert_eq!(
            written["best_experiments"]["auc"]["experiment_id"],
            "exp_001"
        );
        let cycle = &written["cycles"][0];
        assert_eq!(
            (&cycle["cycle_id"], &cycle["total_experiments"]),
            (&json!(1), &json!(2))
        );
        assert_eq!(
            (&cycle["successful"], &cycle["failed"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(cycle["timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!(cycle["best_metrics_updated"], true);
        assert_eq!(written["recent_experiments"].as_array().unwrap().len(), 2);
        assert_eq!(written["patterns"], json!([]));
        assert_eq!(
            serde_json::from_slice::<Value>(&history.write()).unwrap(),
            written
        );
    }
}
