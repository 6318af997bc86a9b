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
        let values: Vec<f64> = failed.iter().map(|one| if *one { FAILED } else { 0.0 }).collect();
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

    /// The logarithm of the probability of success at a point, and its gradient.
    pub fn log_success(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let (latent, by_mean, by_variance) = self.model.latent_with_slopes(point);
        let (failing, rise, z) = chance(latent);
        let sd2 = latent.variance + SOFT;
        let success = (1.0 - failing).max(1e-12);
        let along = |(mean, variance): (&f64, &f64)| {
            -rise * (mean / sd2.sqrt() - 0.5 * z * variance / sd2) / success
        };
        (success.ln(), by_mean.iter().zip(&by_variance).map(along).collect())
    }
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
        let at = [0.66, 0.4];
        let (_, slope) = learned.log_success(&at);
        for k in 0..2 {
            let value = |step: f64| {
                let mut near = at;
                near[k] += step;
                learned.log_success(&near).0
            };
            let by_difference = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((by_difference - slope[k]).abs() < 1e-5 * slope[k].abs().max(1.0));
        }
    }
}
