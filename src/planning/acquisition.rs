//! What a run is worth before it is made: expected improvement and the confidence bound.
//!
//! Both are computed in the model's units, where smaller is better, and told in the metric's own. The best so far is the
//! best mean of the surrogate over what was tried, not the best measurement, which under noise was partly luck (Letham et
//! al., "Constrained Bayesian optimization with noisy experiments", 2019, section 3).

use super::surrogate::{
    Latent, Surrogate,
    normal::{cumulative, density, mills},
};
use crate::words::words;

words! {
    /// How the worth of a run is reckoned.
    pub enum Acquisition {
        /// By how much it is expected to beat the best so far (Jones, Schonlau and Welch 1998), searched by its logarithm
        /// (Ament et al., "Unexpected improvements to expected improvement", NeurIPS 2023).
        ExpectedImprovement = "expected_improvement",
        /// How good it may well be: the mean and [`BETA`] standard deviations to the good side (Srinivas et al. 2010).
        UpperConfidenceBound = "upper_confidence_bound",
    }
}

/// Standard deviations of the confidence bound (specification 4, phase 4B, as ARC has it).
pub const BETA: f64 = 2.0;
/// Below this distance the logarithm of improvement is told by its series.
const FAR: f64 = -1e4;
/// The least standard deviation that anything is divided by, where all results' is 1.
const LEAST: f64 = 1e-9;

/// `ln(density(z) + z P(Z <= z))`, and its derivative; accurate however far out z is (Ament et al. 2023, section 4.1).
pub fn log_improvement(z: f64) -> (f64, f64) {
    if z > -1.0 {
        let (whole, below) = (density(z) + z * cumulative(z), cumulative(z));
        return (whole.ln(), below / whole);
    }
    let log_density = -0.5 * z * z - 0.5 * (2.0 * std::f64::consts::PI).ln();
    if z < FAR {
        // 1 - x mills(x) is about 1 / x^2 - 3 / x^4.
        return (log_density - 2.0 * (-z).ln(), -z);
    }
    let ratio = mills(-z);
    let rest = 1.0 + z * ratio;
    (log_density + rest.ln(), ratio / rest)
}

/// Expected improvement of a normal `mean`, `sd` over `best`, where smaller is better; 0 for numbers that are none.
pub fn expected_improvement(mean: f64, sd: f64, best: f64) -> f64 {
    // A deviation that is no number leaves the mean alone, too.
    if sd.is_nan() || sd <= 0.0 {
        return (best - mean).max(0.0);
    }
    let told = sd * log_improvement((best - mean) / sd).0.exp();
    if told.is_finite() { told } else { 0.0 }
}

/// The worth of points by one surrogate.
#[derive(Clone, Copy, Debug)]
pub struct Worth {
    acquisition: Acquisition,
    best: f64,
}

impl Worth {
    /// That which counts from the surrogate's best so far.
    pub fn of(acquisition: Acquisition, surrogate: &Surrogate) -> Self {
        Self {
            acquisition,
            best: surrogate.incumbent().1,
        }
    }

    /// The worth to be searched for: the logarithm of expected improvement, or the bound turned round. More is better.
    pub fn at(&self, latent: Latent) -> f64 {
        let sd = latent.variance.sqrt().max(LEAST);
        match self.acquisition {
            Acquisition::ExpectedImprovement => {
                sd.ln() + log_improvement((self.best - latent.mean) / sd).0
            }
            Acquisition::UpperConfidenceBound => BETA * sd - latent.mean,
        }
    }

    /// The same with its gradient, from those of mean and variance.
    pub fn with_slope(
        &self,
        latent: Latent,
        by_mean: &[f64],
        by_variance: &[f64],
    ) -> (f64, Vec<f64>) {
        let sd = latent.variance.sqrt().max(LEAST);
        let (over_mean, over_sd) = match self.acquisition {
            Acquisition::ExpectedImprovement => {
                let z = (self.best - latent.mean) / sd;
                let slope = log_improvement(z).1;
                (-slope / sd, (1.0 - z * slope) / sd)
            }
            Acquisition::UpperConfidenceBound => (-1.0, BETA),
        };
        let along =
            |(mean, variance): (&f64, &f64)| over_mean * mean + over_sd * variance / (2.0 * sd);
        let slope = by_mean.iter().zip(by_variance).map(along).collect();
        (self.at(latent), slope)
    }

