//! Counting by name where names come from data: exact for any sane number of names, bounded for any other.
//!
//! A foreign file may hold a million different "organisms". Which of them are counted by name must not depend on the order
//! of rows, so those whose hash is smallest stay: a name that stays at the end was never refused on the way, so its count is
//! exact, and all others are summed up.

use std::collections::BTreeMap;

/// The longest name, in characters; the rest is cut.
const MOST_CHARS: usize = 120;
/// Where the counts of names that are too many go.
pub const OTHER: &str = "(other)";

/// Things by name, at most `cap` of them at the end and twice that on the way.
#[derive(Clone, Debug)]
pub(super) struct Capped<V> {
    cap: usize,
    held: BTreeMap<String, V>,
    /// Names from here on are refused.
    bar: Option<(u64, String)>,
}

impl<V> Capped<V> {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            cap,
            held: BTreeMap::new(),
            bar: None,
        }
    }

    /// The thing of that name; none where the name is one too many.
    pub(super) fn at(&mut self, name: &str, make: impl FnOnce() -> V) -> Option<&mut V> {
        let name = name.to_owned();
        if !self.held.contains_key(&name) {
            let key = (hash(&name), name.clone());
            if self.bar.as_ref().is_some_and(|bar| key >= *bar) {
                return None;
            }
        }
        Some(self.held.entry(name).or_insert_with(make))
    }

    /// Puts out what is over `most`, and gives it.
    fn shrink(&mut self, most: usize) -> Vec<V> {
        if self.held.len() <= most {
            return Vec::new();
        }
        let mut names: Vec<(u64, String)> = self
            .held
            .keys()
            .map(|name| (hash(name), name.clone()))
            .collect();
        names.sort_unstable();
        self.bar = Some(names[self.cap].clone());
        names[self.cap..]
            .iter()
            .filter_map(|(_, name)| self.held.remove(name))
            .collect()
    }

    /// Keeps within twice the cap; gives what had to go.
    pub(super) fn bound(&mut self) -> Vec<V> {
        self.shrink(2 * self.cap)
    }

    /// At most `cap` things, and what had to go.
    pub(super) fn finish(mut self) -> (BTreeMap<String, V>, Vec<V>) {
        let gone = self.shrink(self.cap);
        (self.held, gone)
    }
}

/// Counts by name.
#[derive(Clone, Debug)]
pub(super) struct Names {
    counts: Capped<u64>,
    other: u64,
}

impl Names {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            counts: Capped::new(cap),
            other: 0,
        }
    }

    pub(super) fn add(&mut self, name: &str, n: u64) {
        // Nearly always: a name that was met before, and is as it should be.
        match self.counts.held.get_mut(name) {
            Some(count) => *count += n,
            None => self.add_all(&[name], n),
        }
    }

    /// Counts under several names at once, such as a cell under its row and its column; see [`apart`].
    pub(super) fn add_all(&mut self, names: &[&str], n: u64) {
        match self.counts.at(&together(names), || 0) {
            Some(count) => *count += n,
            None => self.other += n,
        }
        self.other += self.counts.bound().into_iter().sum::<u64>();
    }

    /// The counts, those of names that are too many as [`OTHER`].
    pub(super) fn finish(self) -> BTreeMap<String, u64> {
        let (mut counts, gone) = self.counts.finish();
        let other = self.other + gone.into_iter().sum::<u64>();
        if other > 0 {
            *counts.entry(OTHER.into()).or_default() += other;
        }
        counts
    }
}

/// Between names that are counted together. Names from data have none.
const BETWEEN: char = '\u{1f}';

fn together(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| clipped(name)).collect();
    names.join(&BETWEEN.to_string())
}

/// Names that were counted together; two of them.
pub(super) fn apart(names: &str) -> Option<(&str, &str)> {
    names.split_once(BETWEEN)
}

/// A name as it is counted: not too long, and on one line.
pub(super) fn clipped(name: &str) -> String {
    let name = name.replace(char::is_control, " ");
    match name.char_indices().nth(MOST_CHARS) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name,
    }
}

/// FNV-1a with its bits mixed: the same on every machine.
fn hash(name: &str) -> u64 {
    let state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd)
}
