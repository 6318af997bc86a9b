//! How a metric develops: its trend, its best so far, whether it stands still.

use super::{History, direction::Direction};

/// The improvement below which the last experiments stand still (specification 4, "Stagnation Detection").
pub const STAGNATION: f64 = 0.01;
/// How many experiments are looked at for that.
pub const WINDOW: usize = 5;

/// Of two numbers, the part of their size below which a difference is the rounding of a subtraction.
const ROUNDING: f64 = 1e-9;

impl History {
    /// The latest `window` values of a metric over the completed experiments, oldest first.
    pub fn trend(&self, metric: &str, window: usize) -> Vec<f64> {
        let mut latest: Vec<f64> = self
            .completed()
            .rev()
            .filter_map(|one| one.metrics.get(metric).copied())
            .take(window)
            .collect();
        latest.reverse();
        latest
    }

    /// The best value of a metric after each completed experiment that has it, oldest first.
    pub fn running_best(&self, metric: &str) -> Vec<f64> {
        let direction = Direction::of(metric);
        let values = self
            .completed()
            .filter_map(|one| one.metrics.get(metric).copied());
        values
            .scan(None, |best: &mut Option<f64>, value| {
                let better = best.is_none_or(|best| direction.better(value, best));
                *best = if better { Some(value) } else { *best };
                *best
            })
            .collect()
    }

    /// Whether the latest `window` experiments moved the best value so far by less than `threshold` in the metric's own
    /// units. Fewer experiments than that show nothing.
    pub fn stagnated(&self, metric: &str, threshold: f64, window: usize) -> bool {
        let Some((first, last)) = self.ends(metric, window) else {
            return false;
        };
        let gain = Direction::of(metric).gain(last, first);
        gain < threshold - ROUNDING * (first.abs() + last.abs())
    }

    /// By how much an experiment of the latest `window` improved the best value so far, on the mean: never below 0. None
    /// where fewer experiments than that have the metric.
    pub fn improvement_rate(&self, metric: &str, window: usize) -> Option<f64> {
        let (first, last) = self.ends(metric, window)?;
        let steps = window.max(2) - 1;
        Some(Direction::of(metric).gain(last, first) / steps as f64)
    }

    /// The slope of the latest `window` values themselves by least squares, an experiment; above 0: for the better. None
    /// where fewer than two have the metric.
    pub fn slope(&self, metric: &str, window: usize) -> Option<f64> {
        let values = self.trend(metric, window);
        if values.len() < 2 {
            return None;
        }
        let n = values.len() as f64;
        let (middle, mean) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
        let (mut above, mut below) = (0.0, 0.0);
        for (at, value) in values.iter().enumerate() {
            let off = at as f64 - middle;
            above += off * (value - mean);
            below += off * off;
        }
        Some(Direction::of(metric).gain(above / below, 0.0))
    }

    /// The best so far at the first and at the last of the latest `window` experiments, two at least.
    fn ends(&self, metric: &str, window: usize) -> Option<(f64, f64)> {
        let best = self.running_best(metric);
        let first = best.len().checked_sub(window.max(2))?;
        Some((*best.get(first)?, *best.last()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{history_of, one};
    use super::super::{History, Status};

    #[test]
    fn stagnation_needs_a_full_window_without_gain() {
        let history = history_of("auc", &[0.80, 0.85, 0.851, 0.850, 0.852]);
        assert_eq!(history.trend("auc", 2), vec![0.850, 0.852]);
        assert!(!history.stagnated("auc", 0.01, 5), "0.80 to 0.85 is a gain");
        assert!(history.stagnated("auc", 0.01, 4));
        assert!(!history.stagnated("auc", 0.01, 6), "too few to tell");
        assert!(!history.stagnated("nothing", 0.01, 5));
    }

    #[test]
    fn what_stays_below_an_older_best_is_no_gain() {
        let auc = history_of("auc", &[0.9, 0.5, 0.6, 0.7, 0.8, 0.85]);
        assert!(auc.stagnated("auc", 0.01, 5), "0.9 was there before");
        let loss = history_of("eval_loss", &[1.0, 0.9, 0.8, 0.7, 0.6]);
        assert!(!loss.stagnated("eval_loss", 0.01, 5), "a loss that falls");
        let loss = history_of("eval_loss", &[0.5, 0.9, 0.8, 0.7, 0.6]);
        assert!(loss.stagnated("eval_loss", 0.01, 5));
        let exact = history_of("loss", &[2.01, 2.01, 2.01, 2.01, 2.0]);
        assert!(
            !exact.stagnated("loss", 0.01, 5),
            "exactly the threshold is a gain"
        );
    }

    #[test]
    fn a_failed_experiment_is_no_part_of_a_trend() {
        let history = History::new(vec![
            one("a", 1, Status::Completed, 0.5, 1),
            one("b", 1, Status::Failed, 0.9, 2),
            one("c", 1, Status::Completed, 0.6, 3),
        ]);
        assert_eq!(history.trend("auc", 9), vec![0.5, 0.6]);
    }

    #[test]
    fn rates_and_slopes_are_above_zero_for_the_better() {
        let loss = history_of("loss", &[1.0, 0.8, 0.9, 0.6, 0.6]);
        assert_eq!(loss.running_best("loss"), vec![1.0, 0.8, 0.8, 0.6, 0.6]);
        assert!((loss.improvement_rate("loss", 5).unwrap() - 0.1).abs() < 1e-12);
        assert!(loss.slope("loss", 5).unwrap() > 0.0);
        assert_eq!(loss.improvement_rate("loss", 6), None);
        assert_eq!(loss.slope("auc", 5), None);
        let auc = history_of("auc", &[0.9, 0.8, 0.7]);
        assert!((auc.slope("auc", 3).unwrap() + 0.1).abs() < 1e-12);
        assert_eq!(auc.improvement_rate("auc", 3), Some(0.0));
    }
}
