//! Maximising the acquisition: many points at once, then uphill from the best of them.

use super::{Candidate, Kind, judge::Judge, pool};
use crate::planning::{
    acquisition::Worth,
    director::Mode,
    space::NEAR,
    surrogate::{Feasibility, Surrogate, descent},
};

/// Starts of the local search.
const STARTS: usize = 5;
/// A parameter of more values than this is moved by steps, not to every value.
const LISTED: u64 = 16;
/// Steps of such a parameter, as shares of its range; besides there are those to its neighbours.
const STRIDES: [f64; 3] = [0.25, 0.06, 0.015];
/// Best settings that have clouds of points around them.
const BEST: usize = 3;

/// One search.
pub struct Search<'a, 'b> {
    /// What may be proposed.
    pub judge: &'a Judge<'b>,
    /// What results are expected.
    pub surrogate: &'a Surrogate,
    /// What failures are expected.
    pub feasibility: Option<&'a Feasibility>,
    /// What is maximised.
    pub worth: Worth,
}

/// The good points that the searches of one batch begin with: all of a small finite space, else so many that scoring them
/// takes about as long as the factor.
pub fn pool(judge: &Judge<'_>, surrogate: &Surrogate, seed: u64) -> Vec<Vec<f64>> {
    if judge.space.settings().is_some() {
        return pool::all_settings(judge);
    }
    let n = surrogate.observed();
    let wanted = (60_000_000 / (n * n + 10_000)).clamp(192, 1_500);
    pool::points(judge, &surrogate.best_points(BEST), wanted, seed)
}

