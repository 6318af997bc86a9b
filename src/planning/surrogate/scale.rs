//! From results in the metric's own units to what the model sees, and back.
//!
//! The model minimises: a metric of which more is better is turned round. Results far on the bad side (a run that diverged,
//! the walls around a valley) say little about where the best ones are but would rule the fit, so beyond a knee only the
//! logarithm of the distance counts (as in a Box-Cox transformation, but only for the bad tail; Cowen-Rivers et al., "HEBO",
//! JAIR 2022). Better than the knee nothing is bent, so improvements are in the metric's own units exactly.

use super::normal::{cumulative, density};

/// The knee lies so many times the distance from the best to the median beyond the median.
const KNEE: f64 = 0.5;
/// Fewer results bend nothing.
const FEWEST: usize = 4;
/// The greatest exponent on the way back.
const MOST: f64 = 300.0;

/// Mean and variance of what the model believes at a point, in its own standardised units; smaller is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latent {
    /// Mean.
    pub mean: f64,
    /// Variance; not negative.
    pub variance: f64,
}

/// How results are standardised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    sign: f64,
    knee: f64,
    tail: f64,
    centre: f64,
    spread: f64,
}

impl Scale {
    /// The scale of these results, which are finite and at least one.
    pub fn of(values: &[f64], smaller_is_better: bool) -> Self {
        let sign = if smaller_is_better { 1.0 } else { -1.0 };
        let mut losses: Vec<f64> = values.iter().map(|value| sign * value).collect();
        losses.sort_by(f64::total_cmp);
        let n = losses.len();
        let middle = losses[(n - 1) / 2];
        let tail = middle - losses[0];
        let bends = n >= FEWEST && tail > 1e-9 * middle.abs() && tail.is_finite();
        let mut scale = Self {
            sign,
            knee: if bends {
                middle + KNEE * tail
            } else {
                f64::INFINITY
            },
            tail: if bends { tail } else { f64::INFINITY },
            centre: 0.0,
            spread: 1.0,
        };
        let bent: Vec<f64> = values.iter().map(|value| scale.to(*value)).collect();
        // Halves and shares: a sum of such numbers may be none.
        let mean = bent.iter().map(|one| one / n as f64).sum::<f64>();
        let far = bent.iter().fold(0.0, |most: f64, one| {
            most.max((one / 2.0 - mean / 2.0).abs())
        });
        let square = |one: &f64| ((one / 2.0 - mean / 2.0) / far).powi(2) / n as f64;
        scale.centre = mean;
        scale.spread = if far > 1e-12 * mean.abs() {
            2.0 * far * bent.iter().map(square).sum::<f64>().sqrt()
        } else if mean == 0.0 {
            1.0
        } else {
            // Results that are all the same tell no spread: a tenth of their size.
            0.1 * mean.abs()
        };
        scale
    }

    /// Results as they are: 0 is expected where nothing is known.
    pub fn plain() -> Self {
        Self {
            sign: 1.0,
            knee: f64::INFINITY,
            tail: f64::INFINITY,
            centre: 0.0,
            spread: 1.0,
        }
    }

    /// What the model sees of a result.
    pub fn to(&self, value: f64) -> f64 {
        let over = self.sign * value - self.knee;
        let bent = if over > 0.0 {
            self.knee + self.tail * (over / self.tail).ln_1p()
        } else {
            self.sign * value
        };
        (bent - self.centre) / self.spread
    }

    /// The result that the model sees so.
    pub fn back(&self, seen: f64) -> f64 {
        let bent = self.centre + self.spread * seen;
        let over = bent - self.knee;
        if over > 0.0 {
            self.sign * (self.knee + self.tail * (over / self.tail).min(MOST).exp_m1())
        } else {
            self.sign * bent
        }
    }

    /// One unit of the model's in the metric's, better than the knee.
    pub fn unit(&self) -> f64 {
        self.spread
    }

