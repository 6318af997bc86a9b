//! Failed and completed settings as heights along ways in which a setting may be too much: the more, the higher.

use super::{
    bound::{Bound, alike, number},
    takes,
};
use crate::{
    history::{FailureCause, patterns::key},
    parameters::{Assignment, Value},
};
use std::collections::BTreeMap;

/// A way in which a setting may be too much.
#[derive(Clone, Debug)]
pub struct Way {
    parameter: String,
    kind: Kind,
    /// Whether it is believed before anything was seen.
    pub believed: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A number that is too large.
    Up,
    /// A number that is too small.
    Down,
    /// A value that fails: a height of 1 where it is set.
    Is(Value),
}

impl Way {
    /// How high settings are; NaN where they are not on this way.
    fn height(&self, values: &Assignment) -> f64 {
        let Some(value) = values.get(&self.parameter) else {
            return f64::NAN;
        };
        match &self.kind {
            Kind::Up => number(value).unwrap_or(f64::NAN),
            Kind::Down => number(value).map_or(f64::NAN, |number| -number),
            Kind::Is(bad) if alike(bad, value) => 1.0,
            Kind::Is(_) => f64::NAN,
        }
    }

    /// Whether it is a word, on which whoever has another word is, too.
    pub fn is_word(&self) -> bool {
        matches!(self.kind, Kind::Is(_))
    }

    /// What remains allowed when this height and all above it are forbidden.
    fn bound(&self, height: f64) -> Bound {
        match &self.kind {
            Kind::Up => Bound::below(&self.parameter, height),
            Kind::Down => Bound::above(&self.parameter, -height),
            Kind::Is(bad) => Bound::but(&self.parameter, bad.clone()),
        }
    }
}

/// A region: everything that is at least so high on each of some ways.
pub type Region = Vec<(usize, f64)>;

/// The heights of all settings on all ways.
pub struct Grid {
    /// The ways, those that are believed first.
    pub ways: Vec<Way>,
    /// A row for each failed setting.
    pub failed: Vec<Vec<f64>>,
    /// A row for each setting that completed or is known to be good, equal ones once.
    pub good: Vec<Vec<f64>>,
    /// How many settings completed, for each of `good`.
    pub count: Vec<usize>,
}

impl Grid {
    /// Of the settings that failed of a cause and those that did not. A parameter whose values are numbers may be too
    /// large or too small, every other one may have a value that fails; what a program error teaches are values only.
    pub fn of(cause: FailureCause, failed: &[&Assignment], good: &[&Assignment]) -> Grid {
        let mut seen: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (name, value) in failed.iter().copied().flatten() {
            seen.entry(name).or_default().push(value);
        }
        let mut ways = Vec::new();
        for (name, values) in seen.into_iter().filter(|(name, _)| takes::acts(name)) {
            let way = |kind, believed| Way {
                parameter: name.into(),
                kind,
                believed,
            };
            let brings_on = takes::brings_on(cause, name);
            if cause != FailureCause::Program && values.iter().any(|value| number(value).is_some())
            {
                ways.push(way(Kind::Up, brings_on));
                if !brings_on {
                    ways.push(way(Kind::Down, false));
                }
            }
            let words = values.into_iter().filter(|value| number(value).is_none());
            let words: BTreeMap<_, &Value> = words.map(|value| (key(value), value)).collect();
            // To take a program error from a word, the word alone is enough.
            let believed = cause == FailureCause::Program;
            ways.extend(
                words
                    .into_values()
                    .map(|word| way(Kind::Is(word.clone()), believed)),
            );
        }
        ways.sort_by_key(|way| !way.believed);
        let row = |values: &Assignment| {
            ways.iter()
                .map(|way| way.height(values))
                .collect::<Vec<f64>>()
        };
        let mut distinct: BTreeMap<Vec<u64>, (Vec<f64>, usize)> = BTreeMap::new();
        for row in good.iter().map(|values| row(values)) {
            let bits = row.iter().map(|height| height.to_bits()).collect();
            distinct.entry(bits).or_insert((row, 0)).1 += 1;
        }
        let failed = failed.iter().map(|values| row(values)).collect();
        let (good, count) = distinct.into_values().unzip();
        Grid {
            failed,
            good,
            count,
            ways,
        }
    }

    /// What remains allowed when a region is forbidden.
    pub fn bounds(&self, region: &Region) -> Vec<Bound> {
        let mut bounds: Vec<Bound> = region
            .iter()
            .map(|(way, height)| self.ways[*way].bound(*height))
            .collect();
        bounds.sort_by(|a, b| a.parameter.cmp(&b.parameter));
        bounds
    }

    /// How many of the good settings have such rows.
    pub fn completed(&self, such: impl Fn(&[f64]) -> bool) -> usize {
        let rows = self.good.iter().zip(&self.count);
        rows.filter(|(row, _)| such(row))
            .map(|(_, count)| count)
            .sum()
    }
}

/// Whether a row is in a region. NaN is in none.
pub fn inside(region: &Region, row: &[f64]) -> bool {
    region.iter().all(|(way, height)| row[*way] >= *height)
}
