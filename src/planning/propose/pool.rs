//! The points among which the search begins.

use super::judge::{CLOSE, Judge};
use crate::{
    planning::{director::Mode, sobol::Sobol},
    training::philox::philox,
};

/// Points that are tried for each one that is wanted, before fewer must do.
const TRIES: usize = 40;
/// Widths of the clouds around the best settings, as shares of the range.
const CLOUDS: [f64; 4] = [0.2, 0.05, 0.01, 0.003];

/// Every good setting of a small finite space; nothing of another one.
pub fn all_settings(judge: &Judge<'_>) -> Vec<Vec<f64>> {
    let all = 0..judge.space.settings().unwrap_or(0);
    all.map(|at| judge.space.setting(at))
        .filter(|point| judge.good(point))
        .collect()
}

/// Good points: evenly over the region of the mode, and in clouds around the best settings so far.
pub fn points(judge: &Judge<'_>, best: &[Vec<f64>], wanted: usize, seed: u64) -> Vec<Vec<f64>> {
    let sobol = Sobol::new(judge.space.dims(), seed);
    let mut found = Vec::with_capacity(wanted);
    let clouds = wanted / 3;
    for at in 0..(TRIES * wanted) as u32 {
        if found.len() + clouds >= wanted {
            break;
        }
        let mut point = sobol.point(at);
        if let (Mode::Exploit, Some(centre)) = (judge.mode(), judge.centre()) {
            close_in(&mut point, centre, judge.space.words());
        }
        keep(judge, point, &mut found);
    }
    if best.is_empty() {
        return found;
    }
    let key = [seed as u32, (seed >> 32) as u32];
    for at in 0..(TRIES * clouds) as u32 {
        if found.len() >= wanted {
            break;
        }
        let from = &best[at as usize % best.len()];
        let width = CLOUDS[at as usize / best.len() % CLOUDS.len()];
        keep(judge, beside(judge, from, width, at, key), &mut found);
    }
    found
}

fn keep(judge: &Judge<'_>, mut point: Vec<f64>, found: &mut Vec<Vec<f64>>) {
    judge.space.snap(&mut point);
    if judge.good(&point) {
        found.push(point);
    }
}

/// Moves the numbers of a point of the cube into the box around the centre.
fn close_in(point: &mut [f64], centre: &[f64], words: &[bool]) {
    for ((at, centre), word) in point.iter_mut().zip(centre).zip(words) {
        if !word {
            let (low, high) = ((centre - CLOSE).max(0.0), (centre + CLOSE).min(1.0));
            *at = low + *at * (high - low);
        }
    }
}

/// A point beside another one: some coordinates are moved, words and whole numbers now and then to any other value.
fn beside(judge: &Judge<'_>, from: &[f64], width: f64, number: u32, key: [u32; 2]) -> Vec<f64> {
    let share = |bits: u32| f64::from(bits) / 4_294_967_296.0;
    // Of many parameters only some change: a step in all of them is never a small one.
    let moved = (8.0 / from.len() as f64).clamp(0.2, 1.0);
    let step = |(k, at): (usize, &f64)| {
        let chance = philox([number, k as u32, 2, 0x706f_6f6c], key);
        if judge.space.count(k).is_some() && share(chance[3]) < 0.2 {
            return share(chance[2]);
        }
        if share(chance[3]) >= moved || judge.space.words()[k] {
            return *at;
        }
        // The difference of two uniform numbers: mostly short steps, and never beyond the width.
        (at + 2.0 * width * (share(chance[0]) - share(chance[1]))).clamp(0.0, 1.0)
    };
    from.iter().enumerate().map(step).collect()
}
