//! The data set's card: a README that people read and the Hugging Face `datasets` library loads by.

use super::{Counts, Split};

/// The card's text.
pub fn card(name: &str, counts: &Counts, min_quality: f64) -> String {
    let files: String = Split::ALL
        .iter()
        .filter(|split| {
            counts
                .splits
                .get(split.name())
                .is_some_and(|rows| *rows > 0)
        })
        .map(|split| format!("  - split: {0}\n    path: {0}.jsonl\n", split.name()))
        .collect();
    let mut text = format!(
        "---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n# {name}\n\n\
         {} rows of {} samples, each with `messages` (a chat) and the fields its generator wrote.\n\n\
         | split | rows |\n|---|---|\n",
        counts.kept, counts.rows_in
    );
    for split in Split::ALL {
        text += &format!(
            "| {} | {} |\n",
            split.name(),
            counts.splits.get(split.name()).copied().unwrap_or(0)
        );
    }
    text += &format!(
        "\nRemoved: {} rows, kept in `rejected.jsonl` with the reason. Bar: quality {min_quality}.\n\n",
        counts.removed_total()
    );
    if !counts.removed.is_empty() {
        text += "| reason | rows |\n|---|---|\n";
        for (reason, rows) in &counts.removed {
            text += &format!("| {reason} | {rows} |\n");
        }
    }
    text + "\nRows of the same template and slots are never in two splits. Counts: `stats.json`; checksums: `SHA256SUMS`.\n"
}
