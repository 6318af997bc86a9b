//! Counting a data set while it is written.
//!
//! One pass over the kept rows, a few bytes a row: names are counted (bounded, see `names`), measures are kept as whole
//! numbers (see `metric`). Nothing is a floating-point sum over rows, so the order of rows, shards and threads cannot
//! change a digit of `stats.json`.

mod finish;
mod metric;
mod names;
mod summary;
#[cfg(test)]
mod tests;

pub use metric::{Distribution, Histogram, Percentiles};
pub use names::OTHER;
pub use summary::{
    Balance, ComponentCount, Components, Counts, Duplicates, Lengths, ModelUse, NONE, SetSize,
    Shares, Summary, TOKENS_BY,
};

use super::words::{DataSet, Reason, Split};
use finish::{
    balance, cells, components, duplicates, every_split, lengths, models, only, parts, shares,
};
use metric::{COST, MILLIONTHS, Metric, WHOLE};
use names::{Capped, Names, clipped};
use std::collections::BTreeMap;

/// Outcomes that are counted even where none ended so.
const OUTCOMES: [&str; 3] = ["success", "validation_failed", "execution_failed"];
/// Reasons that say that another row is too much the same.
pub const DUPLICATES: [Reason; 4] = [
    Reason::DuplicateId,
    Reason::DuplicateStructure,
    Reason::DuplicateText,
    Reason::NearDuplicate,
];
/// Reasons that say that a line is no row.
const UNREADABLE: [Reason; 3] = [
    Reason::InvalidJson,
    Reason::InvalidUtf8,
    Reason::LineTooLong,
];
/// Names counted of one kind.
const MOST_NAMES: usize = 4096;
/// Parts of the quality that are measured.
const MOST_PARTS: usize = 24;

