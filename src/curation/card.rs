//! The data set's card: a README that people read and the Hugging Face `datasets` library loads by.
//!
//! The front matter holds what the library needs (`configs`, `dataset_info`) and what a catalogue shows. No licence is
//! named: who publishes decides on one, and a wrong one is worse than none.

use super::{
    stats::{Distribution, Percentiles, Summary},
    words::{DataSet, Reason, Split},
};
use std::fmt::Write;

/// What the numbers do not say.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// The data set's name.
    pub name: &'a str,
    /// What made the raw rows, one phrase; none where that is not known.
    pub generator: Option<&'a str>,
    /// Settings of the curation, each with its value, in the order to show them.
    pub settings: &'a [(String, String)],
}

/// What one data set is for.
pub fn purpose(set: DataSet) -> &'static str {
    match set {
        DataSet::Routing => "which tier and model to send a request to",
        DataSet::Codegen => "a workflow from a plan",
        DataSet::Validation => "what is wrong with a workflow",
        DataSet::ErrorRecovery => "what to do about an error",
        DataSet::ValidationPreferences => "which of two validations is right (DPO pairs)",
        DataSet::Samples => "the rows as their generator wrote them",
    }
}

/// Why a row is removed, in words for people.
pub fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::InvalidJson => "the line is no JSON object",
        Reason::InvalidUtf8 => "the line is no UTF-8",
        Reason::LineTooLong => "the line is longer than a row may be",
        Reason::DuplicateId => "another row has its id",
        Reason::Incomplete => "something that a row needs is not there",
        Reason::Trivial => "it asks or says too little",
        Reason::BelowMinQuality => "its quality is below the bar",
        Reason::NotAccepted => "its generator did not accept it, and gave no score",
        Reason::DuplicateStructure => "a better row has its template and slots",
        Reason::DuplicateText => "a better row says the same",
        Reason::NearDuplicate => "a better row says nearly the same (verified)",
        Reason::Contaminated => "it overlaps with an evaluation set",
        Reason::OutcomeBalance => "there are too many failures beside the successes",
        Reason::Diversity => "there is too much of its analysis type",
    }
}

/// The card's text. `configs` is the part of the front matter by which the library finds files and types: `configs` and
/// `dataset_info`, as YAML that begins at the line's start.
pub fn card(about: &About<'_>, summary: &Summary, configs: &str) -> String {
    let mut text = front(about, summary, configs);
    let _ = write!(text, "# {}\n\n{}", plain(about.name), lead(summary));
    text += &sets(summary);
    text += &loading(summary);
    text += &making(about, summary);
    text += &removed(summary);
    text += &splits(summary);
    text += &contents(summary);
    text + &limits(summary)
}

fn front(about: &About<'_>, summary: &Summary, configs: &str) -> String {
    // JSON's quoting is YAML's.
    let name = serde_json::Value::from(about.name);
    let rows: u64 = summary.datasets.values().map(|set| set.rows).sum();
    let mut text = format!(
        "---\npretty_name: {name}\nlanguage:\n- en\ntask_categories:\n- text-generation\nsize_categories:\n- {}\n",
        size(rows)
    );
    if !summary.datasets.contains_key(&DataSet::Samples) {
        text += "tags:\n- synthetic\n- bioinformatics\n- nextflow\n- code\n- agent\n";
    }
    text += configs.trim_end();
    text + "\n---\n\n"
}

/// The catalogue's words for a number of rows.
fn size(rows: u64) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        10_000_000..100_000_000 => "10M<n<100M",
        _ => "n>100M",
    }
}

fn lead(summary: &Summary) -> String {
    let rows: u64 = summary.datasets.values().map(|set| set.rows).sum();
    format!(
        "{} rows in {}, made of the {} samples that were kept of {}. Every row has an `id`; `messages` is a chat in the usual form (`role`, `content`){}. Numbers: `stats.json`; the same with plots: `report.html`.\n",
        number(rows),
        counted(
            summary.datasets.values().filter(|set| set.rows > 0).count() as u64,
            "data set"
        ),
        number(summary.kept),
        number(summary.rows_in),
        if summary
            .datasets
            .get(&DataSet::ValidationPreferences)
            .is_some_and(|set| set.rows > 0)
        {
            ", and `validation_preferences` has `prompt`, `chosen` and `rejected` instead"
        } else {
            ""
        }
    )
}

