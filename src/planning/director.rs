//! In which mode the next experiments are sought (specification 4, "Adaptive Director Strategy"), and on what evidence.
//!
//! What counts is the best so far, not the latest result: a run that explores may well be worse than the one before.
//! The *gain* is by how much the best of the last [`Rules::window`] results beats the best before them.

use crate::words::words;
use serde::{Deserialize, Serialize};

words! {
    /// Where to look.
    pub enum Mode {
        /// Everywhere, by the acquisition alone.
        Explore = "explore",
        /// Close to the best so far.
        Exploit = "exploit",
        /// Far from the best so far.
        Recover = "recover",
    }
}

/// The thresholds, all in the metric's own units; the specification's by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// How many of the latest results are recent.
    pub window: usize,
    /// A gain below this is stagnation.
    pub stagnation: f64,
    /// A gain above this is progress.
    pub progress: f64,
    /// Recent results whose median is worse by more than this than that of as many before them are a regression.
    pub regression: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: 5,
            stagnation: 0.01,
            progress: 0.05,
            regression: 0.05,
        }
    }
}

/// A mode, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Direction {
    /// The mode.
    pub mode: Mode,
    /// One sentence with the numbers that it rests on.
    pub reason: String,
    /// How many results there are.
    pub results: usize,
    /// The gain; positive is better whichever way the metric goes. None with too few results.
    pub gain: Option<f64>,
}

/// Chooses the mode from all results, oldest first; failed runs have none and are left out by the caller. `enough` is how
/// many results the surrogate needs ([`super::propose::enough`]): before, the space is filled, which is exploring.
///
/// In this order: stagnation means recover, progress exploit, regression recover, and anything else explore.
///
/// # Errors
/// A result or a rule that is no finite number, or a window of none.
pub fn direct(
    values: &[f64],
    smaller_is_better: bool,
    enough: usize,
    rules: Rules,
) -> Result<Direction, String> {
    if let Some(odd) = values.iter().find(|value| !value.is_finite()) {
        return Err(format!("a result is {odd}, which is no finite number"));
    }
    let thresholds = [rules.stagnation, rules.progress, rules.regression];
    if rules.window == 0 || thresholds.iter().any(|one| !one.is_finite()) {
        return Err("the director's window is at least 1 and its thresholds are finite".into());
    }
    let needed = enough.max(rules.window + 1);
    let told = |mode, reason, gain| Direction {
        mode,
        reason,
        results: values.len(),
        gain,
    };
    if values.len() < needed {
        let what = if values.len() < enough {
            "the space is filled first"
        } else {
            "no trend is read from them"
        };
        let reason = format!("there are {} of {needed} results, so {what}", values.len());
        return Ok(told(Mode::Explore, reason, None));
    }
    let sign = if smaller_is_better { -1.0 } else { 1.0 };
    let (before, recent) = values.split_at(values.len() - rules.window);
    let best = |of: &[f64]| {
        let all = of.iter().copied();
        if smaller_is_better {
            all.fold(f64::INFINITY, f64::min)
        } else {
            all.fold(f64::NEG_INFINITY, f64::max)
        }
    };
    let (new, old) = (best(recent), best(before));
    let gain = sign * (new - old);
    let last = format!(
        "the best of the last {} results is {new}, before them it was {old}",
        rules.window
    );
    let (mode, reason) = if gain < rules.stagnation {
        (
            Mode::Recover,
            format!("{last}: a gain of {gain:.4} is below {}", rules.stagnation),
        )
    } else if gain > rules.progress {
        (
            Mode::Exploit,
            format!("{last}: a gain of {gain:.4} is above {}", rules.progress),
        )
    } else {
        sideways(
            before,
            recent,
            sign,
            rules,
            &format!("{last}: a gain of {gain:.4}"),
        )
    };
    Ok(told(mode, reason, Some(gain)))
}

/// Neither stagnation nor progress: whether the results as a whole get worse.
fn sideways(before: &[f64], recent: &[f64], sign: f64, rules: Rules, last: &str) -> (Mode, String) {
    let earlier = &before[before.len().saturating_sub(rules.window)..];
    let change = sign * (median(recent) - median(earlier));
    if earlier.len() == rules.window && change < -rules.regression {
        let reason = format!(
            "{last}, but their median went from {} to {}, a change of {change:.4} below -{}",
            median(earlier),
            median(recent),
            rules.regression
        );
        return (Mode::Recover, reason);
    }
    let reason = format!(
        "{last} is neither below {} nor above {}",
        rules.stagnation, rules.progress
    );
    (Mode::Explore, reason)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    // Halves: the sum of two large numbers may be none.
    sorted[(n - 1) / 2] / 2.0 + sorted[n / 2] / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(values: &[f64], smaller: bool) -> (Mode, String) {
        let told = direct(values, smaller, 5, Rules::default()).unwrap();
        (told.mode, told.reason)
    }

    /// The same course for a metric of which more is better.
    fn turned(values: &[f64]) -> Vec<f64> {
        values.iter().map(|value| -value).collect()
    }

    #[test]
    fn the_rules_of_the_specification_either_way() {
        let stagnated = [0.9, 0.7, 0.7, 0.71, 0.699, 0.72, 0.7];
        let progress = [0.9, 0.8, 0.8, 0.79, 0.77, 0.74, 0.9];
        let moderate = [0.9, 0.8, 0.82, 0.81, 0.83, 0.78, 0.79];
        for (losses, expected) in [
            (&stagnated, Mode::Recover),
            (&progress, Mode::Exploit),
            (&moderate, Mode::Explore),
        ] {
            assert_eq!(mode(losses, true).0, expected, "{losses:?}");
            assert_eq!(mode(&turned(losses), false).0, expected, "{losses:?}");
            assert_ne!(mode(losses, true), mode(losses, false));
        }
        let worse = [0.5, 0.5, 0.5, 0.5, 0.5, 0.7, 0.7, 0.7, 0.7, 0.47];
        assert_eq!(mode(&worse, true).0, Mode::Recover);
        assert!(
            mode(&worse, true)
                .1
                .contains("from 0.5 to 0.7, a change of -0.2000")
        );
        assert_eq!(mode(&turned(&worse), false).0, Mode::Recover);
    }

    #[test]
    fn a_bad_run_while_exploring_is_no_regression() {
        let values = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 3.0, 0.5, 0.47, 0.5];
        assert_eq!(mode(&values, true).0, Mode::Explore);
    }

    #[test]
    fn too_few_results_show_nothing_and_odd_ones_are_refused() {
        for n in 0..6 {
            let (told, reason) = mode(&vec![1.0; n], true);
            assert_eq!(told, Mode::Explore);
            assert!(
                reason.starts_with(&format!("there are {n} of 6 results")),
                "{reason}"
            );
        }
        assert_eq!(mode(&[1.0; 6], true).0, Mode::Recover);
        assert!(direct(&[f64::NAN; 9], true, 5, Rules::default()).is_err());
        let rules = Rules {
            window: 0,
            ..Rules::default()
        };
        assert!(direct(&[1.0; 9], true, 5, rules).is_err());
    }

    #[test]
    fn the_sentence_has_its_numbers() {
        let (_, reason) = mode(&[0.9, 0.8, 0.8, 0.79, 0.77, 0.74, 0.9], true);
        assert_eq!(
            reason,
            "the best of the last 5 results is 0.74, before them it was 0.8: a gain of 0.0600 is above 0.05"
        );
    }
}
