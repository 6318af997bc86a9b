//! A disk that is full for a while, at every write of the runner: it waits, and everything comes out the same.

use crate::place::{Place, ended, said, told};
use rustix::process::{Pid, Signal, kill_process};

/// Between two writes that fail; each run begins with another one of them.
const STRIDE: usize = 7;

#[test]
fn a_disk_that_is_full_for_a_while_is_waited_for_and_nothing_is_done_twice() {
    for first in 0..STRIDE {
        let place = Place::new();
        place.write("ranks/rank2/oom", "1");
        place.write("ranks/rank4/fail", "");
        let mut actions = vec!["1*return(1)"; 40].join(&format!("->{}*off->", STRIDE - 1));
        if first > 0 {
            actions = format!("{first}*off->{actions}");
        }
        // What fails now was asked for once, and not once more after each wait.
        let mut command = place.command(&["run", "ranks", "--executor", "local", "--again"]);
        command.env("FAILPOINTS", format!("run.full={actions}"));
        let output = command.output().unwrap();
        ended(&output, 1);
        let notes = told(&output);
        assert!(
            notes.contains("it goes on when there is room"),
            "{first}: {notes}"
        );
        let lines = place.lines();
        let begun = ["rank8 8", "rank2 8", "rank2 4", "rank2 2", "rank4 8"];
        let counts = begun.map(|what| place.count(&format!("begin tune {what} x")));
        assert_eq!(counts, [1, 1, 1, 0, 1], "{first}: {lines:?}");
        assert_eq!(place.count("begin inspect"), 2, "{first}: {lines:?}");
        let summary = place.read("ranks/experiment_summary.md");
        for (name, state) in [
            ("rank8", "COMPLETED"),
            ("rank2/task_epoch0", "COMPLETED"),
            ("rank4", "FAILED"),
            ("rank4/task_epoch0", "skipped"),
        ] {
            assert_eq!(place.state(name), state, "{first}: {name}");
            let row = format!("| {name} | {state} |");
            assert!(summary.contains(&row), "{first}: {row}\n{summary}");
        }
        let log = place.read("ranks/run-torchtune.log");
        for (event, count) in [("SUBMIT_JOB", 4), ("OOM_RETRY", 1), ("ALL_COMPLETE", 1)] {
            assert_eq!(said(&log, event), count, "{first}: {event}\n{log}");
        }
    }
}

#[test]
fn a_full_disk_is_told_once_and_keeps_nobody_from_leaving() {
    let place = Place::new();
    let mut command = place.command(&["run", "ranks", "--executor", "local"]);
    command.env("FAILPOINTS", "run.full=return(1)");
    let notes = std::fs::File::create(place.path("notes")).unwrap();
    let mut runner = command.stderr(notes).spawn().unwrap();
    place.until("it says so", || !place.read("notes").is_empty());
    let pid = Pid::from_raw(i32::try_from(runner.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(130));
    let notes = place.read("notes");
    assert_eq!(notes.matches("it goes on when").count(), 1, "{notes}");
    assert!(place.lines().is_empty(), "nothing could be launched");
    ended(&place.run(&[]), 0);
}

#[test]
fn what_is_asked_for_again_is_done_once_wherever_the_disk_is_full() {
    let place = Place::new();
    place.write("ranks/rank4/fail", "");
    ended(&place.run(&[]), 1);
    let mut waited = 0;
    for first in 0..12 {
        let before = place.count("begin tune rank4");
        let once = match first {
            0 => "1*return(1)".to_string(),
            first => format!("{first}*off->1*return(1)"),
        };
        let mut command = place.command(&["run", "ranks", "--executor", "local", "--again"]);
        let output = command.env("FAILPOINTS", format!("run.full={once}"));
        let output = output.output().unwrap();
        ended(&output, 1);
        waited += usize::from(told(&output).contains("it goes on when there is room"));
        assert_eq!(place.count("begin tune rank4"), before + 1, "{first}");
    }
    assert!(waited >= 8, "it was full {waited} times only");
}
