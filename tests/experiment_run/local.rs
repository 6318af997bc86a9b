//! On this machine: the order of things, the tables, the logs, what jobs print.

use crate::place::{Place, ended, said, same_file, told};
use campaignd::{
    history::constraints::{ANY, parse},
    time::Timestamp,
};
use serde_json::{Value, json};

const RUNS: [&str; 3] = ["rank8", "rank2", "rank4"];

fn runs(place: &Place) -> Vec<String> {
    let plan = place.plan();
    let runs = plan["runs"].as_array().unwrap();
    runs.iter()
        .map(|run| run["name"].as_str().unwrap().into())
        .collect()
}

#[test]
fn all_fine_tunes_end_before_the_first_evaluation_begins() {
    let place = Place::new();
    assert_eq!(runs(&place), RUNS);
    let output = place.run(&["--at-once", "2"]);
    let answer = ended(&output, 0);
    let lines = place.lines();
    let first = lines
        .iter()
        .position(|line| line.starts_with("begin inspect"))
        .unwrap();
    let last = lines
        .iter()
        .rposition(|line| line.starts_with("end tune"))
        .unwrap();
    assert!(last < first, "{lines:?}");
    for what in ["begin tune", "end tune", "begin inspect", "end inspect"] {
        assert_eq!(place.count(what), 3, "{what}: {lines:?}");
    }
    for run in RUNS {
        let row = place.row(run);
        assert_eq!(
            (row["state"].as_str(), row["note"].as_str()),
            (Some("COMPLETED"), Some(""))
        );
        let job = row["job"].as_str().unwrap();
        let summary = place.read("ranks/experiment_summary.md");
        assert!(
            summary.contains(&format!("| {run} | COMPLETED | {job} |")),
            "{summary}"
        );
        let out = place.files(&format!("ranks/{run}"), "local-", ".out");
        assert_eq!(out, [place.path(&format!("ranks/{run}/local-{job}.out"))]);
        let stem = place
            .jobs()
            .into_iter()
            .find(|name| name.starts_with(&format!("{run}_")) && !name.contains("epoch"));
        let stdout = place.path(&format!(
            "ranks/.campaignd/jobs/{}/tasks/0/stdout",
            stem.unwrap()
        ));
        assert!(same_file(&out[0], &stdout));
        assert_eq!(
            place
                .files(&format!("ranks/{run}/eval"), "local-", ".out")
                .len(),
            1
        );
        assert_eq!(place.state(&format!("{run}/task_epoch0")), "COMPLETED");
    }
    assert!(
        answer.contains("campaignctl experiment analyze"),
        "{answer}"
    );
    logs(&place);
    // Once more there is nothing to do, and nothing is launched.
    let before = (place.lines(), place.jobs());
    ended(&place.run(&[]), 0);
    assert_eq!((place.lines(), place.jobs()), before);
}

fn logs(place: &Place) {
    let tune = place.read("ranks/run-torchtune.log");
    let inspect = place.read("ranks/run-inspect.log");
    let run = place.read("ranks/run-experiment.log");
    for (log, event, count) in [
        (&tune, "SUBMIT_JOB", 3),
        (&tune, "MONITOR_CONFIG", 1),
        (&tune, "ALL_COMPLETE", 1),
        (&inspect, "SUBMIT_EVAL", 3),
        (&inspect, "ALL_COMPLETE", 1),
        (&run, "CALL_WORKER", 2),
        (&run, "WORKER_COMPLETE", 2),
    ] {
        assert_eq!(said(log, event), count, "{event}\n{log}");
    }
    assert_eq!(tune.matches(" -> COMPLETED").count(), 3, "{tune}");
    let row = place.row("rank2");
    let job = row["job"].as_str().unwrap();
    assert!(
        tune.contains(&format!(
            "] SUBMIT_JOB: rank2\nDetails: local: bash finetune.slurm\nJob ID: {job}\n"
        )),
        "{tune}"
    );
}

#[test]
fn a_run_that_fails_is_told_its_evaluation_is_skipped_and_the_others_go_on() {
    let place = Place::new();
    place.write("ranks/rank2/fail", "");
    place.write("ranks/rank4/silent", "");
    let output = place.run(&[]);
    let answer = ended(&output, 1);
    assert!(answer.contains("--again"), "{answer}");
    let row = place.row("rank2");
    assert_eq!(row["state"], "FAILED");
    assert_eq!(row["note"], "ended with status 3: the disk is full of sand");
    let note = place.row("rank4")["note"].as_str().unwrap().to_string();
    assert!(
        note.starts_with("ended with status 0 and no ") && note.ends_with("rank4/output/epoch_0"),
        "{note}"
    );
    for run in ["rank2", "rank4"] {
        let row = place.row(&format!("{run}/task_epoch0"));
        assert_eq!(
            (row["state"].as_str(), row["note"].as_str()),
            (Some("skipped"), Some("its fine-tune failed"))
        );
        assert_eq!(row["job"], Value::Null);
    }
    assert_eq!(
        (
            place.count("begin inspect"),
            place.count("begin inspect rank8")
        ),
        (1, 1)
    );
    assert!(
        told(&output).contains("rank2/task_epoch0  skipped  its fine-tune failed"),
        "{}",
        told(&output)
    );
    // The same command launches nothing; asked for again, what failed goes once more, and nothing else.
    let lines = place.lines();
    ended(&place.run(&[]), 1);
    assert_eq!(place.lines(), lines);
    place.remove("ranks/rank2/fail");
    place.remove("ranks/rank4/silent");
    ended(&place.run(&["--again"]), 0);
    assert_eq!(
        (
            place.count("begin tune rank8"),
            place.count("begin inspect rank8")
        ),
        (1, 1)
    );
    assert_eq!(
        (
            place.count("begin tune rank2"),
            place.count("begin inspect rank2")
        ),
        (2, 1)
    );
    assert_eq!(
        (
            place.count("begin tune rank4"),
            place.count("begin inspect rank4")
        ),
        (2, 1)
    );
    assert_eq!(place.row("rank2")["note"], "attempt 2");
}

