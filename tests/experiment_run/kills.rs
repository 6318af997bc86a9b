//! The runner killed at every kind of instant; the same command goes on, launches nothing twice, and halves once for each time
//! that memory ran out.

use crate::place::{Place, ended, said};
use std::os::unix::process::ExitStatusExt;

/// A place in the program, and how often it is passed by before the process dies there.
const INSTANTS: [(&str, u32); 17] = [
    ("run.before", 0),
    ("run.before", 2),
    ("run.requested", 0),
    ("run.requested", 3),
    ("launch.spawned", 1),
    ("launch.claimed", 0),
    ("run.launched", 1),
    ("run.launched", 4),
    ("run.ended", 0),
    ("run.ended", 1),
    ("run.ended", 5),
    ("run.files", 0),
    ("run.said", 0),
    ("run.table", 2),
    ("run.table", 9),
    ("artifact.written", 12),
    ("artifact.renamed", 20),
];

#[test]
fn killed_anywhere_every_job_runs_once_and_every_halving_is_made_once() {
    let mut killed = 0;
    for (point, passes) in INSTANTS {
        let place = Place::new();
        place.write("ranks/rank2/oom", "2");
        let mark = place.path("mark");
        let mut command = place.command(&["run", "ranks", "--executor", "local"]);
        command.env("CAMPAIGND_CRASH_MARK", &mark);
        let action = match passes {
            0 => format!("{point}=return"),
            passes => format!("{point}={passes}*off->return"),
        };
        let output = command.env("FAILPOINTS", action).output().unwrap();
        // A shim may have died there: then its job is lost, as after any kill from outside, and not the runner.
        let runner = output.status.signal() == Some(9);
        killed += u32::from(runner);
        assert!(
            runner || point.starts_with("artifact"),
            "{point} {passes}: {output:?}"
        );
        if !runner {
            continue;
        }
        ended(&place.run(&[]), 0);
        let lines = place.lines();
        for run in ["rank8", "rank4"] {
            assert_eq!(
                place.count(&format!("begin tune {run} ")),
                1,
                "{point} {passes}: {lines:?}"
            );
        }
        let tried = |batch: u32| place.count(&format!("begin tune rank2 {batch} x"));
        assert_eq!(
            [8, 4, 2, 1].map(tried),
            [1, 1, 1, 0],
            "{point} {passes}: {lines:?}"
        );
        for run in ["rank8", "rank2", "rank4"] {
            assert_eq!(
                place.count(&format!("begin inspect {run}")),
                1,
                "{point} {passes}: {lines:?}"
            );
        }
        let log = place.read("ranks/run-torchtune.log");
        assert_eq!(said(&log, "OOM_RETRY"), 2, "{point} {passes}\n{log}");
        assert_eq!(said(&log, "SUBMIT_JOB"), 5, "{point} {passes}\n{log}");
        assert_eq!(place.state("rank2/task_epoch0"), "COMPLETED");
    }
    println!("{killed} of {} runners were killed", INSTANTS.len());
    assert!(killed >= 15, "only {killed}");
}

#[test]
fn killed_while_a_job_runs_it_is_found_again() {
    let place = Place::new();
    place.write("hold", "");
    let mut runner = place.spawn(&["run", "ranks", "--executor", "local", "--at-once", "2"]);
    place.until("two jobs run", || place.count("begin tune") == 2);
    runner.kill().unwrap();
    runner.wait().unwrap();
    // The job ends while nobody looks.
    let mut second = place.spawn(&["run", "ranks", "--executor", "local", "--at-once", "2"]);
    place.until("the second runner has them", || {
        let states = ["rank8", "rank2"].map(|run| place.state(run));
        states == ["RUNNING", "RUNNING"]
    });
    assert_eq!(
        place.count("begin tune"),
        2,
        "no third beside the two that run"
    );
    second.kill().unwrap();
    second.wait().unwrap();
    place.remove("hold");
    place.until("both ended", || place.count("end tune") == 2);
    ended(&place.run(&["--at-once", "2"]), 0);
    assert_eq!(
        (place.count("begin tune"), place.count("begin inspect")),
        (3, 3)
    );
}