fn sets(summary: &Summary) -> String {
    let mut text = String::from("\n## Data sets\n\n| data set | to learn |");
    for split in Split::ALL {
        let _ = write!(text, " {split} |");
    }
    text += " prompt tokens p50 / p95 | answer tokens p50 / p95 |\n|---|---|";
    text += &"--:|".repeat(Split::ALL.len() + 2);
    for (set, size) in &summary.datasets {
        let _ = write!(text, "\n| `{set}` | {} |", purpose(*set));
        for split in Split::ALL {
            let rows = size.splits.get(split).copied().unwrap_or(0);
            let _ = write!(text, " {} |", number(rows));
        }
        let lengths = |of: &Percentiles| match (of.p50, of.p95) {
            (Some(half), Some(most)) => format!("{} / {}", number(half), number(most)),
            _ => "–".into(),
        };
        let (prompt, answer) = (lengths(&size.tokens.prompt), lengths(&size.tokens.answer));
        let _ = write!(text, " {prompt} | {answer} |");
    }
    let _ = write!(
        text,
        "\n\nTokens are estimated ({}). Each data set is a folder with a file per split that has rows: `.parquet` with an explicit schema, and the same rows as `.jsonl`.",
        summary.tokens.tokens_by
    );
    if summary.in_no_set > 0 {
        let rows = counted(summary.in_no_set, "kept sample");
        let _ = write!(
            text,
            " {rows} have no row here: what they teach is of none of these shapes, asked in another split, or said by another row."
        );
    }
    text + "\n"
}

fn loading(summary: &Summary) -> String {
    let Some((set, size)) = summary.datasets.iter().find(|(_, size)| size.rows > 0) else {
        return String::new();
    };
    let split = size
        .splits
        .iter()
        .find(|(_, rows)| **rows > 0)
        .map_or(Split::Train, |(split, _)| *split);
    format!(
        "\n## Loading\n\n```python\nfrom datasets import load_dataset\n\nrows = load_dataset(PATH, \"{set}\", split=\"{split}\")   # PATH: this folder\n```\n\n```python\nimport pandas\n\nrows = pandas.read_parquet(f\"{{PATH}}/{set}/{split}.parquet\")\n```\n"
    )
}

fn making(about: &About<'_>, summary: &Summary) -> String {
    let mut text = String::from("\n## How it was made\n\n");
    if let Some(generator) = about.generator {
        let _ = write!(text, "Raw rows: {}. ", plain(generator));
    }
    text += "Curation read every line, decided on each, and wrote what was kept in the order of ids: the same rows, settings and seed give the same bytes on every machine.";
    match summary.model_usage.len() {
        0 => text += " No kept row names a model.\n",
        _ => {
            text += "\n\n| model | requests | samples |\n|---|--:|--:|\n";
            for (model, used) in &summary.model_usage {
                let (calls, rows) = (number(used.calls), number(used.trajectories));
                let _ = writeln!(text, "| {} | {calls} | {rows} |", cell(model));
            }
        }
    }
    if !about.settings.is_empty() {
        text += "\n| setting | value |\n|---|---|\n";
        for (setting, value) in about.settings {
            let _ = writeln!(text, "| {} | {} |", cell(setting), cell(value));
        }
    }
    text
}

fn removed(summary: &Summary) -> String {
    let share = summary.removed as f64 / summary.rows_in.max(1) as f64 * 100.0;
    let mut text = format!(
        "\n## What was removed\n\n{} of {} rows and lines ({share:.1} %), each kept in `rejected.jsonl` with its reason and, for a duplicate, what it repeats and how closely.\n",
        number(summary.removed),
        number(summary.rows_in)
    );
    if summary.removed > 0 {
        text += "\n| reason | rows | because |\n|---|--:|---|\n";
        for (reason, rows) in &summary.removed_by_reason {
            let _ = writeln!(
                text,
                "| `{reason}` | {} | {} |",
                number(*rows),
                because(*reason)
            );
        }
    }
    text
}

fn splits(summary: &Summary) -> String {
    let mut text = String::from(
        "\n## How the splits are made\n\nRelated rows (same template and slots, near-duplicate texts, same source) form a component, and a component is never in two splits. Rows that one template made are told apart by their slots alone, so requests of one template are in several splits; what is given to a model is never the same in two of them. The test of what is unlike anything trained on is `test_unseen_template`. Splits are stratified by analysis type, outcome and complexity. `test_unseen_template` holds templates of which no other split has a row.\n\n| split | samples | components | largest component |\n|---|--:|--:|--:|\n",
    );
    for split in Split::ALL {
        let rows = summary.splits.get(split).copied().unwrap_or(0);
        let count = summary
            .components
            .by_split
            .get(split)
            .copied()
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "| {split} | {} | {} | {} |",
            number(rows),
            number(count.components),
            number(count.largest)
        );
    }
    text
}

