//! Into the background: forks before any thread exists, and the parent leaves only when the child answers, or says why not.

use super::StartError;
use daemonize::{Daemonize, Outcome};
use nix::{
    sys::stat::{Mode, umask},
    unistd::pipe,
};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The word that means that the daemon answers.
const READY: &str = "ready\n";

/// The child's way to tell the shell how starting went.
pub struct Readiness(File);

impl Readiness {
    /// The daemon answers.
    pub fn ready(mut self) {
        // The shell may be gone.
        let _ = self.0.write_all(READY.as_bytes());
    }

    /// It could not start: the exit status, then the reason.
    pub fn failed(mut self, why: &str, status: u8) {
        let _ = self.0.write_all(format!("{status}\n{why}").as_bytes());
    }
}

/// Why the child did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// For a person.
    pub why: String,
    /// The exit status that the shell gets.
    pub status: u8,
}

impl NotStarted {
    /// What the child's last word means.
    fn of(said: &str, log: &Path) -> Self {
        let told = said.split_once('\n');
        match told.and_then(|(status, why)| Some((status.parse().ok()?, why))) {
            Some((status, why)) => Self {
                why: why.into(),
                status,
            },
            None => Self {
                why: format!(
                    "error: the daemon died while starting: see {}\n",
                    log.display()
                ),
                status: 1,
            },
        }
    }
}

/// Which side of the fork this is.
pub enum Side {
    /// The shell's: how the child's start went.
    Parent(Result<(), NotStarted>),
    /// The daemon's.
    Child(Readiness),
}

/// The umask, which can only be read by setting it; without a word daemonize sets one of its own.
fn umask_now() -> u32 {
    let now = umask(Mode::from_bits_truncate(0o077));
    umask(now);
    now.bits()
}

/// Forks; stdout and stderr of the child go to `log`.
///
/// # Errors
/// A log that cannot be opened, or a fork that fails.
pub fn fork(log: &Path) -> Result<Side, StartError> {
    let wrong =
        |message: String| StartError::lasting(message, log, "campaignd serve without --daemonize");
    let open = || {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(log)
    };
    let stdout = open().map_err(|error| wrong(format!("the log cannot be opened: {error}")))?;
    let stderr = open().map_err(|error| wrong(format!("the log cannot be opened: {error}")))?;
    let (read, write) = pipe().map_err(|error| wrong(format!("no pipe: {error}")))?;
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    match Daemonize::new()
        .working_directory(here)
        .umask(umask_now())
        .stdout(stdout)
        .stderr(stderr)
        .execute()
    {
        Outcome::Parent(Ok(_)) => {
            drop(write);
            let mut said = String::new();
            // The child's end of the pipe closes with its last word, or with its death.
            let read = File::from(read).read_to_string(&mut said);
            Ok(Side::Parent(match read {
                Ok(_) if said == READY => Ok(()),
                _ => Err(NotStarted::of(&said, log)),
            }))
        }
        Outcome::Parent(Err(error)) => {
            Err(wrong(format!("it cannot go into the background: {error}")))
        }
        Outcome::Child(Ok(_)) => {
            drop(read);
            Ok(Side::Child(Readiness(File::from(write))))
        }
        Outcome::Child(Err(error)) => {
            Err(wrong(format!("it cannot go into the background: {error}")))
        }
    }
}
