//! Hyperparameters by maximum a posteriori, with analytic gradients (Rasmussen and Williams 2006, equations 5.8, 5.9).
//!
//! Searched over `t = (ln length_1 .. ln length_d, ln signal, ln noise)`. What is minimised, with K the covariance of the n
//! results y:
//!
//! ```text
//! 1/2 y' K^-1 y + 1/2 ln |K| - ln p(t)        d/dt_j = 1/2 sum_ik (K^-1 - a a')_ik dK_ik/dt_j - d ln p / dt_j,  a = K^-1 y
//! ```
//!
//! All have log-normal priors. That of the lengths grows with the root of the number of parameters (Hvarfner, Hellsten and
//! Nardi, "Vanilla Bayesian optimization performs great in high dimensions", ICML 2024), but is narrower than theirs: with
//! ten times as many results as parameters at most, little speaks against a length that is far too long.

use super::{
    descent,
    factor::Factor,
    kernel::{Hyper, MEAN, Points},
};
use crate::training::philox::philox;

/// Least and greatest ln length.
const LENGTHS: (f64, f64) = (-5.0, 4.0);
/// Least and greatest ln signal.
const SIGNALS: (f64, f64) = (-6.0, 5.0);
/// Least and greatest ln noise: the least keeps covariances far from singular.
const NOISES: (f64, f64) = (-16.1, 1.0);
/// Mean and sd of the prior of ln length, less half the logarithm of the number of parameters.
const LENGTH_PRIOR: (f64, f64) = (-1.1, 1.0);
/// Mean and sd of the prior of ln signal.
const SIGNAL_PRIOR: (f64, f64) = (0.0, 1.0);
/// Mean and sd of the prior of ln noise.
const NOISE_PRIOR: (f64, f64) = (-9.0, 3.0);

/// How long to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Starts besides the first one.
    pub restarts: u32,
    /// Steps from each.
    pub steps: usize,
}

fn from_logs(logs: &[f64]) -> Hyper {
    let d = logs.len() - 2;
    Hyper {
        lengths: logs[..d].iter().map(|log| log.exp()).collect(),
        signal: logs[d].exp(),
        noise: logs[d + 1].exp(),
    }
}

fn to_logs(hyper: &Hyper) -> Vec<f64> {
    let rest = [&hyper.signal, &hyper.noise];
    hyper
        .lengths
        .iter()
        .chain(rest)
        .map(|one| one.ln())
        .collect()
}

/// The priors of all logs: mean and sd.
fn priors(dims: usize) -> Vec<(f64, f64)> {
    let (mean, sd) = LENGTH_PRIOR;
    let mut all = vec![(mean + 0.5 * (dims as f64).ln(), sd); dims];
    all.extend([SIGNAL_PRIOR, NOISE_PRIOR]);
    all
}

/// The hyperparameters before anything is known of `dims` parameters.
pub fn prior(dims: usize) -> Hyper {
    let modes: Vec<f64> = priors(dims).into_iter().map(|(mean, _)| mean).collect();
    from_logs(&modes)
}

/// The factor of the covariance of all points with their noise; none where rounding makes it singular.
pub fn factor(points: &Points, hyper: &Hyper) -> Option<Factor> {
    let n = points.len();
    let mut numbers = vec![0.0; n * n];
    for row in 0..n {
        let out = &mut numbers[row * n..row * n + row];
        points.covariances(hyper, &points.point(row), out);
        numbers[row * n + row] = MEAN + hyper.signal + hyper.noise;
    }
    Factor::new(numbers, n)
}

/// The negative logarithm of the posterior density of these logs, but for a constant, and its gradient. None where the
/// covariance is not positive definite.
pub fn loss(points: &Points, values: &[f64], logs: &[f64], slope: &mut [f64]) -> Option<f64> {
    let (n, d, hyper) = (points.len(), points.dims(), from_logs(logs));
    let (mut numbers, mut rises) = (vec![0.0; n * n], vec![0.0; n * n]);
    for row in 0..n {
        let (out, rise) = (
            &mut numbers[row * n..row * n + row],
            &mut rises[row * n..row * n + row],
        );
        points.covariances_with_slopes(&hyper, &points.point(row), out, rise);
    }
    let mut whole = numbers.clone();
    for row in 0..n {
        whole[row * n + row] = MEAN + hyper.signal + hyper.noise;
    }
    let factor = Factor::new(whole, n)?;
    let solved = factor.solve(values);
    let inverse = factor.inverse();
    let fit: f64 = values.iter().zip(&solved).map(|(y, a)| y * a).sum();
    let mut sums = vec![vec![0.0; n]; d];
    let (mut by_signal, mut by_noise, mut weights) = (0.0, 0.0, vec![0.0; n]);
    for row in 0..n {
        let span = row * n..row * n + row;
        let pairs = inverse[span.clone()].iter().zip(&solved);
        let pairs = pairs.zip(numbers[span.clone()].iter().zip(&rises[span]));
        for (weight, ((inverse, other), (covariance, rise))) in weights.iter_mut().zip(pairs) {
            let pull = inverse - solved[row] * other;
            by_signal += pull * (covariance - MEAN);
            *weight = pull * rise;
        }
        points.gather(&hyper, &points.point(row), &weights[..row], &mut sums);
        let pull = inverse[row * n + row] - solved[row] * solved[row];
        by_signal += 0.5 * pull * hyper.signal;
        by_noise += 0.5 * pull * hyper.noise;
    }
    let mut value = 0.5 * (fit + factor.log_determinant());
    for (out, sums) in slope.iter_mut().zip(&sums) {
        *out = sums.iter().sum();
    }
    (slope[d], slope[d + 1]) = (by_signal, by_noise);
    for ((log, out), (mean, sd)) in logs.iter().zip(slope).zip(priors(d)) {
        let gap = (log - mean) / sd;
        value += 0.5 * gap * gap;
        *out += gap / sd;
    }
    Some(value)
}

