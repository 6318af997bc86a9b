//! Deals components to splits so that shares hold overall and in every stratum.
//!
//! Components are laid in a row, stratum by stratum, large before small and in drawn order among equals, and dealt by the
//! method of Tijdeman (The chairman assignment problem, 1980): at every point of the row each split is within 3/4 of a
//! component of its due. So it is in every stretch, within twice that, and a stratum is a stretch.

use super::{Member, Settings, Summary, components::Components, draw};
use crate::curation::words::Split;
use std::{cmp::Reverse, collections::BTreeMap};

/// The splits in the order of the shares.
const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// Parts of one; all is trained on where they say nothing.
fn shares(settings: &Settings) -> [f64; 3] {
    let clean = settings
        .shares
        .map(|share| if share > 0.0 { share } else { 0.0 });
    let sum: f64 = clean.iter().sum();
    if sum > 0.0 && sum.is_finite() {
        clean.map(|share| share / sum)
    } else {
        [1.0, 0.0, 0.0]
    }
}

/// A component with more rows than this would fill the validation or the test split alone.
pub(super) fn giant(rows: usize, settings: &Settings) -> u32 {
    let [_, validation, test] = shares(settings);
    let least = [validation, test]
        .into_iter()
        .filter(|share| *share > 0.0)
        .fold(1.0, f64::min);
    ((rows as f64 * least) as u32).max(1)
}

/// Places what has no split yet.
pub(super) fn share(
    members: &[Member],
    components: &Components,
    settings: &Settings,
    giant: u32,
    fates: &mut [Option<Split>],
    summary: &mut Summary,
) {
    // Giants are placed beforehand and the others make up for them everywhere, not only behind them in the row.
    let mut beforehand = [0_u64; 3];
    let mut row = Vec::new();
    let mut total = 0_u64;
    for (c, fate) in fates.iter_mut().enumerate() {
        let rows = components.rows(c);
        if *fate == Some(Split::TestUnseenTemplate) {
            continue;
        }
        total += u64::from(rows);
        if rows <= giant {
            row.push(c as u32);
            continue;
        }
        if fate.is_none() {
            summary.giants.add(rows);
        }
        let split = *fate.get_or_insert(Split::Train);
        beforehand[at(split)] += u64::from(rows);
    }
    let order = |c: &u32| {
        let c = *c as usize;
        let key = components.key(members, c);
        let size = Reverse(components.rows(c).ilog2());
        (
            stratum(members, components, c),
            size,
            draw(settings.seed, key),
            key,
        )
    };
    row.sort_by_cached_key(order);
    let wanted = shares(settings);
    let left: [f64; 3] =
        std::array::from_fn(|s| (wanted[s] * total as f64 - beforehand[s] as f64).max(0.0));
    deal(components, &row, left, fates);
    fill_empty(members, components, settings, fates);
}

/// Its place among [`SPLITS`].
fn at(split: Split) -> usize {
    SPLITS.iter().position(|of| *of == split).unwrap_or(0)
}

/// The most frequent stratum of a component; of equals the smallest.
fn stratum(members: &[Member], components: &Components, component: usize) -> u64 {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for row in components.of_component(component) {
        *counts.entry(members[row].stratum).or_default() += 1;
    }
    let most = counts
        .into_iter()
        .max_by_key(|(stratum, rows)| (*rows, Reverse(*stratum)));
    most.map_or(0, |(stratum, _)| stratum)
}

/// Goes along the row. What has a split takes its place there, so that the same rows are dealt the same again.
fn deal(components: &Components, row: &[u32], left: [f64; 3], fates: &mut [Option<Split>]) {
    let sum: f64 = left.iter().sum();
    let parts = left.map(|rows| rows / sum);
    let (mut passed, mut given) = (0_u64, [0_u64; 3]);
    for c in row {
        let rows = u64::from(components.rows(*c as usize));
        passed += rows;
        let due: [f64; 3] = std::array::from_fn(|s| parts[s] * passed as f64 - given[s] as f64);
        let split = fates[*c as usize].get_or_insert_with(|| SPLITS[next(due, parts, rows as f64)]);
        given[at(*split)] += rows;
    }
}

/// Of the splits that may take a component without getting ahead too far, the one that would be late first.
fn next(due: [f64; 3], parts: [f64; 3], rows: f64) -> usize {
    let late = |s: usize| (0.75 * rows - due[s]) / parts[s];
    (0..3)
        .filter(|s| due[*s] >= 0.25 * rows && parts[*s] > 0.0)
        .min_by(|a, b| late(*a).total_cmp(&late(*b)))
        .unwrap_or(0)
}

/// Gives every split with a share a component, as far as there are enough: train first, then test, then validation.
fn fill_empty(
    members: &[Member],
    components: &Components,
    settings: &Settings,
    fates: &mut [Option<Split>],
) {
    let wanted = shares(settings);
    let mut counts = [0_usize; 3];
    for split in fates.iter().flatten().filter(|of| SPLITS.contains(of)) {
        counts[at(*split)] += 1;
    }
    let needed: Vec<usize> = [Split::Train, Split::Test, Split::Validation]
        .map(at)
        .into_iter()
        .filter(|split| wanted[*split] > 0.0)
        .take(counts.iter().sum())
        .collect();
    for split in &needed {
        if counts[*split] > 0 {
            continue;
        }
        let from = |c: usize| fates[c].and_then(|of| SPLITS.iter().position(|split| *split == of));
        let may_go = |c: &usize| {
            from(*c).is_some_and(|from| counts[from] > usize::from(needed.contains(&from)))
                && (components.of_component(*c)).all(|row| members[row].frozen.is_none())
        };
        // The smallest of the fullest split: what is moved from it is missed least.
        let least = (0..components.len()).filter(may_go).min_by_key(|c| {
            let left = from(*c).map(|from| counts[from]);
            let key = components.key(members, *c);
            let draw = draw(settings.seed, key);
            (Reverse(left), components.rows(*c), draw, key)
        });
        if let Some((c, from)) = least.and_then(|c| Some((c, from(c)?))) {
            counts[from] -= 1;
            counts[*split] += 1;
            fates[c] = Some(SPLITS[*split]);
        }
    }
}