/// What is counted of one kept row.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Analysis type.
    pub analysis_type: Option<&'a str>,
    /// Organism.
    pub organism: Option<&'a str>,
    /// Complexity.
    pub complexity: Option<&'a str>,
    /// How it ended.
    pub outcome: Option<&'a str>,
    /// Quality, 0 to 1.
    pub quality: Option<f64>,
    /// Parts of the quality, each 0 to 1.
    pub quality_parts: Vec<(&'a str, f64)>,
    /// What it is worth to learn from, 0 to 1.
    pub training_value: Option<f64>,
    /// `total_tokens`.
    pub tokens: Option<u64>,
    /// What it cost, USD.
    pub cost_usd: Option<f64>,
    /// Models and how often each was asked.
    pub models: Vec<(&'a str, u64)>,
    /// Error types and lint rules that were met, each as often as it was.
    pub errors: Vec<&'a str>,
    /// Where it belongs.
    pub split: Split,
    /// Verified similarity to the nearest kept row it was compared with, 0 to 1.
    pub duplicate_of_score: Option<f64>,
}

/// Rows of one data set so far.
#[derive(Clone, Debug)]
struct SetRows {
    splits: BTreeMap<Split, u64>,
    prompt: Metric,
    answer: Metric,
}

/// The counts so far: about 70 bytes a row at most, whatever the rows hold.
#[derive(Clone, Debug)]
pub struct Stats {
    kept: u64,
    fields: BTreeMap<&'static str, Names>,
    without: Counts,
    cells: Names,
    strata: Names,
    errors: Names,
    model_calls: Names,
    model_rows: Names,
    tokens: Metric,
    cost: Metric,
    quality: Metric,
    parts: Capped<Metric>,
    value: Metric,
    near: Metric,
    removed: BTreeMap<Reason, u64>,
    similarity: BTreeMap<Reason, Metric>,
    notes: Names,
    by_split: BTreeMap<Split, [Names; 2]>,
    splits: BTreeMap<Split, u64>,
    components: BTreeMap<Split, ComponentCount>,
    sizes: BTreeMap<u64, u64>,
    sets: BTreeMap<DataSet, SetRows>,
    in_no_set: u64,
}

impl Default for Stats {
    fn default() -> Self {
        let names = || Names::new(MOST_NAMES);
        let unit = || Metric::new(MILLIONTHS);
        let fields = ["outcome", "analysis_type", "organism", "complexity"];
        Self {
            kept: 0,
            fields: fields.map(|field| (field, names())).into(),
            without: Counts::new(),
            cells: names(),
            strata: names(),
            errors: names(),
            model_calls: names(),
            model_rows: names(),
            tokens: Metric::new(WHOLE),
            cost: Metric::new(COST),
            quality: unit(),
            parts: Capped::new(MOST_PARTS),
            value: unit(),
            near: unit(),
            removed: BTreeMap::new(),
            similarity: BTreeMap::new(),
            notes: names(),
            by_split: BTreeMap::new(),
            splits: BTreeMap::new(),
            components: BTreeMap::new(),
            sizes: BTreeMap::new(),
            sets: BTreeMap::new(),
            in_no_set: 0,
        }
    }
}

impl Stats {
    /// Counts a kept row.
    pub fn add(&mut self, row: &Facts<'_>) {
        self.kept += 1;
        *self.splits.entry(row.split).or_default() += 1;
        self.name("outcome", row.outcome);
        self.name("analysis_type", row.analysis_type);
        self.name("organism", row.organism);
        self.name("complexity", row.complexity);
        let said = |name: Option<&str>| name.unwrap_or(NONE).to_owned();
        let (kind, outcome) = (said(row.analysis_type), said(row.outcome));
        self.cells.add_all(&[&kind, &said(row.organism)], 1);
        self.strata
            .add_all(&[&kind, &outcome, &said(row.complexity)], 1);
        let shares = self
            .by_split
            .entry(row.split)
            .or_insert_with(|| [Names::new(MOST_NAMES), Names::new(MOST_NAMES)]);
        for (names, name) in shares.iter_mut().zip([row.outcome, row.complexity]) {
            names.add(name.unwrap_or(NONE), 1);
        }
        self.measure(row);
        for (model, calls) in &row.models {
            self.model_calls.add(model, *calls);
            self.model_rows.add(model, 1);
        }
        for error in &row.errors {
            self.errors.add(error, 1);
        }
    }

    fn name(&mut self, field: &'static str, name: Option<&str>) {
        match (name, self.fields.get_mut(field)) {
            (Some(name), Some(names)) => names.add(name, 1),
            _ => self.lacks(field),
        }
    }

    fn lacks(&mut self, field: &str) {
        *self.without.entry(field.into()).or_default() += 1;
    }

    fn measure(&mut self, row: &Facts<'_>) {
        let unit = |value: &f64| *value <= 1.0;
        let tokens = row.tokens.map(|tokens| tokens as f64);
        let measured = [
            ("quality", &mut self.quality, row.quality.filter(unit)),
            (
                "training_value",
                &mut self.value,
                row.training_value.filter(unit),
            ),
            ("tokens", &mut self.tokens, tokens),
            ("cost_usd", &mut self.cost, row.cost_usd),
        ];
        for (field, metric, value) in measured {
            if !value.is_some_and(|value| metric.add(value)) {
                *self.without.entry(field.into()).or_default() += 1;
            }
        }
        if let Some(score) = row.duplicate_of_score.filter(unit) {
            self.near.add(score);
        }
        for (part, value) in &row.quality_parts {
            if unit(value)
                && let Some(metric) = self.parts.at(&clipped(part), || Metric::new(MILLIONTHS))
            {
                metric.add(*value);
            }
            self.parts.bound();
        }
    }

    /// Counts a row or line that was removed; `similarity` (0 to 1) to what it was removed for, where that was measured.
    pub fn removed(&mut self, reason: Reason, similarity: Option<f64>) {
        *self.removed.entry(reason).or_default() += 1;
        if let Some(score) = similarity.filter(|score| *score <= 1.0) {
            self.similarity
                .entry(reason)
                .or_insert_with(|| Metric::new(MILLIONTHS))
                .add(score);
        }
    }

    /// Counts something odd about the input that cost no row, and how often, such as `json_array` or `torn_last_line`.
    pub fn note(&mut self, kind: &str, times: u64) {
        self.notes.add(kind, times);
    }

    /// Counts a row of a data set; lengths in tokens, by [`TOKENS_BY`].
    pub fn row(&mut self, set: DataSet, split: Split, prompt_tokens: u64, answer_tokens: u64) {
        let rows = self.sets.entry(set).or_insert_with(|| SetRows {
            splits: BTreeMap::new(),
            prompt: Metric::new(WHOLE),
            answer: Metric::new(WHOLE),
        });
        *rows.splits.entry(split).or_default() += 1;
        rows.prompt.add(prompt_tokens as f64);
        rows.answer.add(answer_tokens as f64);
    }

    /// Counts a kept row from which no data set row came.
    pub fn in_no_set(&mut self) {
        self.in_no_set += 1;
    }

    /// Counts one component of that many kept rows.
    pub fn component(&mut self, split: Split, rows: u64) {
        let count = self.components.entry(split).or_default();
        count.components += 1;
        count.rows += rows;
        count.largest = count.largest.max(rows);
        let least = 1 << rows.max(1).ilog2();
        *self.sizes.entry(least).or_default() += 1;
    }

    /// What is said of the data set.
    pub fn finish(mut self) -> Summary {
        let removed = self.removed.values().sum();
        let mut by = |field| self.fields.remove(field).map(Names::finish);
        let mut by_outcome = by("outcome").unwrap_or_default();
        for outcome in OUTCOMES {
            by_outcome.entry(outcome.into()).or_default();
        }
        let by_analysis_type = by("analysis_type").unwrap_or_default();
        let by_organism = by("organism").unwrap_or_default();
        let by_complexity = by("complexity").unwrap_or_default();
        let (tokens, datasets) = lengths(self.sets);
        Summary {
            total_trajectories: self.kept,
            by_outcome,
            by_analysis_type,
            by_organism,
            by_complexity,
            token_distribution: self.tokens.distribution(false),
            cost_distribution: self.cost.distribution(false),
            error_patterns: self.errors.finish(),
            model_usage: models(self.model_calls, self.model_rows),
            rows_in: self.kept + removed,
            kept: self.kept,
            removed,
            unreadable: only(&self.removed, &UNREADABLE),
            duplicates: duplicates(&self.removed, self.similarity, self.near),
            removed_by_reason: self.removed,
            input_notes: self.notes.finish(),
            splits: every_split(&self.splits),
            components: components(&self.components, self.sizes, self.kept),
            by_split: shares(self.by_split),
            datasets,
            in_no_set: self.in_no_set,
            tokens,
            quality: self.quality.distribution(true),
            quality_parts: parts(self.parts),
            training_value: self.value.distribution(true),
            by_analysis_type_and_organism: cells(self.cells),
            balance: balance(&self.strata.finish()),
            without: self.without,
        }
    }
}
