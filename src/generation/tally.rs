//! Counts samples: the evidence on which the gate decides and by which completeness is judged.
//!
//! A sample is a JSON object with an `id` (a string that is not empty, or a number), optionally `quality_score` (0 to 1) and `accepted`. Targets
//! count distinct ids, and only the first row with an id counts: repeating a good sample raises neither number nor quality.
//!
//! Ids are kept as 64-bit hashes, the same on every machine and in every run. Two of `n` different ids collide with probability about
//! n²/2⁶⁵: 3 in 10¹¹ for 34,500 samples, 3 in 10⁸ for a million. A collision reads as a duplicate, so it can only make a
//! campaign look smaller.

use std::collections::{HashMap, HashSet, hash_map::Entry};
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Scores are summed as multiples of 2⁻⁶⁰, so that the mean does not depend on the order of the rows.
const SCORE_UNIT: f64 = (1_u64 << 60) as f64;

/// Parts that the ids are kept in; a power of two.
const PARTS: usize = 32;

/// What the rows of one or more sample files amount to. A million samples take about 45 MB.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    rows: u64,
    duplicates: u64,
    invalid: u64,
    bad_score: u64,
    scored: u64,
    judged: u64,
    accepted: u64,
    score_sum: u128,
    /// The shard that each id was first seen in, in parts by the id's first bits: a map that grows moves all that it
    /// holds, and of so many that move one after the other none keeps anybody waiting.
    first_in: [HashMap<u64, u32>; PARTS],
    /// Ids with another shard than their first that has them too.
    shared: HashSet<(u64, u32)>,
    /// The score of each distinct sample in order of first appearance; NaN, which no score is, where it has none.
    scores: Vec<f64>,
    /// Whether each was accepted, in the same order.
    marks: Vec<bool>,
}

/// What one line of a sample file is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Line {
    /// Nothing: no row.
    Blank,
    /// Not JSON, not an object, or without a usable id.
    Invalid,
    /// A sample.
    Sample(Sample),
}

impl Line {
    /// Reads a line, with or without its newline. Kept apart from counting it, because it is the slow half and needs
    /// nobody to wait for it.
    #[must_use]
    pub fn read(line: &[u8]) -> Self {
        if line.trim_ascii().is_empty() {
            return Self::Blank;
        }
        Sample::parse(line).map_or(Self::Invalid, Self::Sample)
    }
}

/// What counts of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    id: u64,
    score: Option<f64>,
    /// The row had a score that is not one.
    bad_score: bool,
    accepted: Option<bool>,
}

/// What a line was to the shard that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// No row.
    Blank,
    /// A row that is no sample.
    Invalid,
    /// The first row of the shard with its id.
    Distinct,
    /// A row whose id the shard has already.
    Repeated,
}

impl Tally {
    /// Takes one line of the only sample file there is.
    pub fn add_line(&mut self, line: &[u8]) {
        self.add(0, Line::read(line));
    }

    /// Takes one line of a shard.
    pub fn add(&mut self, shard: u32, line: Line) -> Counted {
        let sample = match line {
            Line::Blank => return Counted::Blank,
            Line::Invalid => {
                self.rows += 1;
                self.invalid += 1;
                return Counted::Invalid;
            }
            Line::Sample(sample) => sample,
        };
        self.rows += 1;
        match self.first_in[part(sample.id)].entry(sample.id) {
            Entry::Vacant(vacant) => {
                vacant.insert(shard);
                self.keep(sample);
                Counted::Distinct
            }
            Entry::Occupied(first) => {
                let elsewhere = *first.get() != shard;
                self.duplicates += 1;
                if elsewhere && self.shared.insert((sample.id, shard)) {
                    Counted::Distinct
                } else {
                    Counted::Repeated
                }
            }
        }
    }

    fn keep(&mut self, sample: Sample) {
        if let Some(score) = sample.score {
            self.scored += 1;
            self.score_sum += (score * SCORE_UNIT).round() as u128;
        }
        self.bad_score += u64::from(sample.bad_score);
        self.judged += u64::from(sample.accepted.is_some());
        self.accepted += u64::from(sample.accepted == Some(true));
        self.scores.push(sample.score.unwrap_or(f64::NAN));
        self.marks.push(sample.accepted == Some(true));
    }

