//! A data set from raw rows, and what becomes of each of them.

use super::*;
use serde_json::Value;
use std::{collections::BTreeSet, fs};

const WORDS: [&str; 24] = [
    "align",
    "reads",
    "human",
    "mouse",
    "variant",
    "calling",
    "peaks",
    "counts",
    "matrix",
    "trim",
    "adapters",
    "genome",
    "assembly",
    "taxonomy",
    "profile",
    "methylation",
    "contacts",
    "loops",
    "clusters",
    "cells",
    "spatial",
    "guides",
    "fusion",
    "isoforms",
];

/// A text that no other number has, of a few words.
fn said(n: usize) -> String {
    let word = |k: usize| {
        WORDS[crate::curation::near::text_key(&format!("{n} {k}")) as usize % WORDS.len()]
    };
    let words: Vec<&str> = (0..9).map(word).collect();
    format!("{} {n}", words.join(" "))
}

fn row(n: usize) -> Value {
    json!({ "id": format!("r{n:04}"), "query": said(n), "output": format!("answer {n}"),
        "quality_score": (n % 10) as f64 / 10.0 })
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| row.to_string() + "\n").collect()
}

fn job(dir: &Path, name: &str, shards: &[String]) -> Job {
    let inputs = shards.iter().enumerate().map(|(n, text)| {
        let path = dir.join(format!("{name}-{n}.jsonl"));
        fs::write(&path, text).unwrap();
        path
    });
    Job {
        executions: Vec::new(),
        inputs: inputs.collect(),
        output: Some(dir.join(name)),
        seed: 1,
        name: "toy".into(),
        settings: CurationSpec {
            min_quality: 0.5,
            ..CurationSpec::default()
        },
    }
}

fn run(job: &Job) -> Result<Made, String> {
    curate(job, &mut |_| ()).map_err(|undone| undone.text)
}

/// Every file below a directory, by path.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                all.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    all
}

fn rows_of(dir: &Path, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(dir.join(file)).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

fn rejected(job: &Job) -> Vec<Value> {
    rows_of(job.output.as_ref().unwrap(), "rejected.jsonl")
}

#[test]
fn shards_and_order_do_not_change_a_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows: Vec<Value> = (0..400).map(row).collect();
    // Nearly the same as another, an id twice, two of one structure.
    for n in 0..20 {
        let mut near = row(n * 7);
        near["id"] = format!("n{n}").into();
        near["query"] = (said(n * 7) + "0").into();
        rows.push(near);
    }
    rows.push(
        json!({ "id": "r0006", "query": "something else is asked here", "quality_score": 0.95 }),
    );
    let turned: Vec<Value> = rows.iter().rev().cloned().collect();
    let one = job(dir.path(), "one", &[lines(&rows)]);
    let two = job(
        dir.path(),
        "two",
        &[lines(&turned[..70]), lines(&turned[70..])],
    );
    let made = run(&one).unwrap();
    assert_eq!(made.rows_in, 421);
    assert_eq!(made.kept + made.removed_rows(), 421);
    assert!(made.removed[&Reason::NearDuplicate].rows >= 5, "{made:?}");
    assert_eq!(made.removed[&Reason::DuplicateId].rows, 1);
    assert_eq!(run(&two).unwrap().removed, made.removed);
    let (one, two) = (
        files(&dir.path().join("one")),
        files(&dir.path().join("two")),
    );
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        two.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &one {
        assert_eq!(bytes, &two[name], "{name}");
    }
    for file in [
        "README.md",
        "SHA256SUMS",
        "manifest.json",
        "rejected.jsonl",
        "report.html",
        "stats.json",
        "samples/train.jsonl",
        "samples/train.parquet",
    ] {
        assert!(one.contains_key(file), "{file} of {:?}", one.keys());
    }
}

