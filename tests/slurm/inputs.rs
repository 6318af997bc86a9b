//! What SLURM does not give: each is a sentence.

use crate::{
    cluster,
    site::{QUICK, STEADY, Site},
    wrappers::real,
};
use serde_json::Value;
use std::os::unix::fs::symlink;

/// A campaign with this table of SLURM fails, and nothing of it ran; its cause.
fn fails(site: &mut Site, slurm: &str) -> String {
    site.serve();
    site.campaign("wrong", 2, "", slurm, STEADY);
    site.submit("wrong");
    site.until_state("wrong", "failed");
    assert!(site.lines("wrong").is_empty());
    let status = site.status("wrong");
    println!("{slurm}: {}", status["cause"]);
    status["cause"].as_str().unwrap_or_default().into()
}

#[test]
fn a_partition_that_does_not_exist_is_named() {
    let Some(cluster) = cluster::shared("a_partition_that_does_not_exist") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    let cause = fails(&mut site, "partition = \"nope\"");
    assert!(cause.contains("SLURM refuses the job"), "{cause}");
    assert!(
        cause.contains("invalid partition specified: nope"),
        "{cause}"
    );
    assert!(site.submitted("wrong").is_empty());
}

#[test]
fn more_memory_than_any_node_has_is_refused_at_once() {
    let Some(cluster) = cluster::shared("more_memory_than_any_node_has") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    let cause = fails(&mut site, "mem = \"500G\"");
    assert!(cause.contains("SLURM refuses the job"), "{cause}");
    assert!(
        cause.contains("Memory specification can not be satisfied"),
        "{cause}"
    );
    // SLURM keeps a record of what it refused.
    assert!(site.queued("wrong").is_empty());
}

#[test]
fn processors_that_no_node_has_are_waited_for_and_explained() {
    let Some(cluster) = cluster::shared("processors_that_no_node_has") else {
        return;
    };
    let mut site = Site::new(cluster, QUICK);
    site.serve();
    site.campaign("wide", 2, "", "cpus_per_task = 1000", STEADY);
    site.submit("wide");
    let sentence = "the partition never has what it asks for";
    let mut rows = Vec::new();
    site.until("the reason is seen", || {
        let why = |row: &Value| row["note"].as_str().unwrap_or_default().contains(sentence);
        rows = site.jobs("wide");
        rows.retain(why);
        rows.len() == 2
    });
    let note = rows[0]["note"].as_str().unwrap();
    assert!(note.starts_with("PartitionConfig"), "{note}");
    assert_eq!(rows[0]["state"], "pending");
    let explained = site.json(&["explain", "wide"])["scheduler"].to_string();
    assert!(
        explained.contains("PartitionConfig") && explained.contains(sentence),
        "{explained}"
    );
    println!("wide: {explained}");
    assert!(site.ctl(&["cancel", "wide", "--yes"]).status.success());
    site.until_state("wide", "cancelled");
    site.until("the queue is empty", || site.queued("wide").is_empty());
    assert!(site.lines("wide").is_empty());
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let Some(cluster) = cluster::shared("a_program_that_is_not_there") else {
        return;
    };
    for (there, missing) in [(&[][..], "scontrol"), (&["scontrol"], "sbatch")] {
        let mut site = Site::new(cluster, QUICK);
        let dir = site.path("bin");
        std::fs::create_dir(&dir).unwrap();
        for program in there.iter().chain(&["sh", "true"]) {
            symlink(real(program), dir.join(program)).unwrap();
        }
        let path = dir.to_string_lossy().into_owned();
        site.env.push(("PATH".into(), path));
        let cause = fails(&mut site, "");
        assert!(
            cause.contains(&format!("there is no {missing} on PATH")),
            "{cause}"
        );
    }
}
