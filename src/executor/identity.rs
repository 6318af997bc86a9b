//! Who a process is: a PID counts only with its start time and the boot it belongs to, because PIDs are used again.
//!
//! Every question here can fail (no descriptor left, no memory), and a failure is *no news*: it is never taken for the
//! death of a process. Only the kernel's own "no such process" is that.

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    sync::OnceLock,
};
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
    group: i32,
    session: i32,
    start_time: u64,
}

impl Stat {
    /// A zombie has ended; it only waits for its parent.
    fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// The id of the running boot.
///
/// # Errors
/// Those of reading it. A failure is not remembered: were it taken for another boot, every job would be.
pub fn boot_id() -> io::Result<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(known) = BOOT.get() {
        return Ok(known);
    }
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT.get_or_init(|| text.trim().into()))
}

/// Reads a file of a process; none when there is no such process.
fn read_proc(pid: i32, file: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(format!("/proc/{pid}/{file}")) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that the process is not there. Ending while it is read gives `ESRCH`.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

fn stat(pid: i32) -> io::Result<Option<Stat>> {
    match read_proc(pid, "stat")? {
        None => Ok(None),
        Some(bytes) => match parse_stat(&String::from_utf8_lossy(&bytes)) {
            Some(stat) => Ok(Some(stat)),
            None => Err(io::Error::other(format!(
                "/proc/{pid}/stat is not understood"
            ))),
        },
    }
}

/// The command may hold anything, parentheses too: the fields begin behind the last one (proc(5)).
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text
        .get(text.rfind(')')? + 2..)?
        .split_ascii_whitespace()
        .collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

impl Identity {
    /// The process that has this PID now.
    ///
    /// # Errors
    /// What could not be read; nothing is known then.
    pub fn of(pid: i32) -> io::Result<Option<Identity>> {
        let boot_id = boot_id()?.to_string();
        Ok(stat(pid)?.map(|stat| Identity {
            pid,
            start_time: stat.start_time,
            boot_id,
        }))
    }

    /// This process.
    ///
    /// # Errors
    /// `/proc` cannot be read, or does not show this process.
    pub fn own() -> io::Result<Identity> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        Identity::of(pid)?.ok_or_else(|| io::Error::other("/proc does not show this process"))
    }

    /// Whether it still runs; a zombie does not.
    ///
    /// # Errors
    /// What could not be read; nothing is known then.
    pub fn alive(&self) -> io::Result<bool> {
        if self.boot_id != boot_id()? {
            return Ok(false);
        }
        let now = stat(self.pid)?;
        Ok(now.is_some_and(|stat| stat.start_time == self.start_time && stat.runs()))
    }

    /// Whether its PID belongs to another process now.
    ///
    /// # Errors
    /// What could not be read; nothing is known then.
    pub fn recycled(&self) -> io::Result<bool> {
        Ok(stat(self.pid)?.is_some_and(|stat| stat.start_time != self.start_time))
    }

    /// A handle on the process itself. Opened before the identity is compared, so that the PID cannot change hands
    /// between the two.
    pub(super) fn handle(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(None);
        };
        let handle = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        Ok(self.alive()?.then_some(handle))
    }

    /// Sends it a signal; whether it was there to take it.
    ///
    /// # Errors
    /// What could not be opened or read; it may live and not have got the signal.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(handle) = self.handle()? else {
            return Ok(false);
        };
        match pidfd_send_signal(handle, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns when it has ended; at once when it has already.
    ///
    /// # Errors
    /// It cannot be waited for now.
    pub async fn ended(&self) -> io::Result<()> {
        let Some(handle) = self.handle()? else {
            return Ok(());
        };
        #[expect(
            deprecated,
            reason = "its flaw is types whose descriptor changes; an OwnedFd keeps its own"
        )]
        let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
        handle.readable().await.map(drop)
    }
}

fn all_pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok()),
        );
    }
    Ok(pids)
}

