//! Splits: which rows are trained on, which choose, which test.
//!
//! Rows that know of each other go together: those of one structure, of one text, of one source trajectory, and near
//! duplicates of free text. Such a component is in one split, so that nothing tested on was trained on in other clothes.
//! Generated rows are never tied by their texts, which are all alike. One template of each kind may be kept out for a
//! split of its own. Components that an earlier manifest tested on stay where they were, and draw what is tied to them
//! after them.
//!
//! The placement is a function of the set of rows, the settings and the seed: components are known by the smallest id in
//! them, and nothing depends on the order of the input.

mod components;
mod manifest;
mod share;
mod unseen;

pub use components::Ties;
pub use manifest::{Component, Frozen, Manifest, frozen_keys, thaw};
pub use unseen::KeptOut;

use super::words::Split;
use components::Components;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What the split needs to know of a row. Keys are hashes, made the same way in every cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: u128,
    /// Template and slots, of generated rows.
    pub structure: Option<u128>,
    /// The exact normalised text, of free text only.
    pub text: Option<u128>,
    /// The id of its source trajectory: its own, or its parent's.
    pub source: Option<u128>,
    /// The template; the same number in every cycle.
    pub template: Option<u32>,
    /// The analysis type.
    pub kind: Option<u32>,
    /// What the splits are to be alike in: analysis type, outcome and complexity.
    pub stratum: u64,
    /// Where an earlier manifest tests on it, see [`thaw`].
    pub frozen: Option<Split>,
}

/// What the placement depends on beside the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Parts of train, validation and test; they are divided by their sum.
    pub shares: [f64; 3],
    /// Decides among equals.
    pub seed: u64,
    /// Whether one template of each kind is kept out.
    pub unseen_template: bool,
    /// Templates that a kind must have for that.
    pub least_forms: u32,
    /// Templates that an earlier manifest kept out: they stay so, and no other of their kind is chosen.
    pub keep_out: BTreeSet<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shares: [0.8, 0.1, 0.1],
            seed: 0,
            unseen_template: true,
            least_forms: 4,
            keep_out: BTreeSet::new(),
        }
    }
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Components.
    pub components: u32,
    /// Rows in them.
    pub rows: u32,
}

impl Size {
    fn add(&mut self, rows: u32) {
        self.components += 1;
        self.rows += rows;
    }
}

/// What became of the rows, for the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Every split with rows.
    pub splits: BTreeMap<Split, Size>,
    /// Rows of the largest component.
    pub largest: u32,
    /// Components that would fill the validation or the test split alone, and are trained on whole.
    pub giants: Size,
    /// Components that are where an earlier manifest has them.
    pub frozen: Size,
    /// What was kept out, by kind.
    pub kept_out: Vec<KeptOut>,
    /// Kinds with templates enough of which none could be kept out: each is tied to a giant or a frozen component.
    pub not_kept_out: Vec<u32>,
    /// How many times each rule joined what was apart until then, in this order.
    pub ties: Ties,
}

/// Where every row is.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The component of each row; components are numbered by the smallest id in them.
    pub component: Vec<u32>,
    /// The split of each row.
    pub split: Vec<Split>,
    /// What there is to say of it.
    pub summary: Summary,
}

/// Places every row. `ties` are pairs of rows whose free texts are near duplicates; those with a generated row are
/// passed over.
///
/// Where shares and whole components do not agree: each split has its part within a row or a component, overall and in
/// each stratum; no split with a share is empty where there are components enough, with fewer the train split is filled
/// first, then test, then validation. A giant component is trained on, unless it is frozen or holds a template that stays
/// kept out. A frozen component stays in its split even if it holds a template that is now kept out; where both test
/// splits meet in one, it is in test.
///
/// # Panics
/// When there are 2^32 rows.
#[must_use]
pub fn place(members: &[Member], ties: &[(u32, u32)], settings: &Settings) -> Placed {
    let components = Components::of(members, ties);
    let mut fates = vec![None; components.len()];
    let mut summary = Summary {
        largest: (0..components.len())
            .map(|c| components.rows(c))
            .max()
            .unwrap_or(0),
        ties: components.ties,
        ..Summary::default()
    };
    for (c, fate) in fates.iter_mut().enumerate() {
        let frozen = components
            .of_component(c)
            .filter_map(|row| members[row].frozen);
        // Test comes before the unseen templates, which are for those alone.
        *fate = frozen.min_by_key(|split| *split != Split::Test);
        if fate.is_some() {
            summary.frozen.add(components.rows(c));
        }
    }
    let least = share::giant(members.len(), settings);
    unseen::keep_out(
        members,
        &components,
        settings,
        least,
        &mut fates,
        &mut summary,
    );
    share::share(
        members,
        &components,
        settings,
        least,
        &mut fates,
        &mut summary,
    );
    let of = |c: u32| fates[c as usize].expect("every component has a split by now");
    for (c, fate) in (0..).zip(&fates) {
        let split = fate.unwrap_or(Split::Train);
        summary
            .splits
            .entry(split)
            .or_default()
            .add(components.rows(c));
    }
    Placed {
        split: components.component.iter().map(|c| of(*c)).collect(),
        component: components.component,
        summary,
    }
}

/// A draw for `key`, the same on every machine: splitmix64 over its halves.
fn draw(seed: u64, key: u128) -> u64 {
    let mix = |state: u64| {
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    };
    mix(mix(mix(seed) ^ key as u64) ^ (key >> 64) as u64)
}

#[cfg(test)]
mod tests;
