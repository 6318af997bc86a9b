//! What a data set tests on, written down, so that no later one trains on it.

use super::{Member, Placed, Settings};
use crate::curation::words::Split;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of this file's form.
const VERSION: u32 = 1;

/// The split of a data set as it is stored. Keys are 32 hexadecimal digits: ids, structures, texts and sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the form: 1.
    pub version: u32,
    /// The seed of the split.
    pub seed: u64,
    /// Parts of train, validation and test that were asked for.
    pub shares: [f64; 3],
    /// Templates that are kept out.
    pub keep_out: BTreeSet<u32>,
    /// What is tested on, sorted by key; also what only earlier data sets had.
    pub test_components: Vec<Component>,
}

/// A component that is tested on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its smallest id.
    pub key: String,
    /// One of the two test splits.
    pub split: Split,
    /// Every key that one of its rows has, sorted.
    pub members: Vec<String>,
}

/// The keys that are tested on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    /// Each with its split.
    pub keys: BTreeMap<u128, Split>,
    /// Templates that are kept out, for [`Settings::keep_out`].
    pub keep_out: BTreeSet<u32>,
}

/// The keys by which a row is known again. Texts of generated rows are none.
fn keys(member: &Member) -> impl Iterator<Item = u128> {
    let text = member.text.filter(|_| member.structure.is_none());
    [Some(member.id), member.structure, text, member.source]
        .into_iter()
        .flatten()
}

fn tested(split: Split) -> bool {
    matches!(split, Split::Test | Split::TestUnseenTemplate)
}

/// Every key of a row that is tested on, sorted.
#[must_use]
pub fn frozen_keys(members: &[Member], placed: &Placed) -> Vec<u128> {
    let rows = members.iter().zip(&placed.split);
    let keys: BTreeSet<u128> = rows
        .filter(|(_, split)| tested(**split))
        .flat_map(|(member, _)| keys(member))
        .collect();
    keys.into_iter().collect()
}

/// Takes an earlier manifest's keys out of the store: every row that has one is marked with its split. Returns how many.
pub fn thaw(members: &mut [Member], frozen: &Frozen) -> usize {
    let mut found = 0;
    for member in members {
        let splits = keys(member).filter_map(|key| frozen.keys.get(&key).copied());
        let split = splits.min_by_key(|split| *split != Split::Test);
        found += usize::from(split.is_some());
        member.frozen = split.or(member.frozen);
    }
    found
}

impl Manifest {
    /// The manifest of a placement, with what `earlier` has and these rows do not: a cycle without a row must not free it
    /// for the cycles after.
    #[must_use]
    pub fn new(
        members: &[Member],
        placed: &Placed,
        settings: &Settings,
        earlier: Option<&Manifest>,
    ) -> Self {
        let mut of: BTreeMap<u32, (u128, Split, BTreeSet<u128>)> = BTreeMap::new();
        for (row, member) in members.iter().enumerate() {
            let split = placed.split[row];
            if tested(split) {
                let component = of.entry(placed.component[row]);
                let (key, _, all) = component.or_insert((member.id, split, BTreeSet::new()));
                *key = member.id.min(*key);
                all.extend(keys(member));
            }
        }
        let now = of.into_values().map(|(key, split, all)| Component {
            key: hex(key),
            split,
            members: all.into_iter().map(hex).collect(),
        });
        let mut test_components: Vec<Component> = now.collect();
        let known = test_components
            .iter()
            .flat_map(|component| component.members.clone());
        let known: BTreeSet<String> = known.collect();
        let before = earlier.map_or(&[][..], |earlier| &earlier.test_components);
        test_components.extend(
            before
                .iter()
                .filter_map(|component| absent(component, &known)),
        );
        test_components.sort_by(|a, b| (&a.key, &a.members).cmp(&(&b.key, &b.members)));
        let chosen = placed.summary.kept_out.iter().map(|kept| kept.template);
        let mut keep_out = settings.keep_out.clone();
        keep_out.extend(chosen);
        keep_out.extend(earlier.iter().flat_map(|earlier| &earlier.keep_out));
        Self {
            version: VERSION,
            seed: settings.seed,
            shares: settings.shares,
            keep_out,
            test_components,
        }
    }

    /// What later cycles must not train on.
    ///
    /// # Errors
    /// One sentence: another version, what is no key, or a split that is no test.
    pub fn frozen(&self) -> Result<Frozen, String> {
        if self.version != VERSION {
            return Err(format!(
                "the split manifest has version {} and not {VERSION}",
                self.version
            ));
        }
        let mut keys = BTreeMap::new();
        for component in &self.test_components {
            if !tested(component.split) {
                let Component { key, split, .. } = component;
                return Err(format!(
                    "component {key} of the split manifest is in {split}"
                ));
            }
            for member in &component.members {
                let split = keys.entry(parse(member)?).or_insert(component.split);
                if component.split == Split::Test {
                    *split = Split::Test;
                }
            }
        }
        let keep_out = self.keep_out.clone();
        Ok(Frozen { keys, keep_out })
    }
}

/// What a component has beyond the known keys.
fn absent(component: &Component, known: &BTreeSet<String>) -> Option<Component> {
    let left = component.members.iter().filter(|key| !known.contains(*key));
    let members: Vec<String> = left.cloned().collect();
    (!members.is_empty()).then(|| Component {
        members,
        ..component.clone()
    })
}

fn hex(key: u128) -> String {
    format!("{key:032x}")
}

fn parse(text: &str) -> Result<u128, String> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = u128::from_str_radix(text, 16).ok().filter(|_| digits);
    key.ok_or_else(|| {
        format!("\"{text}\" in the split manifest is no key of 32 hexadecimal digits")
    })
}
