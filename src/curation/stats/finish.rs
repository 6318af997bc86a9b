//! From what was counted to what is said: one function a field of `stats.json`.

use super::{
    Balance, ComponentCount, Components, Counts, DUPLICATES, Distribution, Duplicates, Lengths,
    ModelUse, OTHER, SetRows, SetSize, Shares,
    metric::{Metric, WHOLE},
    names::{Capped, Names, apart},
};
use crate::curation::words::{DataSet, Reason, Split};
use std::collections::BTreeMap;

pub(super) fn only(removed: &BTreeMap<Reason, u64>, reasons: &[Reason]) -> BTreeMap<Reason, u64> {
    let some = |reason: &Reason| removed.get(reason).map(|rows| (*reason, *rows));
    reasons.iter().filter_map(some).collect()
}

pub(super) fn every_split<V: Copy + Default>(by: &BTreeMap<Split, V>) -> BTreeMap<Split, V> {
    let of = |split: &Split| (*split, by.get(split).copied().unwrap_or_default());
    Split::ALL.iter().map(of).collect()
}

pub(super) fn duplicates(
    removed: &BTreeMap<Reason, u64>,
    similarity: BTreeMap<Reason, Metric>,
    near: Metric,
) -> Duplicates {
    let rows = |reason: &Reason| removed.get(reason).copied().unwrap_or(0);
    let by_reason: BTreeMap<Reason, u64> = DUPLICATES
        .iter()
        .map(|reason| (*reason, rows(reason)))
        .collect();
    Duplicates {
        removed: by_reason.values().sum(),
        by_reason,
        similarity: similarity
            .into_iter()
            .map(|(reason, metric)| (reason, metric.distribution(true)))
            .collect(),
        kept_similarity: near.distribution(true),
    }
}

pub(super) fn models(calls: Names, rows: Names) -> BTreeMap<String, ModelUse> {
    let rows = rows.finish();
    let one = |(model, calls): (String, u64)| {
        let trajectories = rows.get(&model).copied().unwrap_or(0);
        (
            model,
            ModelUse {
                calls,
                trajectories,
            },
        )
    };
    calls.finish().into_iter().map(one).collect()
}

pub(super) fn components(
    by: &BTreeMap<Split, ComponentCount>,
    sizes: BTreeMap<u64, u64>,
    kept: u64,
) -> Components {
    let largest = by.values().map(|count| count.largest).max().unwrap_or(0);
    Components {
        by_split: every_split(by),
        sizes: sizes.into_iter().collect(),
        largest,
        largest_share: (kept > 0).then(|| round(largest as f64 / kept as f64)),
    }
}

pub(super) fn shares(by: BTreeMap<Split, [Names; 2]>) -> BTreeMap<Split, Shares> {
    let one = |[outcome, complexity]: [Names; 2]| Shares {
        outcome: outcome.finish(),
        complexity: complexity.finish(),
    };
    by.into_iter()
        .map(|(split, names)| (split, one(names)))
        .collect()
}

/// Lengths over all data sets, and the data sets. All of a family are named as soon as one has rows: an empty one is news.
pub(super) fn lengths(
    mut sets: BTreeMap<DataSet, SetRows>,
) -> (Lengths, BTreeMap<DataSet, SetSize>) {
    let ours = sets.keys().any(|set| *set != DataSet::Samples);
    let (mut prompt, mut answer) = (Metric::new(WHOLE), Metric::new(WHOLE));
    let mut sizes = BTreeMap::new();
    for set in DataSet::ALL {
        match sets.remove(set) {
            Some(rows) => {
                prompt.absorb(&rows.prompt);
                answer.absorb(&rows.answer);
                sizes.insert(*set, size(rows));
            }
            None if ours && *set != DataSet::Samples => {
                let splits = every_split(&BTreeMap::new());
                sizes.insert(
                    *set,
                    SetSize {
                        splits,
                        ..SetSize::default()
                    },
                );
            }
            None => {}
        }
    }
    (length(prompt, answer), sizes)
}

fn size(rows: SetRows) -> SetSize {
    SetSize {
        rows: rows.splits.values().sum(),
        splits: every_split(&rows.splits),
        tokens: length(rows.prompt, rows.answer),
    }
}

fn length(prompt: Metric, answer: Metric) -> Lengths {
    Lengths {
        prompt: prompt.percentiles(),
        answer: answer.percentiles(),
        ..Lengths::default()
    }
}

pub(super) fn parts(parts: Capped<Metric>) -> BTreeMap<String, Distribution> {
    let (parts, _) = parts.finish();
    parts
        .into_iter()
        .map(|(part, metric)| (part, metric.distribution(true)))
        .collect()
}

pub(super) fn cells(cells: Names) -> BTreeMap<String, Counts> {
    let mut table: BTreeMap<String, Counts> = BTreeMap::new();
    for (pair, rows) in cells.finish() {
        let (kind, organism) = apart(&pair).unwrap_or((OTHER, OTHER));
        *table
            .entry(kind.into())
            .or_default()
            .entry(organism.into())
            .or_default() += rows;
    }
    table
}

/// Kish's effective sample size with every stratum given the same weight, so that a row weighs one over the rows of its
/// stratum: strata squared over the sum of those; and the inverse Simpson index.
pub(super) fn balance(strata: &Counts) -> Balance {
    let rows: u64 = strata.values().sum();
    let squares: u128 = strata.values().map(|n| u128::from(*n).pow(2)).sum();
    // Sorted: the same terms in the same order whatever the names are.
    let mut sizes: Vec<u64> = strata.values().copied().collect();
    sizes.sort_unstable();
    let weights: f64 = sizes.iter().map(|n| 1.0 / *n as f64).sum();
    let some = |value: f64| (rows > 0).then(|| round(value));
    Balance {
        strata_by: ["analysis_type", "outcome", "complexity"]
            .map(Into::into)
            .into(),
        strata: strata.len() as u64,
        effective_sample_size: some((strata.len() as f64).powi(2) / weights),
        effective_strata: some((rows as f64).powi(2) / squares as f64),
    }
}

/// To a millionth: the digits after it depend on nothing that anyone measured.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
