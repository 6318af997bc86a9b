//! Whether a row repeats an evaluation text: as it is, nearly, or somewhere inside.
//!
//! Evaluation prompts of 6 to 15 words have no 12-grams, so this compares the same character shingles as the search for
//! duplicates. It is exact. A text that is repeated has only so many shingles that the row may lack; so of its rarest
//! `lacking + 4` the row has four, and only these are in the index. The work for a row is bounded by its entries there, and
//! few texts reach the comparison of whole sets.

use super::text::shared;
use std::collections::{HashMap, HashSet};

/// Rare shingles that a row must share with a text before they are compared. With one or two every row of a template meets
/// every text of it; with many the index holds what is not rare.
const HITS: usize = 4;

/// What counts as repeating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Jaccard index of text and row, from which they are the same.
    pub jaccard: f64,
    /// Share of the text's shingles, from which the row contains it.
    pub containment: f64,
    /// Shingles that a text needs to be looked for inside of others. "rna-seq" is inside of many and leaks into none.
    pub least_contained: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            jaccard: 0.85,
            containment: 0.9,
            least_contained: 20,
        }
    }
}

/// An evaluation text, reduced.
#[derive(Debug)]
struct Text {
    /// Its number as it came.
    number: usize,
    set: Vec<u32>,
    /// How many of its indexed shingles a row must have.
    needed: usize,
}

/// Evaluation texts, to be held against rows; any number of threads may ask.
#[derive(Debug)]
pub struct Contamination {
    limits: Limits,
    texts: Vec<Text>,
    /// For a shingle, the texts that are found by it.
    index: HashMap<u32, Vec<u32>>,
}

impl Contamination {
    /// Of evaluation texts by their sets, ascending and distinct, as [`super::shingles`] makes them.
    pub fn new(sets: impl Iterator<Item = Vec<u32>>) -> Self {
        Self::with(sets, Limits::default())
    }

    /// With limits that are not the default.
    pub fn with(sets: impl Iterator<Item = Vec<u32>>, limits: Limits) -> Self {
        let (mut known, mut texts, mut frequency) = (HashSet::new(), Vec::new(), HashMap::new());
        for (number, set) in sets.enumerate() {
            // Of texts that are the same the first one speaks.
            if set.is_empty() || !known.insert(set.clone()) {
                continue;
            }
            for shingle in &set {
                *frequency.entry(*shingle).or_insert(0_u32) += 1;
            }
            texts.push(Text {
                number,
                set,
                needed: 0,
            });
        }
        let mut index: HashMap<u32, Vec<u32>> = HashMap::new();
        for (at, text) in texts.iter_mut().enumerate() {
            let lacking = text.set.len() - limits.least_shared(text.set.len());
            let mut rarest = text.set.clone();
            rarest.sort_by_key(|shingle| (frequency[shingle], *shingle));
            rarest.truncate(lacking + HITS);
            text.needed = rarest.len() - lacking;
            for shingle in rarest {
                index.entry(shingle).or_default().push(at as u32);
            }
        }
        Self {
            limits,
            texts,
            index,
        }
    }

    /// The evaluation text that a row's set repeats most, by its number in [`Contamination::new`], and how much: 1 for the
    /// same set, else the Jaccard index or the containment, whichever is more; of several texts the first.
    pub fn check(&self, row: &[u32]) -> Option<(usize, f64)> {
        let postings = row.iter().filter_map(|shingle| self.index.get(shingle));
        let mut met: Vec<u32> = postings.flatten().copied().collect();
        met.sort_unstable();
        let mut best: Option<(usize, f64)> = None;
        for same in met.chunk_by(|a, b| a == b) {
            let text = &self.texts[same[0] as usize];
            if same.len() < text.needed {
                continue;
            }
            let found = self.limits.repeated(&text.set, row);
            if found.is_some_and(|found| best.is_none_or(|(_, best)| found > best)) {
                best = found.map(|found| (text.number, found));
            }
        }
        best
    }
}

impl Limits {
    /// How many shingles of a text with so many a row must have at least.
    fn least_shared(&self, size: usize) -> usize {
        let containment = size >= self.least_contained && self.containment < self.jaccard;
        let share = if containment {
            self.containment
        } else {
            self.jaccard
        };
        // What is due to rounding must not add one.
        let least = (share * size as f64 - 1e-9).ceil() as usize;
        least.clamp(1, size)
    }

    fn repeated(&self, text: &[u32], row: &[u32]) -> Option<f64> {
        let both = shared(text, row);
        let jaccard = both as f64 / (text.len() + row.len() - both) as f64;
        let contained = both as f64 / text.len() as f64;
        let inside = text.len() >= self.least_contained && contained >= self.containment;
        match (jaccard >= self.jaccard, inside) {
            (_, true) => Some(contained.max(jaccard)),
            (true, false) => Some(jaccard),
            (false, false) => None,
        }
    }
}
