//! What is refused, with what is said, and what is left as it is.

use super::Place;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

#[test]
fn what_cannot_be_designed_is_told_and_nothing_is_written() {
    let place = Place::new();
    place.write("history.json", r#"{"experiments":[{"experiment_id":"a","status":"completed","config":{"model":"/m/base","r":8},"metrics":{},"duration_seconds":7200.0,"gpu_hours":2.0}]}"#);
    place.write("torn.json", r#"{"experiments":[{"exp"#);
    place.write("base/config.json", "{}");
    let known = ["--model", "base", "--from", "history.json"];
    for (args, told) in [
        (vec!["x", "--vary", "rnak=8,16"], "did you mean rank?"),
        (
            vec!["x", "--vary", "learning_rat=1e-5..1e-3"],
            "did you mean learning_rate?",
        ),
        (
            vec!["x", "--vary", "learning_rate=1e-3..1e-5:log"],
            "is empty",
        ),
        (vec!["x", "--vary", "r=8,16,5000"], "goes out of range"),
        (
            vec!["x", "--vary", "r=1..64:int", "--runs", "1000"],
            "too many runs",
        ),
        (
            vec!["../x", "--vary", "r=8"],
            "is no name for an experiment",
        ),
        (vec!["-x", "--vary", "r=8"], "unexpected argument"),
        (vec!["x"], "nothing is varied"),
        (
            vec!["x", "--vary", "r=8", "--budget", "0s"],
            "admits no run",
        ),
        (
            [&["x", "--vary", "r=8,32", "--budget", "1h"], &known[..]].concat(),
            "admits no run",
        ),
        (
            [&["x", "--vary", "r=8,32", "--budget", "5h"], &known[..]].concat(),
            "does not allow 2 runs",
        ),
        (vec!["x", "--vary", "r=8", "--from", "torn.json"], "torn"),
        (
            vec!["x", "--vary", "r=8", "--from", "base/config.json"],
            "no training history",
        ),
        (
            vec![
                "x",
                "--vary",
                "r=8",
                "--model",
                "nowhere",
                "--data",
                "none.jsonl",
            ],
            "the file of rows is not there",
        ),
        (
            vec!["x", "--vary", "r=8", "--eval", "none.jsonl"],
            "there is no such task",
        ),
        (
            vec!["x", "--vary", "r=8", "--eval-epochs", "0"],
            "one adapter of a run",
        ),
        (
            vec!["x", "--vary", "r=8", "--back-end", "generic"],
            "nothing that scaffolds",
        ),
        (vec!["x", "--vary", "r=8", "--set", "lr=3"], "out of range"),
    ] {
        let said = place.refused(&[&["design"], &args[..]].concat());
        assert!(said.contains(told), "{args:?}: {said}");
        assert!(!place.path("x").exists(), "{args:?}");
    }
    let plan = place.json(
        &[
            &["design", "x", "--vary", "r=8,32", "--budget", "9h"],
            &known[..],
        ]
        .concat(),
    )["plan"]
        .clone();
    let hours = plan["estimates"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["what"] == "GPU hours")
        .unwrap();
    assert_eq!(
        (hours["amount"].as_f64(), hours["basis"].as_str()),
        (
            Some(6.0),
            Some("3 runs; median of 1 run of the same model in history.json")
        )
    );
    assert!(
        place
            .refused(&["scaffold", "nowhere"])
            .contains("there is no experiment")
    );
    let said = place.refused(&["scaffold", "x"]);
    assert_eq!(
        said.matches("no rows are named").count(),
        1,
        "what is wrong in every run is said once: {said}"
    );
}

#[test]
fn an_edited_summary_is_shown_and_not_taken_and_other_files_are_not_overwritten() {
    let place = Place::new();
    place.rows();
    place.write("base/config.json", "{}");
    let design = [
        "design",
        "x",
        "--vary",
        "r=8,32",
        "--model",
        "base",
        "--data",
        "rows.jsonl",
    ];
    place.done(&design);
    let summary = place.read("x/experiment_summary.md");
    place.write(
        "x/experiment_summary.md",
        &summary.replace("`8,32`", "`8,64`"),
    );
    let output = place.ctl(&["scaffold", "x"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success()
            && said.contains("-| `r` | `8,32`")
            && said.contains("+| `r` | `8,64`"),
        "{said}"
    );
    assert!(place.path("x/rank32/train.toml").is_file() && !place.path("x/rank64").exists());
    assert!(place.refused(&design).contains("+| `r` | `8,32`"));
    place.done(&[&design[..], &["--force"]].concat());
    assert_eq!(place.read("x/experiment_summary.md"), summary);
    let (train, own) = ("x/rank8/train.toml", "r = 9\n");
    place.write(train, own);
    fs::remove_file(place.path("x/rank32/train.toml")).unwrap();
    assert!(place.refused(&["scaffold", "x"]).contains("-r = 9"));
    assert!(
        !place.path("x/rank32/train.toml").exists(),
        "nothing is written where something is refused"
    );
    place.done(&["scaffold", "x", "--force", "--dry-run"]);
    assert_eq!(place.read(train), own);
    place.done(&["scaffold", "x", "--force"]);
    assert!(place.read(train).contains("r = 8\n"));
    place.write(
        "x/experiment.json",
        &place
            .read("x/experiment.json")
            .replace("\"rank8\"", "\"../../rank8\""),
    );
    assert!(place.refused(&["scaffold", "x"]).contains("is no name"));
}

#[test]
fn a_config_stands_over_the_baseline_and_is_checked() {
    let place = Place::new();
    place.done(&config(&[
        "--set",
        "learning_rate=0.001",
        "--set",
        "batch_size=16",
    ]));
    let read: Value = serde_json::from_str(&place.read("exp_001/config.json")).unwrap();
    assert_eq!(
        (&read["config"]["batch_size"], &read["changed"]),
        (&json!(16), &json!(["batch_size", "learning_rate"]))
    );
    assert!(
        place
            .read("exp_001/config.yaml")
            .contains("learning_rate: 0.001")
    );
    let said = place.refused(&config(&[
        "--set",
        "train_split=0.8",
        "--set",
        "val_split=0.3",
        "--set",
        "batch_size=500",
    ]));
    assert!(
        said.contains("train_split + val_split make 1.1")
            && said.contains("batch_size = 500 is out of range"),
        "{said}"
    );
    assert!(
        place
            .refused(&config(&["--set", "learning_rate=0.01"]))
            .contains("--force replaces it")
    );
    assert_eq!(mode(&place.path("exp_001/config.json")), 0o600);
}

fn config<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["config", "exp_001", "--back-end", "generic"], args].concat()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// An experiment of a history as campaignd writes it.
fn past(id: &str, r: i64, cause: Option<&str>) -> Value {
    json!({
        "experiment_id": id, "campaign": "past", "cycle_id": 1, "status": if cause.is_some() { "failed" } else { "completed" },
        "config": { "r": r }, "metrics": {}, "duration_seconds": 60.0, "gpu_hours": 0.1,
        "proposal_type": "fine_tuning", "risk_level": "low",
        "failure": cause.map(|cause| json!({ "cause": cause, "text": "it died" })),
    })
}

/// A place with a model, rows, and a history in which two runs of r = 64 had no memory.
fn taught() -> Place {
    let place = Place::new();
    place.rows();
    place.write("base/config.json", "{}");
    let died = |id, r| past(id, r, Some("memory"));
    let all = json!({ "experiments": [died("a", 64), died("b", 64), past("c", 8, None)] });
    place.write("history.json", &all.to_string());
    place
}

#[test]
fn what_failures_taught_refuses_a_config_until_somebody_knows_better() {
    let place = taught();
    let design = [
        "design",
        "ranks",
        "--vary",
        "r=8,64",
        "--from",
        "history.json",
        "--model",
        "base",
        "--data",
        "rows.jsonl",
    ];
    let told = place.json(&design);
    let refused = told["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 1, "{told}");
    assert_eq!(refused[0][0], "rank64", "{told}");
    // A plan that learns of no history is held to the file that is there.
    let known = ["--from", "history.json"];
    let alone = design.iter().filter(|word| !known.contains(*word));
    let alone: Vec<&str> = alone.copied().chain(["--force"]).collect();
    assert_eq!(place.json(&alone)["refused"], told["refused"]);
    let said = place.refused(&["scaffold", "ranks"]);
    let file: Value = serde_json::from_str(&place.read("ranks/constraints.json")).unwrap();
    let id = file["constraints"][0]["id"].as_str().unwrap();
    for part in [id, "r = 64", "ran out of memory", "constraints.json"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!place.path("ranks/rank8").exists(), "all or nothing");

    // One config is held to the constraints of the directory it is made in.
    place.write("constraints.json", &place.read("ranks/constraints.json"));
    let said = place.refused(&["config", "exp_001", "--set", "r=128"]);
    assert!(
        said.contains(id) && !place.path("exp_001").exists(),
        "{said}"
    );
    place.done(&["config", "exp_001", "--set", "r=8"]);

    place.write(
        "ranks/constraints.json",
        r#"{"version":1,"constraints":[]}"#,
    );
    place.done(&["scaffold", "ranks"]);
    place.write("ranks/constraints.json", "{\"constr");
    let said = place.refused(&["scaffold", "ranks"]);
    assert!(said.contains("the constraints cannot be read"), "{said}");
}

#[test]
fn another_history_replaces_what_one_taught_and_nothing_that_a_person_wrote() {
    let place = taught();
    let design = |history: &str, words: &[&str]| {
        let all = [
            &[
                "design",
                "ranks",
                "--vary",
                "r=8,64",
                "--from",
                history,
                "--model",
                "base",
                "--data",
                "rows.jsonl",
            ],
            words,
        ];
        place.done(&all.concat());
        let text = place.read("ranks/constraints.json");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let mut file = design("history.json", &[]);
    assert_eq!(
        design("history.json", &[]),
        file,
        "it learns the same at another time"
    );
    let all = file["constraints"].as_array_mut().unwrap();
    let mut mine = all[0].clone();
    (mine["id"], mine["origin"]) = ("c-mine".into(), "person".into());
    all.push(mine.clone());
    place.write("ranks/constraints.json", &file.to_string());
    // It says what a run took, and of no failure.
    let took = json!({ "experiments": [{ "experiment_id": "c", "status": "completed", "config": { "r": 8 }, "metrics": {}, "duration_seconds": 60.0 }] });
    place.write("times.json", &took.to_string());
    assert_eq!(design("times.json", &["--force"]), file);
    place.write(
        "later.json",
        &json!({ "experiments": [past("c", 8, None)] }).to_string(),
    );
    assert_eq!(
        design("later.json", &["--force"])["constraints"],
        json!([mine])
    );
}
