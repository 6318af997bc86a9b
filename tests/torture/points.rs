//! Every named point of the sources is the place of a kill once: the process that comes by dies there as by `kill -9`,
//! whatever it is, and the end is the same.

use crate::{
    house::House,
    trials::{Dice, full, row, skip},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The points that the sources name.
fn points() -> Vec<String> {
    fn read(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, found);
            } else if path.file_name().is_some_and(|name| name != "points.rs") {
                let text = fs::read_to_string(&path).unwrap();
                for part in text.split(" point!(\"").skip(1) {
                    found.extend(part.split('"').next().map(String::from));
                }
            }
        }
    }
    let mut found = Vec::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    // Others have tests of their own: tests/resume.rs and tests/sweep/, tests/slurm/kills.rs, tests/execution.rs,
    // tests/experiment_run/kills.rs.
    let elsewhere = ["train.", "slurm.", "execute.", "run."];
    found.retain(|point| !elsewhere.iter().any(|head| point.starts_with(head)));
    found.sort();
    found.dedup();
    assert!(found.len() > 20, "the points are not found: {found:?}");
    found
}

fn house(point: &str) -> (House, PathBuf) {
    let mut house = House::new();
    let mark = house.path("mark");
    let limit = if point.starts_with("journal.segment") {
        "journal.limit=return(6000);"
    } else {
        ""
    };
    house.env = vec![
        ("FAILPOINTS".into(), format!("{limit}{point}=return")),
        (
            "CAMPAIGND_CRASH_MARK".into(),
            mark.to_string_lossy().into_owned(),
        ),
    ];
    (house, mark)
}

/// Starts the daemon as often as it dies, until it answers.
fn serve(house: &mut House) {
    house.spawn();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !house.answers() {
        if let Some(status) = house.ended() {
            eprintln!("the daemon ended: {status}");
            house.spawn();
        }
        assert!(Instant::now() < deadline, "{}", house.log());
    }
}

/// Says it until a daemon has taken it: a client whose daemon died asks again.
fn say(house: &mut House, words: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !house.ctl(words).status.success() {
        if house.ended().is_some() {
            serve(house);
        }
        assert!(Instant::now() < deadline, "{words:?}: {}", house.log());
    }
}

/// Until a campaign is in one of these states; the daemon is started again when it dies.
fn until(house: &mut House, id: &str, states: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        if house.ended().is_some() {
            serve(house);
        }
        let status = house.ctl(&["status", id, "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        let state = status["campaigns"][0]["state"].as_str().unwrap_or("");
        if states.contains(&state) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{id} is {state}: {}",
            house.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

const TOY: &str = "name = \"toy\"\npilot_target = 8\nmin_pilot_samples = 8\ncampaign_target = 2400\ngate = \"point\"\n\
    seed = 7\n[generator]\nshards = 2\n[curation]\n";
const SLOW: &str = "name = \"slow\"\npilot_target = 1\nmin_pilot_samples = 1\ncampaign_target = 1000\ngate = \"point\"\n\
    [generator]\nshards = 2\ncommand = [\"sh\", \"slow.sh\", \"{output}\", \"{shard}\", \"{target}\"]\n";
const SLOW_SCRIPT: &str = "echo \"{\\\"id\\\":\\\"$2-$3\\\",\\\"quality_score\\\":1}\" >> \"$1\"\n\
    [ \"$3\" -le 1 ] || { echo $$ >> pids; sleep 600; }\n";

/// Everything of the data set, by file.
fn dataset(house: &House) -> BTreeMap<String, Vec<u8>> {
    let dir = house.path("state/campaigns/toy/dataset");
    let (mut all, mut folders) = (BTreeMap::new(), vec![dir.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&dir).unwrap().display().to_string();
                all.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    all
}

fn whole(point: &str) -> (BTreeMap<String, Vec<u8>>, bool) {
    let (mut house, mark) = house(point);
    fs::write(house.path("toy.toml"), TOY).unwrap();
    serve(&mut house);
    say(&mut house, &["submit", "toy.toml"]);
    until(&mut house, "toy", &["completed"]);
    let made = dataset(&house);
    assert!(
        made.values().map(Vec::len).sum::<usize>() > 10_000,
        "{:?}",
        made.keys()
    );
    if point.starts_with("clean") {
        // The one that dies over it has forgotten the campaign all the same.
        house.ctl(&["clean", "toy", "--yes"]);
        assert_eq!(house.exit_status(), None, "it was not killed");
        serve(&mut house);
        let list = house.json(&["list"]);
        assert_eq!(
            list["campaigns"].as_array().map(Vec::len),
            Some(0),
            "{list}"
        );
        assert!(
            house.path("state/campaigns/toy").exists(),
            "the files were left"
        );
        say(&mut house, &["submit", "toy.toml"]);
        until(&mut house, "toy", &["completed"]);
        assert_eq!(dataset(&house), made);
    }
    (made, mark.exists())
}

fn cancelled(point: &str) -> bool {
    let (mut house, mark) = house(point);
    fs::write(house.path("slow.toml"), SLOW).unwrap();
    fs::write(house.path("slow.sh"), SLOW_SCRIPT).unwrap();
    serve(&mut house);
    say(&mut house, &["submit", "slow.toml"]);
    let pids = || -> Vec<i32> {
        let text = fs::read_to_string(house.path("pids")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    house.until("both shards run", || pids().len() == 2);
    let pids = pids();
    // Once: the daemon dies over what follows from it, and a second one would be refused.
    house.ctl(&["cancel", "slow", "--yes"]);
    until(&mut house, "slow", &["cancelled"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while pids
        .iter()
        .any(|pid| Path::new(&format!("/proc/{pid}/cwd")).exists())
    {
        if house.ended().is_some() {
            serve(&mut house);
        }
        assert!(
            Instant::now() < deadline,
            "jobs outlive a cancel: {}",
            house.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    // It may die over the report that all of them are gone.
    until(&mut house, "slow", &["cancelled"]);
    house.until("the point was reached", || mark.exists());
    if house.ended().is_some() {
        serve(&mut house);
    }
    until(&mut house, "slow", &["cancelled"]);
    mark.exists()
}

#[test]
fn a_kill_at_every_point_leads_to_the_same_end() {
    if !cfg!(feature = "failpoints") {
        return skip(
            "a_kill_at_every_point",
            "needs --features failpoints, as tests/run gives it",
        );
    }
    let mut dice = Dice::of("points");
    let mut points = points();
    let all = points.len();
    if !full() {
        while points.len() > 10 {
            points.remove(dice.below(points.len()));
        }
    }
    let (expected, _) = whole("nowhere");
    for point in &points {
        eprintln!("point {point}");
        let hit = if point.starts_with("end.") {
            cancelled(point)
        } else {
            let (made, hit) = whole(point);
            assert!(made == expected, "{point}: another data set");
            hit
        };
        assert!(hit, "nothing came by {point}");
    }
    let how = format!("each of the {all} named points; the data set is the same byte for byte");
    row(
        2,
        "killed at a named point",
        points.len(),
        points.len(),
        0,
        &how,
    );
}
