//! The best of each metric and what each cycle brought, in one pass over the experiments.

use super::{Experiment, History, Status, direction::Direction};
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

/// The best so far of each metric: its direction, its value, and the number of its experiment.
#[derive(Default)]
struct SoFar<'a>(BTreeMap<&'a str, (Direction, f64, usize)>);

impl<'a> SoFar<'a> {
    /// Takes a completed experiment; whether it improved any metric.
    fn take(&mut self, one: &'a Experiment, at: usize) -> bool {
        let mut improved = false;
        for (metric, value) in &one.metrics {
            match self.0.get_mut(metric.as_str()) {
                Some((direction, best, whose)) if direction.better(*value, *best) => {
                    (*best, *whose) = (*value, at);
                    improved = true;
                }
                Some(_) => {}
                None => {
                    self.0.insert(metric, (Direction::of(metric), *value, at));
                    improved = true;
                }
            }
        }
        improved
    }
}

impl History {
    /// The best value of each metric over the completed experiments, and whose it is.
    pub fn best(&self) -> BTreeMap<String, Best> {
        let mut best = SoFar::default();
        for (at, one) in self.experiments().iter().enumerate() {
            if one.status == Status::Completed {
                best.take(one, at);
            }
        }
        let named = |(metric, (direction, value, at)): (&str, (Direction, f64, usize))| {
            let experiment_id = self.experiments()[at].experiment_id.clone();
            let best = Best {
                value,
                experiment_id,
                direction,
            };
            (metric.to_string(), best)
        };
        best.0.into_iter().map(named).collect()
    }

    /// The best value of each metric over the completed experiments.
    pub fn best_metrics(&self) -> BTreeMap<String, f64> {
        let all = self.best().into_iter();
        all.map(|(metric, best)| (metric, best.value)).collect()
    }

    /// One summary for each cycle of each campaign, in the order in which their last experiments ended.
    pub fn cycles(&self) -> Vec<Cycle> {
        let mut best = SoFar::default();
        let mut cycles: BTreeMap<(&str, u32), Cycle> = BTreeMap::new();
        for (at, one) in self.experiments().iter().enumerate() {
            let cycle = cycles
                .entry((&one.campaign, one.cycle_id))
                .or_insert_with(|| Cycle {
                    campaign: one.campaign.clone(),
                    cycle_id: one.cycle_id,
                    timestamp: String::new(),
                    total_experiments: 0,
                    successful: 0,
                    failed: 0,
                    cancelled: 0,
                    best_metrics_updated: false,
                });
            // They come in the order of their ends.
            cycle.timestamp = one.ended_at.to_string();
            cycle.total_experiments += 1;
            match one.status {
                Status::Completed => {
                    cycle.successful += 1;
                    cycle.best_metrics_updated |= best.take(one, at);
                }
                Status::Failed => cycle.failed += 1,
                Status::Cancelled => cycle.cancelled += 1,
            }
        }
        let mut all: Vec<Cycle> = cycles.into_values().collect();
        all.sort_by(|a, b| {
            let key = |one: &Cycle| (one.timestamp.clone(), one.campaign.clone(), one.cycle_id);
            key(a).cmp(&key(b))
        });
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
        let best = History::new(all).best();
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
