//! The card of a part of a data set in a format: what the Hugging Face `datasets` library finds its files by.

use crate::curation::{format::Format, words::Split};
use std::collections::BTreeMap;

/// What a part holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Rows by data set and split.
    pub rows: BTreeMap<String, BTreeMap<String, u64>>,
    /// Rows that the format cannot say, by data set and reason.
    pub left_out: BTreeMap<(String, String), u64>,
}

impl Part {
    /// Counts rows of a split.
    pub fn add(&mut self, name: &str, split: &str, rows: u64) {
        let splits = self.rows.entry(name.into()).or_default();
        *splits.entry(split.into()).or_default() += rows;
    }

    /// Counts a row that cannot be said.
    pub fn leave_out(&mut self, name: &str, reason: String) {
        *self.left_out.entry((name.into(), reason)).or_default() += 1;
    }

    /// All rows.
    pub fn total(&self) -> u64 {
        self.rows.values().flat_map(BTreeMap::values).sum()
    }

    /// What is left out and why, a phrase each.
    pub fn reasons(&self) -> Vec<String> {
        let reasons = self.left_out.iter();
        reasons
            .map(|((name, reason), rows)| format!("{rows} of {name}: {reason}"))
            .collect()
    }

    /// The text of `README.md`. `of` is what it is a part of.
    pub fn card(&self, name: &str, of: &str, format: Format) -> String {
        let mut text = String::from("---\nconfigs:\n");
        for (set, splits) in &self.rows {
            text += &format!("- config_name: {set}\n  data_files:\n");
            for split in in_order(splits) {
                text += &format!("  - split: {split}\n    path: {set}/{split}.parquet\n");
            }
        }
        text += &format!(
            "---\n\n# {name}\n\nRows of {of}, format `{format}`, as Parquet and as JSON Lines. Checksums: `SHA256SUMS`.\n\n\
             | data set | split | rows |\n| --- | --- | ---: |\n"
        );
        for (set, splits) in &self.rows {
            for split in in_order(splits) {
                text += &format!("| {set} | {split} | {} |\n", splits[split]);
            }
        }
        for reason in self.reasons() {
            text += &format!("\nLeft out: {reason}.\n");
        }
        text
    }
}

/// The names of splits, in the order of their use.
pub fn in_order(splits: &BTreeMap<String, u64>) -> Vec<&str> {
    let mut names: Vec<&str> = splits.keys().map(String::as_str).collect();
    names.sort_by_key(|name| Split::ALL.iter().position(|word| word.name() == *name));
    names
}
