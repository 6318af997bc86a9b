//! The catalogue against itself, against real logs, and against noise.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::catalogue::{Message, catalogue};
use super::scenario::case;
use super::slots::{Slots, slot};
use super::*;

const CHANCES: u64 = 64;

fn situation(tool: &str) -> Situation {
    Situation {
        process: "STAR_ALIGN".into(),
        tool: tool.into(),
        sample: "WT_rep1".into(),
        ..Situation::default()
    }
}

/// The real samples, or why there are none.
fn samples(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/errors");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped {test}: no {}", folder.display());
    None
}

/// Log and sidecar of each sample.
fn read(folder: &Path) -> Vec<(String, Value)> {
    let mut read = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "json") {
            let sidecar: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let log = fs::read(folder.join(sidecar["file"].as_str().unwrap())).unwrap();
            read.push((String::from_utf8_lossy(&log).into_owned(), sidecar));
        }
    }
    read
}

fn key_lines(sidecar: &Value) -> Vec<&str> {
    match &sidecar["key_line"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        line => line.as_str().into_iter().collect(),
    }
}

#[test]
fn real_logs_have_their_primary_kind() {
    let Some(folder) = samples("real_logs_have_their_primary_kind") else {
        return;
    };
    let (mut failures, mut negatives) = (0, 0);
    for (log, sidecar) in read(&folder) {
        let file = &sidecar["file"];
        let found = diagnose(&log);
        if sidecar["is_failure"] == false {
            negatives += 1;
            assert_eq!(found, None, "{file}");
            continue;
        }
        failures += 1;
        let found = found.unwrap_or_else(|| panic!("{file}: nothing found"));
        assert_eq!(found.kind, sidecar["primary_kind"], "{file}: {found:?}");
        // A message may span lines: the key line is the one found, or its neighbour.
        let around = log
            .split('\n')
            .skip((found.line as usize).saturating_sub(2));
        let around = around.take(3).collect::<Vec<_>>().join("\n");
        let keyed = key_lines(&sidecar).iter().any(|key| around.contains(key));
        assert!(keyed, "{file}: {}", found.message);
        for kind in sidecar["true_kinds"].as_array().unwrap() {
            let kind = kind.as_str().unwrap();
            let known = kind == found.kind || found.also.iter().any(|also| also == kind);
            assert!(known, "{file}: {kind} is not in {found:?}");
        }
        if let Some(status) = sidecar["exit_status"].as_i64() {
            assert_eq!(found.exit_status.map(i64::from), Some(status), "{file}");
        }
        let line = log.split('\n').nth(found.line as usize - 1).unwrap();
        assert!(line.contains(found.message.split('\t').next().unwrap().trim()));
    }
    eprintln!("{failures} failures and {negatives} successes were read");
    assert!(failures >= 24 && negatives >= 2, "{failures} {negatives}");
}

#[test]
fn real_logs_name_the_process() {
    let Some(folder) = samples("real_logs_name_the_process") else {
        return;
    };
    let expected = [
        ("command_run_permission", "NFCORE_DEMO:DEMO:FASTQC"),
        (
            "docker_daemon",
            "ASSEMBLY:HOST_REMOVAL:REMOVE_HOST_SRA_HUMAN_SCRUBBER",
        ),
        ("docker_image", "RCLONE"),
        ("helper_script", "chrom_eigen_variants"),
        ("missing_output_file", "gcta_lmm_mapping"),
        ("undefined_variable", "gcta_grm"),
    ];
    let mut seen = 0;
    for (log, sidecar) in read(&folder) {
        let file = sidecar["file"].as_str().unwrap();
        if let Some((_, process)) = expected.iter().find(|(start, _)| file.starts_with(start)) {
            let found = diagnose(&log).unwrap();
            assert_eq!(found.process.as_deref(), Some(*process), "{file}");
            seen += 1;
        }
    }
    assert_eq!(seen, expected.len());
}

/// Each message of the catalogue and of the scenarios with the error it tells of.
fn messages() -> Vec<(&'static Entry, &'static Message)> {
    let own = entries()
        .iter()
        .flat_map(|entry| entry.messages.iter().map(move |message| (entry, message)));
    let scenarios = scenarios().filter_map(|s| Some((entry(s.error.as_deref()?)?, s)));
    let told = scenarios.flat_map(|(entry, s)| s.messages().iter().map(move |m| (entry, m)));
    own.chain(told).collect()
}

