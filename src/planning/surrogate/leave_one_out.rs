//! How far the surrogate can be trusted: each result is predicted from all others, and compared.
//!
//! In closed form with the hyperparameters of the whole (Rasmussen and Williams 2006, equations 5.10 to 5.12):
//! `mean_i = y_i - a_i / (K^-1)_ii` and `variance_i = 1 / (K^-1)_ii`, where `a = K^-1 y`.

use super::{Prediction, Surrogate, scale::Latent};
use serde::{Deserialize, Serialize};

/// Half the width in standard deviations of the intervals that hold 50, 80 and 95 % of normal numbers.
const WIDTHS: [f64; 3] = [
    0.674_489_750_196_081_7,
    1.281_551_565_544_600_5,
    1.959_963_984_540_054,
];
/// A residual beyond this counts as this much in the mean: one run that diverged is told by [`Calibration::outliers`].
const CAP: f64 = 3.0;

/// A result beside its prediction from all others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What was predicted without it, in the metric's own units.
    pub prediction: Prediction,
    /// The result, in the metric's own units.
    pub value: f64,
    /// By how many of the prediction's standard deviations the result was worse; negative where it was better.
    pub residual: f64,
}

/// How well predictions and results agree, over all results of the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Over how many results.
    pub n: usize,
    /// Share of them inside the interval that should hold 50 %.
    pub inside_50: f64,
    /// Share of them inside the interval that should hold 80 %.
    pub inside_80: f64,
    /// Share of them inside the interval that should hold 95 %.
    pub inside_95: f64,
    /// Mean of the residuals, those beyond 3 counted as 3; near 0 for predictions without bias.
    pub mean_residual: f64,
    /// How many residuals lie beyond 3.
    pub outliers: usize,
}

impl Surrogate {
    /// Every result with its prediction from all others; those of believed points are left out. None with fewer than two
    /// results.
    pub fn leave_one_out(&self) -> Vec<LeftOut> {
        if self.observed < 2 {
            return Vec::new();
        }
        let inverse = self.factor.inverse_diagonal();
        let one = |at: usize| {
            let variance = 1.0 / inverse[at];
            let mean = self.values[at] - self.solved[at] * variance;
            let (own, sd) = self.scale.own(Latent { mean, variance });
            LeftOut {
                prediction: Prediction { mean: own, sd },
                value: self.scale.back(self.values[at]),
                residual: (self.values[at] - mean) / variance.sqrt(),
            }
        };
        (0..self.observed).map(one).collect()
    }

    /// How far its predictions can be trusted; none with fewer than two results.
    pub fn calibration(&self) -> Option<Calibration> {
        Calibration::of(&self.leave_one_out())
    }
}

impl Calibration {
    /// That of these residuals; none where there is none.
    pub fn of(all: &[LeftOut]) -> Option<Self> {
        let n = all.len();
        let share = |width: f64| {
            let inside = all.iter().filter(|one| one.residual.abs() <= width).count();
            inside as f64 / n as f64
        };
        let capped = all.iter().map(|one| one.residual.clamp(-CAP, CAP));
        (n > 0).then(|| Self {
            n,
            inside_50: share(WIDTHS[0]),
            inside_80: share(WIDTHS[1]),
            inside_95: share(WIDTHS[2]),
            mean_residual: capped.sum::<f64>() / n as f64,
            outliers: all
                .iter()
                .filter(|one| one.residual.is_nan() || one.residual.abs() > CAP)
                .count(),
        })
    }
}
