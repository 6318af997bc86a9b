//! Handles (pidfds) of running tasks, kept by systemd while the daemon is away.
//!
//! A claim says by PID, start time and boot id who a process is; a handle is the process itself, and no later one can ever
//! be behind it. systemd keeps what it is handed over a crash and over a restart, though not over a stop
//! (`FileDescriptorStoreMax=`). So the next daemon knows from the kernel alone how many tasks outlived the last one, before
//! it has read one file. Claims decide all the same: they are there without systemd too.

use super::identity::Identity;
use crate::ids::EffectId;
use sd_notify::NotifyState;
use std::{
    collections::BTreeMap,
    env, fs, io,
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What systemd keeps, by name, with the PID behind it.
#[derive(Debug, Default)]
pub struct Handles {
    kept: Mutex<BTreeMap<String, i32>>,
    /// There is a systemd to keep them.
    there: bool,
}

impl Handles {
    /// Takes over what systemd kept of an earlier daemon, says so, and lets go of what has ended. To be called before
    /// anything is started: no child inherits the descriptors from here on. They stay open with this process.
    pub fn inherit() -> Self {
        let handles = Self {
            there: env::var_os("NOTIFY_SOCKET").is_some(),
            ..Self::default()
        };
        match sd_notify::listen_fds_with_names() {
            Ok(inherited) => handles.take_over(inherited),
            Err(error) => tracing::warn!("what systemd kept cannot be taken over: {error}"),
        }
        handles
    }

    fn take_over(&self, inherited: impl Iterator<Item = (i32, String)>) {
        let (mut found, mut alive) = (0, 0);
        for (descriptor, name) in inherited {
            match process_behind(descriptor) {
                Ok(Behind::Process(pid)) => {
                    alive += 1;
                    self.kept().insert(name, pid);
                }
                Ok(Behind::Nobody) => self.told("let go of", &name, remove(&name)),
                // A socket of a drop-in, perhaps: not ours to judge.
                Ok(Behind::NoHandle) => continue,
                Err(error) => self.told("look behind", &name, Err(error)),
            }
            found += 1;
        }
        if found > 0 {
            tracing::info!("systemd kept {found} handles of tasks; {alive} of them still run");
        }
    }

    /// Hands systemd the handle of a running task, once.
    pub fn keep(&self, job: &EffectId, shard: u32, shim: &Identity) {
        let name = name(job, shard);
        if !self.there || self.kept().get(&name) == Some(&shim.pid) {
            return;
        }
        match shim.handle() {
            Ok(Some(handle)) => {
                self.kept().insert(name.clone(), shim.pid);
                self.told("keep", &name, store(&name, handle.as_fd()));
            }
            // It has just ended.
            Ok(None) => {}
            Err(error) => self.told("open", &name, Err(error)),
        }
    }

    /// Takes the handle of an ended task back, if systemd has it.
    pub fn release(&self, job: &EffectId, shard: u32) {
        let name = name(job, shard);
        let kept = self.kept().remove(&name);
        if kept.is_some() {
            self.told("let go of", &name, remove(&name));
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, i32>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing depends on a handle, so a failure is worth a line and no more.
    fn told(&self, what: &str, name: &str, done: io::Result<()>) {
        if let Err(error) = done {
            tracing::warn!("systemd did not {what} the handle {name}: {error}");
        }
    }
}

/// `alttp-12.0`: without a colon, and far from the 255 bytes that a name may have.
fn name(job: &EffectId, shard: u32) -> String {
    format!("{job}.{shard}")
}

fn store(name: &str, handle: BorrowedFd<'_>) -> io::Result<()> {
    sd_notify::notify_with_fds(
        &[NotifyState::FdStore, NotifyState::FdName(name)],
        &[handle],
    )
}

fn remove(name: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)])
}

/// What a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// A process that was not reaped yet.
    Process(i32),
    /// A process that is no more.
    Nobody,
    /// It is no handle of a process.
    NoHandle,
}

/// Who is behind an inherited number, by the kernel's word (`Pid:` in `/proc/self/fdinfo/N`, proc(5)): owning it as a
/// descriptor would take unsafe code.
fn process_behind(descriptor: i32) -> io::Result<Behind> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"))?;
    Ok(read_pid(&info))
}

fn read_pid(info: &str) -> Behind {
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    match pid.map(|pid| pid.trim().parse::<i32>()) {
        Some(Ok(pid)) if pid > 0 => Behind::Process(pid),
        Some(_) => Behind::Nobody,
        None => Behind::NoHandle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::fd::AsRawFd, process::Command};

    #[test]
    fn a_handle_says_who_is_behind_it_until_nobody_is() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let handle = Identity::of(pid).unwrap().unwrap().handle().unwrap();
        let handle = handle.unwrap();
        let behind = || process_behind(handle.as_raw_fd()).unwrap();
        assert_eq!(behind(), Behind::Process(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(behind(), Behind::Nobody);
        let file = fs::File::open("/proc/self/stat").unwrap();
        assert_eq!(process_behind(file.as_raw_fd()).unwrap(), Behind::NoHandle);
    }

    #[test]
    fn what_still_runs_is_taken_over_and_the_rest_let_go() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let gone = Identity::of(i32::try_from(child.id()).unwrap());
        let gone = gone.unwrap().unwrap().handle().unwrap().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let me = Identity::own().unwrap();
        let own = me.handle().unwrap().unwrap();
        let handles = Handles::default();
        let inherited = [
            (own.as_raw_fd(), "a-1.0".into()),
            (gone.as_raw_fd(), "a-1.1".into()),
        ];
        handles.take_over(inherited.into_iter());
        let kept: Vec<_> = handles.kept().clone().into_iter().collect();
        assert_eq!(kept, [("a-1.0".to_string(), me.pid)]);
        handles.release(&"a-1".parse().unwrap(), 0);
        assert!(handles.kept().is_empty());
    }

    #[test]
    fn without_systemd_nothing_is_kept() {
        let handles = Handles::default();
        handles.keep(&"a-1".parse().unwrap(), 0, &Identity::own().unwrap());
        assert!(handles.kept().is_empty());
    }
}
