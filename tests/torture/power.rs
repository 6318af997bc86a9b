//! Power cuts: the daemon works on an ext4 in an image; everybody is stopped, the image is copied as the disk has it, and
//! the copy is opened. What only the page cache knew is gone there, as it would be.

use crate::{
    house::{House, generator, processes_below},
    mounts::{Mounted, ext4},
    trials::{Dice, count, row, skip},
};
use campaignd::store::{SEGMENT_LIMIT, Store, load_trees};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What was acknowledged: the last entry's number, and every campaign.
#[derive(Default)]
struct Acknowledged {
    last_seq: u64,
    campaigns: Vec<String>,
}

/// Submits campaigns and takes down what is acknowledged, until it is told to stop. What is acknowledged while the
/// machine stands still cannot be: the daemon stands still too.
fn submit_all(house: &House, acknowledged: &Mutex<Acknowledged>, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = format!("p{number}");
        number += 1;
        let file = house.campaign(&name, "", &generator("0.01", "0.9"));
        let answer = house.ctl(&["submit", &file, "--json"]);
        let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
        if let Some(seq) = answer["seq"].as_u64() {
            let mut acknowledged = acknowledged.lock().unwrap();
            acknowledged.last_seq = acknowledged.last_seq.max(seq);
            acknowledged.campaigns.push(name);
        }
        // As many as the machine can work at, and always some more.
        let live = |list: &serde_json::Value| {
            let all = list["campaigns"].as_array().cloned().unwrap_or_default();
            all.iter().filter(|one| one["ended_at"].is_null()).count()
        };
        while !stop.load(Ordering::Relaxed) && live(&house.json(&["list"])) > 6 {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Opens what a power cut left; gives how many acknowledged things are not there.
fn lost(state: &Path, last_seq: u64, campaigns: &[String]) -> usize {
    let (store, opened) = Store::open(state, SEGMENT_LIMIT)
        .unwrap_or_else(|error| panic!("it does not open: {error}"));
    let trees = load_trees(&store).unwrap();
    let known: BTreeMap<String, _> = trees
        .into_iter()
        .map(|(id, tree)| (id.to_string(), tree))
        .collect();
    eprintln!(
        "{opened:?}, acknowledged: {last_seq}, {} campaigns",
        campaigns.len()
    );
    let mut lost = usize::from(opened.last_seq < last_seq);
    lost += campaigns
        .iter()
        .filter(|name| !known.contains_key(*name))
        .count();
    // A task that the store calls done has its samples on the disk.
    for (name, tree) in &known {
        for job in tree.jobs.values().filter(|job| job.phase.makes_samples()) {
            for task in &job.tasks {
                if !task
                    .end
                    .as_ref()
                    .is_some_and(campaignd::machines::job::TaskEnd::done)
                {
                    continue;
                }
                let file = format!(
                    "campaigns/{name}/data/{}/shard-{}.jsonl",
                    job.phase.name(),
                    task.shard
                );
                let text = fs::read_to_string(state.join(&file)).unwrap_or_default();
                let rows = text
                    .lines()
                    .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
                if (rows.count() as u64) < task.target {
                    eprintln!("{file}: fewer than {} samples survived", task.target);
                    lost += 1;
                }
            }
        }
    }
    lost
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let mut dice = Dice::of("power cuts");
    let dir = tempfile::tempdir().unwrap();
    let (image, at) = (dir.path().join("disk"), dir.path().join("mounted"));
    let mounted = ext4(&image, 256).and_then(|()| Mounted::image(&image, &at));
    let mounted = match mounted {
        Ok(mounted) => mounted,
        Err(why) => return skip("power_cut", &why),
    };
    let cuts = count(6, 36);
    let mut house = House::within(&at).with_settings("[limits]\nmax_jobs_per_hour = 1000000\n");
    if cfg!(feature = "failpoints") {
        // Small segments, so that cuts fall into the making of new ones too.
        house.env = vec![("FAILPOINTS".into(), "journal.limit=return(30000)".into())];
    }
    house.serve();
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let stop = AtomicBool::new(false);
    let (mut missing, mut entries) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| submit_all(&house, &acknowledged, &stop));
        for cut in 0..cuts {
            thread::sleep(Duration::from_millis(100 + dice.below(500) as u64));
            // Before the machine stands still: what is acknowledged by now must be there.
            let (last_seq, campaigns) = {
                let acknowledged = acknowledged.lock().unwrap();
                (acknowledged.last_seq, acknowledged.campaigns.clone())
            };
            let all = processes_below(&at);
            for pid in &all {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGSTOP);
            }
            let copy = dir.path().join(format!("cut-{cut}"));
            // Straight from the image: what the file system has not written to it is lost.
            assert!(
                Command::new("cp")
                    .args([&image, &copy])
                    .status()
                    .unwrap()
                    .success()
            );
            for pid in all {
                let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
            }
            let after = Mounted::image(&copy, &dir.path().join(format!("after-{cut}"))).unwrap();
            missing += lost(&after.at.join("state"), last_seq, &campaigns);
            entries = last_seq;
            drop(after);
            fs::remove_file(&copy).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let known = acknowledged.lock().unwrap().campaigns.clone();
    assert!(
        known.len() > 2 && entries > 20,
        "{} campaigns, {entries} entries: a cut of nothing",
        known.len()
    );
    // The machine itself went on, and its campaigns come to their end.
    let deadline = Instant::now() + Duration::from_secs(120);
    for name in &known {
        while house.state(name) != "completed" {
            assert!(
                Instant::now() < deadline,
                "{name} is {}: {}",
                house.state(name),
                house.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
    drop(house);
    drop(mounted);
    let how = format!(
        "ext4 image copied from under the daemon, then opened: {} campaigns, {entries} entries acknowledged by the last",
        known.len()
    );
    row(
        3,
        "power cut",
        cuts,
        cuts - missing.min(cuts),
        missing,
        &how,
    );
}
