//! The keys of `[execution]`, and the `[[test_dataset]]` tables beside it.

use super::{
    campaign_file::placeholders,
    keys::{Key, Kind, key},
    layers::{Layers, OneOfSeveral},
    places::Env,
    problem::Problem,
    settings::Settings,
    slurm,
};
use crate::{
    machines::spec::{
        EXECUTION_PLACEHOLDERS, ExecutionSpec, MOST_DATASETS, Provenance, TestDatasetSpec,
    },
    workflow::expectation::{Expectation, FORM},
};
use std::path::Path;

/// The keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key(
        "execution.command",
        Kind::List,
        COMMAND,
        "",
        "runs one workflow, as an argument vector",
    ),
    key(
        "execution.workflows",
        Kind::Whole(1, 1_000_000_000),
        "500",
        "samples",
        "run at most: the first sound ones",
    ),
    key(
        "execution.shards",
        Kind::Whole(1, 10_000),
        "8",
        "jobs",
        "side by side, each running one workflow at a time",
    ),
    key(
        "execution.time",
        Kind::Duration,
        "\"4h\"",
        "time",
        "limit of one workflow; \"\" = none",
    ),
];

/// [`crate::machines::spec::DEFAULT_COMMAND`] as TOML; a test holds both together.
const COMMAND: &str = r#"["nextflow", "run", "{workflow}", "-work-dir", "{work}", "-with-trace", "trace.txt", "-ansi-log", "false", "-params-file", "{params}"]"#;

/// The tables of test data.
pub const DATASET: &str = "test_dataset";

/// What such a table may say, with what it means.
pub const OF_A_DATASET: [(&str, &str); 8] = [
    ("name", "a name of its own"),
    (
        "analysis_type",
        "workflows of this analysis are run on it; without it any",
    ),
    ("organism", "and of this organism; without it any"),
    ("size", "small, medium or large; for people"),
    ("samples", "how many samples it has; for people"),
    ("fastq_paths", "the reads, both files of a pair named alike"),
    (
        "reference_path",
        "the reference: a file, or a directory of files",
    ),
    (
        "expected_outputs",
        "what has to come out: { mapping_rate = \"> 80 %\" }",
    ),
];

/// `[execution]` with its test data sets; none where it is not asked for. What is wrong is complained of.
pub fn execution(
    layers: &mut Layers,
    settings: &Settings,
    directory: &Path,
) -> Option<ExecutionSpec> {
    let given: Vec<OneOfSeveral> = layers.named(DATASET).cloned().collect();
    let asked = layers.tables.iter().any(|(name, _)| name == "execution");
    if !asked {
        for one in &given {
            let message = "there is nothing to run on test data without execution";
            layers.problems.push(whole(one, message, "[execution]"));
        }
        return None;
    }
    let mut spec = ExecutionSpec {
        command: layers.list("execution.command"),
        workflows: layers.whole("execution.workflows"),
        shards: u32::try_from(layers.whole("execution.shards")).unwrap_or(u32::MAX),
        time_seconds: layers.duration("execution.time").map(|time| time.as_secs()),
        datasets: Vec::new(),
    };
    judge(layers, &spec, settings, given.is_empty());
    for one in &given {
        let set = dataset(layers, one, directory);
        let again = spec.datasets.iter().any(|other| other.name == set.name);
        if again && !set.name.is_empty() {
            let message = format!("two test data sets have the name {}", set.name);
            let problem = one.problem("name", message, "another name".into());
            layers.problems.push(problem);
        }
        spec.datasets.push(set);
    }
    if let Some(one) = given.get(MOST_DATASETS) {
        let message = format!("there are more than {MOST_DATASETS} test data sets");
        layers.problems.push(whole(one, &message, "fewer of them"));
    }
    Some(spec)
}

/// What `[execution]` itself says.
fn judge(layers: &mut Layers, spec: &ExecutionSpec, settings: &Settings, no_data: bool) {
    if spec.command.first().is_none_or(String::is_empty) {
        let right = "command = [\"sh\", \"{campaign}/run.sh\", \"{workflow}\", \"{outdir}\"]";
        let message = "the command is empty".into();
        layers.complain("execution.command", message, Some(right.into()));
    }
    placeholders(layers, "execution.command", &EXECUTION_PLACEHOLDERS);
    if spec.is_default_command() && no_data {
        let message = "there is nothing to run the workflows on".into();
        let right =
            "[[test_dataset]] with fastq_paths and reference_path, or a command of your own";
        layers.complain("execution.command", message, Some(right.into()));
    }
    let most = settings.limits.max_concurrent_jobs;
    if spec.shards > most && !slurm::is_on_slurm(layers, "execution.") {
        let message = "there are more shards than jobs may run at once".into();
        let right = format!("at most {most} (limits.max_concurrent_jobs)");
        layers.complain("execution.shards", message, Some(right));
    }
    if spec.time_seconds == Some(0) {
        let message = "execution.time leaves no time".into();
        let right = "a duration: \"30m\", \"4h\"; \"\" for no limit";
        layers.complain("execution.time", message, Some(right.into()));
    }
}

/// A problem with a table as a whole.
fn whole(one: &OneOfSeveral, message: &str, right: &str) -> Problem {
    let (file, line) = one.place.rsplit_once(':').unwrap_or((&one.place, ""));
    Problem {
        message: message.into(),
        at: format!("{}   [[{}]]", one.place, one.name),
        right: Some(right.into()),
        file: Some(file.into()),
        line: line.parse().ok(),
        key: Some(one.name.clone()),
        ..Problem::default()
    }
}

