//! One runner at a time, in the foreground or behind; left and come back to; stopped; looked at.

use crate::place::{Place, ended, said, told};
use rustix::process::{Pid, Signal, kill_process};

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

#[test]
fn a_second_runner_hears_who_has_it_and_ctrl_c_leaves_the_jobs() {
    let place = Place::new();
    place.write("hold", "");
    let first = place.spawn(&["run", "ranks", "--executor", "local"]);
    place.until("a job runs", || place.count("begin tune") == 1);
    place.until("the table says so", || place.state("rank8") == "RUNNING");
    for verb in ["run", "run-torchtune", "run-inspect"] {
        let second = place.ctl(&[verb, "ranks", "--executor", "local"]);
        ended(&second, 2);
        let wanted = format!("process {} runs this experiment already", first.id());
        assert!(told(&second).contains(&wanted), "{}", told(&second));
    }
    let status = place.json(&["status", "ranks"]);
    assert_eq!(
        (status["running"].as_bool(), status["runner"].as_u64()),
        (Some(true), Some(first.id().into()))
    );
    assert_eq!(status["fine_tuning"][0]["state"], "RUNNING");
    kill_process(pid(first.id()), Signal::INT).unwrap();
    let output = first.wait_with_output().unwrap();
    ended(&output, 130);
    for way in ["experiment run ", "experiment status ", "experiment stop "] {
        assert!(told(&output).contains(way), "{}", told(&output));
    }
    assert_eq!(
        said(&place.read("ranks/run-torchtune.log"), "MONITOR_DETACHED"),
        1
    );
    assert_eq!(
        said(&place.read("ranks/run-experiment.log"), "MONITOR_DETACHED"),
        1
    );
    let text = place.done(&["status", "ranks"]);
    assert!(
        text.contains("nobody follows its jobs") && text.contains("RUNNING"),
        "{text}"
    );
    place.remove("hold");
    place.until("the job ended by itself", || place.count("end tune") == 1);
    place.until("its end is seen though nobody follows it", || {
        let seen = place.json(&["status", "ranks"]);
        seen["fine_tuning"][0]["state"] == "COMPLETED"
    });
    assert_eq!(place.state("rank8"), "RUNNING", "status writes nothing");
    ended(&place.run(&[]), 0);
    assert_eq!(
        (place.count("begin tune"), place.count("begin inspect")),
        (3, 3)
    );
    assert!(place.done(&["status", "ranks"]).contains("nobody runs it"));
}

#[test]
fn in_the_background_it_ends_by_itself_or_when_stopped() {
    let place = Place::new();
    place.write("hold", "");
    let begun = place.json(&[
        "run",
        "ranks",
        "--executor",
        "local",
        "--at-once",
        "2",
        "--detach",
    ]);
    let runner = begun["runner"].as_u64().unwrap();
    place.until("two jobs run", || place.count("begin tune") == 2);
    let status = place.json(&["status", "ranks"]);
    assert_eq!(status["runner"].as_u64(), Some(runner));
    let second = place.ctl(&["run", "ranks", "--executor", "local", "--detach"]);
    ended(&second, 2);
    let stopped = place.json(&["stop", "ranks"]);
    assert_eq!(stopped["ended"], 2);
    let alive = std::path::Path::new("/proc").join(runner.to_string());
    place.until("the runner has gone", || !alive.exists());
    assert_eq!(
        ["rank8", "rank2", "rank4"].map(|run| place.state(run)),
        ["CANCELLED", "CANCELLED", "pending"]
    );
    place.remove("hold");
    assert_eq!(place.count("end tune"), 0, "they were ended");
    assert!(place.done(&["stop", "ranks"]).contains("nothing ran"));
    // Without a word the cancelled ones stay so; with it they go once more.
    ended(&place.run(&[]), 1);
    assert_eq!(
        (place.count("begin tune"), place.state("rank4").as_str()),
        (3, "COMPLETED")
    );
    let begun = place.json(&["run", "ranks", "--executor", "local", "--again", "--detach"]);
    assert!(begun["runner"].as_u64().is_some(), "{begun}");
    place.until("everything is done", || place.count("end inspect") == 3);
    place.until("the tables say so", || {
        place.state("rank4/task_epoch0") == "COMPLETED"
            && place.state("rank2/task_epoch0") == "COMPLETED"
    });
    assert_eq!(place.count("end tune"), 3);
}

#[test]
fn stop_ends_jobs_that_nobody_follows_and_jobs_of_an_earlier_plan() {
    let place = Place::new();
    assert!(place.done(&["stop", "ranks"]).contains("nothing ran"));
    assert!(!place.path("ranks/.campaignd").exists());
    place.write("hold", "");
    let mut runner = place.spawn(&["run", "ranks", "--executor", "local"]);
    place.until("a job runs", || place.count("begin tune") == 1);
    runner.kill().unwrap();
    runner.wait().unwrap();
    let design = [
        "design",
        "ranks",
        "--vary",
        "r=2,16",
        "--epochs",
        "1",
        "--set",
        "batch_size=16",
        "--back-end",
        "torchtune",
        "--model",
        "llama",
        "--data",
        "rows.jsonl",
        "--eval",
        "task.py",
        "--force",
    ];
    place.done(&design);
    place.done(&["scaffold", "ranks", "--force"]);
    let output = place.run(&[]);
    ended(&output, 2);
    assert!(
        told(&output).contains("jobs of an earlier plan"),
        "{}",
        told(&output)
    );
    assert_eq!(place.json(&["stop", "ranks"])["ended"], 1);
    place.remove("hold");
    ended(&place.run(&[]), 0);
    assert_eq!(
        (
            place.count("begin tune rank8 8 x"),
            place.count("begin tune rank8 16 x")
        ),
        (1, 1)
    );
    assert_eq!(place.count("end tune"), 3);
}
