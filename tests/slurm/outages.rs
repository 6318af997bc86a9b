//! Daemons of SLURM that are away while work goes on: no news, never bad news. On a cluster of their own.

use crate::{
    cluster,
    site::{QUICK, STEADY, Site},
};
use serde_json::Value;

/// What `status` says of SLURM.
fn news(site: &Site) -> Value {
    let status = site.json(&["status"]);
    let all = status["daemon"]["news"].as_array().cloned();
    let mut all = all.unwrap_or_default().into_iter();
    all.find(|news| news["source"] == "slurm")
        .unwrap_or_default()
}

/// No task of a campaign was started a second time.
fn assert_no_retry(site: &Site, name: &str) {
    let again = |row: &Value| row["attempt"] != 1;
    let again: Vec<Value> = site.jobs(name).into_iter().filter(again).collect();
    assert!(again.is_empty(), "{again:?}");
    assert!(site.resolutions(name).is_empty());
}

#[test]
fn a_controller_that_is_away_is_no_news() {
    let Some((cluster, _alone)) = cluster::fragile("a_controller_that_is_away") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.hold();
    site.serve();
    site.campaign("before", 6, "", "", STEADY);
    site.submit("before");
    site.until_begun("before", 6);
    cluster.stop("slurmctld");
    site.until("no news is told", || {
        let news = news(&site);
        news["ok"] == false && news["tries"].as_u64() >= Some(2)
    });
    println!("{}", news(&site));
    // Its jobs go on: their directories say how they end, and nobody has to ask.
    let begun = site.lines("before").len();
    assert_eq!(begun, 6, "nothing is launched twice for want of news");
    site.campaign("during", 3, "", "", STEADY);
    site.submit("during");
    site.release();
    site.until_state("before", "completed");
    assert_eq!(news(&site)["ok"], false, "it was still away");
    site.assert_each_once("before", 6);
    assert_no_retry(&site, "before");
    assert!(site.lines("during").is_empty());
    cluster.start();
    site.until_state("during", "completed");
    site.assert_each_once("during", 3);
    assert_no_retry(&site, "during");
    site.assert_each_once("before", 6);
}

#[test]
fn accounting_that_is_away_delays_nothing_that_the_queue_shows() {
    let Some((cluster, _alone)) = cluster::fragile("accounting_that_is_away") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.wrap();
    cluster.stop("slurmdbd");
    site.serve();
    site.campaign("unkept", 3, "", "", STEADY);
    // In doubt accounting is asked, and does not answer: the queue and the claims decide.
    site.arm("before");
    site.try_submit("unkept");
    site.until_killed("before sbatch");
    site.serve();
    site.until_state("unkept", "completed");
    site.assert_each_once("unkept", 3);
    assert_no_retry(&site, "unkept");
    assert!(
        site.calls_of("sacct") > 0,
        "nobody asked accounting: {:?}",
        site.calls()
    );
    cluster.start();
}

#[test]
fn a_node_whose_daemon_was_killed_loses_no_task() {
    let Some((cluster, _alone)) = cluster::fragile("a_node_whose_daemon_was_killed") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.hold();
    site.serve();
    site.campaign("node", 4, "", "", STEADY);
    site.submit("node");
    site.until_begun("node", 4);
    cluster.kill("slurmd");
    site.release();
    site.until_state("node", "completed");
    cluster.start();
    site.until("the queue is empty", || site.queued("node").is_empty());
    site.assert_each_once("node", 4);
    assert_no_retry(&site, "node");
}
