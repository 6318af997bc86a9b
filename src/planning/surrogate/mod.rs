//! The surrogate: a Gaussian process that predicts a metric from parameters (Rasmussen and Williams, "Gaussian processes
//! for machine learning", 2006, algorithm 2.1).
//!
//! Inside, results are standardised and smaller is better ([`scale`]); what it tells is in the metric's own units.

pub mod descent;
pub mod factor;
pub mod feasibility;
pub mod kernel;
pub mod leave_one_out;
pub mod normal;
pub mod posteriori;
pub mod scale;

pub use feasibility::Feasibility;
pub use kernel::Hyper;
pub use leave_one_out::{Calibration, LeftOut};
pub use posteriori::Effort;
pub use scale::Latent;

use factor::Factor;
use kernel::{MEAN, Points};
use scale::Scale;
use serde::{Deserialize, Serialize};

/// Results beyond this number are left out, the worst of the oldest first: the factor's time grows with its cube.
pub const MOST: usize = 1_000;
/// Hyperparameters are fitted to at most so many of them.
pub const FITTED: usize = 200;

/// What is expected of a run: its result as it will be measured, noise included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The mean, in the metric's own units.
    pub mean: f64,
    /// The standard deviation, in the metric's own units.
    pub sd: f64,
}

/// A Gaussian process that has seen some results.
#[derive(Clone, Debug)]
pub struct Surrogate {
    points: Points,
    /// Standardised results, one a point.
    values: Vec<f64>,
    scale: Scale,
    hyper: Hyper,
    factor: Factor,
    /// `K^-1 values`.
    solved: Vec<f64>,
    /// How many points come from results; the rest are believed.
    observed: usize,
}

/// What a fit is given: points of the unit cube with their results.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// Of each coordinate, whether its values have no order.
    pub words: &'a [bool],
    /// The points; as many numbers each as there are words.
    pub points: &'a [Vec<f64>],
    /// Their results, in the metric's own units.
    pub values: &'a [f64],
    /// Which way is better.
    pub smaller_is_better: bool,
}

/// Which results the model is made of: all, or the better half of [`MOST`] and the newest of the rest.
fn kept(values: &[f64], most: usize) -> Vec<usize> {
    let n = values.len();
    let mut order: Vec<usize> = (0..n).collect();
    if n > most {
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]).then(b.cmp(a)));
        let mut rest = order.split_off(most / 2);
        rest.sort_unstable_by(|a, b| b.cmp(a));
        order.extend(rest.into_iter().take(most - most / 2));
        order.sort_unstable();
    }
    order
}

/// The points that hyperparameters are fitted to: of many, the best third of [`FITTED`] and an even choice of the rest.
fn sample(values: &[f64], most: usize) -> Vec<usize> {
    let n = values.len();
    let mut order: Vec<usize> = (0..n).collect();
    if n > most {
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]).then(a.cmp(b)));
        let mut rest = order.split_off(most / 3);
        rest.sort_unstable();
        let wanted = most - order.len();
        order.extend((0..wanted).map(|at| rest[at * rest.len() / wanted]));
        order.sort_unstable();
    }
    order
}

fn pick(values: &[f64], places: &[usize]) -> Vec<f64> {
    places.iter().map(|at| values[*at]).collect()
}

impl Surrogate {
    /// Fits it; hyperparameters from `warm` on, where they are given.
    ///
    /// # Errors
    /// A sentence: there is no result, a number that is none, or points of another length.
    pub fn fit(
        data: Data<'_>,
        warm: Option<&Hyper>,
        effort: Effort,
        seed: u64,
    ) -> Result<Self, String> {
        let scale = check(data).map(|()| Scale::of(data.values, data.smaller_is_better))?;
        Self::fit_scaled(data, scale, warm, effort, seed)
    }

    fn fit_scaled(
        data: Data<'_>,
        scale: Scale,
        warm: Option<&Hyper>,
        effort: Effort,
        seed: u64,
    ) -> Result<Self, String> {
        let seen: Vec<f64> = data.values.iter().map(|value| scale.to(*value)).collect();
        let kept = kept(&seen, MOST);
        let mut points = Points::new(data.words);
        kept.iter().for_each(|at| points.push(&data.points[*at]));
        let values = pick(&seen, &kept);
        let some = sample(&values, FITTED);
        let hyper = posteriori::fit(
            &points.pick(&some),
            &pick(&values, &some),
            warm,
            effort,
            seed,
        );
        Self::with(points, values, scale, hyper)
    }

    /// The process of these hyperparameters, its noise raised until its covariance can be factored.
    fn with(
        points: Points,
        values: Vec<f64>,
        scale: Scale,
        mut hyper: Hyper,
    ) -> Result<Self, String> {
        for _ in 0..12 {
            if let Some(factor) = posteriori::factor(&points, &hyper) {
                return Ok(Self {
                    solved: factor.solve(&values),
                    observed: points.len(),
                    points,
                    values,
                    scale,
                    hyper,
                    factor,
                });
            }
            hyper.noise = (hyper.noise * 10.0).max(1e-10);
        }
        Err("the covariance of the results is singular".into())
    }

    /// What it has learned of the kernel.
    pub fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// How many results it rests on.
    pub fn observed(&self) -> usize {
        self.observed
    }

