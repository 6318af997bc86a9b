//! The mean of a pilot's scores, with one-sided confidence bounds that are honest for scores in
//! the unit interval.
//!
//! Student's t bounds alone are not: 150 scores of exactly 1.0 have no variance, and a bound of
//! zero width would say that the generator never fails. So the half width never falls below
//!
//! ```text
//!     floor = max(t^2, ln(1/error)) / n       t: quantile at 1 - error, n - 1 degrees of freedom
//! ```
//!
//! - `ln(1/error) / n` is the rule of three for any error: the share of failures that n samples may
//!   all have missed. It covers the exact (Clopper-Pearson) bound of n successes in n.
//! - `t^2 / n` makes the bounds **monotone**: raising any score never lowers `low`, lowering any
//!   never raises `high`. Where the t term exceeds the floor, `s >= t / sqrt(n)`, and so
//!
//! ```text
//!     n d low / d x = 1 - t sqrt(n) (x - mean) / ((n - 1) s) >= 1 - n (x - mean) / (n - 1) >= 0
//! ```
//!
//! since `x - mean <= (n - 1) / n` for scores in the unit interval.
//!
//! A term in 1/n beside the one in s / sqrt(n) is also the shape of the empirical Bernstein bound
//! (Maurer and Pontil 2009). With 190 samples and an error of 0.05/3 the floor is 0.024; the t term
//! of binary scores at 0.80 is 0.062.

use super::student_t;
use super::{Criteria, Evidence, EvidenceSource, GateKind};

/// A mean quality, with its bounds if the gate decides by them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean score, 0 to 1.
    pub mean: f64,
    /// The true quality is at least this, up to the error per look.
    pub low: Option<f64>,
    /// The true quality is at most this, up to the error per look.
    pub high: Option<f64>,
}

/// The quality that the evidence shows, or None if it shows none (see [`Evidence::fault`]).
///
/// A log names a mean and no variance; the largest that scores in 0 to 1 with that mean can have is
/// taken instead, which is that of binary scores, `mean (1 - mean)` (Bhatia and Davis 2000).
pub(super) fn estimate(evidence: &Evidence, criteria: &Criteria) -> Option<Estimate> {
    if evidence.fault().is_some() {
        return None;
    }
    let (mean, deviation) = match evidence.source {
        EvidenceSource::Samples => mean_and_deviation(&evidence.scores),
        EvidenceSource::Log => {
            let mean = evidence.logged_quality?;
            (mean, largest_deviation(mean, evidence.n()))
        }
    };
    Some(match criteria.gate {
        GateKind::Point => Estimate {
            mean,
            low: None,
            high: None,
        },
        GateKind::Confidence => bounded(mean, deviation, evidence.n(), criteria.error_per_look()),
    })
}

/// The estimate of `n` scores that are all the same.
pub(super) fn of_equal_scores(score: f64, n: u64, error: f64) -> Estimate {
    bounded(score, 0.0, n, error)
}

/// Bounds around a mean with sample standard deviation `deviation`, each nominally wrong with
/// probability `error`: Student's t takes the mean to be normal.
fn bounded(mean: f64, deviation: f64, n: u64, error: f64) -> Estimate {
    let half = if n < 2 {
        1.0
    } else {
        half_width(deviation, n as f64, error)
    };
    Estimate {
        mean,
        low: Some((mean - half).max(0.0)),
        high: Some((mean + half).min(1.0)),
    }
}

/// The half width for n >= 2; the module's comment says why it has a floor.
fn half_width(deviation: f64, n: f64, error: f64) -> f64 {
    let t = student_t::quantile(1.0 - error, n - 1.0);
    let floor = (t * t).max(-error.ln()) / n;
    (t * deviation / n.sqrt()).max(floor)
}

/// Mean and sample standard deviation. The scores are summed in order of size, so that the order in
/// which a generator wrote them cannot change a decision in the last bit.
fn mean_and_deviation(scores: &[f64]) -> (f64, f64) {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let squares: f64 = sorted.iter().map(|score| (score - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0).max(1.0)).sqrt())
}

