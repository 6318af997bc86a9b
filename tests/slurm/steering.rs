//! A person's verbs: cancel, pause, resume.

use crate::{
    cluster,
    house::processes_below,
    site::{QUICK, STEADY, Site},
};
use serde_json::Value;

#[test]
fn a_cancelled_campaign_leaves_nothing_that_runs_or_waits() {
    let Some(cluster) = cluster::shared("a_cancelled_campaign") else {
        return;
    };
    let settings = format!("{QUICK}[limits]\nmax_concurrent_jobs = 3\n");
    let mut site = Site::new(cluster, &settings);
    site.hold();
    site.serve();
    site.campaign("half", 6, "", "", STEADY);
    site.submit("half");
    site.until_begun("half", 3);
    let queued = site.queued("half");
    let running = queued.iter().filter(|row| row.contains("RUNNING")).count();
    assert_eq!((running, queued.len()), (3, 6), "{queued:?}");
    let output = site.ctl(&["cancel", "half", "--yes"]);
    assert!(output.status.success(), "{output:?}");
    site.until_state("half", "cancelled");
    // SLURM's own bookkeeping may lag behind the tasks' ends.
    site.until("the queue is empty", || site.queued("half").is_empty());
    let daemon = i32::try_from(site.daemon.as_ref().unwrap().id()).unwrap();
    // What was killed is a process until it is reaped.
    site.until("no process of its tasks is left", || {
        processes_below(&site.path("."))
            .iter()
            .all(|pid| *pid == daemon)
    });
    site.release();
    let lines = site.lines("half");
    assert_eq!(
        lines.len(),
        3,
        "three began, none ended by itself: {lines:?}"
    );
    let states: Vec<String> = site
        .jobs("half")
        .iter()
        .map(|row| row["status"].as_str().unwrap().into())
        .collect();
    assert_eq!(
        states.iter().filter(|one| *one == "CANCELLED").count(),
        6,
        "{states:?}"
    );
    println!("half: 3 ran and 3 waited; 0 processes and 0 jobs are left, 6 tasks cancelled");
}

#[test]
fn a_pause_holds_the_launch_and_resume_lets_it_go() {
    let Some(cluster) = cluster::shared("a_pause_holds_the_launch") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.wrap();
    site.hold();
    site.serve();
    let pilot = "pilot_target = 4\nmin_pilot_samples = 4\nauto_launch = true";
    site.campaign("paused", 3, pilot, "", STEADY);
    let output = site.ctl(&["submit", "paused.toml"]);
    assert!(output.status.success(), "{output:?}");
    site.until_begun("paused", 1);
    assert!(site.ctl(&["pause", "paused"]).status.success());
    let before = site.calls_of("sbatch");
    site.release();
    // The pilot goes on under the pause; the jobs after it are held.
    let mut held = Vec::new();
    site.until("the launch is held", || {
        let held_row = |row: &Value| row["note"] == "held by the pause";
        held = site.jobs("paused");
        held.retain(held_row);
        !held.is_empty()
    });
    assert_eq!(held.len(), 3, "{held:?}");
    assert_eq!(site.calls_of("sbatch"), before, "submitted under the pause");
    assert_eq!(site.queued("paused"), Vec::<String>::new());
    assert!(site.ctl(&["resume", "paused"]).status.success());
    site.until_state("paused", "completed");
    assert_eq!(site.calls_of("sbatch"), before + 1);
    let lines = site.lines("paused");
    assert_eq!(
        lines.len(),
        8,
        "pilot and 3 shards, begun and ended: {lines:?}"
    );
}