#[test]
fn the_workers_can_each_be_run_alone() {
    let place = Place::new();
    let alone = |verb| place.ctl(&[verb, "ranks", "--executor", "local"]);
    ended(&alone("run-inspect"), 1);
    assert_eq!(place.lines(), Vec::<String>::new());
    let row = place.row("rank2/task_epoch0");
    assert_eq!(
        (row["state"].as_str(), row["note"].as_str()),
        (Some("pending"), Some("its fine-tune has not begun"))
    );
    ended(&alone("run-torchtune"), 0);
    assert_eq!(
        (place.count("end tune"), place.count("begin inspect")),
        (3, 0)
    );
    std::fs::remove_dir_all(place.path("ranks/rank2/output")).unwrap();
    ended(&alone("run-inspect"), 1);
    assert_eq!(
        (place.count("end tune"), place.count("end inspect")),
        (3, 2)
    );
    let row = place.row("rank2/task_epoch0");
    assert_eq!(row["state"], "skipped");
    assert!(
        row["note"]
            .as_str()
            .unwrap()
            .starts_with("there is no checkpoint "),
        "{row}"
    );
    assert!(
        !place.path("ranks/run-experiment.log").exists(),
        "nothing orchestrated them"
    );
}

#[test]
fn an_edited_summary_keeps_its_other_text() {
    let place = Place::new();
    let summary = place.read("ranks/experiment_summary.md");
    let (head, tail) = summary.split_once("## Evaluation status").unwrap();
    let edited = format!(
        "{head}## What I think\n\nRank 4 will win.\n\n## Evaluation status{tail}\n## Later\n\nMore.\n"
    );
    place.write("ranks/experiment_summary.md", &edited);
    ended(&place.run(&[]), 0);
    let after = place.read("ranks/experiment_summary.md");
    assert!(
        after.contains("## What I think\n\nRank 4 will win.\n"),
        "{after}"
    );
    assert!(after.contains("## Later\n\nMore.\n"), "{after}");
    assert_eq!(after.matches("| COMPLETED |").count(), 6, "{after}");
    // Without a place for a table, that is said, and the plan has it.
    place.write("ranks/experiment_summary.md", "# mine\n");
    let again = place.run(&["--again"]);
    ended(&again, 0);
    assert!(
        told(&again).contains("has no line \"## Fine-tuning status and ## Evaluation status\""),
        "{}",
        told(&again)
    );
    assert_eq!(place.read("ranks/experiment_summary.md"), "# mine\n");
}

#[test]
fn what_is_taken_away_is_told_and_launched_again_only_when_asked() {
    let place = Place::new();
    ended(&place.run(&[]), 0);
    let name = place
        .jobs()
        .into_iter()
        .find(|name| name.starts_with("rank2_") && !name.contains("epoch"))
        .unwrap();
    std::fs::remove_dir_all(place.path("ranks/.campaignd/jobs").join(&name)).unwrap();
    ended(&place.run(&[]), 1);
    assert_eq!(place.count("begin tune rank2"), 1);
    let row = place.row("rank2");
    assert_eq!(row["state"], "FAILED");
    assert!(
        row["note"]
            .as_str()
            .unwrap()
            .starts_with("its job directory is gone"),
        "{row}"
    );
    ended(&place.run(&["--again"]), 0);
    assert_eq!(
        (place.count("begin tune rank2"), place.count("begin tune")),
        (2, 4)
    );
    ended(&place.run(&["--again"]), 0);
    assert_eq!(place.count("begin tune"), 4);
}

#[test]
fn an_evaluation_that_measured_nothing_failed_whatever_its_status() {
    let place = Place::new();
    place.write("ranks/rank2/unmeasured", "");
    ended(&place.run(&[]), 1);
    let row = place.row("rank2/task_epoch0");
    assert_eq!(row["state"], "FAILED", "{row}");
    assert!(row["note"].as_str().unwrap().contains("no "), "{row}");
    assert_eq!(place.state("rank4/task_epoch0"), "COMPLETED");
    place.remove("ranks/rank2/unmeasured");
    ended(&place.run(&["--again"]), 0);
    let counted = ["rank2", "rank4"].map(|run| place.count(&format!("begin inspect {run}")));
    assert_eq!(counted, [2, 1]);
}

#[test]
fn what_failures_taught_since_the_scaffold_holds_for_what_is_launched() {
    let place = Place::new();
    // As a person writes it and `campaignctl constraints --json` prints it.
    let bound = serde_json::to_value(parse("r <= 4", ANY, Timestamp(0)).unwrap()).unwrap();
    let file = json!({ "version": 1, "constraints": [bound] });
    place.write("ranks/constraints.json", &file.to_string());
    let refused = place.run(&[]);
    let said = ended(&refused, 2) + &String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("the constraint c-") && said.contains("lora_rank <= 4"),
        "{said}"
    );
    assert!(place.lines().is_empty(), "nothing was launched");
    let all_the_same = place.run(&["--as-is"]);
    ended(&all_the_same, 0);
    let notes = told(&all_the_same);
    let named = |run: &str| {
        let start = format!("{run} is launched as it is, though by its plan the constraint c-");
        let of = |line: &&str| line.starts_with(&start) && line.contains("lora_rank <= 4");
        notes.lines().filter(of).count()
    };
    assert_eq!(RUNS.map(named), [1, 0, 0], "{notes}");
    // What has run is not asked for again.
    ended(&place.run(&[]), 0);
}
