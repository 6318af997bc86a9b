//! Who a process is: a PID counts only with its start time and the boot it belongs to, because PIDs are used again.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::{fs, os::fd::OwnedFd, sync::LazyLock};
use tokio::io::{Interest, unix::AsyncFd};

/// One process, never to be confused with a later one of the same PID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    #[serde(deserialize_with = "process_id")]
    pub pid: i32,
    /// Clock ticks after boot at which it started (`/proc/PID/stat`, field 22).
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// Refuses 0 and below: no process has such an id, and to the kernel it means a whole group or everybody.
fn process_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let pid = i32::deserialize(deserializer)?;
    if pid > 0 {
        return Ok(pid);
    }
    let message = format!("{pid} is no process id");
    Err(serde::de::Error::custom(message))
}

/// What `/proc/PID/stat` says.
struct Stat {
    state: char,
    session: i32,
    start_time: u64,
}

/// The id of the running boot; empty where the kernel does not tell.
pub fn boot_id() -> &'static str {
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().into()
    });
    &BOOT
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command may hold anything, parentheses too: the fields begin behind the last one.
    let fields: Vec<&str> = text
        .get(text.rfind(')')? + 2..)?
        .split_ascii_whitespace()
        .collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        session: fields.get(3)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

impl Identity {
    /// The process that has this PID now.
    pub fn of(pid: i32) -> Option<Identity> {
        let start_time = stat(pid)?.start_time;
        Some(Identity {
            pid,
            start_time,
            boot_id: boot_id().into(),
        })
    }

    /// Whether it still runs; a zombie does not.
    pub fn alive(&self) -> bool {
        self.boot_id == boot_id()
            && stat(self.pid).is_some_and(|stat| {
                stat.start_time == self.start_time && !matches!(stat.state, 'Z' | 'X')
            })
    }

    /// Whether its PID belongs to another process now.
    pub fn recycled(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start_time != self.start_time)
    }

    /// A handle on the process itself. Opened before the identity is compared, so that the PID cannot change hands
    /// between the two.
    fn handle(&self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        self.alive().then_some(handle)
    }

    /// Sends it a signal; whether it was there to take it.
    pub fn signal(&self, signal: Signal) -> bool {
        self.handle()
            .is_some_and(|handle| pidfd_send_signal(handle, signal).is_ok())
    }

    /// Returns when it has ended; at once when it has already.
    pub async fn ended(&self) {
        let Some(handle) = self.handle() else { return };
        #[expect(
            deprecated,
            reason = "its flaw is types whose descriptor changes; an OwnedFd keeps its own"
        )]
        let Ok(handle) = AsyncFd::with_interest(handle, Interest::READABLE) else {
            return;
        };
        // An error means that there is nothing to wait for; the caller looks again either way.
        let _ = handle.readable().await;
    }
}

/// The living processes of a session.
pub fn session_members(session: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        stat(*pid).is_some_and(|stat| stat.session == session && !matches!(stat.state, 'Z' | 'X'))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_itself_and_nobody_else() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = Identity::of(pid).unwrap();
        assert!(me.alive());
        let recycled = Identity {
            start_time: me.start_time + 1,
            ..me.clone()
        };
        assert!(!recycled.alive() && recycled.recycled());
        assert!(
            !recycled.signal(Signal::KILL),
            "an innocent process would have been killed"
        );
        let rebooted = Identity {
            boot_id: "another".into(),
            ..me
        };
        assert!(!rebooted.alive());
    }
}
