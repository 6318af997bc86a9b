//! The diversity matrix: how many queries each analysis type has, counted from the catalogue's own texts.
//!
//! Counting what is really there, rather than printing the numbers asked for, makes the table evidence.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::catalogue::{Query, catalogue};
use super::wording::Wording;

/// One analysis type's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatrixRow {
    /// Title of the analysis type.
    pub analysis: String,
    /// Organisms.
    pub organisms: usize,
    /// Parameter variations that every organism has: distinct texts without an error scenario.
    pub variations: usize,
    /// Error scenarios that every organism has: distinct texts with one.
    pub scenarios: usize,
    /// Distinct texts in all.
    pub total: usize,
}

/// The rows, in the catalogue's order; their totals add up to the number of queries that the catalogue begins with.
pub fn matrix() -> Vec<MatrixRow> {
    let catalogue = catalogue();
    let queries = (0..catalogue.matrix_len()).filter_map(|number| catalogue.query(number));
    let mut rows: Vec<(&str, Tally)> = Vec::new();
    for query in queries {
        let title = query.analysis.title.as_str();
        if rows.last().is_none_or(|(last, _)| *last != title) {
            rows.push((title, Tally::default()));
        }
        if let Some((_, tally)) = rows.last_mut() {
            tally.count(&query);
        }
    }
    rows.into_iter()
        .map(|(title, tally)| tally.row(title))
        .collect()
}

/// Distinct texts of an analysis: per organism those without and with a scenario.
#[derive(Default)]
struct Tally {
    organisms: BTreeMap<String, [usize; 2]>,
    texts: BTreeSet<String>,
}

impl Tally {
    fn count(&mut self, query: &Query<'_>) {
        if self.texts.insert(Wording::of(query).text()) {
            let counts = self.organisms.entry(query.organism.name.clone());
            counts.or_default()[usize::from(query.scenario.is_some())] += 1;
        }
    }

    fn row(self, title: &str) -> MatrixRow {
        let least = |kind: usize| self.organisms.values().map(|counts| counts[kind]).min();
        MatrixRow {
            analysis: title.into(),
            organisms: self.organisms.len(),
            variations: least(0).unwrap_or(0),
            scenarios: least(1).unwrap_or(0),
            total: self.texts.len(),
        }
    }
}
