//! The history: what was tried, what came of it, and how that develops. Written as `training_history.json`
//! (specification 4, "Training History Structure").

pub mod experiment;

pub use experiment::{Experiment, Failure, FailureCause, Status};

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How many of the latest experiments are listed once more by themselves.
const RECENT: usize = 10;

/// All experiments, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    experiments: Vec<Experiment>,
}

/// Whether a smaller value of a metric is better; by its name, as the field names them.
pub fn smaller_is_better(metric: &str) -> bool {
    ["loss", "error", "perplexity", "seconds", "removed"]
        .iter()
        .any(|word| metric.contains(word))
}

fn better(metric: &str, new: f64, old: f64) -> bool {
    if smaller_is_better(metric) {
        new < old
    } else {
        new > old
    }
}

impl History {
    /// The history of these experiments.
    pub fn new(mut experiments: Vec<Experiment>) -> Self {
        experiments
            .sort_by(|a, b| (a.ended_at, &a.experiment_id).cmp(&(b.ended_at, &b.experiment_id)));
        for experiment in &mut experiments {
            experiment.metrics.retain(|_, value| value.is_finite());
        }
        Self { experiments }
    }

    /// The experiments, oldest first.
    pub fn experiments(&self) -> &[Experiment] {
        &self.experiments
    }

    /// The best value of each metric over the completed experiments.
    pub fn best_metrics(&self) -> BTreeMap<String, f64> {
        let mut best: BTreeMap<String, f64> = BTreeMap::new();
        for experiment in self
            .experiments
            .iter()
            .filter(|one| one.status == Status::Completed)
        {
            for (metric, value) in &experiment.metrics {
                if best
                    .get(metric)
                    .is_none_or(|old| better(metric, *value, *old))
                {
                    best.insert(metric.clone(), *value);
                }
            }
        }
        best
    }

    /// The latest `window` values of a metric, oldest first.
    pub fn trend(&self, metric: &str, window: usize) -> Vec<f64> {
        let values: Vec<f64> = self
            .experiments
            .iter()
            .filter_map(|one| one.metrics.get(metric).copied())
            .collect();
        values[values.len().saturating_sub(window)..].to_vec()
    }

    /// Whether the latest `window` experiments moved a metric by less than `threshold` for the better. Fewer
    /// experiments than that show nothing.
    pub fn stagnated(&self, metric: &str, threshold: f64, window: usize) -> bool {
        let values = self.trend(metric, window);
        if values.len() < window.max(2) {
            return false;
        }
        let gain = |value: f64| {
            if smaller_is_better(metric) {
                values[0] - value
            } else {
                value - values[0]
            }
        };
        values[1..].iter().all(|value| gain(*value) < threshold)
    }

    /// `training_history.json`.
    pub fn render(&self) -> Value {
        let all: Vec<Value> = self.experiments.iter().map(experiment).collect();
        let recent = &all[all.len().saturating_sub(RECENT)..];
        json!({
            "experiments": all,
            "total_experiments": all.len(),
            "best_metrics": self.best_metrics(),
            "cycles": self.cycles(),
            "recent_experiments": recent,
        })
    }

    /// One summary a cycle, in order.
    fn cycles(&self) -> Vec<Value> {
        let ids: BTreeSet<u32> = self.experiments.iter().map(|one| one.cycle_id).collect();
        ids.into_iter().map(|id| self.cycle(id)).collect()
    }

    fn cycle(&self, id: u32) -> Value {
        let ours: Vec<&Experiment> = self
            .experiments
            .iter()
            .filter(|one| one.cycle_id == id)
            .collect();
        let earlier = History {
            experiments: self
                .experiments
                .iter()
                .filter(|one| one.cycle_id < id)
                .cloned()
                .collect(),
        };
        let so_far = History {
            experiments: self
                .experiments
                .iter()
                .filter(|one| one.cycle_id <= id)
                .cloned()
                .collect(),
        };
        let count = |status: Status| ours.iter().filter(|one| one.status == status).count();
        json!({
            "cycle_id": id,
            "timestamp": ours.last().map(|one| one.ended_at.to_string()),
            "total_experiments": ours.len(),
            "successful": count(Status::Completed),
            "failed": count(Status::Failed),
            "best_metrics_updated": so_far.best_metrics() != earlier.best_metrics(),
        })
    }
}

fn experiment(one: &Experiment) -> Value {
    json!({
        "experiment_id": one.experiment_id,
        "campaign": one.campaign,
        "cycle_id": one.cycle_id,
        "status": one.status.name(),
        "config": one.config,
        "metrics": one.metrics,
        "duration_seconds": one.duration_seconds,
        "gpu_hours": one.gpu_hours,
        "proposal_type": one.proposal_type,
        "risk_level": one.risk_level,
        "proposal": one.proposal,
        "adapter": one.adapter,
        "verdict": one.verdict,
        "failure": one.failure.as_ref().map(|failure| json!({ "cause": failure.cause.name(), "text": failure.text })),
        "ended_at_ms": one.ended_at.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, cycle_id: u32, status: Status, auc: f64, at: i64) -> Experiment {
        Experiment {
            experiment_id: id.into(),
            cycle_id,
            campaign: "a".into(),
            status,
            gpu_hours: 0.0,
            proposal: None,
            failure: None,
            config: [(
                "learning_rate".into(),
                crate::parameters::Value::Number(0.001),
            )]
            .into(),
            metrics: BTreeMap::from([("auc".into(), auc), ("nothing".into(), f64::NAN)]),
            duration_seconds: 1245.3,
            proposal_type: "hyperparameter_tuning".into(),
            risk_level: "low".into(),
            adapter: None,
            verdict: None,
            ended_at: crate::time::Timestamp(at),
        }
    }

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
        let cycle = &written["cycles"][0];
        assert_eq!(
            (&cycle["successful"], &cycle["failed"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(cycle["timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!(cycle["best_metrics_updated"], true);
    }

    #[test]
    fn stagnation_needs_a_full_window_without_gain() {
        let values = [0.80, 0.85, 0.851, 0.850, 0.852];
        let all = values
            .iter()
            .zip(1..)
            .map(|(auc, at)| one(&at.to_string(), 1, Status::Completed, *auc, at))
            .collect();
        let history = History::new(all);
        assert_eq!(history.trend("auc", 2), vec![0.850, 0.852]);
        assert!(!history.stagnated("auc", 0.01, 5), "0.80 to 0.85 is a gain");
        assert!(history.stagnated("auc", 0.01, 4));
        assert!(!history.stagnated("auc", 0.01, 6), "too few to tell");
        assert!(smaller_is_better("validation_loss"));
    }
}
