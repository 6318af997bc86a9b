//! The surrogate against what can be computed by hand, and against itself fitted anew.

use super::*;
use crate::training::philox::philox;

const EFFORT: Effort = Effort {
    restarts: 1,
    steps: 40,
};

fn uniform(at: usize, k: usize) -> f64 {
    f64::from(philox([at as u32, k as u32, 9, 9], [5, 6])[0]) / 4_294_967_296.0
}

fn points(n: usize, d: usize) -> Vec<Vec<f64>> {
    (0..n)
        .map(|at| (0..d).map(|k| uniform(at, k)).collect())
        .collect()
}

fn data<'a>(words: &'a [bool], points: &'a [Vec<f64>], values: &'a [f64]) -> Data<'a> {
    Data {
        words,
        points,
        values,
        smaller_is_better: true,
    }
}

/// A process of given hyperparameters over plain numbers.
fn plain(points: &[Vec<f64>], values: &[f64], hyper: &Hyper) -> Surrogate {
    let mut all = Points::new(&vec![false; points[0].len()]);
    points.iter().for_each(|point| all.push(point));
    Surrogate::with(all, values.to_vec(), Scale::plain(), hyper.clone()).unwrap()
}

fn hyper(d: usize) -> Hyper {
    Hyper {
        lengths: vec![0.4; d],
        signal: 1.7,
        noise: 0.05,
    }
}

#[test]
fn two_results_by_hand() {
    let matern = |gap: f64| {
        let s = 5.0_f64.sqrt() * gap.abs() / 0.4;
        1.0 + 1.7 * (1.0 + s + s * s / 3.0) * (-s).exp()
    };
    let (x, y) = (vec![vec![0.2], vec![0.5]], [1.0, -0.4]);
    let model = plain(&x, &y, &hyper(1));
    let (own, cross) = (matern(0.0) + 0.05, matern(0.3));
    let determinant = own * own - cross * cross;
    let (a, b) = (matern(0.1), matern(0.2));
    let weights = [
        (own * a - cross * b) / determinant,
        (own * b - cross * a) / determinant,
    ];
    let told = model.latent(&[0.3]);
    assert!((told.mean - weights[0] * y[0] - weights[1] * y[1]).abs() < 1e-12);
    let variance = matern(0.0) - weights[0] * a - weights[1] * b;
    assert!((told.variance - variance).abs() < 1e-12);
    let predicted = model.predict(&[0.3]);
    assert!((predicted.sd - (variance + 0.05).sqrt()).abs() < 1e-12);
}

#[test]
fn leaving_one_out_is_fitting_without_it() {
    let x = points(14, 2);
    let y: Vec<f64> = x.iter().map(|x| (5.0 * x[0]).sin() + x[1]).collect();
    let told = plain(&x, &y, &hyper(2)).leave_one_out();
    assert_eq!(told.len(), 14);
    for at in 0..14 {
        let (mut rest, mut values) = (x.clone(), y.clone());
        rest.remove(at);
        values.remove(at);
        let refitted = plain(&rest, &values, &hyper(2)).predict(&x[at]);
        assert!((told[at].prediction.mean - refitted.mean).abs() < 1e-9);
        assert!((told[at].prediction.sd - refitted.sd).abs() < 1e-9);
        assert!((told[at].residual - (y[at] - refitted.mean) / refitted.sd).abs() < 1e-8);
    }
}

#[test]
fn gradients_are_those_of_small_differences() {
    let x = points(25, 3);
    let y: Vec<f64> = x.iter().map(|x| (4.0 * x[0]).sin() + x[1] * x[2]).collect();
    let model = plain(&x, &y, &hyper(3));
    let at = [0.31, 0.62, 0.47];
    let (latent, by_mean, by_variance) = model.latent_with_slopes(&at);
    assert!((latent.mean - model.latent(&at).mean).abs() < 1e-12);
    for k in 0..3 {
        let near = |step: f64| {
            let mut near = at;
            near[k] += step;
            model.latent(&near)
        };
        let (above, below) = (near(1e-5), near(-1e-5));
        assert!(((above.mean - below.mean) / 2e-5 - by_mean[k]).abs() < 1e-6);
        assert!(((above.variance - below.variance) / 2e-5 - by_variance[k]).abs() < 1e-6);
    }
}

#[test]
fn predictions_are_in_the_metrics_own_units_and_calibrated() {
    for smaller in [true, false] {
        let x = points(60, 2);
        let noise = |at: usize| {
            let all: f64 = (0..12).map(|k| uniform(at, 100 + k)).sum();
            2.0 * (all - 6.0)
        };
        let truth = |x: &[f64]| 5_000.0 + 300.0 * (x[0] - 0.5).powi(2) + 40.0 * x[1];
        let y: Vec<f64> = x
            .iter()
            .enumerate()
            .map(|(at, x)| truth(x) + noise(at))
            .collect();
        let data = Data {
            smaller_is_better: smaller,
            ..data(&[false; 2], &x, &y)
        };
        let model = Surrogate::fit(data, None, EFFORT, 1).unwrap();
        for at in points(70, 2).split_off(60) {
            let told = model.predict(&at);
            assert!(
                (told.mean - truth(&at)).abs() < 6.0,
                "{told:?} {}",
                truth(&at)
            );
            assert!(told.sd > 1.0 && told.sd < 6.0, "{told:?}");
        }
        assert!(
            (1.0..4.0).contains(&model.noise_sd()),
            "{}",
            model.noise_sd()
        );
        let told = model.calibration().unwrap();
        assert_eq!(told.n, 60);
        assert!(
            (0.3..0.75).contains(&told.inside_50) && told.inside_95 >= 0.85,
            "{told:?}"
        );
        assert!(told.mean_residual.abs() < 0.2, "{told:?}");
    }
}