/// The largest sample standard deviation that n scores in 0 to 1 with this mean can have.
fn largest_deviation(mean: f64, n: u64) -> f64 {
    let n = n as f64;
    (mean * (1.0 - mean) * n / (n - 1.0).max(1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ERROR: f64 = 0.05 / 3.0;

    fn bounds_of(scores: &[f64]) -> (f64, f64) {
        let (mean, deviation) = mean_and_deviation(scores);
        let estimate = bounded(mean, deviation, scores.len() as u64, ERROR);
        (estimate.low.unwrap(), estimate.high.unwrap())
    }

    #[test]
    fn spread_scores_get_students_bounds() {
        // 95 scores of 0.6 and 95 of 1.0: mean 0.8, s = 0.2 sqrt(190/189), t(0.98333, 189) =
        // 2.143719.
        let scores: Vec<f64> = (0..190)
            .map(|i| if i % 2 == 0 { 0.6 } else { 1.0 })
            .collect();
        let half = 2.143_719 * 0.2 / 189f64.sqrt();
        let (low, high) = bounds_of(&scores);
        assert!((low - (0.8 - half)).abs() < 1e-6, "{low}");
        assert!((high - (0.8 + half)).abs() < 1e-6, "{high}");
    }

    #[test]
    fn equal_scores_never_get_bounds_of_zero_width() {
        for n in [2, 10, 150, 190, 570, 100_000] {
            for error in [0.05, 0.025, ERROR] {
                let estimate = of_equal_scores(1.0, n, error);
                let exact = error.powf(1.0 / n as f64); // Clopper-Pearson for n successes in n
                let low = estimate.low.unwrap();
                assert!(
                    low <= exact && low < 1.0,
                    "n = {n}: {low} claims more than the exact bound {exact}"
                );
                assert_eq!(estimate.high, Some(1.0));
            }
        }
        let low = of_equal_scores(1.0, 150, ERROR).low.unwrap();
        assert!(low > 0.96, "150 perfect scores show little: {low}");
    }

    #[test]
    fn one_sample_shows_nothing() {
        assert_eq!(bounds_of(&[1.0]), (0.0, 1.0));
    }

    #[test]
    fn a_log_counts_as_binary_scores() {
        let criteria = Criteria {
            gate: GateKind::Confidence,
            quality_threshold: 0.75,
            min_pilot_samples: 10,
            pilot_target: 100,
            max_pilot_samples: 300,
        };
        let binary: Vec<f64> = (0..100).map(|i| if i < 80 { 1.0 } else { 0.0 }).collect();
        let logged = estimate(&Evidence::from_log(Some(0.8), 100, 100), &criteria).unwrap();
        let counted = estimate(&Evidence::from_scores(binary, 100), &criteria).unwrap();
        assert!((logged.low.unwrap() - counted.low.unwrap()).abs() < 1e-12);
        assert!((logged.high.unwrap() - counted.high.unwrap()).abs() < 1e-12);
    }

    /// The bounds before they are cut to the unit interval, where monotony is hardest to keep.
    fn uncut_bounds_of(scores: &[f64]) -> (f64, f64) {
        let (mean, deviation) = mean_and_deviation(scores);
        let half = half_width(deviation, scores.len() as f64, ERROR);
        (mean - half, mean + half)
    }

    proptest! {
        #[test]
        fn bounds_rise_with_every_single_score(
            scores in prop::collection::vec(
                prop_oneof![0.0..=1.0, 0.74..=0.76, Just(0.0), Just(1.0)],
                2..200,
            ),
            which in any::<prop::sample::Index>(),
            share in 0.0..=1.0,
        ) {
            let mut raised = scores.clone();
            let score = which.get_mut(&mut raised);
            *score += share * (1.0 - *score);
            let (low, high) = uncut_bounds_of(&scores);
            let (raised_low, raised_high) = uncut_bounds_of(&raised);
            prop_assert!(raised_low >= low - 1e-12, "low fell from {} to {}", low, raised_low);
            prop_assert!(raised_high >= high - 1e-12, "high fell from {} to {}", high, raised_high);
        }
    }

    #[test]
    fn the_rule_of_three_alone_would_not_be_monotone() {
        let four_good = |fourth| [vec![1.0, 1.0, 1.0, fourth], vec![0.0; 186]].concat();
        assert!(uncut_bounds_of(&four_good(1.0)).0 > uncut_bounds_of(&four_good(0.9)).0);
    }

    #[test]
    fn one_good_outlier_does_not_lower_the_bound() {
        // Without the floor, the variance that one 1.0 brings among equal scores lowers the t
        // bound.
        let equal = vec![0.78; 190];
        let raised: Vec<f64> = std::iter::once(1.0)
            .chain(equal[1..].iter().copied())
            .collect();
        assert!(bounds_of(&raised).0 >= bounds_of(&equal).0);
    }
}
