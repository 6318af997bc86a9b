//! What a daemon finds that was away, how few calls it makes, and a program that is replaced.

use crate::{
    cluster,
    site::{QUICK, STEADY, Site},
};
use std::{fs, path::PathBuf};

fn exits(site: &Site, name: &str) -> usize {
    let jobs = fs::read_dir(site.path("state/jobs")).unwrap().flatten();
    let tasks = jobs
        .filter(|job| job.file_name().to_string_lossy().starts_with(name))
        .flat_map(|job| fs::read_dir(job.path().join("tasks")).into_iter().flatten())
        .flatten();
    let exits = tasks.map(|task: fs::DirEntry| task.path().join("exit.json"));
    exits.filter(|path: &PathBuf| path.exists()).count()
}

#[test]
fn ends_that_nobody_saw_are_found_in_the_job_directories() {
    let Some(cluster) = cluster::shared("ends_that_nobody_saw") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.wrap();
    site.hold();
    site.serve();
    site.campaign("away", 4, "", "", STEADY);
    site.submit("away");
    site.until_begun("away", 4);
    let output = site.ctl(&["stop", "--yes"]);
    assert!(output.status.success(), "{output:?}");
    site.exit_status();
    site.release();
    site.until("all have ended", || exits(&site, "away") == 4);
    let before = site.calls();
    site.serve();
    site.until_state("away", "completed");
    let after = site.calls();
    let more = |program: &str| after.get(program).unwrap_or(&0) - before.get(program).unwrap_or(&0);
    assert_eq!(more("sbatch"), 0, "submitted again");
    assert!(
        more("squeue") <= 1,
        "{} polls for what is known",
        more("squeue")
    );
    assert_eq!(more("sacct"), 0, "accounting was asked for what is known");
    site.assert_each_once("away", 4);
    println!(
        "away: 4 ends found by {} squeue and {} sacct",
        more("squeue"),
        more("sacct")
    );
}

#[test]
fn three_arrays_take_few_of_the_calls_that_are_allowed() {
    let Some(cluster) = cluster::shared("three_arrays") else {
        return;
    };
    // The defaults: 40 calls at once, 4 a minute, a poll a minute.
    let mut site = Site::new(cluster, "[slurm]\nmax_array_size = 2\n");
    site.wrap();
    site.serve();
    site.campaign("three", 6, "", "", STEADY);
    site.submit("three");
    site.until_state("three", "completed");
    site.assert_each_once("three", 6);
    let calls = site.calls();
    let of = |program: &str| calls.get(program).copied().unwrap_or(0);
    assert_eq!(
        of("sbatch"),
        4,
        "one that does nothing and three arrays: {calls:?}"
    );
    let counted = ["sbatch", "squeue", "sacct", "scancel"];
    let counted: usize = counted.into_iter().map(of).sum();
    assert!(counted <= 8, "{calls:?}");
    assert!(of("scontrol") <= 2, "{calls:?}");
    let arrays = site.submitted("three").len();
    assert_eq!(arrays, 4);
    println!(
        "three: {counted} calls that count of 40, {} pings: {calls:?}",
        of("scontrol")
    );
}

#[test]
fn a_program_that_is_replaced_while_jobs_wait_is_run_as_it_was() {
    let Some(cluster) = cluster::shared("a_program_that_is_replaced") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    let own = site.path("campaignd");
    fs::copy(env!("CARGO_BIN_EXE_campaignd"), &own).unwrap();
    site.program.clone_from(&own);
    site.serve();
    site.campaign("replaced", 2, "", "extra = [\"--hold\"]", STEADY);
    // The job that does nothing is held too: it has to be let go by hand.
    site.submit("replaced");
    let release = |tasks: usize| {
        let mut rows = Vec::new();
        site.until("held jobs", || {
            rows = site.queued("replaced");
            rows.len() == tasks
        });
        for row in rows {
            let id = row.split(' ').next().unwrap();
            site.cluster.say(&["scontrol", "release", id]);
        }
    };
    release(1);
    site.until("the array is held", || site.queued("replaced").len() == 2);
    fs::write(site.path("other"), "#!/bin/sh\nexit 7\n").unwrap();
    fs::rename(site.path("other"), &own).unwrap();
    release(2);
    site.until("both have ended", || site.lines("replaced").len() == 4);
    site.until_state("replaced", "completed");
    site.assert_each_once("replaced", 2);
}
