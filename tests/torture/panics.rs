//! Defects on purpose: each actor panics, crashes again and again, or hangs.

use crate::{
    house::{House, generator},
    trials::{count, row, skip},
};
use std::{
    fs,
    os::unix::net::UnixDatagram,
    thread,
    time::{Duration, Instant},
};

/// Every actor, as the log calls it.
const ACTORS: [&str; 8] = [
    "Coordinator",
    "MirrorWriter",
    "PilotMonitor",
    "Validator",
    "Launcher",
    "CampaignMonitor",
    "Historian",
    "Trainer",
];

fn house(point: &str) -> House {
    let mut house = House::new();
    house.env = vec![("FAILPOINTS".into(), point.into())];
    house
}

/// Submits a campaign that this actor has work in; whether it was taken.
fn submit(house: &House, actor: &str) -> bool {
    let file = house.path("toy.toml").to_string_lossy().into_owned();
    if !house.path("toy.toml").exists() {
        let training = if actor == "Trainer" {
            fs::write(house.path("rows.jsonl"), "{}\n").unwrap();
            "[[training.run]]\nname = \"a\"\nmodel = \"made\"\nminimum_examples = 1000\n[[training.run.stage]]\ndata = \"rows.jsonl\""
        } else {
            ""
        };
        // Once: a script that is written again under a job that starts is another script.
        house.campaign("toy", training, &generator("0.01", "0.9"));
    }
    house.ctl(&["submit", &file]).status.success()
}

/// The Trainer finds too few rows: its campaign ends so, with and without a panic.
fn end_of(actor: &str) -> &'static str {
    if actor == "Trainer" {
        "failed"
    } else {
        "completed"
    }
}

fn launches(house: &House) -> Vec<String> {
    let text = fs::read_to_string(house.path("ledger")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    lines.sort();
    lines
}

#[test]
fn a_panic_restarts_that_actor_alone_and_its_work_is_done() {
    if !cfg!(feature = "failpoints") {
        return skip(
            "panics",
            "needs --features failpoints, as tests/run gives it",
        );
    }
    for actor in ACTORS {
        let mut house = house(&format!("actor.{actor}=1*return"));
        house.serve();
        let pid = house.daemon.as_ref().unwrap().id();
        assert!(submit(&house, actor), "{actor}: {}", house.log());
        house.until(&format!("{actor} panicked, and all is done"), || {
            house.state("toy") == end_of(actor)
        });
        let log = house.log();
        let crashes: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("crashed; it starts again"))
            .collect();
        assert_eq!(crashes.len(), 1, "{actor}: {crashes:?}");
        assert!(
            crashes[0].contains(&format!("the {actor} crashed")),
            "{}",
            crashes[0]
        );
        assert_eq!(
            house.daemon.as_ref().map(std::process::Child::id),
            Some(pid),
            "another process"
        );
        assert_eq!(
            launches(&house),
            ["launch generate 0", "launch generate 1", "launch pilot 0"],
            "{actor}"
        );
        house.until("the mirror is there", || {
            house
                .path("state/campaigns/toy/mirror")
                .read_dir()
                .is_ok_and(|files| files.count() > 5)
        });
    }
    row(
        12,
        "an actor panics",
        ACTORS.len(),
        ACTORS.len(),
        0,
        "each actor in turn: it alone starts again in the same process, every job launched once",
    );
}

#[test]
fn a_crash_loop_ends_the_process_with_status_70() {
    if !cfg!(feature = "failpoints") {
        return skip(
            "crash_loops",
            "needs --features failpoints, as tests/run gives it",
        );
    }
    let chosen = if count(0, 1) == 0 {
        &ACTORS[..3]
    } else {
        &ACTORS[..]
    };
    for actor in chosen {
        let mut house = house(&format!("actor.{actor}=return"));
        house.spawn();
        // The one that is hit before anybody asks has ended by then.
        let deadline = Instant::now() + Duration::from_secs(20);
        while house.daemon.is_some() && !submit(&house, actor) {
            if Instant::now() > deadline {
                break;
            }
        }
        assert_eq!(house.exit_status(), Some(70), "{actor}: {}", house.log());
        assert!(
            house
                .log()
                .contains(&format!("ending: the {actor} crashed 6 times")),
            "{}",
            house.log()
        );
        // A fresh process without the defect goes on.
        house.env.clear();
        house.serve();
        assert!(submit(&house, actor));
        house.until("all is done", || house.state("toy") == end_of(actor));
    }
    row(
        13,
        "an actor crashes again and again",
        chosen.len(),
        chosen.len(),
        0,
        "ends with status 70; the next process goes on and completes",
    );
}

#[test]
fn pings_stop_when_an_actor_hangs() {
    if !cfg!(feature = "failpoints") {
        return skip(
            "hangs",
            "needs --features failpoints, as tests/run gives it",
        );
    }
    let chosen = if count(0, 1) == 0 {
        &ACTORS[..2]
    } else {
        &ACTORS[..7]
    };
    for actor in chosen {
        let mut house = house(&format!("actor.{actor}=1*sleep(120000)"));
        let socket = UnixDatagram::bind(house.path("notify")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let path = house.path("notify").to_string_lossy().into_owned();
        house.env.extend([
            ("NOTIFY_SOCKET".into(), path),
            ("WATCHDOG_USEC".into(), "600000".into()),
        ]);
        let pings = |within: Duration| {
            let (deadline, mut pings, mut buffer) = (Instant::now() + within, 0, [0; 4096]);
            while Instant::now() < deadline {
                if let Ok(len) = socket.recv(&mut buffer) {
                    pings +=
                        usize::from(String::from_utf8_lossy(&buffer[..len]).contains("WATCHDOG=1"));
                }
            }
            pings
        };
        // The mirror writer is hit by its first tick: it hangs before anybody is answered.
        if *actor == "MirrorWriter" {
            house.spawn();
        } else {
            house.serve();
            assert!(
                pings(Duration::from_secs(3)) >= 3,
                "{actor}: {}",
                house.log()
            );
        }
        thread::scope(|scope| {
            // The answer may never come, and the end of the daemon is one too.
            scope.spawn(|| submit(&house, actor));
            // A ping may be on its way when the hang begins; of a living daemon there would be fifteen in 3 s.
            let deadline = Instant::now() + Duration::from_secs(60);
            while pings(Duration::from_secs(3)) > 0 {
                assert!(
                    Instant::now() < deadline,
                    "{actor} hangs and pings go on: {}",
                    house.log()
                );
            }
            let daemon = house.daemon.as_ref().map(std::process::Child::id).unwrap();
            let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
        });
        house.kill();
    }
    row(
        14,
        "an actor hangs",
        chosen.len(),
        chosen.len(),
        0,
        "pings to systemd's watchdog stop, which starts the daemon again",
    );
}
