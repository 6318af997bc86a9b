//! `training_history.json`.

use super::{Experiment, History};
use serde_json::{Value, json};

impl History {
    /// `training_history.json`: the fields of the specification, and beside them whose the best are and what the
    /// successful have in common.
    pub fn render(&self) -> Value {
        let list = |all: &[Experiment]| all.iter().map(experiment).collect::<Vec<Value>>();
        json!({
            "experiments": list(self.experiments()),
            "total_experiments": self.experiments().len(),
            "best_metrics": self.best_metrics(),
            "best_experiments": self.best(),
            "cycles": self.cycles(),
            "recent_experiments": list(self.recent()),
            "patterns": self.patterns(None),
        })
    }
}

/// One experiment as `training_history.json` has it; [`read::experiment`](super::read::experiment) reads it again.
pub fn experiment(one: &Experiment) -> Value {
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
    }
}
