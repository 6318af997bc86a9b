//! Tasks that SLURM ends: what they are said to have ended of, and what they are given then.

use crate::{
    cluster,
    site::{QUICK, STEADY, Site},
};
use serde_json::Value;

/// The retries of a campaign, once it is completed.
fn retries(site: &Site, name: &str, expected: usize) -> Vec<Value> {
    site.until_state(name, "completed");
    let mut rows = Vec::new();
    site.until("the retries are written down with their ends", || {
        rows = site.resolutions(name);
        rows.iter().all(|row| row["resolution_success"] == true) && !rows.is_empty()
    });
    assert_eq!(rows.len(), expected, "{rows:?}");
    println!("{name}: {}", Value::from(rows.clone()));
    rows
}

/// The only one.
fn retry(site: &Site, name: &str) -> Value {
    retries(site, name, 1).remove(0)
}

/// The row of a task in a job's own view.
fn task_of(site: &Site, job: &str, shard: u64) -> Value {
    let rows = site.json(&["job", job])["jobs"].as_array().unwrap().clone();
    let mut rows = rows.into_iter().filter(|row| row["task"] == shard);
    rows.next().unwrap()
}

#[test]
fn tasks_that_somebody_cancels_are_started_again_and_who_it_was_is_told() {
    let Some(cluster) = cluster::shared("tasks_that_somebody_cancels") else {
        return;
    };
    // Accounting hears of young jobs some seconds late.
    let quick = QUICK.replace("1s", "3s");
    let settings = format!("{quick}[limits]\nmax_concurrent_jobs = 2\n");
    let mut site = Site::new(cluster, &settings);
    site.hold();
    site.serve();
    site.campaign("ended", 3, "", "", STEADY);
    site.submit("ended");
    site.until_begun("ended", 2);
    // Task 0 runs, task 2 waits for its turn.
    let array = site.lines("ended")[0].job;
    for task in [0, 2] {
        site.cluster.say(&["scancel", &format!("{array}_{task}")]);
    }
    site.until("two tasks are over", || {
        let over = |row: &&Value| row["status"] == "FAILED";
        site.jobs("ended").iter().filter(over).count() == 2
    });
    site.release();
    let rows = retries(&site, "ended", 2);
    for (row, task) in rows.iter().zip([0, 2]) {
        assert_eq!(row["error_type"], "stopped", "{row}");
        let message = row["error_message"].as_str().unwrap();
        assert!(message.contains("CANCELLED by 0"), "{message}");
        assert!(
            message.ends_with(&format!(" of {array}_{task}")),
            "{message}"
        );
        assert_eq!(row["resolution_attempted"], "resubmit");
        assert_eq!(
            (&row["shard"], &row["iterations"]),
            (&task.into(), &1.into())
        );
        assert_eq!(row["retry"], rows[0]["retry"], "one array for both");
    }
    let counts: Vec<_> = site.counts("ended").into_values().collect();
    // Begun twice, once, and once: the last had only waited.
    assert_eq!(counts, [(2, 1), (1, 1), (1, 1)]);
}

#[test]
fn a_task_that_reaches_its_limit_is_given_half_as_much_again() {
    let Some(cluster) = cluster::shared("a_task_that_reaches_its_limit") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.hold();
    site.serve();
    site.campaign("late", 1, "", "time = \"2m\"", STEADY);
    site.submit("late");
    site.until_begun("late", 1);
    let id = site.lines("late")[0].job.to_string();
    let job = format!("jobid={id}");
    // SLURM looks at limits every few seconds, and gives in whole minutes.
    site.cluster
        .say(&["scontrol", "update", &job, "EndTime=now"]);
    site.until_begun("late", 2);
    site.release();
    let row = retry(&site, "late");
    assert_eq!(row["error_type"], "time_limit", "{row}");
    assert_eq!(row["resolution_attempted"], "increase_time 120 -> 180 s");
    let message = row["error_message"].as_str().unwrap();
    assert!(
        message.contains("TIMEOUT") && message.contains(&id),
        "{message}"
    );
    let shown = task_of(&site, row["retry"].as_str().unwrap(), 0);
    assert_eq!(shown["asked"]["slurm"]["time_seconds"], 180, "{shown}");
    assert_eq!(shown["retries"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(site.counts("late")[&0], (2, 1));
    // What SLURM was asked for, by its own word.
    let again = site.lines("late").last().unwrap().job.to_string();
    let told = site.cluster.say(&["scontrol", "show", "job", &again]);
    assert!(told.contains("TimeLimit=00:03:00"), "{told}");
}

#[test]
fn a_task_that_lacks_memory_is_given_half_as_much_again() {
    let Some(cluster) = cluster::strict("a_task_that_lacks_memory") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.serve();
    // More than 120 MiB and less than 180: with the same again it would never end.
    let script = format!("head -c 140M /dev/zero | tail > /dev/null || exit 1\n{STEADY}");
    site.campaign("large", 1, "", "mem = \"120M\"", &script);
    site.submit("large");
    let row = retry(&site, "large");
    assert_eq!(row["error_type"], "out_of_memory", "{row}");
    assert_eq!(
        row["resolution_attempted"],
        "increase_memory 120 -> 180 MiB"
    );
    let message = row["error_message"].as_str().unwrap();
    assert!(message.contains("OUT_OF_MEMORY"), "{message}");
    let shown = task_of(&site, row["retry"].as_str().unwrap(), 0);
    assert_eq!(shown["asked"]["slurm"]["mem_mib"], 180, "{shown}");
    assert_eq!(site.counts("large")[&0], (2, 1));
}