#[test]
fn every_row_is_in_one_split_or_rejected_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..300).map(row).collect();
    let job = job(dir.path(), "set", &[lines(&rows)]);
    run(&job).unwrap();
    let output = job.output.as_ref().unwrap();
    let mut seen = BTreeSet::new();
    for split in ["train", "validation", "test"] {
        let rows = rows_of(output, &format!("samples/{split}.jsonl"));
        assert!(!rows.is_empty(), "{split}");
        for row in &rows {
            assert_eq!(row["messages"][1]["role"], "assistant", "{row}");
        }
        for id in ids(&rows) {
            assert!(seen.insert(id.clone()), "{id} twice");
        }
    }
    for row in rejected(&job) {
        assert!(row["rejection_reason"].is_string(), "{row}");
        assert!(seen.insert(row["id"].as_str().unwrap().into()));
    }
    assert_eq!(seen.len(), 300);
}

#[test]
fn bad_lines_are_counted_and_kept_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let good = json!({ "id": "a", "text": "align the reads of a mouse" });
    let text = format!(
        "{good}\nnot json\n{{\"text\":\"there is no id here\"}}\n[1]\n{{\"id\":\"b\",\"text\":\"to"
    );
    let job = job(dir.path(), "bad", &[text]);
    let made = run(&job).unwrap();
    let counts = |reason| made.removed.get(&reason).map(|gone: &Gone| gone.rows);
    assert_eq!(counts(Reason::InvalidJson), Some(3));
    assert_eq!((made.rows_in, made.kept), (5, 2));
    let places: Vec<(u64, String)> = rejected(&job)
        .iter()
        .map(|line| {
            (
                line["line"].as_u64().unwrap(),
                line["rejection_detail"].to_string(),
            )
        })
        .collect();
    assert_eq!(
        places.iter().map(|place| place.0).collect::<Vec<_>>(),
        [2, 4, 5]
    );
    assert!(places[2].1.contains("torn"), "{places:?}");
}

#[test]
fn nothing_usable_is_an_error_with_the_reasons_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let bad = json!({ "id": 1, "text": "align the reads of a mouse", "quality_score": 0.1 });
    let job = job(dir.path(), "none", &[lines(&[bad])]);
    let error = run(&job).unwrap_err();
    assert!(
        error.contains("no usable row among 1") && error.contains("\"below_min_quality\":1"),
        "{error}"
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "the input alone"
    );
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..100).map(row).collect();
    let real = job(dir.path(), "real", &[lines(&rows)]);
    let dry = Job {
        output: None,
        ..real.clone()
    };
    let said = run(&dry).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let made = run(&real).unwrap();
    assert_eq!(
        (said.kept, &said.removed, &said.splits),
        (made.kept, &made.removed, &made.splits)
    );
}

#[test]
fn what_a_killed_run_left_is_made_anew_and_what_is_complete_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..100).map(row).collect();
    let job = job(dir.path(), "again", &[lines(&rows)]);
    let output = job.output.clone().unwrap();
    let left = output::making(&output);
    fs::create_dir_all(left.join("samples")).unwrap();
    fs::write(left.join("samples/train.jsonl"), "torn").unwrap();
    let first = run(&job).unwrap();
    let before = files(&output);
    let again = run(&job).unwrap();
    assert_eq!(
        (again.kept, again.rows_in, again.splits),
        (first.kept, first.rows_in, first.splits)
    );
    assert_eq!(files(&output), before);
    assert!(!left.exists());
}

#[test]
fn what_goes_says_for_whom_and_how_similar() {
    let dir = tempfile::tempdir().unwrap();
    let text = "RNA-seq differential expression analysis for human liver samples in two conditions";
    let rows = [
        json!({ "id": "best", "text": text, "quality_score": 0.9 }),
        json!({ "id": "near", "text": format!("{text} now"), "quality_score": 0.8 }),
        json!({ "id": "same", "text": text.to_uppercase(), "quality_score": 0.7 }),
        json!({ "id": "short", "text": "do it", "quality_score": 0.9 }),
        json!({ "id": "empty", "quality_score": 0.9 }),
    ];
    let job = job(dir.path(), "set", &[lines(&rows)]);
    run(&job).unwrap();
    let gone: BTreeMap<String, (String, Value)> = rejected(&job)
        .iter()
        .map(|row| {
            (
                row["id"].as_str().unwrap().into(),
                (
                    row["rejection_reason"].as_str().unwrap().into(),
                    row["rejection_partner"].clone(),
                ),
            )
        })
        .collect();
    assert_eq!(gone["near"], ("near_duplicate".into(), "best".into()));
    assert_eq!(gone["same"], ("duplicate_text".into(), "best".into()));
    assert_eq!(gone["short"], ("trivial".into(), Value::Null));
    assert_eq!(gone["empty"].0, "incomplete");
    let near = rejected(&job)
        .into_iter()
        .find(|row| row["id"] == "near")
        .unwrap();
    let score = near["rejection_score"].as_f64().unwrap();
    assert!((0.85..1.0).contains(&score), "{score}");
}