/// The likeliest hyperparameters of n points and their standardised values, from `warm` on where it is given and has as
/// many parameters; the prior's where nothing better is found.
pub fn fit(
    points: &Points,
    values: &[f64],
    warm: Option<&Hyper>,
    effort: Effort,
    seed: u64,
) -> Hyper {
    let d = points.dims();
    let bounds = |pick: fn((f64, f64)) -> f64| {
        let mut all = vec![pick(LENGTHS); d];
        all.extend([pick(SIGNALS), pick(NOISES)]);
        all
    };
    let (low, high) = (bounds(|pair| pair.0), bounds(|pair| pair.1));
    let priors = priors(d);
    let mut starts: Vec<Vec<f64>> = vec![priors.iter().map(|(mean, _)| *mean).collect()];
    if let Some(warm) = warm.filter(|warm| sound(warm, d)) {
        starts.insert(0, to_logs(warm));
        starts.truncate(effort.restarts as usize + 1);
    }
    for at in 0..effort.restarts {
        let chance = |k: usize| {
            let bits = philox(
                [at, k as u32, 0, 0x6d61_7069],
                [seed as u32, (seed >> 32) as u32],
            );
            // A sum of uniform numbers: about normal, and never far out.
            bits.iter()
                .map(|one| f64::from(*one) / 4_294_967_296.0 - 0.5)
                .sum::<f64>()
                * 1.2
        };
        starts.push(
            priors
                .iter()
                .zip(0..)
                .map(|((mean, sd), k)| mean + sd * chance(k))
                .collect(),
        );
    }
    let mut best: Option<(Vec<f64>, f64)> = None;
    for start in starts {
        let mut function = |logs: &[f64], slope: &mut [f64]| loss(points, values, logs, slope);
        let found = descent::minimise(&start, (&low, &high), effort.steps, 1.0, &mut function);
        if let Some(found) = found
            && best.as_ref().is_none_or(|best| found.1 < best.1)
        {
            best = Some(found);
        }
    }
    best.map_or_else(|| prior(d), |(logs, _)| from_logs(&logs))
}

/// Whether hyperparameters that came from outside can be used for `dims` parameters.
fn sound(hyper: &Hyper, dims: usize) -> bool {
    let rest = [&hyper.signal, &hyper.noise];
    let mut all = hyper.lengths.iter().chain(rest);
    hyper.lengths.len() == dims && all.all(|one| one.is_finite() && *one > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(n: usize) -> (Points, Vec<f64>) {
        let mut points = Points::new(&[false, false, true]);
        let mut values = Vec::new();
        for at in 0..n {
            let bits =
                philox([at as u32, 7, 0, 0], [3, 4]).map(|one| f64::from(one) / 4_294_967_296.0);
            let word = if bits[2] < 0.5 { 0.25 } else { 0.75 };
            points.push(&[bits[0], bits[1], word]);
            values.push((6.0 * bits[0]).sin() + bits[1] * bits[1] + word + 0.1 * bits[3]);
        }
        (points, values)
    }

    #[test]
    fn the_gradient_is_that_of_small_differences() {
        let (points, values) = data(23);
        let logs = [-0.7, 0.2, 0.4, 0.3, -3.0];
        let mut slope = vec![0.0; 5];
        loss(&points, &values, &logs, &mut slope).unwrap();
        for k in 0..5 {
            let at = |step: f64| {
                let mut near = logs;
                near[k] += step;
                loss(&points, &values, &near, &mut [0.0; 5]).unwrap()
            };
            let by_difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (by_difference - slope[k]).abs() < 1e-6 * slope[k].abs().max(1.0),
                "{k}: {by_difference} {slope:?}"
            );
        }
    }

    #[test]
    fn the_fit_is_a_point_without_slope_and_beats_its_starts() {
        let (points, values) = data(30);
        let effort = Effort {
            restarts: 2,
            steps: 100,
        };
        let found = fit(&points, &values, None, effort, 1);
        let mut slope = vec![0.0; 5];
        let reached = loss(&points, &values, &to_logs(&found), &mut slope).unwrap();
        let start = loss(&points, &values, &to_logs(&prior(3)), &mut [0.0; 5]).unwrap();
        assert!(reached < start);
        assert!(slope.iter().all(|one| one.abs() < 0.01), "{slope:?}");
        assert_eq!(found, fit(&points, &values, None, effort, 1));
        let warm = fit(
            &points,
            &values,
            Some(&found),
            Effort {
                restarts: 0,
                steps: 5,
            },
            1,
        );
        assert!(loss(&points, &values, &to_logs(&warm), &mut slope).unwrap() <= reached + 1e-9);
        let foreign = Hyper {
            lengths: vec![f64::NAN],
            signal: -1.0,
            noise: 0.0,
        };
        assert_eq!(found, fit(&points, &values, Some(&foreign), effort, 1));
    }
}
