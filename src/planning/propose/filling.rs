//! Filling the space evenly, before there is a model.

use super::{Answer, Candidate, Kind, judge::Judge, pool};
use crate::planning::{sobol::Sobol, surrogate::Feasibility};

/// Points of the sequence that are looked at before it is said that nothing is left.
const TRIES: u32 = 20_000;
/// Once a run has failed, the one of so many good points that is likeliest to succeed is taken.
const CHOICE: usize = 16;

/// Takes the next points of Sobol's sequence that are good; what was taken before is passed over in it.
pub fn fill(
    judge: &mut Judge<'_>,
    feasibility: Option<&Feasibility>,
    count: usize,
    seed: u64,
) -> Answer {
    let mut answer = Answer::default();
    let wanted = if feasibility.is_some() { CHOICE } else { 1 };
    for _ in 0..count {
        let good = next(judge, wanted, seed);
        let failing = feasibility.map_or_else(|| vec![0.0; good.len()], |all| all.failing(&good));
        let pairs = good.into_iter().zip(failing);
        let Some((point, failing)) = pairs.min_by(|a, b| a.1.total_cmp(&b.1)) else {
            break;
        };
        answer.candidates.push(Candidate {
            values: judge.space.decode(&point),
            prediction: None,
            acquisition: None,
            failing,
            distance: judge.distance(&point),
            kind: Kind::SpaceFilling,
        });
        judge.take(&point);
    }
    answer
}

/// The next good points: by the sequence, and where that finds none in a finite space, by looking at every setting.
fn next(judge: &Judge<'_>, wanted: usize, seed: u64) -> Vec<Vec<f64>> {
    let sobol = Sobol::new(judge.space.dims(), seed);
    let start = judge.taken() as u32;
    let tries = if judge.space.settings().is_some() {
        256
    } else {
        TRIES
    };
    let points = (0..tries).map(|at| {
        let mut point = sobol.point(start.wrapping_add(at));
        judge.space.snap(&mut point);
        point
    });
    let found: Vec<_> = points
        .filter(|point| judge.good(point))
        .take(wanted)
        .collect();
    if found.is_empty() {
        pool::all_settings(judge).into_iter().take(wanted).collect()
    } else {
        found
    }
}
