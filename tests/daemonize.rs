//! Into the background: the shell is told when it answers, or why it does not, and a second one is refused by name.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod house;

use house::{House, stderr};
use std::fs;

fn pid(house: &House) -> String {
    let pid = fs::read_to_string(house.path("state/campaignd.pid"));
    pid.unwrap_or_default().trim().into()
}

#[test]
fn the_shell_is_told_when_it_answers_and_a_second_one_is_refused() {
    let house = House::new();
    let first = house.campaignd(&["serve", "--daemonize"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let said = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(said.starts_with("campaignd answers on "), "{said}");
    assert!(house.answers(), "the shell was told too early");
    let holder = pid(&house);
    assert_eq!(
        holder,
        pid_in_lock(&house),
        "the lock names the shell's process"
    );
    for second in [&["serve"][..], &["serve", "--daemonize"]] {
        let refused = house.campaignd(second);
        let why = stderr(&refused);
        assert_eq!(refused.status.code(), Some(2), "{second:?}: {why}");
        assert!(why.starts_with("error: "), "{second:?}: {why}");
        assert!(why.contains(&format!("PID {holder}")), "{second:?}: {why}");
    }
    assert_eq!(pid(&house), holder, "the first one is as it was");
    assert!(house.ctl(&["stop", "--yes"]).status.success());
    house.until("it has ended", || {
        house.campaignd(&["serve", "--daemonize"]).status.success()
    });
    assert_ne!(pid(&house), holder);
    assert!(house.ctl(&["stop", "--yes"]).status.success());
    house.until("it has ended too", || !house.answers());
}

fn pid_in_lock(house: &House) -> String {
    let lock = fs::read_to_string(house.path("state/lock")).unwrap();
    lock.split_whitespace().next().unwrap().into()
}

#[test]
fn the_shell_is_told_why_it_does_not_start() {
    let house = House::new();
    fs::create_dir(house.path("state")).unwrap();
    fs::write(house.path("state/control.sock"), "not a socket").unwrap();
    let output = house.campaignd(&["serve", "--daemonize"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let why = stderr(&output);
    assert!(
        why.contains("there is a file where the socket should be"),
        "{why}"
    );
    assert!(why.contains("control.sock"), "{why}");
}
