//! What is asked of the execution of workflows: the command that runs one, how many are run, and what they are run on.

use crate::workflow::expectation::Expectation;
use serde::{Deserialize, Serialize};

/// `[execution]`, with the test data sets of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutionSpec {
    /// Argument vector that runs one workflow, with placeholders.
    pub command: Vec<String>,
    /// How many workflows are run at most: the first sound ones in the order of the samples.
    pub workflows: u64,
    /// Tasks of the phase.
    pub shards: u32,
    /// Limit of one workflow in seconds; none means no limit.
    pub time_seconds: Option<u64>,
    /// What workflows are run on; none: the command needs no data.
    pub datasets: Vec<TestDatasetSpec>,
}

/// `[[test_dataset]]`: data of which is known what comes out (specification 1, 5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestDatasetSpec {
    /// Its name.
    pub name: String,
    /// The analysis whose workflows are run on it; empty: every one.
    pub analysis_type: String,
    /// Its organism; empty: any.
    pub organism: String,
    /// `small`, `medium` or `large`; for people.
    pub size: String,
    /// How many samples it has; 0 where that is not said.
    pub samples: u64,
    /// Reads, absolute paths.
    pub fastq_paths: Vec<String>,
    /// The reference, a file or a directory, absolute; empty where there is none.
    pub reference_path: String,
    /// What has to come out: a metric and `> 80 %`.
    pub expected_outputs: Vec<(String, String)>,
}

impl Default for ExecutionSpec {
    fn default() -> Self {
        Self {
            command: DEFAULT_COMMAND.map(String::from).to_vec(),
            workflows: 500,
            shards: 8,
            time_seconds: Some(4 * 3600),
            datasets: Vec::new(),
        }
    }
}

/// How Nextflow runs a generated workflow on a test data set. A relative name is one in the directory of the run.
pub const DEFAULT_COMMAND: [&str; 11] = [
    "nextflow",
    "run",
    "{workflow}",
    "-work-dir",
    "{work}",
    "-with-trace",
    "trace.txt",
    "-ansi-log",
    "false",
    "-params-file",
    "{params}",
];

/// What the command may ask for in braces.
pub const PLACEHOLDERS: [&str; 10] = [
    "workflow",
    "directory",
    "work",
    "reads",
    "input",
    "reference",
    "params",
    "outdir",
    "dataset",
    "campaign",
];

/// The most test data sets of a campaign.
pub const MOST_DATASETS: usize = 1000;

impl ExecutionSpec {
    /// Whether the command is the one that runs Nextflow unless another is named.
    pub fn is_default_command(&self) -> bool {
        self.command == DEFAULT_COMMAND
    }

    /// The data set for workflows of an analysis and an organism: the first that is for both, else for the analysis, else
    /// for any. One for another organism is never taken.
    pub fn dataset(&self, analysis_type: &str, organism: &str) -> Option<&TestDatasetSpec> {
        let fits = |set: &&TestDatasetSpec| {
            let kind = set.analysis_type.is_empty() || set.analysis_type == analysis_type;
            kind && (set.organism.is_empty() || set.organism.eq_ignore_ascii_case(organism))
        };
        let named = |set: &&TestDatasetSpec| {
            u8::from(set.analysis_type.is_empty()) * 2 + u8::from(set.organism.is_empty())
        };
        self.datasets.iter().filter(fits).min_by_key(named)
    }

    /// Tells `refuse` what is wrong.
    pub(super) fn problems(&self, refuse: &mut impl FnMut(bool, String)) {
        refuse(
            self.command.first().is_none_or(String::is_empty),
            "execution.command is empty".into(),
        );
        for (key, value, most) in [
            ("workflows", self.workflows, super::MOST_SAMPLES),
            (
                "shards",
                u64::from(self.shards),
                u64::from(super::MOST_SHARDS),
            ),
        ] {
            refuse(
                !(1..=most).contains(&value),
                format!("execution.{key} = {value} is not 1 to {most}"),
            );
        }
        refuse(
            self.time_seconds == Some(0),
            "execution.time leaves no time".into(),
        );
        refuse(
            self.datasets.len() > MOST_DATASETS,
            format!("there are more than {MOST_DATASETS} test data sets"),
        );
        for (at, set) in self.datasets.iter().enumerate() {
            let name = &set.name;
            refuse(name.is_empty(), "a test data set has no name".into());
            let again = self.datasets[..at].iter().any(|other| other.name == *name);
            refuse(again, format!("two test data sets have the name {name}"));
            for (metric, wanted) in &set.expected_outputs {
                if let Err(why) = Expectation::of(metric, wanted) {
                    refuse(true, format!("test data set {name}: {why}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, analysis_type: &str, organism: &str) -> TestDatasetSpec {
        TestDatasetSpec {
            name: name.into(),
            analysis_type: analysis_type.into(),
            organism: organism.into(),
            ..TestDatasetSpec::default()
        }
    }

    #[test]
    fn the_most_particular_data_set_is_taken_and_none_of_another_organism() {
        let spec = ExecutionSpec {
            datasets: vec![
                set("any", "", ""),
                set("rna", "rna_seq", ""),
                set("mouse", "rna_seq", "mouse"),
                set("chip", "chip_seq", "mouse"),
            ],
            ..ExecutionSpec::default()
        };
        let name = |kind, organism| spec.dataset(kind, organism).map(|set| set.name.as_str());
        assert_eq!(name("rna_seq", "Mouse"), Some("mouse"));
        assert_eq!(name("rna_seq", "human"), Some("rna"));
        assert_eq!(name("chip_seq", "human"), Some("any"));
        let spec = ExecutionSpec {
            datasets: vec![set("chip", "chip_seq", "mouse")],
            ..ExecutionSpec::default()
        };
        assert_eq!(spec.dataset("chip_seq", "human"), None);
    }

    #[test]
    fn what_came_over_the_socket_is_judged_as_well() {
        let mut one = set("a", "", "");
        one.expected_outputs = vec![("mapping_rate".into(), "high".into())];
        let spec = ExecutionSpec {
            command: Vec::new(),
            workflows: 0,
            shards: 0,
            time_seconds: Some(0),
            datasets: vec![one.clone(), one],
        };
        let mut found = Vec::new();
        spec.problems(&mut |wrong, text| found.extend(wrong.then_some(text)));
        assert_eq!(found.len(), 7, "{found:#?}");
        let mut none = 0;
        ExecutionSpec::default().problems(&mut |wrong, _| none += u32::from(wrong));
        assert_eq!(none, 0);
    }
}
