//! What the machine may lack for a while: room on its disks, descriptors, a file system that may be written, a state
//! directory at all. It is said once, nothing is lost, and work goes on when it is there again.

use crate::{
    house::House,
    mounts::{Mounted, ext4, fill, repair},
    trials::{Dice, count, row, skip},
};
use std::{fs, path::Path, thread, time::Duration};

/// Rows of both shards of the generation, and how many distinct ids they have.
fn rows(state: &Path, name: &str) -> (usize, usize) {
    let mut ids = Vec::new();
    for shard in 0..2 {
        let file = state.join(format!(
            "campaigns/{name}/data/generate/shard-{shard}.jsonl"
        ));
        let text = fs::read_to_string(file).unwrap_or_default();
        let id =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string();
        ids.extend(text.lines().map(id));
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    (all, ids.len())
}

fn waits(house: &House) -> usize {
    house
        .log()
        .lines()
        .filter(|line| line.contains("waits until that has passed"))
        .count()
}

/// A campaign of the built-in generator, long enough to be caught in the middle.
fn campaign(house: &House, name: &str, target: usize) -> String {
    let text = format!(
        "name = \"{name}\"\npilot_target = 8\nmin_pilot_samples = 8\ncampaign_target = {target}\ngate = \"point\"\n[generator]\nshards = 2\n"
    );
    let file = house.path(&format!("{name}.toml"));
    fs::write(&file, text).unwrap();
    file.to_string_lossy().into_owned()
}

fn submit(house: &House, file: &str) {
    let submitted = house.ctl(&["submit", file]);
    assert!(submitted.status.success(), "{submitted:?}\n{}", house.log());
}

/// A daemon whose state directory is a small file system of its own; what else it writes is elsewhere.
fn tight(size: &str) -> Result<(House, Mounted), String> {
    let house = House::new().with_settings("[limits]\nmax_jobs_per_hour = 1000000\n");
    let mounted = Mounted::memory(&house.path("state"), size)?;
    Ok((house, mounted))
}

#[test]
fn a_full_state_directory_is_waited_out() {
    let mut dice = Dice::of("full state directory");
    let (mut house, mounted) = match tight("96m") {
        Ok(tight) => tight,
        Err(why) => return skip("full_state_directory", &why),
    };
    house.serve();
    let trials = count(3, 20);
    let mut told = 0;
    for trial in 0..trials {
        let name = format!("full{trial}");
        let file = campaign(&house, &name, 120);
        // Sometimes a commit fits in half, sometimes a few do, sometimes none.
        let filler = fill(&mounted.at, dice.below(4) as u64 * 4096);
        let before = waits(&house);
        thread::scope(|scope| {
            let asked = scope.spawn(|| house.ctl(&["submit", &file]));
            // What is left, and what replaced files give back, may be enough for the daemon: then the pilot, whose
            // samples take more than that, is what waits.
            let pilot = || rows_of(&mounted.at, &name, "pilot", 1);
            house.until("it says that it waits, or its pilot waits", || {
                waits(&house) > before || (asked.is_finished() && house.state(&name) == "piloting")
            });
            assert!(pilot() < 8, "nothing waits: {}", house.log());
            told += usize::from(waits(&house) > before);
            assert!(house.answers(), "who looks is answered: {}", house.log());
            // Long enough for several tries.
            thread::sleep(Duration::from_millis(2500));
            let said = waits(&house) - before;
            assert!(
                said <= 3,
                "{said} times: once by each who waits, and no more: {}",
                house.log()
            );
            assert!(pilot() < 8, "what waits does not go on without room");
            fs::remove_file(&filler).unwrap();
            let answer = asked.join().unwrap();
            assert!(answer.status.success(), "{answer:?}: {}", house.log());
        });
        house.until("it completes", || house.state(&name) == "completed");
        assert_eq!(rows(&mounted.at, &name), (120, 120));
    }
    assert!(told > 0, "seen in no trial: {}", house.log());
    assert!(house.ended().is_none(), "the daemon went on all the time");
    // A restart finds all of it.
    house.kill();
    house.serve();
    for trial in 0..trials {
        assert_eq!(house.state(&format!("full{trial}")), "completed");
    }
    drop(house);
    row(
        6,
        "disk of the state directory full",
        trials,
        trials,
        0,
        "a few bytes to no room at all while a campaign is submitted: said once, answered after there was room",
    );
}

#[test]
fn a_full_disk_under_the_samples_is_waited_out() {
    let mut dice = Dice::of("full job disk");
    let (mut house, mounted) = match tight("128m") {
        Ok(tight) => tight,
        Err(why) => return skip("full_job_disk", &why),
    };
    house.serve();
    let trials = count(2, 10);
    for trial in 0..trials {
        let name = format!("made{trial}");
        let target = 2000;
        submit(&house, &campaign(&house, &name, target));
        house.until("samples are made", || {
            rows_now(&mounted.at, &name) > dice.below(500)
        });
        let filler = fill(&mounted.at, dice.below(3) as u64 * 4096);
        let stuck = rows_now(&mounted.at, &name);
        thread::sleep(Duration::from_millis(1500));
        assert!(house.answers(), "{}", house.log());
        assert!(stuck < target, "the disk was filled too late to matter");
        fs::remove_file(&filler).unwrap();
        house.until("it completes", || house.state(&name) == "completed");
        assert_eq!(rows(&mounted.at, &name), (target, target));
        let jobs = house.json(&["jobs", &name]);
        let attempts = jobs["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["attempt"].as_u64().unwrap());
        assert_eq!(
            attempts.max(),
            Some(1),
            "no attempt was spent on a full disk: {jobs}"
        );
        assert!(house.ctl(&["clean", &name, "--yes"]).status.success());
    }
    drop(house);
    row(
        7,
        "disk of the samples full",
        trials,
        trials,
        0,
        "filled while two shards write: workers wait, no attempt is spent, every sample once",
    );
}

/// Complete lines of the generation so far, while others write.
fn rows_now(state: &Path, name: &str) -> usize {
    rows_of(state, name, "generate", 2)
}

fn rows_of(state: &Path, name: &str, phase: &str, shards: u32) -> usize {
    let shard = |shard: u32| {
        let file = state.join(format!("campaigns/{name}/data/{phase}/shard-{shard}.jsonl"));
        fs::read(file)
            .unwrap_or_default()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    };
    (0..shards).map(shard).sum()
}

#[test]
fn a_disk_that_fills_in_the_middle_of_commits_is_waited_out() {
    let mut dice = Dice::of("full mid-commit");
    let (mut house, mounted) = match tight("24m") {
        Ok(tight) => tight,
        Err(why) => return skip("full_mid_commit", &why),
    };
    if cfg!(feature = "failpoints") {
        // Small segments: the disk fills while one is begun, too.
        house.env = vec![("FAILPOINTS".into(), "journal.limit=return(20000)".into())];
    }
    house.serve();
    let trials = count(8, 80);
    for trial in 0..trials {
        let name = format!("mid{trial}");
        submit(&house, &campaign(&house, &name, 60));
        thread::sleep(Duration::from_millis(dice.below(120) as u64));
        let filler = fill(&mounted.at, dice.below(40) as u64 * 1024);
        thread::sleep(Duration::from_millis(100 + dice.below(400) as u64));
        fs::remove_file(&filler).unwrap();
        house.until("it completes", || house.state(&name) == "completed");
        assert_eq!(rows(&mounted.at, &name), (60, 60));
        assert!(house.ended().is_none(), "{}", house.log());
        if dice.below(4) == 0 {
            house.kill();
            house.serve();
        }
    }
    drop(house);
    row(
        8,
        "disk full in the middle of commits",
        trials,
        trials,
        0,
        "room comes and goes at random while campaigns run, new journal segments included",
    );
}

#[test]
fn a_disk_that_turns_read_only_ends_the_daemon_and_loses_nothing() {
    let trials = count(1, 6);
    for trial in 0..trials {
        let dir = tempfile::tempdir().unwrap();
        let (image, at) = (dir.path().join("disk"), dir.path().join("mounted"));
        let mounted = ext4(&image, 64).and_then(|()| Mounted::image(&image, &at));
        let mounted = match mounted {
            Ok(mounted) => mounted,
            Err(why) => return skip("read_only_disk", &why),
        };
        let mut house = House::within(&at);
        house.serve();
        submit(&house, &campaign(&house, "before", 200));
        house.until("it completes", || house.state("before") == "completed");
        // As a disk that failed does it: without asking, under open files.
        mounted.remount("abort").unwrap();
        // Never acknowledged, since it cannot be kept.
        thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let file = dir.path().join("after.toml");
                fs::write(&file, "name = \"after\"\ncampaign_target = 10\n").unwrap();
                house.ctl(&["submit", &file.to_string_lossy()])
            });
            let answer = asked.join().unwrap();
            assert!(!answer.status.success(), "trial {trial}: {answer:?}");
        });
        // A fresh process cannot do better, says so, and asks to be tried again later.
        assert_eq!(house.exit_status(), Some(1));
        drop(mounted);
        // Another file: the kernel may still know the first one as what failed.
        let again = dir.path().join("repaired");
        fs::copy(&image, &again).unwrap();
        let image = again;
        let repaired = repair(&image);
        assert!(repaired.is_ok(), "{repaired:?}");
        let mounted = Mounted::image(&image, &at).unwrap();
        house.serve();
        assert_eq!(house.state("before"), "completed");
        submit(&house, &campaign(&house, "later", 200));
        house.until("it completes", || house.state("later") == "completed");
        assert_eq!(rows(&at.join("state"), "later"), (200, 200));
        drop(house);
        drop(mounted);
    }
    row(
        9,
        "disk turns read-only",
        trials,
        trials,
        0,
        "under a running daemon: acknowledges nothing more and ends with status 1; repaired, it goes on with everything",
    );
}

