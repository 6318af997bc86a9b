//! Logs that inspect-ai wrote, those that are written here, and those that are broken.

use super::{
    log::{Config, Dataset, Header, Metric, Plan, Results, Score, Spec, Stats, Step, Usage},
    *,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Cursor, Write},
    path::PathBuf,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A public log beside the checkout, or why it is not looked at.
fn fixture(test: &str, name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/inspect");
    let path = path.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped {test}: {} is not there", path.display());
    None
}

fn score(name: &str, value: f64) -> Score {
    let metric = Metric {
        name: "accuracy".into(),
        value: Some(value),
    };
    Score {
        name: name.into(),
        scorer: name.into(),
        scored_samples: Some(2),
        unscored_samples: Some(0),
        metrics: BTreeMap::from([("accuracy".into(), metric)]),
        ..Score::default()
    }
}

/// A small log as the evaluation worker writes one.
pub(super) fn example() -> (Header, Vec<Sample>) {
    let ids = ["trajectory-1/routing/0", "../out"];
    let header = Header {
        version: log::VERSION,
        status: "success".into(),
        eval: Spec {
            eval_id: identifier(&["eval"]),
            run_id: identifier(&["run"]),
            created: "2026-11-20T23:21:45+00:00".into(),
            task: "routing".into(),
            task_id: identifier(&["task"]),
            task_version: json!(0),
            dataset: Dataset {
                samples: 2,
                sample_ids: ids.iter().map(|id| json!(id)).collect(),
                ..Dataset::default()
            },
            model: "campaignd/base".into(),
            config: Config { epochs: 1 },
            packages: BTreeMap::from([("campaignd".into(), "0.1.0".into())]),
            ..Spec::default()
        },
        plan: Plan {
            name: "plan".into(),
            steps: vec![Step {
                solver: "generate".into(),
                ..Step::default()
            }],
        },
        results: Some(Results {
            total_samples: 2,
            completed_samples: 2,
            scores: vec![score("exact_match", 0.5)],
        }),
        stats: Stats {
            started_at: "2026-11-20T23:21:45+00:00".into(),
            completed_at: "2026-11-20T23:22:45+00:00".into(),
            model_usage: BTreeMap::from([("campaignd/base".into(), usage(40))]),
        },
        ..Header::default()
    };
    let sample = |(id, right): (&str, f64)| Sample {
        id: id.into(),
        messages: vec![
            ("system".into(), "You choose.".into()),
            ("user".into(), "Which <tier>? \u{1F9EC}".into()),
        ],
        target: "MEDIUM".into(),
        answer: Some(if right == 1.0 { "MEDIUM" } else { "LARGE" }.into()),
        stopped: Stopped::Itself,
        scores: BTreeMap::from([("exact_match".into(), right), ("loss".into(), 1.25)]),
        usage: usage(20),
    };
    let samples = ids.into_iter().zip([1.0, 0.0]).map(sample).collect();
    (header, samples)
}

fn usage(input: u64) -> Usage {
    Usage {
        input_tokens: input,
        output_tokens: 3,
        total_tokens: input + 3,
    }
}

/// What is not in the other is passed over: `of` says it, `log` may say more.
fn agrees(path: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in ours {
                // What says nothing may be missing.
                let empty = json!({}) == *value || json!([]) == *value || *value == json!("");
                let there = theirs.get(key);
                if !(there.is_none() && (empty || value.is_null())) {
                    agrees(
                        &format!("{path}.{key}"),
                        value,
                        there.unwrap_or(&Value::Null),
                    );
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{path}");
            for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                agrees(&format!("{path}[{at}]"), ours, theirs);
            }
        }
        (Value::Number(ours), Value::Number(theirs)) => {
            assert_eq!(ours.as_f64(), theirs.as_f64(), "{path}");
        }
        _ => assert_eq!(ours, theirs, "{path}"),
    }
}

