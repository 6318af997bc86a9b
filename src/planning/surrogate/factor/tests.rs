//! Factors, inverses and solutions against the matrices that they are of.

use super::*;
use crate::training::philox::{philox, unit};

/// A positive definite matrix of this size.
fn matrix(n: usize) -> Vec<f64> {
    let number = |row: usize, column: usize| {
        f64::from(unit(philox([row as u32, column as u32, 0, 0], [1, 2])[0])) - 0.5
    };
    let mut all = vec![0.0; n * n];
    for row in 0..n {
        for column in 0..n {
            let product: f64 = (0..n + 3).map(|k| number(row, k) * number(column, k)).sum();
            all[row * n + column] = product + if row == column { 0.1 } else { 0.0 };
        }
    }
    all
}

#[test]
fn factor_inverse_and_solutions_are_right_at_every_size() {
    for n in 1..=37 {
        let whole = matrix(n);
        let factor = Factor::new(whole.clone(), n).unwrap();
        let inverse = factor.inverse();
        for row in 0..n {
            let mut unit = vec![0.0; n];
            unit[row] = 1.0;
            let column = factor.solve(&unit);
            for other in 0..n {
                let product: f64 = (0..n).map(|k| whole[other * n + k] * column[k]).sum();
                assert!((product - unit[other]).abs() < 1e-9, "{n}");
                let (low, high) = (row.min(other), row.max(other));
                assert!(
                    (inverse[high * n + low] - column[other]).abs() < 1e-9,
                    "{n}"
                );
            }
        }
    }
}

#[test]
fn a_row_that_is_added_is_as_if_it_had_been_there() {
    let n = 21;
    let whole = matrix(n);
    let mut grown = Factor::new(vec![whole[0]], 1).unwrap();
    for row in 1..n {
        assert!(grown.append(&whole[row * n..row * n + row], whole[row * n + row]));
    }
    let at_once = Factor::new(whole.clone(), n).unwrap();
    assert!((grown.log_determinant() - at_once.log_determinant()).abs() < 1e-9);
    let (one, two) = (grown.solve(&whole[..n]), at_once.solve(&whole[..n]));
    assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-9));
    let copy: Vec<f64> = whole[3 * n..4 * n].to_vec();
    assert!(!grown.append(&copy, whole[3 * n + 3]), "the same row twice");
    assert_eq!(grown.rows(), n);
}

#[test]
fn what_is_not_positive_definite_is_told() {
    assert!(Factor::new(vec![1.0, 0.0, 2.0, 1.0], 2).is_none());
    assert!(Factor::new(vec![1.0, 0.0, 1.0, 1.0], 2).is_none());
    assert!(Factor::new(vec![f64::NAN], 1).is_none());
    assert!(Factor::new(vec![1.0, 0.0, f64::NAN, 1.0], 2).is_none());
}
