//! How likely a setting is to fail, learned from the runs that ended without a result.
//!
//! Least-squares classification by the same Gaussian process, its output squashed by the normal distribution (Rasmussen and
//! Williams 2006, section 6.5). Expected improvement is weighed with the chance of success (Gardner et al., "Bayesian
//! optimization with inequality constraints", ICML 2014).

use super::{Data, Effort, Latent, Surrogate, normal::cumulative, scale::Scale};

/// What the model is taught: a run that succeeded is 0, one that failed is 2, and 1 is as likely as not.
const FAILED: f64 = 2.0;
const MIDDLE: f64 = 1.0;
/// Variance of the threshold between success and failure.
const SOFT: f64 = 0.1;
/// How steep the wall is beyond even chances.
const WALL: f64 = 50.0;

/// What was learned of failures.
#[derive(Clone, Debug)]
pub struct Feasibility {
    model: Surrogate,
}

impl Feasibility {
    /// Learns from points and whether each failed. None where none did, or none is given: then nothing is expected to.
    pub fn learn(words: &[bool], points: &[Vec<f64>], failed: &[bool], seed: u64) -> Option<Self> {
        if !failed.contains(&true) {
            return None;
        }
        let values: Vec<f64> = failed
            .iter()
            .map(|one| if *one { FAILED } else { 0.0 })
            .collect();
        let data = Data {
            words,
            points,
            values: &values,
            smaller_is_better: true,
        };
        super::check(data).ok()?;
        let effort = Effort {
            restarts: 0,
            steps: 15,
        };
        let model = Surrogate::fit_scaled(data, Scale::plain(), None, effort, seed).ok()?;
        Some(Self { model })
    }

    /// The probability that a run at each point fails.
    pub fn failing(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let all = self.model.latents(points).into_iter();
        all.map(|latent| chance(latent).0).collect()
    }

    /// What is added to the logarithm of each point's worth: the logarithm of the probability of success, and beyond even
    /// chances a wall, since where the model of results promises much, no probability alone is small enough.
    pub fn weights(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let all = self.model.latents(points).into_iter();
        all.map(|latent| weight(latent).0).collect()
    }

    /// That of one point, and its gradient.
    pub fn weight_with_slope(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let (latent, by_mean, by_variance) = self.model.latent_with_slopes(point);
        let (weight, by_z, z) = weight(latent);
        let squared = latent.variance + SOFT;
        let along = |(mean, variance): (&f64, &f64)| {
            by_z * (mean / squared.sqrt() - 0.5 * z * variance / squared)
        };
        let slope = by_mean.iter().zip(&by_variance).map(along).collect();
        (weight, slope)
    }
}

/// The weight, its derivative by z, and z.
fn weight(latent: Latent) -> (f64, f64, f64) {
    let (failing, rise, z) = chance(latent);
    let (success, over) = ((1.0 - failing).max(1e-12), z.max(0.0));
    let value = success.ln() - WALL * over * over;
    (value, -rise / success - 2.0 * WALL * over, z)
}

/// The probability of failure, its density, and the place where they were taken.
fn chance(latent: Latent) -> (f64, f64, f64) {
    let z = (latent.mean - MIDDLE) / (latent.variance + SOFT).sqrt();
    (cumulative(z), super::normal::density(z), z)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_on_one_side_are_expected_there() {
        let points: Vec<Vec<f64>> = (0..20)
            .map(|at| vec![f64::from(at) / 19.0, f64::from(at * 7 % 20) / 19.0])
            .collect();
        let failed: Vec<bool> = points.iter().map(|point| point[0] > 0.7).collect();
        let learned = Feasibility::learn(&[false; 2], &points, &failed, 1).unwrap();
        let told = learned.failing(&[vec![0.95, 0.5], vec![0.2, 0.5]]);
        assert!(told[0] > 0.8 && told[1] < 0.1, "{told:?}");
        assert!(Feasibility::learn(&[false; 2], &points, &[false; 20], 1).is_none());
        for at in [[0.66, 0.4], [0.8, 0.4]] {
            let (_, slope) = learned.weight_with_slope(&at);
            for k in 0..2 {
                let value = |step: f64| {
                    let mut near = at;
                    near[k] += step;
                    learned.weights(&[near.to_vec()])[0]
                };
                let by_difference = (value(1e-5) - value(-1e-5)) / 2e-5;
                assert!((by_difference - slope[k]).abs() < 1e-5 * slope[k].abs().max(1.0));
            }
        }
    }
}
