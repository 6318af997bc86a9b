//! Which files of a data set are asked for.

use super::{DatasetArgs, Fail};
use crate::{
    artifacts::sums,
    control::{
        api::ErrorView,
        dataset::{DatasetIndex, FileView, SplitView},
    },
    curation::format::Format,
};

/// What is transferred.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose it is.
    pub campaign: String,
    /// Whether it is everything, as it is.
    pub whole: bool,
    /// The files.
    pub files: Vec<FileView>,
    /// The splits whose rows they have.
    pub splits: Vec<SplitView>,
}

impl Plan {
    /// # Errors
    /// A data set or a split that is not there, with what is.
    pub fn of(index: &DatasetIndex, args: &DatasetArgs) -> Result<Self, Fail> {
        let names = index.splits.iter().map(|split| split.name.as_str());
        among(index, "data set", "name", args.name.as_deref(), names)?;
        let of_name =
            |split: &&SplitView| args.name.as_ref().is_none_or(|name| *name == split.name);
        let names = index.splits.iter().filter(of_name);
        let names = names.map(|split| split.split.as_str());
        among(index, "split", "split", args.split.as_deref(), names)?;
        let wanted = |split: &&SplitView| {
            of_name(split) && args.split.as_ref().is_none_or(|name| *name == split.split)
        };
        let splits: Vec<SplitView> = index.splits.iter().filter(wanted).cloned().collect();
        let as_it_is = args.format == Format::Messages;
        let whole = as_it_is && args.name.is_none() && args.split.is_none();
        let taken = |file: &&FileView| {
            let of_split = |split: &SplitView| {
                let stem = format!("{}/{}.", split.name, split.split);
                let kind = file.path.strip_prefix(&stem);
                kind.is_some_and(|kind| as_it_is || kind == "jsonl")
            };
            whole || splits.iter().any(of_split)
        };
        let files: Vec<FileView> = index.files.iter().filter(taken).cloned().collect();
        if splits.is_empty() {
            let message = format!("the data set of {} has no rows", index.campaign);
            return Err(Fail::usage(
                message,
                format!("campaignctl status {}", index.campaign),
            ));
        }
        let unsummed = |file: &&FileView| file.sha256.is_none() && file.path != sums::NAME;
        if let Some(file) = files.iter().find(unsummed) {
            let message = format!("{} of the data set has no checksum", file.path);
            return Err(Fail::usage(
                message,
                "curate again: SHA256SUMS names every file",
            ));
        }
        Ok(Self {
            campaign: index.campaign.clone(),
            whole,
            files,
            splits,
        })
    }

    /// How much is transferred.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Whether a word is among those that there are.
fn among<'a>(
    index: &DatasetIndex,
    what: &str,
    key: &str,
    asked: Option<&str>,
    there: impl Iterator<Item = &'a str>,
) -> Result<(), Fail> {
    let Some(asked) = asked else {
        return Ok(());
    };
    let mut words: Vec<&str> = Vec::new();
    for word in there {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.contains(&asked) {
        return Ok(());
    }
    let near = words
        .iter()
        .map(|word| (strsim::jaro_winkler(asked, word), *word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, word)| word.to_string());
    let all = words.join(", ");
    let right = match &near {
        Some(near) => format!("{all}; did you mean \"{near}\"?"),
        None => all.clone(),
    };
    Err(Fail(vec![ErrorView {
        kind: "unknown".into(),
        message: format!(
            "the data set of {} has no {what} \"{asked}\"",
            index.campaign
        ),
        at: Some(format!("--{key} {asked}")),
        right: Some(right),
        key: Some(key.into()),
        value: Some(asked.into()),
        expected: Some(all),
        suggestion: near,
        exit_status: super::USAGE,
        ..ErrorView::default()
    }]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn index() -> DatasetIndex {
        let split = |name: &str, split: &str| SplitView {
            name: name.into(),
            split: split.into(),
            rows: 1,
        };
        let file = |path: &str| FileView {
            path: path.into(),
            bytes: 10,
            sha256: (path != "SHA256SUMS").then(|| "0".repeat(64)),
        };
        let paths = [
            "README.md",
            "SHA256SUMS",
            "routing/train.jsonl",
            "routing/train.parquet",
            "routing/test.jsonl",
            "codegen/train.jsonl",
        ];
        DatasetIndex {
            version: 1,
            campaign: "alttp".into(),
            files: paths.map(file).into(),
            splits: vec![
                split("routing", "train"),
                split("routing", "test"),
                split("codegen", "train"),
            ],
        }
    }

    fn planned(
        name: Option<&str>,
        split: Option<&str>,
        format: Format,
    ) -> Result<Vec<String>, String> {
        let args = DatasetArgs {
            id: None,
            name: name.map(String::from),
            split: split.map(String::from),
            format,
            model: None,
            output: PathBuf::from("x"),
            force: false,
        };
        let plan = Plan::of(&index(), &args).map_err(|fail| fail.to_string())?;
        assert_eq!(plan.bytes(), 10 * plan.files.len() as u64);
        Ok(plan.files.into_iter().map(|file| file.path).collect())
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        use Format::{Alpaca, Messages};
        assert_eq!(planned(None, None, Messages).unwrap().len(), 6);
        let routing = [
            "routing/train.jsonl",
            "routing/train.parquet",
            "routing/test.jsonl",
        ];
        assert_eq!(planned(Some("routing"), None, Messages).unwrap(), routing);
        let train = ["routing/train.jsonl", "codegen/train.jsonl"];
        assert_eq!(planned(None, Some("train"), Alpaca).unwrap(), train);
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let error = planned(Some("rooting"), None, Format::Messages).unwrap_err();
        for expected in [
            "no data set \"rooting\"",
            "routing, codegen",
            "did you mean \"routing\"?",
        ] {
            assert!(error.contains(expected), "{error}");
        }
        let error = planned(Some("codegen"), Some("test"), Format::Messages).unwrap_err();
        assert!(
            error.contains("no split \"test\"") && error.contains("right  train"),
            "{error}"
        );
    }
}