#[test]
fn what_is_evaluated_on_is_not_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..60).map(row).collect();
    let exam = dir.path().join("exam.jsonl");
    fs::write(
        &exam,
        lines(&[
            json!({ "question": said(8).to_uppercase() }),
            json!({ "text": said(29) }),
        ]),
    )
    .unwrap();
    let mut job = job(dir.path(), "set", &[lines(&rows)]);
    job.settings.evaluation_files = vec![exam.display().to_string()];
    run(&job).unwrap();
    let gone = |id: &str| {
        rejected(&job)
            .into_iter()
            .find(|row| row["id"] == id)
            .map(|row| row["rejection_reason"].clone())
    };
    assert_eq!(gone("r0008"), Some("contaminated".into()));
    assert_eq!(gone("r0029"), Some("contaminated".into()));
    assert_eq!(gone("r0028"), None);
    // A check against nothing would let everything pass.
    fs::write(&exam, "\n").unwrap();
    let again = Job {
        output: Some(dir.path().join("again")),
        ..job
    };
    assert!(
        run(&again)
            .unwrap_err()
            .contains("no text to check against")
    );
}

#[test]
fn what_was_tested_on_stays_a_test_whatever_comes() {
    let dir = tempfile::tempdir().unwrap();
    let rows = |all: std::ops::Range<usize>| -> Vec<Value> {
        all.map(|n| json!({ "id": format!("r{n:04}"), "query": said(n), "quality_score": 0.9 }))
            .collect()
    };
    let first = job(dir.path(), "first", &[lines(&rows(0..200))]);
    run(&first).unwrap();
    let output = first.output.as_ref().unwrap();
    let tested = ids(&rows_of(output, "samples/test.jsonl"));
    assert!(tested.len() > 10, "{}", tested.len());
    let mut second = job(dir.path(), "second", &[lines(&rows(100..900))]);
    second.seed = 99;
    second.settings.frozen = vec![output.join("manifest.json").display().to_string()];
    run(&second).unwrap();
    let again = ids(&rows_of(
        second.output.as_ref().unwrap(),
        "samples/test.jsonl",
    ));
    let kept: BTreeSet<String> = tested
        .into_iter()
        .filter(|id| id.as_str() >= "r0100")
        .collect();
    assert!(
        kept.len() > 5 && kept.is_subset(&again),
        "{kept:?} of {again:?}"
    );
    // Another seed without the list puts some of them elsewhere: the list is what holds them.
    second.output = Some(dir.path().join("third"));
    second.settings.frozen.clear();
    run(&second).unwrap();
    let third = ids(&rows_of(
        second.output.as_ref().unwrap(),
        "samples/test.jsonl",
    ));
    assert!(!kept.is_subset(&third));
}

