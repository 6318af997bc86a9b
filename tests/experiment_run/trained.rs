//! The built-in trainer and `evaluate`, end to end on a tiny model: what is run can be analysed.

use serde_json::json;
use std::{fs, path::Path, process::Command};

#[test]
fn the_built_in_back_end_runs_from_its_plan_to_its_report() {
    let dir = tempfile::tempdir().unwrap();
    let row = |n: usize| {
        let turns = [
            ("user", format!("{}?", n % 7)),
            ("assistant", format!("{}", n % 5)),
        ];
        let turns = turns.map(|(role, content)| json!({ "role": role, "content": content }));
        json!({ "id": format!("row-{n}"), "messages": turns }).to_string()
    };
    let lines =
        |range: std::ops::Range<usize>| range.map(row).collect::<Vec<_>>().join("\n") + "\n";
    fs::write(dir.path().join("rows.jsonl"), lines(0..20)).unwrap();
    fs::write(dir.path().join("held.jsonl"), lines(20..40)).unwrap();
    let does = |program: &str, args: &[&str]| {
        let output = Command::new(program)
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{args:?}: {said}\n{}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let ctl = |args: &[&str]| {
        does(
            env!("CARGO_BIN_EXE_campaignctl"),
            &[&["experiment"], args].concat(),
        )
    };
    does(
        env!("CARGO_BIN_EXE_campaignd"),
        &["base", "--data", "rows.jsonl", "--output", "base"],
    );
    ctl(&[
        "design",
        "tiny",
        "--vary",
        "r=2",
        "--epochs",
        "1",
        "--model",
        "base",
        "--data",
        "rows.jsonl",
        "--holdout",
        "held.jsonl",
        "--eval",
        "held.jsonl",
    ]);
    ctl(&["scaffold", "tiny"]);
    let answer = ctl(&["run", "tiny", "--executor", "local"]);
    assert_eq!(answer.matches("COMPLETED").count(), 4, "{answer}");
    let adapters = ["rank16", "rank2"].map(|run| {
        dir.path()
            .join("tiny")
            .join(run)
            .join("adapter/training.json")
    });
    assert!(adapters.iter().all(|path| Path::is_file(path)));
    let found: serde_json::Value =
        serde_json::from_str(&ctl(&["analyze", "tiny", "--json"])).unwrap();
    assert_eq!(
        found["analysis"]["ranked"].as_array().unwrap().len(),
        2,
        "{found}"
    );
}
