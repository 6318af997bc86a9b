//! Curation: which raw samples make the data set, and in which split they belong. Pure; `worker/curate.rs` reads and
//! writes.
//!
//! The result is a function of the set of rows: neither the order of the input nor its shards can change it.

pub mod card;
pub mod row;

use row::{Row, hash};
use std::collections::{BTreeMap, HashMap};

/// Why a row is not in the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The line is no JSON object.
    InvalidJson,
    /// It has no id.
    NoId,
    /// Another row has its id.
    DuplicateId,
    /// Another, better or earlier, row says the same.
    DuplicateText,
    /// Its quality is below the bar.
    BelowMinQuality,
    /// Its generator did not accept it, and gave no score.
    NotAccepted,
}

impl Reason {
    /// The word in files and on screens.
    pub fn name(self) -> &'static str {
        match self {
            Reason::InvalidJson => "invalid_json",
            Reason::NoId => "no_id",
            Reason::DuplicateId => "duplicate_id",
            Reason::DuplicateText => "duplicate_text",
            Reason::BelowMinQuality => "below_min_quality",
            Reason::NotAccepted => "not_accepted",
        }
    }
}

/// Where a kept row belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// To train on.
    Train,
    /// To choose by.
    Validation,
    /// To test on.
    Test,
}

impl Split {
    /// All, in the order of the shares.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// The word in file names.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}

/// What becomes of each row, in the order given.
pub type Fate = Result<Split, Reason>;

/// Decides on every row.
///
/// Rows that say the same are kept once: the best score first, then the smallest id. `min_quality` is 0 to 1; `shares`
/// are those of train, validation and test.
pub fn decide(rows: &[Row], min_quality: f64, shares: [f64; 3], seed: u64) -> Vec<Fate> {
    let mut fates: Vec<Fate> = rows
        .iter()
        .map(|row| judge(row, min_quality).map(|()| split(row, shares, seed)))
        .collect();
    // Best first, so that whoever comes later is the duplicate. Fully ordered: the input's order decides nothing.
    let mut order: Vec<usize> = (0..rows.len()).filter(|at| fates[*at].is_ok()).collect();
    order.sort_by(|a, b| rows[*a].rank(&rows[*b]));
    let (mut ids, mut texts) = (HashMap::new(), HashMap::new());
    for at in order {
        let row = &rows[at];
        if ids.insert(row.id.clone(), ()).is_some() {
            fates[at] = Err(Reason::DuplicateId);
        } else if row
            .text_key
            .is_some_and(|key| texts.insert(key, ()).is_some())
        {
            fates[at] = Err(Reason::DuplicateText);
        }
    }
    fates
}

fn judge(row: &Row, min_quality: f64) -> Result<(), Reason> {
    match (row.score, row.accepted) {
        (Some(score), _) if score >= min_quality => Ok(()),
        (Some(_), _) => Err(Reason::BelowMinQuality),
        (None, Some(false)) => Err(Reason::NotAccepted),
        (None, _) => Ok(()),
    }
}

/// Rows of the same structure (template and slots, else text) always meet in one split, so that nothing tested on was
/// trained on in other clothes.
fn split(row: &Row, shares: [f64; 3], seed: u64) -> Split {
    let draw = hash(&[&seed.to_le_bytes(), &row.structure.to_le_bytes()]) as f64 / u64::MAX as f64;
    let total: f64 = shares.iter().sum();
    if draw * total < shares[0] {
        Split::Train
    } else if draw * total < shares[0] + shares[1] {
        Split::Validation
    } else {
        Split::Test
    }
}

/// Counts of a curation; `stats.json`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Lines read.
    pub rows_in: u64,
    /// Rows kept.
    pub kept: u64,
    /// Rows and lines removed, by reason.
    pub removed: BTreeMap<&'static str, u64>,
    /// Kept rows by split.
    pub splits: BTreeMap<&'static str, u64>,
    /// Kept rows by the fields that generators of this kind write.
    pub by: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// Sum, least and greatest quality of the kept rows that have one, and their number.
    pub quality: Option<(f64, f64, f64, u64)>,
}

/// Fields whose values are counted.
const COUNTED: [&str; 3] = ["analysis_type", "organism", "complexity"];

