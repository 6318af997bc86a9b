//! What goes over the control socket about a campaign's data set: what it holds, by the names its files are asked for.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /v1/campaigns/ID/dataset`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetIndex {
    /// [`VERSION`](super::api::VERSION).
    pub version: u32,
    /// Whose.
    pub campaign: String,
    /// Every file, in the order of paths: `GET /v1/campaigns/ID/dataset/PATH` gives it.
    pub files: Vec<FileView>,
    /// Every split of every data set that has rows.
    pub splits: Vec<SplitView>,
}

/// A file of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// Its path below the data set's directory, such as `routing/train.jsonl`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal; none for the file of checksums itself.
    pub sha256: Option<String>,
}

/// A split of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitView {
    /// The data set, such as `routing`.
    pub name: String,
    /// The split, such as `train`.
    pub split: String,
    /// How many rows it has.
    pub rows: u64,
}

/// The curated data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetView {
    /// Rows kept.
    pub rows: u64,
    /// Rows read.
    pub rows_in: u64,
    /// Rows removed.
    pub removed: u64,
    /// Rows to train on.
    pub train: u64,
    /// Rows to choose by.
    pub validation: u64,
    /// Rows to test on.
    pub test: u64,
    /// Rows to test on whose templates no other split has.
    pub test_unseen_template: u64,
    /// Rows of each data set that was made of them.
    pub datasets: BTreeMap<String, u64>,
    /// Removed rows by reason.
    pub removed_by_reason: BTreeMap<String, u64>,
}
