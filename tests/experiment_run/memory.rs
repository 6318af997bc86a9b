//! Out of memory: half the batch, once each time, at most three times.

use crate::place::{Place, ended, said};

#[test]
fn memory_that_runs_out_twice_halves_the_batch_twice() {
    let place = Place::new();
    place.write("ranks/rank2/oom", "2");
    ended(&place.run(&[]), 0);
    let lines = place.lines();
    let tried: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("begin tune rank2 "))
        .collect();
    let steps: u32 = tried[0].strip_prefix("8 x ").unwrap().parse().unwrap();
    let wanted: Vec<String> = [(8, 1), (4, 2), (2, 4)]
        .iter()
        .map(|(batch, more)| format!("{batch} x {}", steps * more))
        .collect();
    assert_eq!(tried, wanted);
    assert_eq!(place.count("begin tune"), 5);
    let row = place.row("rank2");
    assert_eq!(row["state"], "COMPLETED");
    assert!(
        row["note"]
            .as_str()
            .unwrap()
            .starts_with("attempt 3: batch_size = 2"),
        "{row}"
    );
    let log = place.read("ranks/run-torchtune.log");
    assert_eq!(
        (said(&log, "OOM_RETRY"), said(&log, "OOM_EXHAUSTED")),
        (2, 0),
        "{log}"
    );
    assert_eq!(log.matches("] SUBMIT_JOB: rank2\n").count(), 3, "{log}");
    assert_eq!(log.matches(" -> OUT_OF_MEMORY").count(), 2, "{log}");
    let setup = place.read("ranks/rank2/setup_finetune.yaml");
    assert!(setup.contains("batch_size: 2\n"), "{setup}");
    assert_eq!(place.count("end inspect rank2"), 1);
    assert_eq!(place.files("ranks/rank2", "local-", ".out").len(), 3);
    // What it is now is what the plan and its attempts make: nothing is refused.
    ended(&place.run(&[]), 0);
    assert_eq!(place.count("begin tune"), 5);
}

#[test]
fn after_three_halvings_it_is_given_up() {
    let place = Place::new();
    place.write("ranks/rank2/oom", "99");
    ended(&place.run(&[]), 1);
    assert_eq!(place.count("begin tune rank2"), 4);
    let row = place.row("rank2");
    assert_eq!(row["state"], "OUT_OF_MEMORY");
    let note = row["note"].as_str().unwrap();
    assert!(
        note.contains("CUDA out of memory") && note.contains("3 retries are made"),
        "{note}"
    );
    let log = place.read("ranks/run-torchtune.log");
    assert_eq!(
        (said(&log, "OOM_RETRY"), said(&log, "OOM_EXHAUSTED")),
        (3, 1),
        "{log}"
    );
    ended(&place.run(&[]), 1);
    assert_eq!(place.count("begin tune rank2"), 4);
    assert_eq!(place.state("rank2/task_epoch0"), "skipped");
    // Asked for, it goes once more as it was.
    place.write("ranks/rank2/oom", "0");
    ended(&place.run(&["--again"]), 0);
    assert_eq!(
        place
            .lines()
            .iter()
            .filter(|line| line.starts_with("begin tune rank2 1 x"))
            .count(),
        2
    );
}

#[test]
fn files_that_somebody_changed_are_not_written_over() {
    let place = Place::new();
    place.write("ranks/rank2/oom", "1");
    let own = place
        .read("ranks/rank2/finetune.yaml")
        .replace("batch_size: 8", "batch_size: 6");
    place.write("ranks/rank2/finetune.yaml", &own);
    ended(&place.run(&["--as-is"]), 1);
    assert_eq!(
        (
            place.count("begin tune rank2 6 x"),
            place.count("begin tune rank2")
        ),
        (1, 1)
    );
    assert_eq!(place.read("ranks/rank2/finetune.yaml"), own);
    let row = place.row("rank2");
    assert_eq!(row["state"], "OUT_OF_MEMORY");
    assert!(
        row["note"]
            .as_str()
            .unwrap()
            .contains("its files are not the plan's"),
        "{row}"
    );
}
