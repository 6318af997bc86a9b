//! The wall clock is set back an hour under a campaign: it is a label, and nothing waits for it to come again.

use crate::{
    house::{House, generator},
    trials::{count, row, skip},
};
use std::{fs, path::PathBuf, process::Command};

/// A library that lies about the time to who loads it first; as root it is installed.
fn liar() -> Option<PathBuf> {
    let there = || {
        let dirs = fs::read_dir("/usr/lib").ok()?.flatten();
        let mut named = dirs.map(|dir| dir.path().join("faketime/libfaketime.so.1"));
        named.find(|path| path.exists())
    };
    there().or_else(|| {
        // Nothing to be done where that is not allowed: the test is skipped.
        let mut install = Command::new("apt-get");
        let _ = install.args(["install", "-y", "-qq", "faketime"]).output();
        there()
    })
}

#[test]
fn an_hour_back_changes_nothing() {
    let Some(liar) = liar() else {
        return skip("clock_set_back", "faketime is not installed");
    };
    let trials = count(1, 6);
    for trial in 0..trials {
        let mut house = House::new();
        house.serve();
        let file = house.campaign("toy", "", &generator("0.05", "0.9"));
        assert!(house.ctl(&["submit", &file]).status.success());
        let wanted = if trial % 2 == 0 {
            "generating"
        } else {
            "piloting"
        };
        house.until("it is at work", || house.state("toy") == wanted);
        house.kill();
        let liar = liar.to_string_lossy().into_owned();
        house.env = [
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("FAKETIME", "-1h"),
            ("LD_PRELOAD", &liar),
        ]
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .to_vec();
        house.serve();
        let started = house.json(&["status"])["daemon"]["started_at"].to_string();
        house.until("it completes an hour earlier", || {
            house.state("toy") == "completed"
        });
        house.kill();
        house.env.clear();
        house.serve();
        let now = house.json(&["status"])["daemon"]["started_at"].to_string();
        assert!(started < now, "the clock was not set back: {started} {now}");
        assert_eq!(house.state("toy"), "completed");
        let ledger = fs::read_to_string(house.path("ledger")).unwrap();
        assert_eq!(ledger.lines().count(), 3, "{ledger}");
        let events = house.ctl(&["events", "toy", "--json"]);
        let events = String::from_utf8(events.stdout).unwrap();
        let numbers: Vec<u64> = events
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        assert!(numbers.len() > 5 && numbers.is_sorted(), "{numbers:?}");
    }
    row(
        15,
        "clock set back an hour",
        trials,
        trials,
        0,
        "under running jobs, and forward again: completes, every job launched once",
    );
}
