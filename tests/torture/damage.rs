//! Torn, emptied, garbled and removed files, anywhere in the state directory: the daemon goes on to the campaign's end, or
//! says which file it will not work with. It never starts a task twice, and never takes damage for an empty store.

use crate::{
    house::{House, processes_below},
    trials::{Dice, count, row},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const GENERATOR: &str = r#"
echo "launch $CAMPAIGND_PROGRESS" >> ledger
n=0; [ -f "$1" ] && n=$(wc -l < "$1")
while [ "$n" -lt "$2" ]; do
  echo "{\"id\":\"$3-$4-$n\",\"text\":\"$3 $4 $n\",\"quality_score\":0.9}" >> "$1"
  n=$((n+1)); echo "Progress: $n/$2"
  [ ! -f slow ] || sleep 0.05
done
"#;

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&path, found),
            kind if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found.sort();
}

/// A state directory as a power cut leaves it in the middle of a generation: nothing of the campaign runs any more.
fn base(house: &mut House) {
    fs::write(house.path("slow"), "").unwrap();
    house.serve();
    let running = house.campaign("under-way", "", GENERATOR);
    assert!(house.ctl(&["submit", &running]).status.success());
    house.until("it generates", || house.state("under-way") == "generating");
    house.until("both shards have samples", || {
        let shard = |n: u32| {
            fs::metadata(house.path(&format!(
                "state/campaigns/under-way/data/generate/shard-{n}.jsonl"
            )))
        };
        (0..2).all(|n| shard(n).is_ok_and(|file| file.len() > 0))
    });
    house.kill();
    for pid in processes_below(&house.path("")) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    fs::remove_file(house.path("slow")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(
        Command::new("cp")
            .arg("-a")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}

/// Damages a file; says how.
fn damage(path: &Path, dice: &mut Dice) -> &'static str {
    let bytes = fs::read(path).unwrap();
    let at = dice.below(bytes.len());
    match dice.below(5) {
        0 => fs::write(path, "").map(|()| "emptied"),
        1 => fs::write(path, &bytes[..at]).map(|()| "torn"),
        2 => fs::remove_file(path).map(|()| "removed"),
        3 => {
            let mut garbled = bytes;
            if let Some(byte) = garbled.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
            fs::write(path, garbled).map(|()| "garbled")
        }
        _ => {
            let noise: Vec<u8> = (0..bytes.len().max(7)).map(|_| dice.next() as u8).collect();
            fs::write(path, noise).map(|()| "overwritten")
        }
    }
    .unwrap()
}

#[test]
fn damage_anywhere_is_worked_around_or_named() {
    let mut dice = Dice::of("damage");
    let mut house = House::new();
    base(&mut house);
    let saved = house.path("saved");
    copy(&house.path("state"), &saved);
    let ledger = fs::read_to_string(house.path("ledger")).unwrap();
    let mut all = Vec::new();
    files(&saved, &mut all);
    assert!(all.len() > 20, "{all:?}");
    let trials = count(12, 150);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for trial in 0..trials {
        copy(&saved, &house.path("state"));
        fs::write(house.path("ledger"), &ledger).unwrap();
        let _ = fs::remove_file(house.path("daemon.log"));
        let file = dice
            .pick(&all)
            .unwrap()
            .strip_prefix(&saved)
            .unwrap()
            .to_path_buf();
        let how = damage(&house.path("state").join(&file), &mut dice);
        let what = format!("trial {trial}: {} {how}", file.display());
        house.spawn();
        let deadline = Instant::now() + Duration::from_secs(60);
        let end = loop {
            if let Some(status) = house.ended() {
                assert_eq!(status.code(), Some(2), "{what}: {}", house.log());
                let log = house.log();
                assert!(
                    log.contains("error: ") && log.contains("  right  "),
                    "{what}: {log}"
                );
                break "refused, naming the file and the way back".to_string();
            }
            let status = house.ctl(&["status", "under-way", "--json"]);
            let status: serde_json::Value =
                serde_json::from_slice(&status.stdout).unwrap_or_default();
            let campaign = &status["campaigns"][0];
            match campaign["state"].as_str() {
                Some("completed") => break "completed".to_string(),
                Some("failed") => {
                    assert!(campaign["cause"].is_string(), "{what}: {status}");
                    break "failed, with its cause".to_string();
                }
                _ => {}
            }
            assert!(
                Instant::now() < deadline,
                "{what}: {status} {}",
                house.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        eprintln!("{what}: {end}");
        let text = fs::read_to_string(house.path("ledger")).unwrap();
        let tasks: BTreeSet<&str> = text.lines().collect();
        assert_eq!(
            tasks.len(),
            text.lines().count(),
            "{what}: a task was launched twice: {text}"
        );
        *ends.entry(end).or_default() += 1;
        house.kill();
    }
    let completed = ends.get("completed").copied().unwrap_or(0);
    assert!(completed * 2 > trials, "{ends:?}");
    let ends: Vec<String> = ends
        .iter()
        .map(|(end, number)| format!("{end} {number}"))
        .collect();
    row(
        16,
        "a file torn, emptied, garbled, overwritten or removed",
        trials,
        trials,
        0,
        &ends.join("; "),
    );
}
