//! Logs as their users read them: with inspect-ai, which nobody here wrote.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use campaignd::report::inspect::{
    Sample, Stopped, identifier,
    log::{
        Config, Dataset, Header, Metric, Plan, Results, Score, Scorer, Spec, Stats, Step, Usage,
        VERSION,
    },
    read, write,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fs::File, path::Path, process::Command};

/// What inspect-ai says of a log.
///
/// # Errors
/// Why it cannot be had here.
fn dump(file: &Path, header_only: bool) -> Result<Value, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/inspect_logs/check");
    let mut command = Command::new("bash");
    command.arg(script);
    if header_only {
        command.arg("--header-only");
    }
    let output = command.arg(file).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(77) => Err(text.trim().to_owned()),
        Some(0) => Ok(serde_json::from_str(&text).unwrap()),
        _ => panic!("{text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn score(name: &str, mean: &str, value: f64) -> Score {
    let number = |name: &str, value: f64| {
        let metric = Metric {
            name: name.into(),
            value: Some(value),
        };
        (name.to_owned(), metric)
    };
    Score {
        name: name.into(),
        scorer: name.into(),
        scored_samples: Some(3),
        unscored_samples: Some(0),
        metrics: [number(mean, value), number("low", value - 0.1)].into(),
        ..Score::default()
    }
}

fn log() -> (Header, Vec<Sample>) {
    let ids = ["t-1/routing/0", "t-2/routing/0", "odd id \u{1F9EC}"];
    let model = "campaignd/tuned";
    let usage = |times: u64| Usage {
        input_tokens: 20 * times,
        output_tokens: 3 * times,
        total_tokens: 23 * times,
    };
    let scorer = |name: &str, metric: &str| Scorer {
        name: name.into(),
        options: Map::new(),
        metrics: json!([{ "name": metric, "options": {} }]),
    };
    let header = Header {
        version: VERSION,
        status: "success".into(),
        eval: Spec {
            eval_id: identifier(&["eval"]),
            run_id: identifier(&["run"]),
            created: "2026-03-02T09:14:02Z".into(),
            task: "routing".into(),
            task_id: identifier(&["task"]),
            task_version: json!(0),
            task_args: Map::from_iter([("items".into(), json!(3))]),
            dataset: Dataset {
                name: Some("routing".into()),
                location: Some("set/routing/test.jsonl".into()),
                samples: 3,
                sample_ids: ids.iter().map(|id| json!(id)).collect(),
                shuffled: false,
            },
            model: model.into(),
            config: Config { epochs: 1 },
            packages: BTreeMap::from([("campaignd".into(), "0.1.0".into())]),
            scorers: vec![scorer("exact_match", "accuracy"), scorer("loss", "mean")],
            metadata: Map::from_iter([("base_model".into(), json!("models/small"))]),
        },
        plan: Plan {
            name: "plan".into(),
            steps: vec![Step {
                solver: "generate".into(),
                params: Map::from_iter([("temperature".into(), json!(0))]),
            }],
        },
        results: Some(Results {
            total_samples: 3,
            completed_samples: 3,
            scores: vec![
                score("exact_match", "accuracy", 2.0 / 3.0),
                score("loss", "mean", 1.25),
            ],
        }),
        stats: Stats {
            started_at: "2026-03-02T09:14:02Z".into(),
            completed_at: "2026-03-02T09:15:02Z".into(),
            model_usage: BTreeMap::from([(model.into(), usage(3))]),
        },
        ..Header::default()
    };
    let sample = |(n, id): (usize, &&str)| Sample {
        id: (*id).into(),
        messages: vec![
            ("system".into(), "You choose.".into()),
            ("user".into(), format!("{n}: <tier>?")),
        ],
        target: "MEDIUM".into(),
        // The last one was only looked at.
        answer: (n < 2).then(|| "MEDIUM".into()),
        stopped: if n == 0 {
            Stopped::Itself
        } else {
            Stopped::MaxTokens
        },
        scores: BTreeMap::from([
            ("exact_match".into(), f64::from(u8::from(n < 2))),
            ("loss".into(), 1.25),
        ]),
        usage: usage(1),
    };
    let samples = ids.iter().enumerate().map(sample).collect();
    (header, samples)
}

/// Everything that is said here is said there. What says nothing may be missing there, and dates may be written otherwise.
fn agrees(path: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in ours {
                let empty = [json!({}), json!([]), json!(""), Value::Null].contains(value);
                match theirs.get(key) {
                    None if empty => {}
                    there => agrees(
                        &format!("{path}.{key}"),
                        value,
                        there.unwrap_or(&Value::Null),
                    ),
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
        (Value::String(ours), Value::String(theirs)) => {
            let date = |text: &str| text.replace('Z', "+00:00");
            assert_eq!(date(ours), date(theirs), "{path}");
        }
        _ => assert_eq!(ours, theirs, "{path}"),
    }
}

#[test]
fn inspect_reads_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("routing.eval");
    let (header, samples) = log();
    write(File::create(&path).unwrap(), &header, &samples).unwrap();
    let theirs = match dump(&path, true) {
        Ok(theirs) => theirs,
        Err(why) => return eprintln!("skipped inspect_reads_what_is_written: {why}"),
    };
    let ours = read(File::open(&path).unwrap()).unwrap();
    agrees("", &serde_json::to_value(&ours.header).unwrap(), &theirs);
    let whole = dump(&path, false).unwrap();
    let read = whole["samples"].as_array().unwrap();
    assert_eq!(read.len(), 3);
    let by_id = |id: &str| read.iter().find(|sample| sample["id"] == id).unwrap();
    assert_eq!(
        by_id("t-1/routing/0")["scores"]["exact_match"]["value"],
        "C"
    );
    assert_eq!(
        by_id("t-2/routing/0")["output"]["choices"][0]["stop_reason"],
        "max_tokens"
    );
    assert_eq!(
        by_id("odd id \u{1F9EC}")["messages"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
