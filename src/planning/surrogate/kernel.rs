//! The covariance of results: Matern 5/2 with a length for every parameter (Rasmussen and Williams 2006, equation 4.17 and
//! section 5.1), plus a constant mean that is itself uncertain (their section 2.7: a constant covariance).
//!
//! With scaled differences `d_k = (x_k - y_k) / length_k`, or `[x_k != y_k] / length_k` for words, and `r^2 = sum d_k^2`,
//!
//! ```text
//! k(x, y) = signal (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r) + MEAN
//! ```
//!
//! All variances are in units of the standardised results' variance.

use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

/// Variance of the constant mean.
pub const MEAN: f64 = 1.0;

const ROOT: f64 = 2.236_067_977_499_79;

/// What a surrogate has learned of its kernel; may be given to the next one to start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hyper {
    /// Of each parameter, over which share of its range results change: its length scale in the unit cube.
    pub lengths: Vec<f64>,
    /// Variance of what the parameters explain, where all results' is 1.
    pub signal: f64,
    /// Variance of what they do not explain.
    pub noise: f64,
}

/// Points of the unit cube, by coordinate: `columns[k][i]` is coordinate k of point i.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    n: usize,
    columns: Vec<Vec<f64>>,
    words: Vec<bool>,
}

/// Work that is compiled for the vectors of each kind of processor.
struct Wide<F>(F);

impl<F: FnOnce()> WithSimd for Wide<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        (self.0)();
    }
}

impl Points {
    /// No points yet, of coordinates of which some are words.
    pub fn new(words: &[bool]) -> Self {
        Self {
            n: 0,
            columns: vec![Vec::new(); words.len()],
            words: words.to_vec(),
        }
    }

    /// Adds a point.
    pub fn push(&mut self, point: &[f64]) {
        for (column, at) in self.columns.iter_mut().zip(point) {
            column.push(*at);
        }
        self.n += 1;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// How many coordinates each has.
    pub fn dims(&self) -> usize {
        self.columns.len()
    }

    /// The point at this place.
    pub fn point(&self, place: usize) -> Vec<f64> {
        self.columns.iter().map(|column| column[place]).collect()
    }

    /// Those at these places.
    pub fn pick(&self, places: &[usize]) -> Self {
        let pick = |column: &Vec<f64>| places.iter().map(|at| column[*at]).collect();
        Self {
            n: places.len(),
            columns: self.columns.iter().map(pick).collect(),
            words: self.words.clone(),
        }
    }

    /// The squares `r^2` from `point` to the first `out.len()` points.
    fn squares(&self, hyper: &Hyper, point: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        Arch::new().dispatch(Wide(
            #[inline(always)]
            || {
                for (k, column) in self.columns.iter().enumerate() {
                    let (at, scale) = (point[k], 1.0 / hyper.lengths[k]);
                    if self.words[k] {
                        for (sum, other) in out.iter_mut().zip(column) {
                            *sum += if *other == at { 0.0 } else { scale * scale };
                        }
                    } else {
                        for (sum, other) in out.iter_mut().zip(column) {
                            let gap = (other - at) * scale;
                            *sum += gap * gap;
                        }
                    }
                }
            },
        ));
    }

    /// The covariances of `point` with the first `out.len()` points.
    pub fn covariances(&self, hyper: &Hyper, point: &[f64], out: &mut [f64]) {
        self.squares(hyper, point, out);
        for one in out {
            let s = ROOT * one.sqrt();
            *one = MEAN + hyper.signal * (1.0 + s + s * s / 3.0) * (-s).exp();
        }
    }

    /// The covariances, and of each the factor g with `dk / dx_k = -g (x_k - y_k) / length_k^2`.
    pub fn covariances_with_slopes(
        &self,
        hyper: &Hyper,
        point: &[f64],
        out: &mut [f64],
        slopes: &mut [f64],
    ) {
        self.squares(hyper, point, out);
        for (one, slope) in out.iter_mut().zip(slopes) {
            let s = ROOT * one.sqrt();
            let decay = hyper.signal * (-s).exp();
            *slope = 5.0 / 3.0 * (1.0 + s) * decay;
            *one = MEAN + (1.0 + s + s * s / 3.0) * decay;
        }
    }

    /// Of weights w of the points, `sum w_i (x_k - x_ik) / length_k^2` for every number k; 0 for words.
    pub fn pull(&self, hyper: &Hyper, point: &[f64], weights: &[f64]) -> Vec<f64> {
        let along = |k: usize| {
            if self.words[k] {
                return 0.0;
            }
            let pairs = self.columns[k].iter().zip(weights);
            let sum: f64 = pairs
                .map(|(other, weight)| weight * (point[k] - other))
                .sum();
            sum / (hyper.lengths[k] * hyper.lengths[k])
        };
        (0..self.dims()).map(along).collect()
    }

    /// Adds, for every coordinate k and each of the first `weights.len()` points, `weight d_k^2` to `sums[k][i]`.
    pub fn gather(&self, hyper: &Hyper, point: &[f64], weights: &[f64], sums: &mut [Vec<f64>]) {
        Arch::new().dispatch(Wide(
            #[inline(always)]
            || {
                for (k, (column, sums)) in self.columns.iter().zip(sums).enumerate() {
                    let (at, scale) = (point[k], 1.0 / hyper.lengths[k]);
                    let all = sums.iter_mut().zip(column).zip(weights);
                    if self.words[k] {
                        for ((sum, other), weight) in all {
                            *sum += if *other == at {
                                0.0
                            } else {
                                weight * (scale * scale)
                            };
                        }
                    } else {
                        for ((sum, other), weight) in all {
                            let gap = (other - at) * scale;
                            *sum += weight * (gap * gap);
                        }
                    }
                }
            },
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pair_by_hand() {
        let mut points = Points::new(&[false, true]);
        points.push(&[0.2, 0.25]);
        let hyper = Hyper {
            lengths: vec![0.5, 2.0],
            signal: 3.0,
            noise: 0.1,
        };
        let mut out = [0.0];
        // r^2 = (0.3 / 0.5)^2 + 1 / 2^2.
        points.covariances(&hyper, &[0.5, 0.75], &mut out);
        let s = (5.0 * (0.36_f64 + 0.25)).sqrt();
        let by_hand = 1.0 + 3.0 * (1.0 + s + s * s / 3.0) * (-s).exp();
        assert!((out[0] - by_hand).abs() < 1e-14);
        points.covariances(&hyper, &[0.2, 0.25], &mut out);
        assert_eq!(out[0], 4.0, "variance at the point itself");
    }

    #[test]
    fn the_slope_is_that_of_small_differences() {
        let mut points = Points::new(&[false, false]);
        points.push(&[0.2, 0.9]);
        let hyper = Hyper {
            lengths: vec![0.5, 0.3],
            signal: 2.0,
            noise: 0.1,
        };
        let (mut out, mut slopes, at) = ([0.0], [0.0], [0.6, 0.5]);
        points.covariances_with_slopes(&hyper, &at, &mut out, &mut slopes);
        let slope = points.pull(&hyper, &at, &slopes);
        for k in 0..2 {
            let value = |step: f64| {
                let (mut near, mut out) = (at, [0.0]);
                near[k] += step;
                points.covariances(&hyper, &near, &mut out);
                out[0]
            };
            let by_difference = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((by_difference + slope[k]).abs() < 1e-8);
        }
    }
}
