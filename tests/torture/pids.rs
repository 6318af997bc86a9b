//! Recycled PIDs: a process with the PID of a dead shim is nobody's.

use crate::trials::{Dice, count, row, skip};
use campaignd::executor::{
    identity::Identity,
    job_dir::JobDir,
    local::{Local, Observed},
};
use rustix::process::Signal;
use std::{
    fs,
    process::{Child, Command, Stdio},
};

const NEXT: &str = "/proc/sys/kernel/ns_last_pid";

fn sleeper() -> Child {
    // A leader of a session, as shims are: were its session taken for a dead shim's, it would be killed.
    let mut command = Command::new("setsid");
    let quiet = command
        .args(["sleep", "600"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    quiet.spawn().unwrap()
}

fn identity(child: &Child) -> Identity {
    Identity::of(i32::try_from(child.id()).unwrap())
        .unwrap()
        .unwrap()
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A process with this PID that started later, by the kernel's clock of ticks; none if somebody else was faster.
fn successor(of: &Identity) -> Option<Child> {
    loop {
        fs::write(NEXT, (of.pid - 1).to_string()).ok()?;
        let child = sleeper();
        let found = identity(&child);
        if found.pid == of.pid && found.start_time > of.start_time {
            return Some(child);
        }
        let taken = found.pid != of.pid;
        end(child);
        if taken {
            return None;
        }
    }
}

#[test]
fn a_recycled_pid_is_never_adopted_and_never_killed() {
    if fs::write(NEXT, "1000").is_err() {
        return skip(
            "recycled_pids",
            "the next PID cannot be chosen without root",
        );
    }
    Dice::of("recycled PIDs");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let wanted = count(100, 1000);
    let dir = tempfile::tempdir().unwrap();
    let (mut trials, mut wrong, mut races) = (0, 0, 0);
    while trials < wanted {
        let shim = sleeper();
        let claimed = identity(&shim);
        end(shim);
        let Some(innocent) = successor(&claimed) else {
            races += 1;
            assert!(races < 10 * wanted, "no PID is ever used again");
            continue;
        };
        let job = JobDir::new(dir.path().join(format!("job-{trials}")));
        assert!(job.take_claim(0, claimed.clone(), "shim").unwrap());
        let seen = runtime.block_on(Local.observe(&job, 0));
        let adopted = !matches!(seen, Observed::Lost { .. });
        let signalled = claimed.signal(Signal::KILL).unwrap();
        let killed = !identity(&innocent).alive().unwrap();
        wrong += usize::from(adopted || signalled || killed);
        end(innocent);
        trials += 1;
    }
    let how = "the PID of a dead shim given to another process on purpose: 0 wrong adoptions, 0 innocents killed";
    row(4, "recycled PID", trials, trials - wrong, wrong, how);
}

#[test]
fn after_another_boot_nothing_is_adopted() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let wanted = count(20, 200);
    for trial in 0..wanted {
        let innocent = sleeper();
        let mut claimed = identity(&innocent);
        claimed.boot_id = format!("00000000-0000-0000-0000-{trial:012}");
        let job = JobDir::new(dir.path().join(format!("job-{trial}")));
        assert!(job.take_claim(0, claimed.clone(), "shim").unwrap());
        let seen = runtime.block_on(Local.observe(&job, 0));
        assert!(
            matches!(&seen, Observed::Lost { why } if why.contains("started anew")),
            "{seen:?}"
        );
        assert!(!claimed.signal(Signal::KILL).unwrap() && identity(&innocent).alive().unwrap());
        end(innocent);
    }
    row(
        5,
        "changed boot id",
        wanted,
        wanted,
        0,
        "same PID, same start time, another boot: lost, and nobody is signalled",
    );
}
