//! Which workflows are run: the first sound ones, in the order of the sample files, each id once.

use crate::{
    artifacts::{
        jsonl::{JsonlReader, Line},
        named,
    },
    machines::spec::{ExecutionSpec, TestDatasetSpec},
    trajectory::Outcome,
};
use serde_json::{Map, Value};
use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufReader},
    path::PathBuf,
};

/// The longest id that becomes a directory's name, in bytes; a repair's is longer by a few.
const LONGEST_ID: usize = 200;

/// What there is to run.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Samples looked at; those behind the last workflow that is wanted are not.
    pub samples: u64,
    /// The ids of the workflows, in their order.
    pub ids: Vec<String>,
    /// Samples without a workflow that passed its validation.
    unsound: u64,
    /// Sound workflows without a test data set for their analysis and organism.
    without_data: u64,
    /// Sound workflows whose id cannot be a directory's name.
    odd_ids: u64,
}

/// Lists what there is to run.
///
/// # Errors
/// Those of reading; a file that is not there has no samples.
pub(super) fn list(inputs: &[PathBuf], settings: &ExecutionSpec) -> io::Result<Listed> {
    let mut listed = Listed::default();
    let mut seen = HashSet::new();
    each(inputs, &mut |row| {
        listed.samples += 1;
        if !is_sound(&row) {
            listed.unsound += 1;
        } else if !settings.datasets.is_empty() && dataset(settings, &row).is_none() {
            listed.without_data += 1;
        } else if let Some(id) = id(&row) {
            if seen.insert(id.clone()) {
                listed.ids.push(id);
            }
        } else {
            listed.odd_ids += 1;
        }
        (listed.ids.len() as u64) < settings.workflows
    })?;
    Ok(listed)
}

impl Listed {
    /// The ids that a task takes.
    pub fn share(&self, shard: u32, shards: u32) -> HashSet<String> {
        let from = shard as usize;
        let every = self.ids.iter().skip(from).step_by(shards.max(1) as usize);
        every.cloned().collect()
    }

    /// Why there is nothing to run, where there is nothing.
    pub fn problem(&self) -> Option<String> {
        if !self.ids.is_empty() {
            return None;
        }
        let all = self.samples;
        let mut text = format!(
            "there is no workflow to run: {} of {all} samples have none that passed its validation",
            self.unsound
        );
        for (count, what) in [
            (
                self.without_data,
                "have no [[test_dataset]] for their analysis and organism",
            ),
            (self.odd_ids, "have an id that cannot be a directory's name"),
        ] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        Some(text)
    }
}

/// Hands every sample to `take`, until that says to stop. Lines that are no objects are none.
///
/// # Errors
/// Those of reading; a file that is not there has no samples.
pub(super) fn each(
    inputs: &[PathBuf],
    take: &mut dyn FnMut(Map<String, Value>) -> bool,
) -> io::Result<()> {
    for path in inputs {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(|error| named(error, "open", path))?,
        };
        for line in JsonlReader::<_, Value>::new(BufReader::new(file)) {
            let line = line.map_err(|error| named(error, "read", path))?;
            let Line::Row {
                value: Value::Object(row),
                ..
            } = line
            else {
                continue;
            };
            if !take(row) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A text of a row, where it is one and says something.
pub(super) fn text<'a>(row: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    let text = row.get(key)?.as_str()?;
    (!text.trim().is_empty()).then_some(text)
}

/// Whether a row has a workflow of which nobody says that it is wrong.
fn is_sound(row: &Map<String, Value>) -> bool {
    let ended_well = match row.get("outcome") {
        None | Some(Value::Null) => true,
        Some(outcome) => outcome == Outcome::Success.name(),
    };
    ended_well
        && text(row, "generated_code").is_some()
        && row.get("final_validation_passed") != Some(&Value::Bool(false))
}

/// The id of a row whose workflow is one to run.
pub(super) fn runnable(row: &Map<String, Value>, settings: &ExecutionSpec) -> Option<String> {
    let data = settings.datasets.is_empty() || dataset(settings, row).is_some();
    id(row).filter(|_| data && is_sound(row))
}

/// A row's id, where that can be a directory's name: untrusted text never leads out of the campaign's directory.
fn id(row: &Map<String, Value>) -> Option<String> {
    let id = match row.get("id")? {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    is_plain(&id).then_some(id)
}

fn is_plain(id: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let first = id.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphanumeric())
        && id.len() <= LONGEST_ID
        && id.bytes().all(sign)
}

/// The test data set of a row's workflow.
pub(super) fn dataset<'a>(
    settings: &'a ExecutionSpec,
    row: &Map<String, Value>,
) -> Option<&'a TestDatasetSpec> {
    let word = |key: &str| text(row, key).unwrap_or("");
    settings.dataset(word("analysis_type"), word("organism"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    fn listed(rows: &[Value], settings: &ExecutionSpec) -> Listed {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shard-0.jsonl");
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(&path, lines).unwrap();
        list(&[dir.path().join("none.jsonl"), path], settings).unwrap()
    }

    #[test]
    fn sound_workflows_are_listed_once_in_order_and_dealt_out_without_rest() {
        let rows: Vec<Value> = [
            json!({ "id": "a", "generated_code": "x", "outcome": "success" }),
            json!({ "id": "b", "generated_code": "x", "outcome": "max_cycles_exceeded" }),
            json!({ "id": "c", "generated_code": " " }),
            json!({ "id": "a", "generated_code": "y" }),
            json!({ "id": 7, "generated_code": "y", "outcome": null }),
            json!({ "id": "d", "generated_code": "y", "final_validation_passed": false }),
            json!({ "id": "../e", "generated_code": "y" }),
            json!({ "id": ".f", "generated_code": "y" }),
            json!({ "id": "g", "generated_code": "y" }),
            json!([1]),
        ]
        .into();
        let all = listed(&rows, &ExecutionSpec::default());
        assert_eq!(all.ids, ["a", "7", "g"]);
        assert_eq!((all.samples, all.unsound, all.odd_ids), (9, 3, 2));
        let shares: Vec<usize> = (0..4).map(|shard| all.share(shard, 4).len()).collect();
        assert_eq!(shares, [1, 1, 1, 0]);
        let one = ExecutionSpec {
            workflows: 1,
            ..ExecutionSpec::default()
        };
        assert_eq!(listed(&rows, &one).ids, ["a"]);
    }

    #[test]
    fn nothing_to_run_is_a_sentence_that_says_why() {
        let rows = [
            json!({ "id": "a", "text": "no workflow" }),
            json!({ "id": "b", "generated_code": "x", "analysis_type": "chip_seq" }),
            json!({ "id": "x/y", "generated_code": "x", "analysis_type": "rna_seq" }),
        ];
        let settings = ExecutionSpec {
            datasets: vec![TestDatasetSpec {
                name: "d".into(),
                analysis_type: "rna_seq".into(),
                ..TestDatasetSpec::default()
            }],
            ..ExecutionSpec::default()
        };
        let problem = listed(&rows, &settings).problem().unwrap();
        assert_eq!(
            problem,
            "there is no workflow to run: 1 of 3 samples have none that passed its validation, \
             1 have no [[test_dataset]] for their analysis and organism, \
             1 have an id that cannot be a directory's name"
        );
        assert!(listed(&[], &settings).problem().is_some(), "0 of 0");
    }
}