#[test]
fn every_message_is_diagnosed_as_its_own_kind_and_no_other() {
    let place = situation("STAR");
    for (entry, message) in messages() {
        for chance in 0..CHANCES {
            let case = case(entry, message, &place, chance);
            for text in [&case.message, &case.log] {
                let found = diagnose(text).unwrap_or_else(|| panic!("nothing in {text}"));
                assert_eq!(found.kind, entry.name, "{text}");
                assert_eq!(found.also, message.also, "{text}");
                assert_eq!(found.category, entry.category);
            }
            let found = diagnose(&case.log).unwrap();
            assert_eq!(
                found.process.is_some(),
                case.process.is_some() || case.log.contains("rocess `")
            );
            assert!(case.process.is_none() || found.process == case.process);
            if case.exit_status.is_some() {
                assert_eq!(found.exit_status, case.exit_status, "{}", case.log);
            }
        }
    }
}

/// No pattern is dead: its own fragments, with anything between them, are found as its kind.
#[test]
fn every_pattern_finds_its_kind() {
    let mut seen = 0;
    for found in entries() {
        for fragments in &found.patterns {
            let text = format!("10:21 x{}y", fragments.join(" 17 "));
            let diagnosis = diagnose(&text).unwrap_or_else(|| panic!("nothing in {text}"));
            let kinds = || std::iter::once(&diagnosis.kind).chain(&diagnosis.also);
            assert!(
                kinds().any(|kind| *kind == found.name),
                "{text}: {diagnosis:?}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 150, "only {seen} patterns");
}

#[test]
fn scenarios_come_back_as_their_own_error() {
    let mut raised = BTreeSet::new();
    for scenario in scenarios() {
        for tool in ["STAR", "GATK", "bwa", "Flye", "DESeq2", "MACS2", ""] {
            for chance in 0..CHANCES {
                let case = render(scenario, &situation(tool), chance);
                assert_eq!(case, render(scenario, &situation(tool), chance));
                assert_eq!(case.is_some(), scenario.error.is_some());
                let Some(case) = case else { continue };
                let found = diagnose(&case.log).unwrap();
                assert_eq!(Some(&found.kind), scenario.error.as_ref(), "{}", case.log);
                assert_eq!(found.kind, case.kind);
                raised.insert(scenario.name.clone());
            }
        }
    }
    assert!(raised.len() >= 18, "only {raised:?} raise an error");
}

#[test]
fn every_scenario_of_the_queries_is_here_and_no_other() {
    #[derive(serde::Deserialize)]
    struct Queries {
        scenarios: std::collections::BTreeMap<String, String>,
    }
    let queries: Queries = toml::from_str(include_str!("../../../config/queries.toml")).unwrap();
    let asked: Vec<&str> = queries.scenarios.keys().map(String::as_str).collect();
    let known: Vec<&str> = scenarios().map(|s| s.name.as_str()).collect();
    assert_eq!(asked, known);
    for scenario in scenarios() {
        let name = &scenario.name;
        match &scenario.error {
            Some(kind) => {
                assert!(entry(kind).is_some(), "{name}: {kind}");
                assert!(scenario.reason.is_none() && remedy(scenario, &situation("")).is_none());
            }
            None => {
                assert!(scenario.reason.is_some(), "{name} has no reason");
                assert!(remedy(scenario, &situation("")).is_some(), "{name}");
            }
        }
    }
}

#[test]
fn the_catalogue_is_complete() {
    let categories: BTreeSet<Category> = entries().iter().map(|entry| entry.category).collect();
    assert_eq!(categories.len(), 10, "{categories:?}");
    assert!(entries().len() >= 21);
    let names: BTreeSet<&str> = entries().iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names.len(), entries().len(), "a kind comes twice");
    for found in entries() {
        let name = &found.name;
        assert!((0.0..=1.0).contains(&found.confidence), "{name}");
        assert!(
            !found.patterns.is_empty() && !found.messages.is_empty(),
            "{name}"
        );
        assert!(
            found.resolutions.iter().any(|r| r.when.is_none()),
            "{name} may have no resolution"
        );
        let also = found.messages.iter().flat_map(|message| &message.also);
        for kind in found.caused_by.iter().chain(also) {
            assert!(names.contains(kind.as_str()), "{name} names {kind}");
        }
        let json = serde_json::to_string(&found.category).unwrap();
        assert_eq!(json, format!("\"{}\"", found.category.name()));
    }
}

/// What stays in braces would reach a sample.
#[test]
fn no_slot_stays_open() {
    let place = situation("STAR");
    let found = diagnose("Unknown variable 'x'").unwrap();
    let chanced = Slots::of(&place).and_chance(7);
    let told = Slots::of(&place).and_diagnosis(&found);
    let open = |text: &str| {
        text.match_indices('{')
            .any(|(at, _)| slot(&text[at + 1..]).is_some())
    };
    for (_, message) in messages() {
        assert!(!open(&chanced.fill(&message.text)), "{}", message.text);
    }
    for remedy in entries().iter().flat_map(|entry| &entry.resolutions) {
        for text in [&remedy.new_value, &remedy.config_change] {
            assert!(!open(&told.fill(text)), "{text}");
        }
    }
}

#[test]
fn an_exit_status_alone_is_a_weak_hint() {
    let mut statuses = BTreeSet::new();
    for found in entries() {
        for status in &found.exits {
            assert!(statuses.insert(*status), "{status} stands for two kinds");
            let log =
                format!("  Process `A:SORT (s1)` terminated with an error exit status ({status})");
            let diagnosis = diagnose(&log).unwrap();
            assert_eq!(diagnosis.kind, found.name);
            assert!(diagnosis.confidence <= 0.6);
            assert_eq!(diagnosis.process.as_deref(), Some("A:SORT"));
        }
    }
    assert!(statuses.contains(&137));
    let plain = diagnose("Process `SORT` terminated with an error exit status (3)").unwrap();
    assert_eq!(
        (plain.kind.as_str(), plain.exit_status),
        ("task_failed", Some(3))
    );
}

#[test]
fn the_cause_stands_before_its_consequences() {
    let kind = |log: &str| diagnose(log).map(|found| found.kind);
    let cancelled = "slurmstepd: error: *** JOB 1 ON n CANCELLED AT 2025-01-01T00:00:00 ***";
    let killed =
        format!("{cancelled}\nslurmstepd: error: Detected 1 oom_kill event in StepId=1.batch.");
    assert_eq!(kind(cancelled).as_deref(), Some("job_cancelled"));
    assert_eq!(kind(&killed).as_deref(), Some("out_of_memory"));
    let disk = "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device";
    assert_eq!(kind(disk).as_deref(), Some("disk_full"));
    let both = "Failed to pull singularity image\nreading manifest: manifest unknown";
    assert_eq!(kind(both).as_deref(), Some("container_image_missing"));
}

#[test]
fn a_script_that_speaks_of_errors_has_none() {
    let quoted = "Command executed:\n\n  echo 'No space left on device'\n  # Segmentation fault\n";
    assert_eq!(diagnose(quoted), None);
    let after = format!(
        "{quoted}\nCommand exit status:\n  1\n\nCommand error:\n  sort: Disk quota exceeded"
    );
    let found = diagnose(&after).unwrap();
    assert_eq!((found.kind.as_str(), found.line), ("quota_exceeded", 10));
    assert_eq!((found.exit_status, found.also.len()), (Some(1), 0));
}

#[test]
fn a_run_that_ended_well_has_no_error() {
    let log = |failed: u32, again: u32| {
        format!(
            "NOTE: Process `A (1)` terminated with an error exit status (137) -- Execution is retried (1)\n\
             WorkflowStats[succeededCount=9; failedCount={failed}; ignoredCount=0; retriesCount={again}; abortedCount=0; ]"
        )
    };
    assert_eq!(diagnose(&log(1, 1)), None);
    assert_eq!(diagnose(&log(2, 1)).unwrap().kind, "task_failed_retried");
}

#[test]
fn the_example_of_the_specification_is_answered() {
    let place = Situation {
        input_size_gb: Some(50),
        ..situation("STAR")
    };
    let found = diagnose("java.lang.OutOfMemoryError: GC overhead limit exceeded").unwrap();
    let example = ErrorResolution::of(&found, &place, Outcome::Success);
    let expected = serde_json::json!({
        "error_type": "MEMORY",
        "error_message": "java.lang.OutOfMemoryError: GC overhead limit exceeded",
        "context": { "process": "STAR_ALIGN", "current_memory": "16 GB", "input_size_gb": 50 },
        "resolution": {
            "action": "increase_memory",
            "new_value": "48 GB",
            "config_change": "process { withName: 'STAR_ALIGN' { memory = '48 GB' } }"
        },
        "outcome": "success"
    });
    assert_eq!(serde_json::to_value(&example).unwrap(), expected);
    let row = example.row(2, "completed");
    assert_eq!(row.resolution_attempted, "increase_memory: 48 GB");
    assert_eq!((row.resolution_success, row.iterations), (Some(true), 2));
}

#[test]
fn resolutions_read_the_message_and_the_limits() {
    let act = |log: &str, place: &Situation| resolve(&diagnose(log).unwrap(), place);
    let place = situation("STAR");
    let offered = act(
        "Process requirement exceeds available memory -- req: 36 GB; avail: 23.5 GB",
        &place,
    );
    assert_eq!(
        (offered.action.as_str(), offered.new_value.as_deref()),
        ("lower_memory", Some("23.5 GB"))
    );
    let cpus = act(
        "Process requirement exceeds available CPUs -- req: 16; avail: 8",
        &place,
    );
    assert_eq!(
        cpus.config_change.as_deref(),
        Some("process { withName: 'STAR_ALIGN' { cpus = 8 } }")
    );
    let full = Situation {
        memory_gb: 256,
        time_h: 72,
        ..place.clone()
    };
    assert_eq!(act("oom-kill event", &full).action, "split_input");
    assert_eq!(act("DUE TO TIME LIMIT", &full).action, "split_input");
    assert_eq!(
        act("DUE TO TIME LIMIT", &place).new_value.as_deref(),
        Some("8 h")
    );
    let index = act(
        "random alignment retrieval only works for indexed BAM or CRAM files.",
        &place,
    );
    assert_eq!(index.new_value.as_deref(), Some("WT_rep1.bam.bai"));
    assert_eq!(index.config_change, None);
    let pull = act(
        "Failed to pull singularity image\n bash: singularity: command not found",
        &place,
    );
    assert_eq!(pull.action, "use_runtime");
    assert_eq!(
        act("Failed to pull singularity image", &place).action,
        "pull_beforehand"
    );
}

#[test]
fn nothing_is_made_up_about_an_unknown_situation() {
    let place = Situation::unknown();
    let found = diagnose("bwa: command not found").unwrap();
    let help = resolve(&found, &place);
    assert_eq!((help.new_value, help.config_change), (None, None));
    let time = resolve(&diagnose("DUE TO TIME LIMIT").unwrap(), &place);
    let change = "process { withName: '.*' { time = '8 h' } }";
    assert_eq!(time.config_change.as_deref(), Some(change));
    let node = "slurmstepd: error: *** JOB 1 ON n7 CANCELLED AT 2025-01-01T00:00:00 DUE TO NODE FAILURE ***";
    let change = resolve(&diagnose(node).unwrap(), &place)
        .config_change
        .unwrap();
    assert!(change.contains("--exclude=n7"), "{change}");
    for found in entries() {
        for chance in 0..8 {
            let case = render_kind(&found.name, &situation("STAR"), chance).unwrap();
            let help = resolve(&diagnose(&case.log).unwrap(), &place);
            let said = [help.new_value, help.config_change].into_iter().flatten();
            for text in said {
                assert!(
                    !text.is_empty() && !text.contains("''"),
                    "{}: {text}",
                    found.name
                );
            }
        }
    }
}

#[test]
fn requests_never_shrink_and_stay_within_range() {
    for memory_gb in [0, 1, 7, 255, 256, 300, u32::MAX] {
        let place = Situation {
            memory_gb,
            time_h: memory_gb,
            input_size_gb: Some(u32::MAX),
            ..situation("")
        };
        assert!(place.more_memory_gb() >= memory_gb && place.more_time_h() >= memory_gb);
    }
}

#[test]
fn long_lines_are_cut_around_what_matters() {
    let log = format!(
        "{}No space left on device{}",
        "é".repeat(100_000),
        "x".repeat(100_000)
    );
    let found = diagnose(&log).unwrap();
    assert!(found.message.contains("No space left on device"));
    assert!(found.message.chars().count() <= 400);
}

/// A hostile line full of beginnings: what is tried once is not tried again.
#[test]
fn repeated_beginnings_cost_no_more_than_their_length() {
    let log = ": line ".repeat(300_000);
    assert_eq!(diagnose(&log), None);
    assert_eq!(
        catalogue()
            .matcher
            .hits("oom-kill event oom-kill event", entries())
            .len(),
        1
    );
}

fn bits() -> impl Strategy<Value = String> {
    let words = messages()
        .into_iter()
        .flat_map(|(_, message)| [message.text.clone()]);
    let mut words: Vec<String> = words.collect();
    let marks = [
        "\u{1b}[",
        "\u{1b}]",
        "\0",
        "\r",
        "\n",
        "Command executed:\n",
        "WorkflowStats[failedCount=",
        "`",
        "Process `",
        "(",
    ];
    words.extend(marks.map(str::to_owned));
    let piece = prop_oneof![
        proptest::sample::select(words),
        ".{0,20}".prop_map(|text| text)
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = diagnose(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_mixture_is_read_and_resolved(log in bits()) {
        if let Some(found) = diagnose(&log) {
            prop_assert!(entry(&found.kind).is_some());
            prop_assert!(found.line >= 1);
            prop_assert!(!found.message.chars().any(|c| c.is_control() && c != '\t'));
            prop_assert!(!found.also.contains(&found.kind));
            let _ = resolve(&found, &Situation::default());
        }
    }
}