/// One `[[test_dataset]]`; everything that is wrong with it is complained of.
fn dataset(layers: &mut Layers, one: &OneOfSeveral, directory: &Path) -> TestDatasetSpec {
    let mut read = Reading {
        one,
        problems: Vec::new(),
    };
    for key in one.values.keys() {
        if !OF_A_DATASET.iter().any(|(known, _)| known == key) {
            let all: Vec<&str> = OF_A_DATASET.iter().map(|(name, _)| *name).collect();
            let message = format!("unknown key `{DATASET}.{key}`");
            read.refuse(key, message, all.join(", "));
        }
    }
    let set = TestDatasetSpec {
        name: read.text("name"),
        analysis_type: read.text("analysis_type"),
        organism: read.text("organism"),
        size: read.text("size"),
        samples: read.samples(),
        fastq_paths: read.texts("fastq_paths"),
        reference_path: read.text("reference_path"),
        expected_outputs: read.expected(),
    };
    if set.name.trim().is_empty() {
        let right = "name = \"rnaseq_human_small\"";
        read.refuse("name", "the test data set has no name".into(), right.into());
    }
    let placed = |path: &String| directory.join(path).display().to_string();
    let set = TestDatasetSpec {
        fastq_paths: set.fastq_paths.iter().map(placed).collect(),
        reference_path: Some(&set.reference_path)
            .filter(|path| !path.is_empty())
            .map_or(String::new(), placed),
        ..set
    };
    // Found before days of generation, not after.
    for path in &set.fastq_paths {
        read.exists("fastq_paths", path);
    }
    if !set.reference_path.is_empty() {
        read.exists("reference_path", &set.reference_path);
    }
    layers.problems.append(&mut read.problems);
    set
}

/// A table that is read, with what is wrong with it.
struct Reading<'a> {
    one: &'a OneOfSeveral,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn refuse(&mut self, key: &str, message: String, right: String) {
        self.problems.push(self.one.problem(key, message, right));
    }

    fn wrong_type(&mut self, key: &str, right: &str) {
        let message = format!("{DATASET}.{key} has the wrong type");
        self.refuse(key, message, right.into());
    }

    fn text(&mut self, key: &str) -> String {
        match self.one.values.get(key) {
            None => String::new(),
            Some(toml::Value::String(text)) => text.clone(),
            Some(_) => {
                self.wrong_type(key, "a text");
                String::new()
            }
        }
    }

    fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.one.values.get(key) else {
            return Vec::new();
        };
        let texts = value.as_array().and_then(|all| {
            let texts = all.iter().map(|one| one.as_str().map(String::from));
            texts.collect::<Option<Vec<String>>>()
        });
        texts.unwrap_or_else(|| {
            self.wrong_type(key, "a list of texts");
            Vec::new()
        })
    }

    fn samples(&mut self) -> u64 {
        let Some(value) = self.one.values.get("samples") else {
            return 0;
        };
        let count = value
            .as_integer()
            .and_then(|count| u64::try_from(count).ok());
        count.unwrap_or_else(|| {
            self.wrong_type("samples", "a whole number");
            0
        })
    }

    fn exists(&mut self, key: &str, path: &str) {
        if !Path::new(path).exists() {
            let message = format!("there is no such file: {path}");
            self.refuse(key, message, format!("{key} names what is there"));
        }
    }

    /// `{ mapping_rate = "> 80 %" }`, as the specification has it, or `["mapping_rate > 80 %"]`.
    fn expected(&mut self) -> Vec<(String, String)> {
        const KEY: &str = "expected_outputs";
        let read: Vec<Result<Expectation, String>> = match self.one.values.get(KEY) {
            None => Vec::new(),
            Some(toml::Value::Table(table)) => table
                .iter()
                .map(|(metric, wanted)| match wanted {
                    toml::Value::String(wanted) => Expectation::of(metric, wanted),
                    other => Err(format!("{other} of {metric} is no text")),
                })
                .collect(),
            Some(toml::Value::Array(all)) => all
                .iter()
                .map(|one| match one.as_str() {
                    Some(text) => Expectation::parse(text),
                    None => Err(format!("{one} is no text")),
                })
                .collect(),
            Some(_) => {
                self.wrong_type(KEY, "{ mapping_rate = \"> 80 %\" }");
                return Vec::new();
            }
        };
        let mut expected = Vec::new();
        for one in read {
            match one {
                Ok(one) => expected.push((one.metric().to_owned(), one.wanted().to_owned())),
                Err(why) => self.refuse(KEY, why, FORM.into()),
            }
        }
        expected
    }
}

/// What the test data sets say, as settings with their origin.
pub fn provenance(layers: &Layers) -> Vec<Provenance> {
    let mut all = Vec::new();
    for one in layers.named(DATASET) {
        let name = one.values.get("name").and_then(toml::Value::as_str);
        let name = name.unwrap_or_default();
        for (key, value) in one.values.iter().filter(|(key, _)| *key != "name") {
            all.push(Provenance {
                key: format!("{DATASET}.{name}.{key}"),
                value: value.to_string(),
                from: one.line_of(key),
            });
        }
    }
    all
}

/// A program that is on nobody's PATH: found before days of generation, not after. Without a PATH nothing is known.
pub fn missing(spec: &ExecutionSpec, env: &Env) -> Option<Problem> {
    let program = spec.command.first()?;
    let path = env.get("PATH")?;
    if program.contains(['/', '{'])
        || std::env::split_paths(path).any(|dir| dir.join(program).is_file())
    {
        return None;
    }
    Some(Problem {
        message: format!("there is no program {program} to run workflows with"),
        at: format!("execution.command = [\"{program}\", ...]"),
        right: Some("install Nextflow where jobs run, or name another command".into()),
        key: Some("execution.command".into()),
        value: Some(program.clone()),
        ..Problem::default()
    })
}

#[cfg(test)]
mod tests;