#[test]
fn real_logs_say_what_inspect_says_of_them() {
    for kind in ["deflate", "zstd"] {
        let test = format!("real_logs_say_what_inspect_says_of_them({kind})");
        let Some(path) = fixture(&test, &format!("arith-{kind}.eval")) else {
            continue;
        };
        let mut log = read(File::open(&path).unwrap()).unwrap();
        let theirs = fs::read(path.with_file_name(format!("arith-{kind}.header.json"))).unwrap();
        let theirs: Value = serde_json::from_slice(&theirs).unwrap();
        agrees("", &serde_json::to_value(&log.header).unwrap(), &theirs);
        let results = log.header.results.as_ref().unwrap();
        let accuracy = results.scores[0].metrics["accuracy"].value.unwrap();
        assert!((accuracy - 2.0 / 3.0).abs() < 1e-12);
        let wrong = log
            .summaries
            .iter()
            .filter(|row| row.scores.as_ref().unwrap()["includes"].value == json!("I"));
        let wrong: Vec<&Value> = wrong.map(|row| &row.id).collect();
        assert_eq!(wrong, ["sub-1"]);
        let samples = log.samples();
        assert_eq!(samples.len(), 3);
        let sample = log.sample(&samples[1]).unwrap();
        assert_eq!(sample["messages"][2]["content"], "It is 15.");
    }
}

#[test]
fn what_is_written_is_read() {
    let (header, samples) = example();
    let mut bytes = Cursor::new(Vec::new());
    write(&mut bytes, &header, &samples).unwrap();
    let mut again = Cursor::new(Vec::new());
    write(&mut again, &header, &samples).unwrap();
    assert_eq!(
        bytes.get_ref(),
        again.get_ref(),
        "the same log, the same bytes"
    );
    let mut log = read(bytes).unwrap();
    let reductions = log.header.reductions.take().unwrap();
    assert_eq!(log.header, header);
    assert_eq!(reductions[0].scorer, "exact_match");
    assert_eq!(reductions[0].samples[1].value, json!(0.0));
    assert_eq!(log.summaries.len(), 2);
    assert_eq!(
        log.summaries[0].scores.as_ref().unwrap()["exact_match"].value,
        json!("C")
    );
    let names = log.samples();
    assert_eq!(names[0], "samples/trajectory-1/routing/0_epoch_1.json");
    assert!(!names[1].contains(".."), "{names:?}");
    assert_eq!(log.sample(&names[1]).unwrap()["id"], "../out");
}

#[test]
fn members_are_in_the_order_of_a_running_evaluation() {
    let (header, samples) = example();
    let mut bytes = Cursor::new(Vec::new());
    write(&mut bytes, &header, &samples).unwrap();
    let zip = zip::ZipArchive::new(bytes).unwrap();
    let names: Vec<String> = zip
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    let places: Vec<usize> = [
        "_journal/start.json",
        "_journal/summaries/1.json",
        "summaries.json",
        "reductions.json",
        "header.json",
    ]
    .iter()
    .map(|name| names.iter().position(|other| other == name).unwrap())
    .collect();
    assert_eq!(places, [0, 3, 4, 5, 6], "{names:?}");
}

/// A zip of JSON members.
fn zipped(members: &[(&str, Value)]) -> Cursor<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, value) in members {
        let how = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(*name, how).unwrap();
        zip.write_all(value.to_string().as_bytes()).unwrap();
    }
    zip.finish().unwrap()
}

#[test]
fn the_first_layout_is_read() {
    let eval = json!({ "created": "2024-10-01T00:00:00+00:00", "task": "arith", "task_version": "1-A", "model": "m/x", "dataset": { "samples": 1 }, "config": {} });
    let start = json!({ "version": 2, "eval": eval, "plan": { "name": "plan", "steps": [] } });
    let results = json!({
        "status": "success", "stats": { "started_at": "2024-10-01T00:00:00+00:00" },
        "results": { "total_samples": 1, "completed_samples": 1, "scores": [{ "name": "includes", "scorer": "includes", "metrics": { "accuracy": { "name": "accuracy", "value": 1 } } }] },
    });
    let summary = json!([{ "id": 1, "epoch": 1, "input": "x", "target": ["a", "b"], "scores": { "includes": { "value": "C" } } }]);
    let log = read(zipped(&[
        ("start.json", start.clone()),
        ("samples/1_epoch_1.json", json!({ "id": 1 })),
        ("summary.json", summary),
        ("results.json", results),
    ]))
    .unwrap();
    assert_eq!(
        (log.header.status.as_str(), log.header.eval.task.as_str()),
        ("success", "arith")
    );
    assert_eq!(
        log.header.results.unwrap().scores[0].metrics["accuracy"].value,
        Some(1.0)
    );
    assert_eq!(log.summaries[0].id, json!(1));
    let running = read(zipped(&[("start.json", start)])).unwrap();
    assert_eq!(running.header.status, "started");
    assert!(running.summaries.is_empty());
}

