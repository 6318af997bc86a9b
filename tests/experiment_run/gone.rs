//! Jobs whose process is gone, or on another machine, as those see it who look and those who end them.

use crate::place::{Place, ended, told};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// With a job that runs, and nobody who follows it; its claim.
fn left_alone() -> (Place, String) {
    let place = Place::new();
    place.write("hold", "");
    let mut runner = place.spawn(&["run", "ranks", "--executor", "local"]);
    place.until("a job runs", || place.count("begin tune") == 1);
    runner.kill().unwrap();
    runner.wait().unwrap();
    let claim = format!("ranks/.campaignd/jobs/{}/tasks/0/claim", place.jobs()[0]);
    (place, claim)
}

fn seen(place: &Place) -> (String, String) {
    let row = &place.json(&["status", "ranks"])["fine_tuning"][0];
    let word = |key: &str| row[key].as_str().unwrap().to_string();
    (word("state"), word("note"))
}

#[test]
fn a_job_whose_process_is_gone_is_not_shown_as_running() {
    let (place, claim) = left_alone();
    assert_eq!(seen(&place).0, "RUNNING");
    let claim: Value = serde_json::from_str(&place.read(&claim)).unwrap();
    let shim = i32::try_from(claim["pid"].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(shim).unwrap(), Signal::KILL).unwrap();
    place.until("that is seen", || seen(&place).0 == "FAILED");
    let before = place.snapshot("ranks");
    let note = "gone without a word; experiment run settles it";
    assert_eq!(seen(&place).1, note);
    assert!(place.done(&["status", "ranks"]).contains(note));
    assert_eq!(place.snapshot("ranks"), before, "status wrote something");
    place.remove("hold");
    ended(&place.run(&[]), 1);
    let row = place.row("rank8");
    assert_eq!(row["state"], "FAILED");
    assert!(row["note"].as_str().unwrap().starts_with("vanished: "));
}

#[test]
fn a_job_of_another_machine_is_neither_lost_nor_ended_from_here() {
    let (place, path) = left_alone();
    let own = place.read(&path);
    let mut claim: Value = serde_json::from_str(&own).unwrap();
    claim["boot_id"] = "another".into();
    claim["host"] = "node-7".into();
    place.write(&path, &claim.to_string());
    let (state, note) = seen(&place);
    assert!(
        state != "FAILED" && note.contains("it runs on node-7"),
        "{state}: {note}"
    );
    let mut second = place.spawn(&["run", "ranks", "--executor", "local"]);
    place.until("the table says where", || {
        let row = place.row("rank8");
        row["note"].as_str().unwrap().contains("it runs on node-7")
    });
    second.kill().unwrap();
    second.wait().unwrap();
    let stopped = place.ctl(&["stop", "ranks"]);
    ended(&stopped, 2);
    assert!(told(&stopped).contains("node-7"), "{}", told(&stopped));
    // It was this machine after all, and nobody has touched the job.
    place.write(&path, &own);
    place.remove("hold");
    ended(&place.run(&[]), 0);
    assert_eq!((place.count("begin tune"), place.count("end tune")), (3, 3));
}
