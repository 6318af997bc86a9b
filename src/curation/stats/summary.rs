//! What is said of a data set: `stats.json`, and all that the card and the page show.

use super::metric::{Distribution, Percentiles};
use crate::curation::words::{DataSet, Reason, Split};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// `stats.json`. The fields of specification 1, section 3.3, come first and have its names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Rows kept, whatever data sets they went into.
    pub total_trajectories: u64,
    /// Kept rows by how they ended; `success`, `validation_failed` and `execution_failed` are there even at 0.
    pub by_outcome: Counts,
    /// Kept rows by analysis type.
    pub by_analysis_type: Counts,
    /// Kept rows by organism.
    pub by_organism: Counts,
    /// Kept rows by complexity.
    pub by_complexity: Counts,
    /// `total_tokens` of the kept rows: what making them took.
    pub token_distribution: Distribution,
    /// Cost of the kept rows in USD.
    pub cost_distribution: Distribution,
    /// How often each error type and lint rule was met in the kept rows.
    pub error_patterns: Counts,
    /// Models that made the kept rows; empty where none was asked.
    pub model_usage: BTreeMap<String, ModelUse>,

    /// Rows and lines read; each is kept or removed.
    pub rows_in: u64,
    /// Rows kept.
    pub kept: u64,
    /// Rows and lines removed.
    pub removed: u64,
    /// Those by reason.
    pub removed_by_reason: BTreeMap<Reason, u64>,
    /// Those of them that could not be read at all, by kind.
    pub unreadable: BTreeMap<Reason, u64>,
    /// What was odd about the input and yet no loss, by kind and number.
    pub input_notes: Counts,
    /// Near relatives: what was removed for them, and how similar.
    pub duplicates: Duplicates,

    /// Kept rows by split.
    pub splits: BTreeMap<Split, u64>,
    /// Groups of related rows, which are never in two splits.
    pub components: Components,
    /// Kept rows by outcome and by complexity in each split: whether the splits are alike.
    pub by_split: BTreeMap<Split, Shares>,

    /// The data sets made of the kept rows.
    pub datasets: BTreeMap<DataSet, SetSize>,
    /// Kept rows from which no data set row came.
    pub in_no_set: u64,
    /// Lengths of the rows of all data sets.
    pub tokens: Lengths,

    /// Quality of the kept rows, 0 to 1.
    pub quality: Distribution,
    /// Its parts, each 0 to 1.
    pub quality_parts: BTreeMap<String, Distribution>,
    /// What the kept rows are worth to learn from, 0 to 1.
    pub training_value: Distribution,
    /// Kept rows by analysis type and organism; [`NONE`] where the row does not say.
    pub by_analysis_type_and_organism: BTreeMap<String, Counts>,
    /// How evenly the kept rows lie over their strata.
    pub balance: Balance,
    /// Kept rows that lack a field, by field.
    pub without: Counts,
}

/// How a row is counted that does not say its analysis type or organism, where both are counted at once.
pub const NONE: &str = "(none)";

/// What one model did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelUse {
    /// Requests it answered.
    pub calls: u64,
    /// Kept rows it had a part in.
    pub trajectories: u64,
}

/// Duplicates and other near relatives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Duplicates {
    /// All that was removed as a duplicate.
    pub removed: u64,
    /// By reason: every kind of duplicate, even at 0.
    pub by_reason: BTreeMap<Reason, u64>,
    /// Verified similarity (Jaccard, 0 to 1) of removed rows to what they were removed for, by reason.
    pub similarity: BTreeMap<Reason, Distribution>,
    /// Verified similarity of kept rows to the nearest kept row that was compared with them.
    pub kept_similarity: Distribution,
}

/// Components.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// By split, each split even at 0.
    pub by_split: BTreeMap<Split, ComponentCount>,
    /// Components by size; an entry is `[least rows, components]`, and its sizes end where they double.
    pub sizes: Vec<(u64, u64)>,
    /// Rows of the largest.
    pub largest: u64,
    /// Its share of the kept rows; null where there is none.
    pub largest_share: Option<f64>,
}

/// Components of one split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ComponentCount {
    /// Components.
    pub components: u64,
    /// Their rows.
    pub rows: u64,
    /// Rows of the largest.
    pub largest: u64,
}

/// How the rows of a split are shared out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// By outcome.
    pub outcome: Counts,
    /// By complexity.
    pub complexity: Counts,
}

/// One data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetSize {
    /// Its rows.
    pub rows: u64,
    /// Its rows by split, each split even at 0.
    pub splits: BTreeMap<Split, u64>,
    /// Their lengths.
    pub tokens: Lengths,
}

/// Lengths of prompts and answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// How they were counted.
    pub tokens_by: String,
    /// Of what a model reads.
    pub prompt: Percentiles,
    /// Of what it learns to write.
    pub answer: Percentiles,
}

/// How tokens of data set rows are estimated: no tokenizer is at hand that would be right for every model.
pub const TOKENS_BY: &str = "characters / 4";

impl Default for Lengths {
    fn default() -> Self {
        Self {
            tokens_by: TOKENS_BY.into(),
            prompt: Percentiles::default(),
            answer: Percentiles::default(),
        }
    }
}

/// How evenly rows lie over strata. Null where there is no row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// What makes a stratum.
    pub strata_by: Vec<String>,
    /// Strata that have rows.
    pub strata: u64,
    /// Rows of equal strata that would tell as much, if every stratum counted the same (Kish): equals the rows kept when
    /// all strata are of one size.
    pub effective_sample_size: Option<f64>,
    /// Equal strata that would be as diverse (inverse Simpson index).
    pub effective_strata: Option<f64>,
}