#[test]
fn a_log_without_an_end_has_its_summaries_in_order() {
    let start = json!({ "version": 2, "eval": { "task": "t" }, "plan": {} });
    let part = |ids: &[u32]| {
        ids.iter()
            .map(|id| json!({ "id": id, "epoch": 1 }))
            .collect()
    };
    let log = read(zipped(&[
        ("_journal/start.json", start),
        ("_journal/summaries/10.json", part(&[3])),
        ("_journal/summaries/2.json", part(&[2])),
        ("_journal/summaries/1.json", part(&[0, 1])),
    ]))
    .unwrap();
    assert_eq!(log.header.status, "started");
    let ids: Vec<u64> = log
        .summaries
        .iter()
        .map(|row| row.id.as_u64().unwrap())
        .collect();
    assert_eq!(ids, [0, 1, 2, 3]);
}

#[test]
fn what_is_no_log_is_said_in_a_sentence() {
    let of = |bytes: Cursor<Vec<u8>>| read(bytes).unwrap_err();
    assert!(of(Cursor::new(Vec::new())).contains("no zip"));
    assert!(of(Cursor::new(b"{}".to_vec())).contains("no zip"));
    assert!(of(zipped(&[("x.json", json!(1))])).contains("no inspect log"));
    assert!(of(zipped(&[("header.json", json!([1]))])).starts_with("header.json: "));
    let (header, samples) = example();
    let mut bytes = Cursor::new(Vec::new());
    write(&mut bytes, &header, &samples).unwrap();
    let half = bytes.get_ref()[..bytes.get_ref().len() / 2].to_vec();
    assert!(of(Cursor::new(half)).contains("no zip"));
}

/// Zstandard by hand: frames of one raw block each, which every decoder takes.
fn raw_frame(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, content.len() as u8];
    let block = (content.len() as u32) << 3 | 1;
    frame.extend(&block.to_le_bytes()[..3]);
    frame.extend(content);
    frame
}

/// A zip with one member of method 93, written by hand: the writer knows no such method.
fn zstd_zip(name: &str, packed: &[u8], content: &[u8], crc: u32) -> Cursor<Vec<u8>> {
    let common = |bytes: &mut Vec<u8>| {
        bytes.extend([0, 0, 93, 0, 0, 0, 0x21, 0]);
        bytes.extend(crc.to_le_bytes());
        bytes.extend((packed.len() as u32).to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
    };
    let mut bytes = b"PK\x03\x04\x3f\x00".to_vec();
    common(&mut bytes);
    bytes.extend(name.as_bytes());
    bytes.extend(packed);
    let (directory, mut entry) = (bytes.len() as u32, b"PK\x01\x02\x3f\x00\x3f\x00".to_vec());
    common(&mut entry);
    entry.extend([0; 14]);
    entry.extend(name.as_bytes());
    let size = entry.len() as u32;
    bytes.extend(entry);
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend(size.to_le_bytes());
    bytes.extend(directory.to_le_bytes());
    bytes.extend([0, 0]);
    Cursor::new(bytes)
}

#[test]
fn a_member_may_hold_several_frames_and_must_be_what_the_zip_says() {
    let content = br#"{"status": "success", "eval": {"task": "frames"}}"#;
    let packed: Vec<u8> = content.chunks(20).flat_map(raw_frame).collect();
    let crc = crc32fast::hash(content);
    let log = read(zstd_zip("header.json", &packed, content, crc)).unwrap();
    assert_eq!(log.header.eval.task, "frames");
    let torn = read(zstd_zip("header.json", &packed, content, crc ^ 1)).unwrap_err();
    assert!(torn.contains("checksum"), "{torn}");
    let more = read(zstd_zip("header.json", &packed, &content[..30], crc)).unwrap_err();
    assert!(more.contains("larger"), "{more}");
    let half = &packed[..packed.len() - 5];
    assert!(read(zstd_zip("header.json", half, content, crc)).is_err());
}

#[test]
fn ids_look_like_theirs_and_differ() {
    let id = identifier(&["a", "b"]);
    assert_eq!(id.len(), 22);
    assert!(id.chars().all(|c| c.is_ascii_alphanumeric()));
    assert_ne!(id, identifier(&["ab"]));
    assert_eq!(id, identifier(&["a", "b"]));
}