#[test]
fn one_run_that_diverged_does_not_spoil_the_rest() {
    let x = points(40, 2);
    let truth = |x: &[f64]| 1.0 + (x[0] - 0.3).powi(2) + 0.2 * x[1];
    let mut y: Vec<f64> = x.iter().map(|x| truth(x)).collect();
    y[7] = 1e9;
    let model = Surrogate::fit(data(&[false; 2], &x, &y), None, EFFORT, 1).unwrap();
    let told = model.calibration().unwrap();
    assert!(
        told.inside_80 > 0.7 && told.mean_residual.abs() < 0.5,
        "{told:?}"
    );
    let left = &model.leave_one_out()[7];
    assert!(
        (left.value / 1e9 - 1.0).abs() < 1e-6 && left.residual > 1.0,
        "{left:?}"
    );
    let best = (0..40)
        .filter(|at| *at != 7)
        .min_by(|a, b| y[*a].total_cmp(&y[*b]))
        .unwrap();
    let told = model.predict(&x[best]);
    assert!((told.mean - y[best]).abs() < 0.5, "{told:?} {}", y[best]);
}

#[test]
fn duplicates_constants_single_results_and_lines_are_survived() {
    let word = [false, false, true];
    let many = |n: usize| vec![vec![0.4, 0.4, 0.25]; n];
    let line: Vec<Vec<f64>> = (0..80)
        .map(|at| vec![0.4 + 1e-9 * f64::from(at), 0.4, 0.25])
        .collect();
    let rising: Vec<f64> = (0..80).map(f64::from).collect();
    for (x, y) in [
        (many(1), vec![3.0]),
        (many(30), vec![3.0; 30]),
        (many(80), rising.clone()),
        (line, rising),
        (points(20, 3), vec![0.0; 20]),
        (points(3, 3), vec![1e300, -1e300, 0.0]),
    ] {
        let model = Surrogate::fit(data(&word, &x, &y), None, EFFORT, 1).unwrap();
        for at in [[0.4, 0.4, 0.25], [0.9, 0.1, 0.75]] {
            let told = model.predict(&at);
            assert!(
                told.mean.is_finite() && told.sd.is_finite() && told.sd > 0.0,
                "{told:?}"
            );
        }
        let all = model.leave_one_out();
        assert_eq!(all.len(), if x.len() < 2 { 0 } else { x.len() });
        assert!(all.iter().all(|one| one.residual.is_finite()));
    }
}

#[test]
fn noise_is_raised_until_the_covariance_can_be_factored() {
    let mut all = Points::new(&[false]);
    (0..20).for_each(|_| all.push(&[0.5]));
    let silent = Hyper {
        noise: 1e-18,
        ..hyper(1)
    };
    let model = Surrogate::with(all, vec![1.0; 20], Scale::plain(), silent).unwrap();
    assert!(model.hyper().noise > 1e-12);
    assert!((model.latent(&[0.5]).mean - 1.0).abs() < 1e-3);
}

#[test]
fn what_is_no_number_is_refused() {
    let x = points(3, 2);
    let fit = |x: &[Vec<f64>], y: &[f64]| {
        Surrogate::fit(data(&[false; 2], x, y), None, EFFORT, 1).map(|_| ())
    };
    assert!(fit(&x, &[1.0, f64::NAN, 2.0]).is_err());
    assert!(fit(&x, &[1.0, f64::INFINITY, 2.0]).is_err());
    assert!(fit(&x, &[1.0]).is_err() && fit(&[], &[]).is_err());
    assert!(fit(&[vec![f64::NAN, 0.0]], &[1.0]).is_err());
    assert!(fit(&[vec![0.5]], &[1.0]).is_err());
}

#[test]
fn what_is_believed_changes_no_mean_and_takes_uncertainty_away() {
    let x = points(12, 2);
    let y: Vec<f64> = x.iter().map(|x| x[0] - x[1]).collect();
    let mut model = plain(&x, &y, &hyper(2));
    let at = [0.55, 0.15];
    let before = model.latent(&at);
    model.believe(&at);
    let after = model.latent(&at);
    assert!((after.mean - before.mean).abs() < 1e-9);
    assert!(after.variance < before.variance && after.variance < 0.05);
    let elsewhere = plain(&x, &y, &hyper(2)).latent(&[0.9, 0.9]);
    assert!((model.latent(&[0.9, 0.9]).mean - elsewhere.mean).abs() < 1e-9);
    assert_eq!(model.leave_one_out().len(), 12, "beliefs are not results");
    assert_eq!(model.observed(), 12);
}

#[test]
fn of_too_many_results_the_best_and_the_newest_stay() {
    let values: Vec<f64> = (0..20).map(|at| f64::from(at * 7 % 20)).collect();
    let kept = kept(&values, 8);
    assert_eq!(kept.len(), 8);
    for best in [0.0, 1.0, 2.0, 3.0] {
        assert!(kept.iter().any(|at| values[*at] == best));
    }
    assert!(kept.contains(&19) && kept.contains(&18));
    let some = sample(&values, 9);
    assert_eq!(some.len(), 9);
    assert!(some.windows(2).all(|pair| pair[0] < pair[1]));
}