/// The living processes of a session.
///
/// # Errors
/// What could not be read: a list with holes would pass for an empty session.
pub fn session_members(session: i32) -> io::Result<Vec<i32>> {
    living(|stat| stat.session == session)
}

/// The living processes of a process group.
///
/// # Errors
/// As [`session_members`].
pub fn group_members(group: i32) -> io::Result<Vec<i32>> {
    living(|stat| stat.group == group)
}

fn living(wanted: impl Fn(&Stat) -> bool) -> io::Result<Vec<i32>> {
    let mut members = Vec::new();
    for pid in all_pids()? {
        if stat(pid)?.is_some_and(|stat| wanted(&stat) && stat.runs()) {
            members.push(pid);
        }
    }
    Ok(members)
}

/// The living processes whose argument vector ends with `words`.
///
/// # Errors
/// What could not be read.
pub fn started_with(words: &[&str]) -> io::Result<Vec<Identity>> {
    let tail: Vec<u8> = words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect();
    processes(|pid| Ok(read_shown(pid, "cmdline")?.ends_with(&tail)))
}

/// The living processes that have `entry` (`NAME=value`) in their environment. Those of other users are not shown.
///
/// # Errors
/// What could not be read.
pub fn with_environment(entry: &str) -> io::Result<Vec<Identity>> {
    processes(|pid| {
        let all = read_shown(pid, "environ")?;
        Ok(all
            .split(|byte| *byte == 0)
            .any(|one| one == entry.as_bytes()))
    })
}

/// Whether any living process was started with this path among its words or in its environment.
///
/// # Errors
/// What could not be read.
pub fn anybody_with(path: &str) -> io::Result<bool> {
    let named = |bytes: Vec<u8>| {
        bytes
            .windows(path.len())
            .any(|part| part == path.as_bytes())
    };
    let found = processes(|pid| {
        Ok(named(read_shown(pid, "cmdline")?) || named(read_shown(pid, "environ")?))
    });
    found.map(|found| !found.is_empty())
}

/// Reads a file of a process that may be hidden from this one, as those of more rights are; empty then, and without one.
fn read_shown(pid: i32, file: &str) -> io::Result<Vec<u8>> {
    match read_proc(pid, file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Vec::new()),
        read => read.map(Option::unwrap_or_default),
    }
}

/// This user's processes alone: what others call theirs proves nothing, and could not be signalled.
fn processes(wanted: impl Fn(i32) -> io::Result<bool>) -> io::Result<Vec<Identity>> {
    let me = geteuid().as_raw();
    let mut found = Vec::new();
    for pid in all_pids()? {
        let ours = fs::metadata(format!("/proc/{pid}")).is_ok_and(|about| about.uid() == me);
        if ours
            && wanted(pid)?
            && let Some(process) = Identity::of(pid)?
            && process.alive()?
        {
            found.push(process);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_itself_and_nobody_else() {
        let me = Identity::own().unwrap();
        assert!(me.alive().unwrap());
        let recycled = Identity {
            start_time: me.start_time + 1,
            ..me.clone()
        };
        assert!(!recycled.alive().unwrap() && recycled.recycled().unwrap());
        assert!(
            !recycled.signal(Signal::KILL).unwrap(),
            "an innocent process would have been killed"
        );
        let rebooted = Identity {
            boot_id: "another".into(),
            ..me
        };
        assert!(!rebooted.alive().unwrap());
    }

    #[test]
    fn processes_are_found_by_what_they_were_started_with() {
        let mark = format!("CAMPAIGND_TEST={}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let mut child = std::process::Command::new("sleep")
            .args(["61", "0"])
            .env(name, value)
            .spawn()
            .unwrap();
        let pids = |found: Vec<Identity>| found.iter().map(|one| one.pid).collect::<Vec<_>>();
        let pid = i32::try_from(child.id()).unwrap();
        assert_eq!(pids(with_environment(&mark).unwrap()), [pid]);
        assert!(pids(started_with(&["sleep", "61", "0"]).unwrap()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(with_environment(&mark).unwrap().is_empty());
    }
}
