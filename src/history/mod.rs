//! The history: what was tried, what came of it, how that develops, and what it forbids. Written as
//! `training_history.json` (specification 4, "Training History Structure").
//!
//! [`best`] and [`progress`] say what was reached, [`patterns`] what it was reached with, [`query`] finds experiments, and
//! [`constraints`] are what failures taught.

pub mod best;
pub mod constraints;
pub mod direction;
pub mod experiment;
pub mod patterns;
pub mod progress;
pub mod query;
pub mod read;
mod render;

pub use best::{Best, Cycle};
pub use direction::{Direction, smaller_is_better};
pub use experiment::{Experiment, Failure, FailureCause, Status};
pub use patterns::Pattern;
pub use render::Row;

use query::columns::Columns;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::OnceLock,
};

/// How many of the latest experiments are listed once more by themselves.
const RECENT: usize = 10;

/// All experiments, oldest first, each once.
#[derive(Clone, Debug, Default)]
pub struct History {
    experiments: Vec<Experiment>,
    /// The same by column, made at the first query.
    columns: OnceLock<Columns>,
    /// The best of each metric, and who was the best so far.
    best: OnceLock<(BTreeMap<String, Best>, Vec<bool>)>,
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        self.experiments == other.experiments
    }
}

impl History {
    /// The history of these experiments. Of several with one id the last that ended counts, of those the last in the
    /// list; metrics that are no finite numbers are none.
    pub fn new(experiments: Vec<Experiment>) -> Self {
        let mut by_id: BTreeMap<String, Experiment> = BTreeMap::new();
        for mut experiment in experiments {
            experiment.metrics.retain(|_, value| value.is_finite());
            match by_id.entry(experiment.experiment_id.clone()) {
                Entry::Vacant(free) => {
                    free.insert(experiment);
                }
                Entry::Occupied(mut there) if there.get().ended_at <= experiment.ended_at => {
                    there.insert(experiment);
                }
                Entry::Occupied(_) => {}
            }
        }
        let mut experiments: Vec<Experiment> = by_id.into_values().collect();
        // By id they are already.
        experiments.sort_by_key(|one| one.ended_at);
        Self {
            experiments,
            columns: OnceLock::new(),
            best: OnceLock::new(),
        }
    }

    /// All of them, oldest first.
    pub fn experiments(&self) -> &[Experiment] {
        &self.experiments
    }

    /// The latest ten, oldest first.
    pub fn recent(&self) -> &[Experiment] {
        &self.experiments[self.experiments.len().saturating_sub(RECENT)..]
    }

    /// Those that completed, oldest first.
    pub fn completed(&self) -> impl DoubleEndedIterator<Item = &Experiment> {
        let all = self.experiments.iter();
        all.filter(|one| one.status == Status::Completed)
    }

    /// The experiments by column. Many readers may ask at once: one of them makes it.
    pub(crate) fn columns(&self) -> &Columns {
        self.columns.get_or_init(|| Columns::of(&self.experiments))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{parameters::Value, time::Timestamp};

    /// An experiment with an AUC and a metric that is no number.
    pub(crate) fn one(id: &str, cycle_id: u32, status: Status, auc: f64, at: i64) -> Experiment {
        Experiment {
            experiment_id: id.into(),
            cycle_id,
            campaign: "a".into(),
            status,
            gpu_hours: 0.0,
            proposal: None,
            failure: None,
            config: [("learning_rate".into(), Value::Number(0.001))].into(),
            metrics: BTreeMap::from([("auc".into(), auc), ("nothing".into(), f64::NAN)]),
            duration_seconds: 1245.3,
            proposal_type: "hyperparameter_tuning".into(),
            risk_level: "low".into(),
            adapter: None,
            verdict: None,
            ended_at: Timestamp(at),
        }
    }

    /// Completed experiments with these values of a metric, one after the other.
    pub(crate) fn history_of(metric: &str, values: &[f64]) -> History {
        let all = values.iter().zip(1..).map(|(value, at)| {
            let mut made = one(&format!("e{at}"), 1, Status::Completed, 0.5, at);
            made.metrics = BTreeMap::from([(metric.to_string(), *value)]);
            made
        });
        History::new(all.collect())
    }

    #[test]
    fn an_experiment_counts_once() {
        let early = one("a", 1, Status::Failed, 0.1, 1);
        let late = one("a", 1, Status::Completed, 0.2, 2);
        let b = one("b", 1, Status::Completed, 0.3, 1);
        let history = History::new(vec![late.clone(), early.clone(), b.clone(), late.clone()]);
        let ids: Vec<_> = history
            .experiments()
            .iter()
            .map(|one| &one.experiment_id)
            .collect();
        assert_eq!(ids, ["b", "a"]);
        assert_eq!(history.experiments()[1].status, Status::Completed);
        assert_eq!(history, History::new(vec![b, early, late]));
        assert_eq!(history.completed().count(), 2);
    }

    #[test]
    fn the_latest_ten_are_the_latest() {
        let history = history_of("auc", &[0.5; 12]);
        let ids: Vec<_> = history
            .recent()
            .iter()
            .map(|one| one.experiment_id.as_str())
            .collect();
        assert_eq!(ids.len(), 10);
        assert_eq!((ids[0], ids[9]), ("e3", "e12"));
    }
}
