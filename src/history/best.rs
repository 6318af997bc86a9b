//! The best of each metric and what each cycle brought, in one pass over the experiments.

use super::{History, Status, direction::Direction};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The best value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The value.
    pub value: f64,
    /// Which experiment reached it first.
    pub experiment_id: String,
    /// Which values are better.
    pub direction: Direction,
}

/// What one cycle of one campaign came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// The campaign.
    pub campaign: String,
    /// Which cycle of it, from 1.
    pub cycle_id: u32,
    /// When its last experiment ended, RFC 3339.
    pub timestamp: String,
    /// The same, in milliseconds.
    #[serde(skip)]
    pub ended_at: Timestamp,
    /// Its experiments.
    pub total_experiments: u64,
    /// Those of them that completed.
    pub successful: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them that a person ended.
    pub cancelled: u64,
    /// Whether one of them was, when it ended, the best of all experiments that had ended by then, in any metric; the
    /// first value of a metric is its best.
    pub best_metrics_updated: bool,
}

impl History {
    /// The best value of each metric over the completed experiments, and whose it is. Made once.
    pub fn best(&self) -> &BTreeMap<String, Best> {
        &self.improved().0
    }

    /// The same, and which experiments were the best so far in any metric when they ended.
    fn improved(&self) -> &(BTreeMap<String, Best>, Vec<bool>) {
        self.best.get_or_init(|| {
            let all = self.experiments();
            let mut improved = vec![false; all.len()];
            let mut best = BTreeMap::new();
            for (metric, column) in &self.columns().metrics {
                let direction = Direction::of(metric);
                let mut found: Option<(f64, usize)> = None;
                for (at, value) in column.numbers.iter().enumerate() {
                    let better = found.is_none_or(|(best, _)| direction.better(*value, best));
                    if !value.is_nan() && better && all[at].status == Status::Completed {
                        found = Some((*value, at));
                        improved[at] = true;
                    }
                }
                best.extend(found.map(|(value, at)| {
                    let experiment_id = all[at].experiment_id.clone();
                    let best = Best {
                        value,
                        experiment_id,
                        direction,
                    };
                    (metric.clone(), best)
                }));
            }
            (best, improved)
        })
    }

    /// The best value of each metric over the completed experiments.
    pub fn best_metrics(&self) -> BTreeMap<String, f64> {
        let all = self.best().iter();
        all.map(|(metric, best)| (metric.clone(), best.value))
            .collect()
    }

    /// One summary for each cycle of each campaign, in the order in which their last experiments ended.
    pub fn cycles(&self) -> Vec<Cycle> {
        let improved = &self.improved().1;
        let mut cycles: BTreeMap<(&str, u32), Cycle> = BTreeMap::new();
        for (one, improved) in self.experiments().iter().zip(improved) {
            let cycle = cycles
                .entry((&one.campaign, one.cycle_id))
                .or_insert_with(|| Cycle {
                    campaign: one.campaign.clone(),
                    cycle_id: one.cycle_id,
                    timestamp: String::new(),
                    ended_at: one.ended_at,
                    total_experiments: 0,
                    successful: 0,
                    failed: 0,
                    cancelled: 0,
                    best_metrics_updated: false,
                });
            // They come in the order of their ends.
            cycle.ended_at = one.ended_at;
            cycle.total_experiments += 1;
            match one.status {
                Status::Completed => {
                    cycle.successful += 1;
                    cycle.best_metrics_updated |= improved;
                }
                Status::Failed => cycle.failed += 1,
                Status::Cancelled => cycle.cancelled += 1,
            }
        }
        let mut all: Vec<Cycle> = cycles.into_values().collect();
        for cycle in &mut all {
            cycle.timestamp = cycle.ended_at.to_string();
        }
        // By campaign and number they are already.
        all.sort_by_key(|cycle| cycle.ended_at);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn the_best_has_its_direction_and_its_experiment() {
        let mut all = vec![
            one("a", 1, Status::Completed, 0.8, 1),
            one("b", 1, Status::Completed, 0.9, 2),
            one("c", 1, Status::Completed, 0.9, 3),
            one("d", 1, Status::Failed, 0.99, 4),
            one("e", 1, Status::Cancelled, 0.99, 5),
        ];
        for (experiment, loss) in all.iter_mut().zip([0.5, 0.4, 0.6, 0.1, 0.1]) {
            experiment.metrics.insert("eval_loss".into(), loss);
        }
        let history = History::new(all);
        let best = history.best();
        let auc = &best["auc"];
        assert_eq!(
            (auc.value, auc.experiment_id.as_str()),
            (0.9, "b"),
            "the first"
        );
        assert_eq!(auc.direction, Direction::Larger);
        let loss = &best["eval_loss"];
        assert_eq!((loss.value, loss.experiment_id.as_str()), (0.4, "b"));
        assert!(!best.contains_key("nothing"), "NaN is no number");
    }

    #[test]
    fn a_cycle_updates_the_best_only_when_it_does() {
        let mut other = one("x", 1, Status::Completed, 0.5, 9);
        other.campaign = "b".into();
        let history = History::new(vec![
            one("a", 1, Status::Completed, 0.8, 1),
            one("b", 2, Status::Completed, 0.8, 2),
            one("c", 3, Status::Failed, 0.9, 3),
            one("d", 4, Status::Cancelled, 0.9, 4),
            one("e", 4, Status::Completed, 0.81, 5),
            other,
        ]);
        let said: Vec<_> = history
            .cycles()
            .into_iter()
            .map(|one| {
                let counts = (one.successful, one.failed, one.cancelled);
                assert_eq!(counts.0 + counts.1 + counts.2, one.total_experiments);
                (one.campaign, one.cycle_id, counts, one.best_metrics_updated)
            })
            .collect();
        let expected = [
            ("a", 1, (1, 0, 0), true),
            ("a", 2, (1, 0, 0), false),
            ("a", 3, (0, 1, 0), false),
            ("a", 4, (1, 0, 1), true),
            ("b", 1, (1, 0, 0), false),
        ];
        let expected = expected.map(|(campaign, cycle, counts, updated)| {
            (campaign.to_string(), cycle, counts, updated)
        });
        assert_eq!(said, expected);
    }
}