    /// The standard deviation of two runs of the same setting, in the metric's own units (of good results).
    pub fn noise_sd(&self) -> f64 {
        self.hyper.noise.sqrt() * self.scale.unit()
    }

    pub(crate) fn scale(&self) -> &Scale {
        &self.scale
    }

    /// What it believes of each point, without noise.
    pub fn latents(&self, points: &[Vec<f64>]) -> Vec<Latent> {
        let n = self.points.len();
        let mut rows = vec![0.0; n * points.len()];
        for (row, point) in rows.chunks_exact_mut(n).zip(points) {
            self.points.covariances(&self.hyper, point, row);
        }
        let mean = |row: &[f64]| {
            row.iter()
                .zip(&self.solved)
                .map(|(k, a)| k * a)
                .sum::<f64>()
        };
        let means: Vec<f64> = rows.chunks_exact(n).map(mean).collect();
        self.factor.solve_lower(&mut rows);
        let known = |row: &[f64]| row.iter().map(|one| one * one).sum::<f64>();
        let pairs = means.into_iter().zip(rows.chunks_exact(n).map(known));
        pairs
            .map(|(mean, known)| Latent {
                mean,
                variance: (MEAN + self.hyper.signal - known).max(0.0),
            })
            .collect()
    }

    /// What it believes of a point, without noise.
    pub fn latent(&self, point: &[f64]) -> Latent {
        self.latents(&[point.to_vec()])[0]
    }

    /// The same with the gradients of mean and variance; 0 along words.
    pub fn latent_with_slopes(&self, point: &[f64]) -> (Latent, Vec<f64>, Vec<f64>) {
        let n = self.points.len();
        let (mut row, mut rises) = (vec![0.0; n], vec![0.0; n]);
        self.points
            .covariances_with_slopes(&self.hyper, point, &mut row, &mut rises);
        let mean = row.iter().zip(&self.solved).map(|(k, a)| k * a).sum();
        self.factor.solve_lower(&mut row);
        let known: f64 = row.iter().map(|one| one * one).sum();
        self.factor.solve_upper(&mut row);
        let weigh = |by: &[f64], times: f64| -> Vec<f64> {
            let pairs = by.iter().zip(&rises);
            let weights: Vec<f64> = pairs.map(|(one, rise)| times * one * rise).collect();
            self.points.pull(&self.hyper, point, &weights)
        };
        let latent = Latent {
            mean,
            variance: (MEAN + self.hyper.signal - known).max(0.0),
        };
        (latent, weigh(&self.solved, -1.0), weigh(&row, 2.0))
    }

    /// What a run at this point is expected to measure.
    pub fn predict(&self, point: &[f64]) -> Prediction {
        self.measured(self.latent(point))
    }

    /// What a run is expected to measure of which this is believed.
    pub fn measured(&self, latent: Latent) -> Prediction {
        let (mean, sd) = self.scale.own(Latent {
            mean: latent.mean,
            variance: latent.variance + self.hyper.noise,
        });
        Prediction { mean, sd }
    }

    /// Takes the mean at a point for its result: a run that is still going on (the Kriging believer of Ginsbourger, Le Riche
    /// and Carraro, "Kriging is well-suited to parallelize optimization", 2010). A point that is known already changes
    /// nothing.
    pub fn believe(&mut self, point: &[f64]) {
        let mut row = vec![0.0; self.points.len()];
        self.points.covariances(&self.hyper, point, &mut row);
        let mean = row.iter().zip(&self.solved).map(|(k, a)| k * a).sum();
        let own = MEAN + self.hyper.signal + self.hyper.noise;
        if self.factor.append(&row, own) {
            self.points.push(point);
            self.values.push(mean);
            self.solved = self.factor.solve(&self.values);
        }
    }

    /// The best of all points by what the model believes of them without their noise: its place among the points and the
    /// mean there. What is believed counts, too.
    pub fn incumbent(&self) -> (usize, f64) {
        // K a = y, so that the mean without noise is y - noise a.
        let pairs = self.values.iter().zip(&self.solved);
        let means = pairs.map(|(value, solved)| value - self.hyper.noise * solved);
        let best = means.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        best.unwrap_or((0, 0.0))
    }

    /// The best points so far by what the model believes of them, the best first.
    pub fn best_points(&self, wanted: usize) -> Vec<Vec<f64>> {
        let pairs = self.values.iter().zip(&self.solved);
        let means: Vec<f64> = pairs.map(|(y, a)| y - self.hyper.noise * a).collect();
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|a, b| means[*a].total_cmp(&means[*b]));
        order.truncate(wanted);
        order.into_iter().map(|at| self.points.point(at)).collect()
    }

    /// The point at this place, among results and what is believed.
    pub fn point(&self, place: usize) -> Vec<f64> {
        self.points.point(place)
    }
}

fn check(data: Data<'_>) -> Result<(), String> {
    let (n, d) = (data.values.len(), data.words.len());
    if n == 0 {
        return Err("there is no result to learn from".into());
    }
    if data.points.len() != n || data.points.iter().any(|point| point.len() != d) {
        return Err(format!(
            "{n} results need as many points of {d} numbers each"
        ));
    }
    let odd = data.values.iter().find(|value| !value.is_finite());
    if let Some(odd) = odd {
        return Err(format!("a result is {odd}, which is no finite number"));
    }
    if data.points.iter().flatten().any(|at| !at.is_finite()) {
        return Err("a point has a coordinate that is no finite number".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
