//! The process of one run: its own process group, its time limit, its output in files; and the signals that end the task.

use super::{clock, place::Place, undone};
use crate::{
    artifacts::{is_starved, named, room::patiently},
    executor::job_dir::TRY_AGAIN,
    time::Timestamp,
    worker::{
        Undone,
        exec::{Happened, empty, follow},
    },
};
use nix::{
    sys::signal::{SigSet, Signal},
    unistd::Pid,
};
use std::{
    fs::OpenOptions,
    io,
    os::unix::{
        fs::OpenOptionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

/// What every process of a run has in its environment, unless it takes care not to: its directory.
const MARK: &str = "CAMPAIGND_EXECUTION";

/// What the shim tells this worker and is no matter of the commands: they are not to append to the task's lines.
const NOT_THEIRS: [&str; 6] = [
    "CAMPAIGND_OUTPUT",
    "CAMPAIGND_TARGET",
    "CAMPAIGND_SHARD",
    "CAMPAIGND_SHARDS",
    "CAMPAIGND_SEED",
    "CAMPAIGND_PHASE",
];

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub status: Option<i32>,
    pub signal: Option<i32>,
    pub timed_out: bool,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
}

/// Runs one command after the other.
pub(super) struct Runner {
    signals: SigSet,
    happened: Sender<Happened>,
    happenings: Receiver<Happened>,
}

/// A signal to all of a job reaches its processes within this.
const BETWEEN_SIGNALS: Duration = Duration::from_secs(2);

impl Runner {
    /// Takes the signals that ask the task to end.
    ///
    /// # Errors
    /// They cannot be taken.
    pub fn new() -> io::Result<Self> {
        let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
            .into_iter()
            .collect();
        signals.thread_block()?;
        let (happened, happenings) = channel();
        let told = happened.clone();
        thread::spawn(
            move || {
                while signals.wait().is_ok() && told.send(Happened::Told).is_ok() {}
            },
        );
        Ok(Self {
            signals,
            happened,
            happenings,
        })
    }

    /// Runs the command of a place to its end, or to its limit in seconds.
    ///
    /// # Errors
    /// It cannot be started, which is no matter of the workflow; the task was told to end, and nothing is known of it.
    pub fn run(&mut self, place: &Place, limit: Option<u64>) -> Result<Ended, Undone> {
        if self.happenings.try_recv().is_ok() {
            return Err(told());
        }
        let started_at = clock();
        let mut child = self.start(place)?;
        let group = i32::try_from(child.id()).map(Pid::from_raw).ok();
        let ended = self.happened.clone();
        thread::spawn(move || {
            // The receiver lives as long as the runner.
            let _ = ended.send(Happened::Ended(child.wait()));
        });
        let limit = limit.map(Duration::from_secs);
        let (status, was_told, timed_out) = follow(&self.happenings, group, limit);
        // Nothing of a run may write after its end is told.
        empty(group, &format!("{MARK}={}", place.dir.display()));
        let status = status.map_err(|error| undone(&error))?;
        // A scheduler signals the run and this process at once: whose end is seen first is chance.
        let by_signal = matches!(status.signal(), Some(15 | 2 | 1))
            || matches!(status.code(), Some(143 | 130 | 129));
        if was_told || (by_signal && self.is_told_within(BETWEEN_SIGNALS)) {
            return Err(told());
        }
        Ok(Ended {
            status: status.code(),
            signal: status.signal(),
            timed_out,
            started_at,
            ended_at: clock(),
        })
    }

    /// Whether the task is told to end, now or in a moment.
    fn is_told_within(&self, moment: Duration) -> bool {
        let heard = self.happenings.recv_timeout(moment);
        matches!(heard, Ok(Happened::Told))
    }

    fn start(&self, place: &Place) -> Result<Child, Undone> {
        let (program, arguments) = place
            .command
            .split_first()
            .ok_or_else(|| "the command is empty".to_owned())?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&place.dir);
        for name in NOT_THEIRS {
            command.env_remove(name);
        }
        for (name, value) in &place.values {
            command.env(format!("CAMPAIGND_{}", name.to_uppercase()), value);
        }
        command
            .env(MARK, &place.dir)
            .stdin(Stdio::null())
            .process_group(0);
        let mut start = || {
            command.stdout(log(&place.stdout())?);
            command.stderr(log(&place.stderr())?);
            // A child inherits the mask. A signal in this instant ends the worker, and the shim sees to the rest.
            self.signals.thread_unblock()?;
            let started = command.spawn();
            self.signals.thread_block()?;
            started
        };
        patiently(|_| (), &mut start).map_err(|error| {
            if is_starved(&error) {
                return undone(&error);
            }
            Undone::from(format!("\"{program}\" cannot be started: {error}"))
        })
    }
}

fn told() -> Undone {
    Undone {
        status: TRY_AGAIN,
        text: "told to end".into(),
    }
}

fn log(path: &Path) -> io::Result<std::fs::File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    file.map_err(|error| named(error, "open", path))
}