    /// The worth in the metric's own units: the expected improvement, or the bound itself.
    pub fn own(&self, latent: Latent, surrogate: &Surrogate) -> f64 {
        let scale = surrogate.scale();
        match self.acquisition {
            Acquisition::ExpectedImprovement => self.at(latent).exp() * scale.unit(),
            Acquisition::UpperConfidenceBound => {
                scale.back(latent.mean - BETA * latent.variance.sqrt())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::surrogate::{Data, Effort};

    /// `E[max(best - y, 0)]` of a normal y by Simpson's rule.
    fn by_integration(mean: f64, sd: f64, best: f64) -> f64 {
        let (low, steps) = (mean - 12.0 * sd, 20_000);
        let width = (best - low) / f64::from(steps);
        let value = |at: i32| {
            let y = low + width * f64::from(at);
            (best - y) * density((y - mean) / sd) / sd
        };
        let weight = |at: i32| match at {
            0 => 1.0,
            at if at == steps => 1.0,
            at if at % 2 == 1 => 4.0,
            _ => 2.0,
        };
        (0..=steps).map(|at| weight(at) * value(at)).sum::<f64>() * width / 3.0
    }

    #[test]
    fn expected_improvement_is_the_integral() {
        for (mean, sd, best) in [
            (0.0, 1.0, 0.0),
            (2.0, 0.5, 2.7),
            (5.0, 1.5, 1.0),
            (-3.0, 0.1, -3.3),
        ] {
            let (ours, known) = (
                expected_improvement(mean, sd, best),
                by_integration(mean, sd, best),
            );
            assert!(
                (ours / known - 1.0).abs() < 1e-8,
                "{mean} {sd} {best}: {ours} {known}"
            );
        }
        assert_eq!(expected_improvement(1.0, 0.0, 3.0), 2.0);
        assert_eq!(expected_improvement(f64::NAN, 1.0, 3.0), 0.0);
        assert_eq!(expected_improvement(1e300, 1.0, 3.0), 0.0);
    }

    #[test]
    fn its_logarithm_is_smooth_all_the_way_out() {
        // From mpmath with 60 digits.
        for (z, known) in [
            (-5.0, -16.744_301_162_660_99),
            (-40.0, -808.298_568_356_619_9),
            (-2e4, -200_000_020.725_913_64),
        ] {
            assert!(
                (log_improvement(z).0 - known).abs() < 1e-7,
                "{z}: {}",
                log_improvement(z).0
            );
        }
        let mut last = f64::NEG_INFINITY;
        for step in -2_000_000..4_000 {
            let (value, slope) = log_improvement(f64::from(step) / 100.0);
            assert!(value > last && slope > 0.0 && value.is_finite(), "{step}");
            last = value;
        }
        for z in [-3e4_f64, -9e3, -30.0, -1.0001, -0.9999, 0.5] {
            let step = 1e-6 * z.abs().max(1.0);
            let (above, below) = (log_improvement(z + step).0, log_improvement(z - step).0);
            let by_difference = (above - below) / (2.0 * step);
            assert!(
                (by_difference / log_improvement(z).1 - 1.0).abs() < 1e-4,
                "{z}"
            );
        }
    }

    #[test]
    fn the_gradient_is_that_of_small_differences_and_the_units_are_the_metrics() {
        let points: Vec<Vec<f64>> = (0..12)
            .map(|at| vec![f64::from(at * 5 % 12) / 11.0, f64::from(at) / 11.0])
            .collect();
        let values: Vec<f64> = points
            .iter()
            .map(|x| 1000.0 + 300.0 * (x[0] - 0.4).powi(2) + 50.0 * x[1])
            .collect();
        let data = Data {
            words: &[false; 2],
            points: &points,
            values: &values,
            smaller_is_better: true,
        };
        let model = Surrogate::fit(
            data,
            None,
            Effort {
                restarts: 1,
                steps: 40,
            },
            1,
        )
        .unwrap();
        for acquisition in Acquisition::ALL {
            let worth = Worth::of(*acquisition, &model);
            let at = [0.33, 0.21];
            let (latent, by_mean, by_variance) = model.latent_with_slopes(&at);
            let (_, slope) = worth.with_slope(latent, &by_mean, &by_variance);
            for k in 0..2 {
                let value = |step: f64| {
                    let mut near = at;
                    near[k] += step;
                    worth.at(model.latent(&near))
                };
                let by_difference = (value(1e-6) - value(-1e-6)) / 2e-6;
                assert!(
                    (by_difference - slope[k]).abs() < 1e-3 * slope[k].abs().max(1.0),
                    "{acquisition} {by_difference} {}",
                    slope[k]
                );
            }
            let own = worth.own(latent, &model);
            let sound = match acquisition {
                Acquisition::ExpectedImprovement => {
                    let believed = model.scale().own(Latent {
                        mean: latent.mean,
                        variance: latent.variance,
                    });
                    let best = model.scale().back(model.incumbent().1);
                    (own - expected_improvement(believed.0, believed.1, best)).abs() < 1e-6
                }
                Acquisition::UpperConfidenceBound => (900.0..1_100.0).contains(&own),
            };
            assert!(sound, "{acquisition}: {own}");
        }
    }
}
