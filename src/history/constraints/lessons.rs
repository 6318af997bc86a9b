//! Regions that hold failures and no success, the simplest that explain the most: by one believed parameter, by two
//! together, then by any other parameter that separates failures from successes better than chance would.
//!
//! Where several explain the same failures equally well, all of them together are taken: the region that forbids least.

use super::grid::{Grid, Region, inside};

/// Of one cause and scope at most so many regions are learned.
const MOST: usize = 16;
/// Rows from which regions of several parameters begin.
const ANCHORS: usize = 32;
/// How probable it may be that a parameter that is not believed separates by chance.
const CHANCE: f64 = 0.05;

/// A region, and what speaks against taking it although it explains as much as another.
struct Candidate {
    region: Region,
    /// Numbers of the failures in it that nothing explains yet.
    covered: Vec<usize>,
    /// What it costs not to be simple, in failures.
    cost: f64,
}

/// The regions that explain the failures of a grid.
pub fn lessons(grid: &Grid) -> Vec<Region> {
    let mut open: Vec<usize> = (0..grid.failed.len()).collect();
    let mut found: Vec<Region> = Vec::new();
    while !open.is_empty() && found.len() < MOST {
        let mut all = singles(grid, &open);
        let anchors = anchors(grid, &open);
        for anchor in &anchors {
            pairs(grid, &open, *anchor, &mut all);
        }
        if all.is_empty() {
            all.extend(
                anchors
                    .iter()
                    .filter_map(|anchor| whole(grid, &open, *anchor)),
            );
        }
        let Some(region) = simplest(grid, all) else {
            break;
        };
        open.retain(|row| !inside(&region, &grid.failed[*row]));
        found.push(region);
    }
    found
}

/// The candidate that explains most, joined with all that explain the same at the same cost.
fn simplest(grid: &Grid, all: Vec<Candidate>) -> Option<Region> {
    let worth = |one: &Candidate| one.covered.len() as f64 - one.cost;
    let best = all
        .iter()
        .fold(None, |best: Option<&Candidate>, one| match best {
            Some(best) if worth(best) >= worth(one) => Some(best),
            _ => Some(one),
        })?;
    let mut ways: Vec<usize> = all
        .iter()
        .filter(|one| one.cost == best.cost && one.covered == best.covered)
        .flat_map(|one| one.region.iter().map(|(way, _)| *way))
        .collect();
    ways.sort_unstable();
    ways.dedup();
    let lowest = |way: usize| {
        let heights = best.covered.iter().map(|row| grid.failed[*row][way]);
        heights.fold(f64::INFINITY, f64::min)
    };
    Some(ways.into_iter().map(|way| (way, lowest(way))).collect())
}

/// The greatest height of rows on a way.
fn greatest<'a>(rows: impl Iterator<Item = &'a Vec<f64>>, way: usize) -> f64 {
    rows.map(|row| row[way]).fold(f64::NEG_INFINITY, f64::max)
}

/// Regions of one way: what lies above everything that was good.
fn singles(grid: &Grid, open: &[usize]) -> Vec<Candidate> {
    let doubted = grid.ways.iter().filter(|way| !way.believed).count();
    let single = |way: usize| {
        let limit = greatest(grid.good.iter(), way);
        let above = |row: &&usize| grid.failed[**row][way] > limit;
        let covered: Vec<usize> = open.iter().filter(above).copied().collect();
        let believed = grid.ways[way].believed;
        let word = grid.ways[way].is_word();
        let beside = grid.completed(|row| word || !row[way].is_nan());
        let shown = believed || chance(beside, covered.len(), doubted) <= CHANCE;
        (!covered.is_empty() && shown).then(|| Candidate {
            region: vec![(way, f64::NAN)],
            covered,
            cost: if believed { 0.0 } else { 2.0 },
        })
    };
    (0..grid.ways.len()).filter_map(single).collect()
}

/// The probability, times the number of tries, that all of some failures lie beyond all of some successes by chance.
fn chance(good: usize, failed: usize, tries: usize) -> f64 {
    let ways = (1..=failed).map(|k| (good + k) as f64 / k as f64);
    tries as f64 / ways.product::<f64>()
}

/// Rows from which regions begin: those that are low on the believed ways, because they explain most.
fn anchors(grid: &Grid, open: &[usize]) -> Vec<usize> {
    let believed = grid.ways.iter().take_while(|way| way.believed).count();
    let mut ranked: Vec<(usize, Vec<u64>, usize)> = open
        .iter()
        .map(|row| {
            let mine = &grid.failed[*row][..believed];
            let beyond = open.iter().take(512).filter(|other| {
                let other = &grid.failed[**other][..believed];
                mine.iter().zip(other).all(|(mine, other)| other >= mine)
            });
            let bits = mine.iter().map(|height| height.to_bits()).collect();
            (open.len() - beyond.count(), bits, *row)
        })
        .collect();
    ranked.sort();
    ranked.dedup_by(|a, b| a.1 == b.1);
    ranked
        .into_iter()
        .take(ANCHORS)
        .map(|(_, _, row)| row)
        .collect()
}

/// Regions of two ways that begin at a row: one believed, and any other.
fn pairs(grid: &Grid, open: &[usize], anchor: usize, all: &mut Vec<Candidate>) {
    let at = &grid.failed[anchor];
    let believed = grid.ways.iter().take_while(|way| way.believed).count();
    let tries = believed * (grid.ways.len() - believed);
    for first in (0..believed).filter(|way| !at[*way].is_nan()) {
        let beyond: Vec<&Vec<f64>> = grid
            .good
            .iter()
            .filter(|row| row[first] >= at[first])
            .collect();
        for second in (first + 1..grid.ways.len()).filter(|way| !at[*way].is_nan()) {
            if greatest(beyond.iter().copied(), second) >= at[second] {
                continue;
            }
            let region = vec![(first, at[first]), (second, at[second])];
            let covered = open
                .iter()
                .filter(|row| inside(&region, &grid.failed[**row]));
            let covered: Vec<usize> = covered.copied().collect();
            let both = grid.ways[second].believed;
            let shown = || {
                let beside = grid.completed(|row| row[first] >= at[first]);
                chance(beside, covered.len(), tries) <= CHANCE
            };
            if both || shown() {
                all.push(Candidate {
                    region,
                    covered,
                    cost: if both { 0.5 } else { 1.5 },
                });
            }
        }
    }
}

/// Everything that is at least as high as a row on all believed ways.
fn whole(grid: &Grid, open: &[usize], anchor: usize) -> Option<Candidate> {
    let at = &grid.failed[anchor];
    let believed = (0..grid.ways.len()).filter(|way| grid.ways[*way].believed);
    let region: Region = believed
        .filter(|way| !at[*way].is_nan())
        .map(|way| (way, at[way]))
        .collect();
    let free = !region.is_empty() && !grid.good.iter().any(|row| inside(&region, row));
    let covered = open
        .iter()
        .filter(|row| inside(&region, &grid.failed[**row]));
    let covered = covered.copied().collect();
    free.then_some(Candidate {
        region,
        covered,
        cost: 3.0,
    })
}
