//! The runs of an experiment: a full grid over choices, and points that fill the ranges.
//!
//! Ranges are filled by a Halton sequence whose digits are permuted at random (Owen 2017, "A randomized Halton algorithm in
//! R"): a function of the seed. Every cell of the grid has a stretch of one sequence to itself, so that each meets the whole of
//! every range. (Were the cells to take turns along it, two of them would share the first digit of the axis of base 2 between
//! them: one would have the lower half of that range, the other the upper.)

use crate::{
    parameters::{Assignment, Domain, Value},
    training::philox::philox,
};

/// The bases of the sequence: an axis each.
const PRIMES: [u32; 16] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53];
/// Ranges that can be filled at once.
pub const MOST_RANGES: usize = PRIMES.len();
/// Digits that are permuted: enough for a double in any base.
const DIGITS: u32 = 52;

/// Cells of the grid over the choices: 1 where there are none; none where they are too many to count.
pub fn cells(variables: &[(String, Domain)]) -> Option<usize> {
    let sizes = variables.iter().filter_map(|(_, domain)| match domain {
        Domain::Choice(values) => Some(values.len()),
        Domain::Range { .. } => None,
    });
    sizes.into_iter().try_fold(1_usize, usize::checked_mul)
}

/// Whether any variable is a range.
pub fn has_ranges(variables: &[(String, Domain)]) -> bool {
    let range = |one: &(String, Domain)| matches!(one.1, Domain::Range { .. });
    variables.iter().any(range)
}

/// `runs` points: the cells of the grid in turns, each with values of the ranges. Without ranges as many as there are cells.
pub fn points(variables: &[(String, Domain)], runs: usize, seed: u64) -> Vec<Assignment> {
    let cells = cells(variables).unwrap_or(usize::MAX);
    let runs = if has_ranges(variables) { runs } else { cells };
    let stretch = runs.div_ceil(cells.max(1));
    (0..runs)
        .map(|at| (at % cells, at / cells))
        .map(|(cell, turn)| point(variables, cell, cell * stretch + turn, seed))
        .collect()
}

/// The last variable changes first, as in nested loops.
fn point(variables: &[(String, Domain)], cell: usize, at: usize, seed: u64) -> Assignment {
    let (mut cell, mut all) = (cell, Assignment::new());
    for (name, domain) in variables.iter().rev() {
        if let Domain::Choice(values) = domain {
            all.insert(name.clone(), values[cell % values.len()].clone());
            cell /= values.len();
        }
    }
    let ranges = variables
        .iter()
        .filter(|one| has_ranges(std::slice::from_ref(one)));
    for ((name, domain), axis) in ranges.zip(0..) {
        let share = halton(at as u64, axis, seed);
        all.insert(name.clone(), placed(domain, share));
    }
    all
}

/// The value at a share of a range, with three digits that say something: what a person would have written.
fn placed(domain: &Domain, share: f64) -> Value {
    let Domain::Range {
        low,
        high,
        log,
        whole,
    } = domain
    else {
        return Value::Number(f64::NAN);
    };
    let at = if *log {
        (low.ln() + share * (high.ln() - low.ln())).exp()
    } else if *whole {
        // Every whole number has the same share.
        (low + (share * (high - low + 1.0)).floor()).min(*high)
    } else {
        low + share * (high - low)
    };
    if *whole {
        return Value::Whole(at.round().clamp(*low, *high) as i64);
    }
    Value::Number(three_digits(at).clamp(*low, *high))
}

fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// The radical inverse of `at` with the digits of each place permuted.
fn halton(at: u64, axis: usize, seed: u64) -> f64 {
    let base = PRIMES[axis % PRIMES.len()];
    let (mut rest, mut share, mut scale) = (at, 0.0, 1.0);
    for place in 0..DIGITS {
        scale /= f64::from(base);
        if scale < f64::EPSILON / 4.0 {
            break;
        }
        let digit = (rest % u64::from(base)) as u32;
        rest /= u64::from(base);
        share += f64::from(permuted(digit, base, (axis as u32, place), seed)) * scale;
    }
    share.min(1.0 - f64::EPSILON)
}

/// A digit's place in the permutation of one place of one axis: Fisher and Yates' shuffle up to it.
fn permuted(digit: u32, base: u32, (axis, place): (u32, u32), seed: u64) -> u32 {
    let mut order: Vec<u32> = (0..base).collect();
    for last in (1..base).rev() {
        let drawn = philox([last, place, axis, 0], [seed as u32, (seed >> 32) as u32])[0];
        let other = (u64::from(drawn) * u64::from(last + 1)) >> 32;
        order.swap(last as usize, other as usize);
    }
    order[digit as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &[(&str, &str)]) -> Vec<(String, Domain)> {
        all.iter()
            .map(|(name, domain)| (name.to_string(), Domain::parse(domain).unwrap()))
            .collect()
    }

    #[test]
    fn choices_make_a_full_grid() {
        let grid = variables(&[("r", "8,16,64"), ("s", "true,false")]);
        assert_eq!(cells(&grid), Some(6));
        let all = points(&grid, 0, 1);
        let said: Vec<String> = all
            .iter()
            .map(|one| format!("{}{}", one["r"], one["s"]))
            .collect();
        assert_eq!(
            said,
            ["8true", "8false", "16true", "16false", "64true", "64false"]
        );
    }

    #[test]
    fn ranges_are_filled_within_every_cell() {
        let mixed = variables(&[("r", "8,16"), ("lr", "1e-5..1e-3:log"), ("n", "1..4:int")]);
        for seed in [0, 1, 77] {
            let all = points(&mixed, 32, seed);
            for r in [8, 16] {
                let of: Vec<&Assignment> = all
                    .iter()
                    .filter(|one| one["r"].same(&Value::Whole(r)))
                    .collect();
                assert_eq!(of.len(), 16);
                let low = of.iter().filter(|one| one["lr"].number().unwrap() < 1e-4);
                assert!((6..=10).contains(&low.count()), "seed {seed}, r {r}");
                for n in 1..=4 {
                    let n = of
                        .iter()
                        .filter(|one| one["n"].same(&Value::Whole(n)))
                        .count();
                    assert!((1..=8).contains(&n), "seed {seed}, r {r}: {n}");
                }
            }
            assert!(mixed[1].1.includes(&Domain::Choice(
                all.iter().map(|one| one["lr"].clone()).take(1).collect()
            )));
            assert!(all.iter().all(|one| mixed[1].1.holds(&one["lr"])));
        }
        assert_eq!(points(&mixed, 8, 5), points(&mixed, 8, 5));
        assert_ne!(points(&mixed, 8, 5), points(&mixed, 8, 6));
    }

    #[test]
    fn one_axis_has_one_point_in_every_stratum() {
        for seed in [3, 4] {
            for (axis, base) in [(0, 2_usize), (1, 3), (2, 5)] {
                let n = base.pow(3);
                let mut seen = vec![0; n];
                for at in 0..n {
                    seen[(halton(at as u64, axis, seed) * n as f64) as usize] += 1;
                }
                assert!(
                    seen.iter().all(|count| *count == 1),
                    "seed {seed}, axis {axis}: {seen:?}"
                );
            }
        }
    }
}