#[test]
fn trajectories_become_data_sets_by_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/trajectories");
    let mut rows = Vec::new();
    for entry in fs::read_dir(golden).unwrap() {
        rows.push(
            serde_json::from_slice::<Value>(&fs::read(entry.unwrap().path()).unwrap()).unwrap(),
        );
    }
    assert_eq!(rows.len(), 15);
    for row in &mut rows {
        // Times differ from run to run, and are in no data set.
        row["created_at"] = "2026-03-02T09:14:02Z".into();
        row["completed_at"] = "2026-03-02T09:14:02Z".into();
    }
    let one = job(dir.path(), "one", &[lines(&rows)]);
    let made = run(&one).unwrap();
    for row in &mut rows {
        row["completed_at"] = "2027-01-01T00:00:00Z".into();
    }
    run(&job(dir.path(), "two", &[lines(&rows)])).unwrap();
    assert_eq!(
        files(&dir.path().join("one")),
        files(&dir.path().join("two"))
    );
    assert!(made.kept >= 10, "{made:?}");
    let codegen = made.datasets["codegen"];
    assert!(
        codegen > 5 && made.datasets["validation"] > 0,
        "{:?}",
        made.datasets
    );
    assert!(
        !made.datasets.contains_key("routing"),
        "the rules ask no model"
    );
    let output = one.output.as_ref().unwrap();
    let stats: Value =
        serde_json::from_slice(&fs::read(output.join("stats.json")).unwrap()).unwrap();
    assert_eq!(stats["total_trajectories"], made.kept);
    assert_eq!(stats["datasets"]["codegen"]["rows"], codegen);
}

#[test]
fn texts_that_a_lost_one_held_together_stay_in_one_split() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = Vec::new();
    // Three texts, each like the other two; the best is a failure, of which there are too many.
    for n in 0..60 {
        let base: Vec<String> = (0..12)
            .map(|k| {
                format!(
                    "word{:x}",
                    crate::curation::near::text_key(&format!("{n} {k}")) as u16
                )
            })
            .collect();
        for (k, score, outcome) in [
            (0, 0.8, "error"),
            (1, 0.75, "success"),
            (2, 0.75, "success"),
        ] {
            let mut words = base.clone();
            words[k * 5] = format!("other{k}");
            rows.push(json!({ "id": format!("{n:02}-{k}"), "text": words.join(" "), "outcome": outcome, "quality_score": score }));
        }
    }
    rows.extend((0..130).map(|n| json!({ "id": format!("z{n}"), "text": said(n), "outcome": "error", "quality_score": 0.9 })));
    let job = job(dir.path(), "hubs", &[lines(&rows)]);
    let made = run(&job).unwrap();
    assert!(made.removed[&Reason::OutcomeBalance].rows >= 60, "{made:?}");
    let mut of = BTreeMap::new();
    for split in ["train", "validation", "test"] {
        for id in ids(&rows_of(
            job.output.as_ref().unwrap(),
            &format!("samples/{split}.jsonl"),
        )) {
            of.insert(id, split);
        }
    }
    let mut pairs = 0;
    for n in 0..60 {
        if let (Some(one), Some(two)) = (of.get(&format!("{n:02}-1")), of.get(&format!("{n:02}-2")))
        {
            assert_eq!(one, two, "pair {n}");
            pairs += 1;
        }
    }
    assert!(pairs > 40, "{pairs}");
}

#[test]
fn what_was_tested_on_is_not_trained_on_in_other_words() {
    let dir = tempfile::tempdir().unwrap();
    let make = |n: usize, more: &str| json!({ "id": format!("{n}{more}"), "text": format!("{}{more}", said(n)), "quality_score": 0.9 });
    let first = job(
        dir.path(),
        "first",
        &[lines(&(0..200).map(|n| make(n, "")).collect::<Vec<_>>())],
    );
    run(&first).unwrap();
    let output = first.output.as_ref().unwrap();
    let tested = ids(&rows_of(output, "samples/test.jsonl"));
    let mut second = job(
        dir.path(),
        "second",
        &[lines(&(0..200).map(|n| make(n, " x")).collect::<Vec<_>>())],
    );
    second.settings.frozen = vec![output.join("manifest.json").display().to_string()];
    run(&second).unwrap();
    let kept = ids(&rows_of(
        second.output.as_ref().unwrap(),
        "samples/train.jsonl",
    ));
    assert!(
        tested.len() > 10 && kept.len() > 100,
        "{} {}",
        tested.len(),
        kept.len()
    );
    let twins: Vec<&String> = tested
        .iter()
        .filter(|id| kept.contains(&format!("{id} x")))
        .collect();
    assert!(twins.is_empty(), "{twins:?}");
}
