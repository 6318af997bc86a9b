//! `[execution]` and `[[test_dataset]]`: what is right, and everything that is wrong at once with its line.

use super::*;
use crate::{
    config::{Overrides, Source, load_campaign},
    machines::spec::{CampaignSpec, DEFAULT_COMMAND},
};
use std::fs;

fn load(text: &str, env: &Env) -> Result<CampaignSpec, Vec<Problem>> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a_R1.fastq"), "").unwrap();
    fs::write(dir.path().join("genome.fa"), "").unwrap();
    let file = dir.path().join("my.toml");
    fs::write(&file, text).unwrap();
    let settings = Settings::load(None).unwrap();
    let here = Path::new("/");
    load_campaign(
        &Source::File(file),
        &Overrides::default(),
        env,
        &settings,
        here,
    )
}

fn problems(text: &str) -> Vec<Problem> {
    load(text, &Env::default()).unwrap_err()
}

#[test]
fn the_default_command_is_the_one_of_the_machines() {
    let table: toml::Table = toml::from_str(&format!("x = {COMMAND}")).unwrap();
    let words: Vec<&str> = (table["x"].as_array().unwrap().iter())
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(words, DEFAULT_COMMAND);
}

#[test]
fn a_table_of_test_data_is_read_with_its_paths_and_expectations() {
    let text = "name = \"a\"\n[execution]\nworkflows = 20\nshards = 2\ntime = \"30m\"\n\
        [[test_dataset]]\nname = \"small\"\nanalysis_type = \"rna_seq\"\nsamples = 4\n\
        fastq_paths = [\"a_R1.fastq\"]\nreference_path = \"genome.fa\"\n\
        expected_outputs = { mapping_rate = \">80%\", genes_detected = \"> 15000\" }\n\
        [[test_dataset]]\nname = \"any\"\nexpected_outputs = [\"failed_processes == 0\"]\n";
    let spec = load(text, &Env::default()).unwrap();
    assert!(spec.problems().is_empty());
    let from = |key: &str| {
        let set = spec.provenance.iter().find(|set| set.key == key);
        set.map(|set| set.from.clone()).unwrap_or_default()
    };
    assert!(from("execution.workflows").ends_with("my.toml:3"));
    assert!(from("test_dataset.small.samples").ends_with("my.toml:9"));
    let execution = spec.execution.unwrap();
    assert_eq!((execution.workflows, execution.shards), (20, 2));
    assert_eq!(execution.time_seconds, Some(1800));
    assert!(execution.is_default_command());
    let set = &execution.datasets[0];
    assert!(set.fastq_paths[0].starts_with('/') && set.fastq_paths[0].ends_with("/a_R1.fastq"));
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let expected = &mut set.expected_outputs.clone();
    expected.sort();
    assert_eq!(
        *expected,
        [
            pair("genes_detected", "> 15000"),
            pair("mapping_rate", ">80%")
        ]
    );
    let second = &execution.datasets[1].expected_outputs;
    assert_eq!(*second, [pair("failed_processes", "== 0")]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line() {
    let text = "name = \"a\"\n[execution]\ncommand = [\"run\", \"{worflow}\"]\nshards = 4000\n\
        time = \"0s\"\n[[test_dataset]]\nname = \"x\"\nfastq_paths = [\"none.fq\"]\n\
        expected_outputs = [\"mapping_rate high\", \"m > nan\"]\nsamples = \"four\"\n\
        [[test_dataset]]\nname = \"x\"\nreads = 3\n";
    let found: Vec<(Option<u32>, String)> = (problems(text).into_iter())
        .map(|problem| {
            assert!(problem.right.is_some(), "{problem:?}");
            (problem.line, problem.key.unwrap_or_default())
        })
        .collect();
    for expected in [
        (3, "execution.command"),
        (4, "execution.shards"),
        (5, "execution.time"),
        (8, "test_dataset.fastq_paths"),
        (9, "test_dataset.expected_outputs"),
        (10, "test_dataset.samples"),
        (12, "test_dataset.name"),
        (13, "test_dataset.reads"),
    ] {
        let there = (found.iter())
            .any(|(line, key)| (*line, key.as_str()) == (Some(expected.0), expected.1));
        assert!(there, "{expected:?} in {found:#?}");
    }
    assert_eq!(found.len(), 9, "both expectations are wrong: {found:#?}");
}

#[test]
fn nextflow_needs_data_and_test_data_need_an_execution() {
    let found = problems("name = \"a\"\n[execution]\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "there is nothing to run the workflows on");
    let found = problems("name = \"a\"\n[[test_dataset]]\nname = \"x\"\n");
    assert_eq!(found[0].line, Some(2));
    let own = "name = \"a\"\n[execution]\ncommand = [\"./run.sh\", \"{workflow}\"]\n";
    assert!(
        load(own, &Env::default()).is_ok(),
        "a command may need none"
    );
}

#[test]
fn a_program_that_is_on_no_path_is_found_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let text = "name = \"a\"\n[execution]\n[[test_dataset]]\nname = \"x\"\n";
    let env = Env::of(&[("PATH", path)]);
    let found = load(text, &env).unwrap_err();
    assert_eq!(found[0].key.as_deref(), Some("execution.command"));
    fs::write(dir.path().join("nextflow"), "").unwrap();
    assert!(load(text, &env).is_ok());
}