fn contents(summary: &Summary) -> String {
    let mut text = String::from("\n## What is in it\n\n");
    for (what, counts) in [
        ("Outcomes", &summary.by_outcome),
        ("Complexity", &summary.by_complexity),
        ("Analysis types", &summary.by_analysis_type),
        ("Organisms", &summary.by_organism),
    ] {
        let mut named: Vec<(&String, &u64)> = counts.iter().filter(|(_, n)| **n > 0).collect();
        if named.is_empty() {
            continue;
        }
        named.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), *name));
        let shown: Vec<String> = named
            .iter()
            .take(MOST_SHOWN)
            .map(|(name, n)| format!("{} {}", plain(name), number(**n)))
            .collect();
        let _ = write!(text, "- {what}: {}", shown.join(", "));
        match named.len().saturating_sub(MOST_SHOWN) {
            0 => text += "\n",
            more => {
                let _ = writeln!(text, ", and {more} more");
            }
        }
    }
    let measured = |what: &str, of: &Distribution| match (of.median, of.p5, of.p95) {
        (Some(median), Some(low), Some(high)) => {
            format!("- {what}: median {median:.3}, p5 {low:.3}, p95 {high:.3}\n")
        }
        _ => String::new(),
    };
    text += &measured("Quality", &summary.quality);
    text + &measured("Training value", &summary.training_value)
}

/// Names listed of one kind.
const MOST_SHOWN: usize = 12;

fn limits(summary: &Summary) -> String {
    let mut text = String::from("\n## Limits\n\n");
    if summary.datasets.contains_key(&DataSet::Samples) {
        text += "- Rows are their generator's: their claims were not checked, and labels are as good as it is.\n";
    } else {
        text += "- Synthetic: queries come from templates, and errors are planned ones. Where a workflow was not run, its outcome is that of static validation.\n";
    }
    text += "- Quality is a score by rules, not a judgement by people.\n- Similarity is one of characters: a paraphrase in other words is not found.\n- No licence is set; whoever publishes the data sets one.\n";
    if summary
        .components
        .largest_share
        .is_some_and(|share| share > 0.05)
    {
        let share = summary.components.largest_share.unwrap_or(0.0) * 100.0;
        let _ = writeln!(
            text,
            "- One component holds {share:.1} % of the samples, all in one split."
        );
    }
    text + "\n## Checksums\n\n`sha256sum -c SHA256SUMS` in this folder checks every file.\n"
}

/// 12345 as 12,345.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", number(n), if n == 1 { "" } else { "s" })
}

/// Text from data as Markdown that means nothing but itself, on one line.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out += "&lt;",
            '&' => out += "&amp;",
            '\\' | '`' | '*' | '[' | ']' | '|' | '#' | '~' | '!' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A table's cell.
fn cell(text: &str) -> String {
    match plain(text) {
        text if text.trim().is_empty() => "–".into(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curation::stats::{Facts, Stats};

    fn summary() -> Summary {
        let mut stats = Stats::default();
        for n in 0..3_u64 {
            stats.add(&Facts {
                analysis_type: Some("rna_seq"),
                organism: Some("<script>|x"),
                complexity: Some("simple"),
                outcome: Some("success"),
                quality: Some(0.9),
                quality_parts: Vec::new(),
                training_value: None,
                tokens: Some(n),
                cost_usd: Some(0.0),
                models: vec![("a|b", 1)],
                errors: Vec::new(),
                split: Split::Train,
                duplicate_of_score: None,
            });
            stats.row(DataSet::Codegen, Split::Train, 1000 * n, 50);
            stats.component(Split::Train, 1);
        }
        stats.removed(Reason::NearDuplicate, Some(0.9));
        stats.finish()
    }

    const CONFIGS: &str = "configs:\n- config_name: codegen\n  data_files:\n  - split: train\n    path: codegen/train.parquet\ndataset_info:\n- config_name: codegen\n  features:\n  - name: id\n    dtype: string\n";

    #[test]
    fn the_card_is_golden() {
        let settings = [("curation.min_quality".to_owned(), "0.75".to_owned())];
        let about = About {
            name: "a \"name\": <b>",
            generator: Some("the built-in generator, by rules"),
            settings: &settings,
        };
        let text = card(&about, &summary(), CONFIGS);
        if option_env!("CAMPAIGND_GOLDEN").is_some() {
            println!("{text}");
        }
        assert_eq!(text, include_str!("../../tests/golden/curation/card.md"));
        assert!(!text.contains("<script") && !text.contains("license:"));
    }

    #[test]
    fn an_empty_data_set_has_a_card_without_numbers_that_are_none() {
        let about = About {
            name: "nothing",
            generator: None,
            settings: &[],
        };
        let text = card(&about, &Stats::default().finish(), "configs: []\n");
        assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
        assert!(text.contains("0 of 0 rows"));
    }
}