impl Counts {
    /// Counts one line.
    pub fn add(&mut self, row: Option<&Row>, fate: &Fate) {
        self.rows_in += 1;
        match (fate, row) {
            (Err(reason), _) => *self.removed.entry(reason.name()).or_default() += 1,
            (Ok(split), row) => {
                self.kept += 1;
                *self.splits.entry(split.name()).or_default() += 1;
                if let Some(row) = row {
                    self.add_kept(row);
                }
            }
        }
    }

    fn add_kept(&mut self, row: &Row) {
        let all = row.value();
        for field in COUNTED {
            if let Some(value) = all.get(field).and_then(|value| value.as_str()) {
                *self
                    .by
                    .entry(field)
                    .or_default()
                    .entry(value.into())
                    .or_default() += 1;
            }
        }
        if let Some(score) = row.score {
            let (sum, least, most, n) = self.quality.unwrap_or((0.0, score, score, 0));
            self.quality = Some((sum + score, least.min(score), most.max(score), n + 1));
        }
    }

    /// Everything removed.
    pub fn removed_total(&self) -> u64 {
        self.removed.values().sum()
    }

    /// `stats.json`.
    pub fn render(&self) -> serde_json::Value {
        let count = |split: Split| self.splits.get(split.name()).copied().unwrap_or(0);
        let by = |field: &str| self.by.get(field).cloned().unwrap_or_default();
        let quality = self.quality.map(|(sum, min, max, n)| {
            serde_json::json!({ "mean": sum / n as f64, "min": min, "max": max, "n": n })
        });
        serde_json::json!({
            "rows_in": self.rows_in,
            "kept": self.kept,
            "removed": self.removed_total(),
            "removed_by_reason": self.removed,
            "splits": { "train": count(Split::Train), "validation": count(Split::Validation), "test": count(Split::Test) },
            "by_analysis_type": by("analysis_type"),
            "by_organism": by("organism"),
            "by_complexity": by("complexity"),
            "quality": quality,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(id: &str, text: &str, score: f64) -> Row {
        Row::read(&mut json!({ "id": id, "query": text, "quality_score": score })).unwrap()
    }

    #[test]
    fn the_best_of_those_that_say_the_same_is_kept_in_any_order() {
        let rows = vec![
            row("a", "Align  reads", 0.8),
            row("b", "align reads", 0.9),
            row("c", "call variants", 0.2),
        ];
        let shares = [0.8, 0.1, 0.1];
        let fates = decide(&rows, 0.7, shares, 1);
        assert_eq!(fates[0], Err(Reason::DuplicateText));
        assert!(fates[1].is_ok());
        assert_eq!(fates[2], Err(Reason::BelowMinQuality));
        let turned: Vec<Row> = rows.iter().rev().cloned().collect();
        let mut again = decide(&turned, 0.7, shares, 1);
        again.reverse();
        assert_eq!(again, fates);
    }

    #[test]
    fn ids_are_kept_once_and_unscored_rows_pass_unless_refused() {
        let rows = vec![
            row("a", "one", 0.9),
            row("a", "two", 0.8),
            Row::read(&mut json!({ "id": "b", "text": "three" })).unwrap(),
            Row::read(&mut json!({ "id": "c", "text": "four", "accepted": false })).unwrap(),
        ];
        let fates = decide(&rows, 0.7, [1.0, 0.0, 0.0], 1);
        assert_eq!(
            fates,
            vec![
                Ok(Split::Train),
                Err(Reason::DuplicateId),
                Ok(Split::Train),
                Err(Reason::NotAccepted)
            ]
        );
        assert_eq!(Row::read(&mut json!({ "query": "x" })), Err(Reason::NoId));
        assert_eq!(Row::read(&mut json!([1])), Err(Reason::InvalidJson));
    }

    #[test]
    fn one_structure_meets_in_one_split_and_shares_are_met() {
        let make = |n: usize, slot: usize| {
            let value = json!({ "id": format!("{n}-{slot}"), "query": format!("text {n} {slot}"),
                "template": "t", "slots": { "organism": n.to_string() } });
            Row::read(&mut value.clone()).unwrap()
        };
        let rows: Vec<Row> = (0..2000).flat_map(|n| [make(n, 0), make(n, 1)]).collect();
        let fates = decide(&rows, 0.0, [0.8, 0.1, 0.1], 3);
        for pair in fates.chunks(2) {
            assert_eq!(pair[0], pair[1]);
        }
        let train = fates
            .iter()
            .filter(|fate| **fate == Ok(Split::Train))
            .count();
        assert!((3000..3400).contains(&train), "{train} of 4000 to train on");
    }
}