    /// Mean and sd in the metric's own units of what the model believes.
    pub fn own(&self, latent: Latent) -> (f64, f64) {
        let sd = self.spread * latent.variance.sqrt();
        let mean = self.centre + self.spread * latent.mean;
        if self.tail.is_infinite() || sd == 0.0 || mean + 8.0 * sd < self.knee {
            return (self.sign * (mean - self.knee_gap(mean)), sd);
        }
        // In units of the tail, so that squares are numbers.
        let (first, second) = moments((mean - self.knee) / self.tail, (sd / self.tail).min(1.0));
        let sd = self.tail * (second - first * first).max(0.0).sqrt();
        // Farther out than numbers go nothing but the order of magnitude is left.
        let sd = if sd.is_finite() { sd } else { f64::MAX };
        (self.sign * (self.knee + self.tail * first), sd)
    }

    /// By how much less than its own value a point beyond the knee is worth where it is certain: 0 before the knee.
    fn knee_gap(&self, mean: f64) -> f64 {
        let over = mean - self.knee;
        if over > 0.0 {
            over - self.tail * (over / self.tail).min(MOST).exp_m1()
        } else {
            0.0
        }
    }
}

/// The first two moments of `v(u)`, where u is normal, `v = u` up to 0 and `v = exp(u) - 1` from there on.
fn moments(mean: f64, sd: f64) -> (f64, f64) {
    let at = mean / sd;
    let (below, above) = (cumulative(-at), cumulative(at));
    let grown = |k: f64| {
        let exponent = k * mean + 0.5 * k * k * sd * sd;
        exponent.min(MOST).exp() * cumulative(at + k * sd)
    };
    let one = grown(1.0);
    let first = mean * below - sd * density(at) + one - above;
    let second =
        (mean * mean + sd * sd) * below - sd * mean * density(at) + grown(2.0) - 2.0 * one + above;
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_in_either_direction() {
        let values = [0.4, 3.0, 0.9, 1.0, 250.0, 1e6];
        for smaller in [true, false] {
            let scale = Scale::of(&values, smaller);
            let seen: Vec<f64> = values.iter().map(|value| scale.to(*value)).collect();
            for (value, seen) in values.iter().zip(&seen) {
                assert!((scale.back(*seen) / value - 1.0).abs() < 1e-9);
            }
            assert_eq!(seen[0] < seen[1], smaller);
            let mean = seen.iter().sum::<f64>() / 6.0;
            let variance = seen.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 6.0;
            assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn moments_are_those_of_the_sum_over_many() {
        let scale = Scale::of(&[0.4, 3.0, 0.9, 1.0, 250.0, 40.0], true);
        for latent in [
            Latent {
                mean: -0.8,
                variance: 0.01,
            },
            Latent {
                mean: -0.6,
                variance: 0.04,
            },
            Latent {
                mean: 0.2,
                variance: 0.02,
            },
        ] {
            let (mean, sd) = scale.own(latent);
            let (mut first, mut second, mut all) = (0.0, 0.0, 0.0);
            for step in -8000..=8000 {
                let z = f64::from(step) / 1000.0;
                let value = scale.back(latent.mean + z * latent.variance.sqrt());
                first += density(z) * value;
                second += density(z) * value * value;
                all += density(z);
            }
            let by_sum = first / all;
            assert!(
                (mean - by_sum).abs() < 1e-6 * by_sum.abs(),
                "{mean} {by_sum}"
            );
            let by_sum = (second / all - by_sum * by_sum).sqrt();
            assert!((sd - by_sum).abs() < 1e-5 * by_sum, "{sd} {by_sum}");
        }
        let certain = scale.own(Latent {
            mean: scale.to(200.0),
            variance: 0.0,
        });
        assert!((certain.0 - 200.0).abs() < 1e-6 && certain.1 == 0.0);
    }

    #[test]
    fn sameness_and_extremes_leave_numbers() {
        for values in [
            vec![5.0],
            vec![0.0; 7],
            vec![-3.0; 9],
            vec![f64::MAX, -f64::MAX, 0.0, 1.0, 2.0],
        ] {
            let scale = Scale::of(&values, true);
            let (mean, sd) = scale.own(Latent {
                mean: 0.3,
                variance: 1.0,
            });
            assert!(
                mean.is_finite() && sd.is_finite() && sd > 0.0,
                "{values:?}: {mean} {sd}"
            );
            assert!(values.iter().all(|value| scale.to(*value).is_finite()));
        }
    }
}
