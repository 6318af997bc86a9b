//! Confidence intervals of a proportion, for counts such as "12 of 2,000".

use super::paired::quantile;

/// The 95 % Wilson score interval of `successes` in `trials` (Wilson 1927), or None for no trials.
///
/// Unlike the textbook interval it stays inside 0 to 1 and has a width at 0 and at all.
pub fn wilson_interval(successes: u64, trials: u64) -> Option<(f64, f64)> {
    score_interval(successes, trials, 1.959_963_984_540_054)
}

/// The same at another confidence; None also where that is not between 0 and 1.
pub fn wilson(successes: u64, trials: u64, confidence: f64) -> Option<(f64, f64)> {
    let z = quantile(0.5 + confidence / 2.0);
    if z.is_nan() {
        return None;
    }
    score_interval(successes, trials, z)
}

/// The same of trials that know of each other and tell no more than `effective` trials that do not (Kish 1965: the number of
/// trials over their design effect). None also where that is no number above 0.
pub fn wilson_effective(
    successes: u64,
    trials: u64,
    effective: f64,
    confidence: f64,
) -> Option<(f64, f64)> {
    let z = quantile(0.5 + confidence / 2.0);
    let sound = effective > 0.0 && effective.is_finite() && !z.is_nan();
    sound.then(|| score_interval_of(successes, trials, effective, z))?
}

fn score_interval(successes: u64, trials: u64, z: f64) -> Option<(f64, f64)> {
    score_interval_of(successes, trials, trials as f64, z)
}

fn score_interval_of(successes: u64, trials: u64, n: f64, z: f64) -> Option<(f64, f64)> {
    if trials == 0 || successes > trials {
        return None;
    }
    let share = successes as f64 / trials as f64;
    let shrunk = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    // At 0 and at all the ends are exact; rounding must not move them.
    let low = if successes == 0 {
        0.0
    } else {
        (shrunk - half).max(0.0)
    };
    let high = if successes == trials {
        1.0
    } else {
        (shrunk + half).min(1.0)
    };
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_published_intervals() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        let published = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (successes, trials, low, high) in published {
            let found = wilson_interval(successes, trials).unwrap();
            assert!(
                (found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5,
                "{successes}/{trials}: {found:?}"
            );
        }
    }

    #[test]
    fn agrees_with_statsmodels_at_another_confidence() {
        // statsmodels.stats.proportion.proportion_confint(15, 148, alpha=0.01, method="wilson")
        let (low, high) = wilson(15, 148, 0.99).unwrap();
        assert!(
            (low - 0.053_644_869_613_963_86).abs() < 1e-9
                && (high - 0.183_267_350_113_152_54).abs() < 1e-9
        );
        let (low, high) = wilson(81, 263, 0.95).unwrap();
        let usual = wilson_interval(81, 263).unwrap();
        assert!((low - usual.0).abs() < 1e-12 && (high - usual.1).abs() < 1e-12);
        assert_eq!(wilson(81, 263, f64::NAN), None);
    }

    #[test]
    fn trials_that_know_of_each_other_tell_less() {
        assert_eq!(
            wilson_effective(15, 148, 148.0, 0.95),
            wilson(15, 148, 0.95)
        );
        assert_eq!(wilson_effective(40, 80, 20.0, 0.95), wilson(10, 20, 0.95));
        assert_eq!(wilson_effective(1, 2, f64::NAN, 0.95), None);
        assert_eq!(wilson_effective(1, 2, 0.0, 0.95), None);
    }

    #[test]
    fn nothing_of_nothing_is_no_proportion() {
        assert_eq!(wilson_interval(0, 0), None);
        assert_eq!(wilson_interval(3, 2), None);
        assert_eq!(wilson_interval(5, 5).unwrap().1, 1.0);
    }
}