    /// Rows that are not blank: distinct, duplicate and invalid ones.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Valid samples with different ids; the number that targets mean.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.scores.len() as u64
    }

    /// How often an id stands in another shard than its first.
    #[must_use]
    pub fn shared(&self) -> u64 {
        self.shared.len() as u64
    }

    /// Valid rows whose id was there before.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Rows that are not JSON, not an object, or have no usable id.
    #[must_use]
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Distinct samples whose `quality_score` is not a number from 0 to 1; it is treated as missing.
    #[must_use]
    pub fn bad_score(&self) -> u64 {
        self.bad_score
    }

    /// Distinct samples with a valid `quality_score`.
    #[must_use]
    pub fn scored(&self) -> u64 {
        self.scored
    }

    /// Distinct samples with `accepted` true.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The quality of the distinct samples, 0 to 1: the mean of their scores, where a missing one counts 0; or, when none has a
    /// score, the share that was accepted. `None` when no row says anything about quality.
    #[must_use]
    pub fn quality(&self) -> Option<f64> {
        let sum = match (self.scored, self.judged) {
            (0, 0) => return None,
            (0, _) => self.accepted as f64,
            _ => self.score_sum as f64 / SCORE_UNIT,
        };
        Some(sum / self.distinct() as f64)
    }

    /// The score of each distinct sample in order of first appearance, whose mean is [`quality`](Self::quality): 0 where it is missing,
    /// and 0 or 1 for rejected or accepted when no sample has a score. Empty when no row says anything about quality.
    #[must_use]
    pub fn scores(&self) -> Vec<f64> {
        self.latest_scores(usize::MAX)
    }

    /// The last `most` of [`scores`](Self::scores).
    #[must_use]
    pub fn latest_scores(&self, most: usize) -> Vec<f64> {
        if self.quality().is_none() {
            return Vec::new();
        }
        let from = self.scores.len().saturating_sub(most);
        match self.scored {
            0 => {
                let marks = self.marks[from..].iter();
                marks.map(|mark| f64::from(u8::from(*mark))).collect()
            }
            // The larger of a number and NaN is the number.
            _ => self.scores[from..]
                .iter()
                .map(|score| score.max(0.0))
                .collect(),
        }
    }
}

/// Where an id is kept.
fn part(id: u64) -> usize {
    (id >> (u64::BITS - PARTS.trailing_zeros())) as usize
}

impl Sample {
    fn parse(line: &[u8]) -> Option<Self> {
        let row: Row = serde_json::from_slice(line).ok()?;
        let (score, bad_score) = match row.quality_score {
            Scalar::Number(score) if (0.0..=1.0).contains(&score) => (Some(score), false),
            Scalar::Missing => (None, false),
            _ => (None, true),
        };
        let accepted = match row.accepted {
            Scalar::Bool(accepted) => Some(accepted),
            _ => None,
        };
        Some(Self {
            id: row.id?,
            score,
            bad_score,
            accepted,
        })
    }
}

/// The three keys of a row that matter here. Read by hand rather than derived, so that an array is not taken for an object.
#[derive(Default)]
struct Row {
    id: Option<u64>,
    quality_score: Scalar,
    accepted: Scalar,
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> Visitor<'de> for RowVisitor {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a sample object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row = Row::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::Id => row.id = map.next_value::<Scalar>()?.id(),
                        Key::QualityScore => row.quality_score = map.next_value()?,
                        Key::Accepted => row.accepted = map.next_value()?,
                        Key::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(row)
            }
        }
        deserializer.deserialize_map(RowVisitor)
    }
}

/// A key of a row.
#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Id,
    QualityScore,
    Accepted,
    #[serde(other)]
    Other,
}

/// Any JSON value, as far as it matters here.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Scalar {
    /// Absent or null.
    #[default]
    Missing,
    Bool(bool),
    /// A number that a float holds exactly, or one that was written as a float.
    Number(f64),
    /// A whole number that a float cannot hold exactly.
    Whole(i128),
    /// The hash of a string that is not empty.
    Text(u64),
    /// An empty string, an array, an object.
    Unusable,
}

impl Scalar {
    /// The hash of an id; `None` when the value cannot be one. The string `"1"` and the number `1` are different ids, `1` and `1.0` are
    /// the same.
    fn id(self) -> Option<u64> {
        match self {
            Self::Text(hash) => Some(hash),
            Self::Number(number) => {
                Some(stable_hash(b'f', &(number + 0.0).to_bits().to_le_bytes()))
            }
            Self::Whole(number) => Some(stable_hash(b'i', &number.to_le_bytes())),
            Self::Missing | Self::Bool(_) | Self::Unusable => None,
        }
    }

    fn whole(number: i128) -> Self {
        const EXACT: i128 = 1 << 53;
        if (-EXACT..=EXACT).contains(&number) {
            Self::Number(number as f64)
        } else {
            Self::Whole(number)
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::whole(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(if value.is_empty() {
            Scalar::Unusable
        } else {
            Scalar::Text(stable_hash(b's', value.as_bytes()))
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Unusable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Unusable)
    }
}

/// FNV-1a over a tag and the bytes, then the finisher of SplitMix64, which spreads FNV's weak high bits.
fn stable_hash(tag: u8, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = bytes.iter().fold(step(0xcbf2_9ce4_8422_2325, &tag), step);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests;