impl Search<'_, '_> {
    /// The best point that is found from a pool on; none where no good one is.
    pub fn best(&self, pool: &[Vec<f64>]) -> Option<Vec<f64>> {
        let n = self.surrogate.observed();
        // What was taken since is no longer good.
        let pool = pool.iter().filter(|point| self.judge.fresh(point));
        let pool: Vec<Vec<f64>> = pool.cloned().collect();
        let worths = self.worths(&pool);
        let ranked = ranked(pool, worths);
        if self.judge.space.settings().is_some() {
            return ranked.into_iter().next().map(|(point, _)| point);
        }
        let starts = self.starts(&ranked, if n > 250 { 3 } else { STARTS });
        let climbed = starts.into_iter().filter_map(|start| self.climb(start));
        let top = ranked.into_iter().next();
        let all = climbed.chain(top);
        all.max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(point, _)| point)
    }

    /// The worth of good points.
    fn worths(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let mut worths: Vec<f64> = self
            .surrogate
            .latents(points)
            .into_iter()
            .map(|latent| self.worth.at(latent))
            .collect();
        if let Some(feasibility) = self.feasibility {
            for (worth, weight) in worths.iter_mut().zip(feasibility.weights(points)) {
                *worth += weight;
            }
        }
        worths
    }

    /// The best of the pool, but not two from the same place.
    fn starts(&self, ranked: &[(Vec<f64>, f64)], wanted: usize) -> Vec<(Vec<f64>, f64)> {
        let mut starts: Vec<(Vec<f64>, f64)> = Vec::new();
        for (point, worth) in ranked {
            let apart = |other: &(Vec<f64>, f64)| self.judge.space.distance(point, &other.0) > 0.05;
            if starts.iter().all(apart) {
                starts.push((point.clone(), *worth));
            }
            if starts.len() == wanted {
                break;
            }
        }
        starts
    }

    /// Goes uphill from a good point, along numbers by gradients and along all others by trying; ends at a good point.
    fn climb(&self, start: (Vec<f64>, f64)) -> Option<(Vec<f64>, f64)> {
        let mut at = start;
        for _ in 0..3 {
            let before = at.1;
            if let Some(better) = self.slide(&at.0).filter(|better| better.1 > at.1) {
                at = better;
            }
            if let Some(better) = self.step(&at.0).filter(|better| better.1 > at.1) {
                at = better;
            } else if at.1 <= before + 1e-6 {
                break;
            }
        }
        Some(at)
    }

    /// Along the numbers that are not counted.
    fn slide(&self, start: &[f64]) -> Option<(Vec<f64>, f64)> {
        let space = self.judge.space;
        let free = |k: usize| space.count(k).is_none();
        let end = |wall: f64| -> Vec<f64> {
            let ends = start.iter().enumerate();
            ends.map(|(k, at)| if free(k) { wall } else { *at })
                .collect()
        };
        if !(0..space.dims()).any(free) {
            return None;
        }
        let mut function = |at: &[f64], slope: &mut [f64]| {
            if !(self.judge.inside(at) && self.judge.allows(at)) {
                return None;
            }
            let (latent, by_mean, by_variance) = self.surrogate.latent_with_slopes(at);
            let (mut worth, mut rise) = self.worth.with_slope(latent, &by_mean, &by_variance);
            if let Some(feasibility) = self.feasibility {
                let (weight, by_weight) = feasibility.weight_with_slope(at);
                worth += weight;
                rise.iter_mut()
                    .zip(&by_weight)
                    .for_each(|(one, more)| *one += more);
            }
            slope
                .iter_mut()
                .zip(&rise)
                .for_each(|(out, rise)| *out = -rise);
            Some(-worth)
        };
        let steps = if self.surrogate.observed() > 250 {
            12
        } else {
            40
        };
        let (low, high) = (end(0.0), end(1.0));
        let (mut at, worth) = descent::minimise(start, (&low, &high), steps, 0.1, &mut function)?;
        space.snap(&mut at);
        if self.judge.good(&at) {
            return Some((at, -worth));
        }
        self.aside(&at)
    }

    /// The best good point just far enough from one that is a near duplicate.
    fn aside(&self, point: &[f64]) -> Option<(Vec<f64>, f64)> {
        let free = (0..point.len()).filter(|k| self.judge.space.count(*k).is_none());
        let moved = free.flat_map(|k| [-1.0, 1.0].map(|way| (k, way)));
        let points = moved.map(|(k, way)| {
            let mut other = point.to_vec();
            other[k] = (other[k] + way * 2.0 * NEAR).clamp(0.0, 1.0);
            other
        });
        let good: Vec<Vec<f64>> = points.filter(|point| self.judge.good(point)).collect();
        let worths = self.worths(&good);
        ranked(good, worths).into_iter().next()
    }

    /// The best point that differs in one counted parameter.
    fn step(&self, point: &[f64]) -> Option<(Vec<f64>, f64)> {
        let space = self.judge.space;
        let mut others = Vec::new();
        for k in 0..space.dims() {
            let Some(count) = space.count(k) else {
                continue;
            };
            let places: Vec<f64> = if count <= LISTED {
                (0..count)
                    .map(|at| (at as f64 + 0.5) / count as f64)
                    .collect()
            } else {
                let far = STRIDES.iter();
                let far = far.flat_map(|stride| [point[k] - stride, point[k] + stride]);
                far.chain(space.neighbours(k, point[k])).collect()
            };
            for place in places {
                let mut other = point.to_vec();
                other[k] = place.clamp(0.0, 1.0);
                space.snap(&mut other);
                if other[k] != point[k] && self.judge.good(&other) {
                    others.push(other);
                }
            }
        }
        let worths = self.worths(&others);
        ranked(others, worths).into_iter().next()
    }

    /// A point as a candidate, with what is expected of it.
    pub fn candidate(&self, point: &[f64], mode: Mode) -> Candidate {
        let latent = self.surrogate.latent(point);
        let gains = latent.mean < self.surrogate.incumbent().1;
        let failing = self
            .feasibility
            .map_or(0.0, |all| all.failing(&[point.to_vec()])[0]);
        Candidate {
            values: self.judge.space.decode(point),
            prediction: Some(self.surrogate.measured(latent)),
            acquisition: Some(self.worth.own(latent, self.surrogate)),
            failing,
            distance: self.judge.distance(point),
            kind: match mode {
                Mode::Recover => Kind::Recover,
                Mode::Exploit | Mode::Explore if gains => Kind::Exploit,
                Mode::Exploit | Mode::Explore => Kind::Explore,
            },
        }
    }
}

/// Points by their worth, the best first; a worth that is no number is left out.
fn ranked(points: Vec<Vec<f64>>, worths: Vec<f64>) -> Vec<(Vec<f64>, f64)> {
    let mut all: Vec<(Vec<f64>, f64)> = points.into_iter().zip(worths).collect();
    all.retain(|(_, worth)| !worth.is_nan());
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}