#[test]
fn a_state_directory_that_is_read_only_at_the_start_is_said() {
    let (mut house, mounted) = match tight("24m") {
        Ok(tight) => tight,
        Err(why) => return skip("read_only_start", &why),
    };
    house.serve();
    house.kill();
    mounted.remount("ro").unwrap();
    house.spawn();
    assert_eq!(house.exit_status(), Some(1), "{}", house.log());
    assert!(
        house.log().contains("Read-only file system"),
        "{}",
        house.log()
    );
    mounted.remount("rw").unwrap();
    house.serve();
}

#[test]
fn without_descriptors_it_waits_and_goes_on() {
    use std::os::unix::net::UnixStream;
    let mut house = House::new().with_settings("[limits]\nmax_jobs_per_hour = 1000000\n");
    house.wrapper = vec!["prlimit".into(), "--nofile=96:96".into()];
    house.serve();
    let trials = count(2, 10);
    for trial in 0..trials {
        let name = format!("fd{trial}");
        let file = campaign(&house, &name, 200);
        submit(&house, &file);
        // More connections than it has descriptors; those that it takes it must give up again by itself.
        let flood: Vec<UnixStream> = (0..200)
            .filter_map(|_| UnixStream::connect(house.path("state/control.sock")).ok())
            .collect();
        assert!(flood.len() > 96, "{}", flood.len());
        thread::sleep(Duration::from_millis(500));
        drop(flood);
        house.until("it completes", || {
            house.ctl(&["status"]).status.success() && house.state(&name) == "completed"
        });
        assert_eq!(rows(&house.path("state"), &name), (200, 200));
    }
    assert!(house.ended().is_none(), "{}", house.log());
    row(
        10,
        "out of file descriptors",
        trials,
        trials,
        0,
        "96 allowed, 200 connections held while a campaign runs: it waits, and completes",
    );
}

#[test]
fn a_state_directory_removed_under_it_ends_the_daemon_with_a_sentence() {
    let trials = count(1, 5);
    for _ in 0..trials {
        let mut house = House::new();
        house.serve();
        submit(&house, &campaign(&house, "gone", 100));
        house.until("it completes", || house.state("gone") == "completed");
        fs::rename(house.path("state"), house.path("elsewhere")).unwrap();
        assert_eq!(house.exit_status(), Some(1), "{}", house.log());
        assert!(
            house
                .log()
                .contains("was removed or replaced while campaignd ran"),
            "{}",
            house.log()
        );
        // Nothing was made anew where it was, and what was moved is whole.
        assert!(!house.path("state/journal").exists());
        fs::rename(house.path("elsewhere"), house.path("state")).unwrap();
        house.serve();
        assert_eq!(house.state("gone"), "completed");
    }
    row(
        11,
        "state directory removed under it",
        trials,
        trials,
        0,
        "ends with a sentence and status 1, makes nothing anew; put back, it goes on",
    );
}
