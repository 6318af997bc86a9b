//! The job directory: `jobs/ID/` with the complete input, and per task its claim, output and end.
//!
//! ```text
//! request.toml                    complete input, written before anything starts
//! handle.json                     what was started: PIDs with start time and boot id
//! tasks/K/claim                   taken exclusively by whoever runs, or cancels, the task
//! tasks/K/{stdout,stderr,progress.jsonl}
//! tasks/K/exit.json               last, by rename: it exists, so the task is over
//! ```

mod claims;

pub use claims::{Claim, Claimed, Scheduled, host};

use super::{
    identity::{Identity, boot_id},
    slurm::queue::SchedulerEnd,
};
use crate::{
    artifacts::{create_dir_private, named, write_atomic},
    evaluation::job::Measure,
    machines::{
        job::Cause,
        spec::{AgentsSpec, Brain, BudgetSpec, CurationSpec, ExecutionSpec, SlurmSpec},
    },
    time::Timestamp,
    training::job::FineTune,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The last line of `request.toml`. The beginning of a TOML file is a TOML file too, with fewer tasks: without this a
/// torn request would read as a smaller one.
const END: &str = "\n# end\n";

fn one() -> u32 {
    1
}

/// The complete input of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The job's id.
    pub job: String,
    /// The name a scheduler knows it by.
    pub name: String,
    /// Whose job it is.
    pub campaign: String,
    /// What it works for.
    pub phase: String,
    /// Counts the attempts of the same work from 1.
    pub attempt: u32,
    /// Working directory of its commands, absolute.
    pub directory: String,
    /// Limit of one task in seconds.
    pub time_seconds: Option<u64>,
    /// So many tasks like its own share the machine: the processors are divided by it.
    #[serde(default = "one")]
    pub side_by_side: u32,
    /// What is done.
    pub work: Work,
    /// What it asks of SLURM; none: its tasks are processes of this machine.
    #[serde(default)]
    pub slurm: Option<SlurmSpec>,
    /// Its tasks.
    pub tasks: Vec<TaskRequest>,
}

/// What a task does.
#[allow(clippy::large_enum_variant, reason = "there is one of it at a time")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A foreign command: an argument vector with placeholders, never a shell string.
    Command {
        /// The vector.
        argv: Vec<String>,
    },
    /// The built-in generator.
    Generate {
        /// Rules, or models.
        brain: Brain,
        /// Root of the plan.
        seed: u64,
        /// Share of samples whose query has a planted fault.
        faults: f64,
        /// The plan's index of the phase's first sample.
        offset: u64,
        /// Samples of the phase over all shards.
        total: u64,
        /// What the phase before learned; a file that is not there taught nothing.
        experience: Vec<String>,
        /// How the agents work. It names where keys are, never a key.
        agents: AgentsSpec,
    },
    /// Generated workflows are run.
    Execute {
        /// Shard files of samples, the pilot's first; one that is not there has none.
        inputs: Vec<String>,
        /// The directory in which each workflow gets one of its own.
        executions: String,
        /// The directory of the shard files of repaired samples.
        repairs: String,
        /// How they are run, and on what.
        settings: ExecutionSpec,
        /// The most repairs of one workflow.
        max_repairs: u32,
    },
    /// Curation.
    Curate {
        /// Shard files, the pilot's first.
        inputs: Vec<String>,
        /// Files of what running workflows adds to samples.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        executions: Vec<String>,
        /// The data set's directory.
        output: String,
        /// Root of all chance.
        seed: u64,
        /// The data set's name.
        name: String,
        /// What is kept, and where it goes.
        settings: CurationSpec,
    },
    /// One stage of a fine-tune.
    Train {
        /// All of it.
        job: FineTune,
    },
    /// The measurement of adapters.
    Evaluate {
        /// One by one.
        jobs: Vec<Measure>,
    },
}

/// One task's part of the work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRequest {
    /// Which part, from 0.
    pub shard: u32,
    /// Of how many.
    pub shards: u32,
    /// Samples asked of this part.
    pub target: u64,
    /// Index of its first sample within the phase.
    pub first: u64,
    /// Where samples are appended; the same for every attempt, and outside the job directory.
    pub output: Option<String>,
    /// This task's seed.
    pub seed: u64,
    /// Where what it learned is written.
    pub experience: Option<String>,
    /// Where its requests to models, and what they cost, are kept; the same for every attempt.
    pub ledger: Option<String>,
    /// What that ledger may come to: this task's slice of the budget, and what it spent before.
    pub budget: Option<BudgetSpec>,
}

/// The exit status of who could not do its work now and may be asked again (`EX_TEMPFAIL` of sysexits.h): a shim that
/// could not claim its task for want of room or descriptors, a command whose server does not answer.
pub const TRY_AGAIN: u8 = 75;

/// A command's exit status when its slice of the budget is spent before its work is done.
pub const BUDGET_SPENT: u8 = 79;

/// A worker's exit status when what it needs will never answer: a key that is refused, a model that is not there
/// (`EX_CONFIG`).
pub const REFUSED: u8 = 78;

/// How a task's command ended, as its shim saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit status.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Its time limit was reached.
    pub timed_out: bool,
    /// The shim was told to end it.
    pub stopped: bool,
    /// Why it could not be started.
    pub cannot_start: Option<String>,
    /// When it started, in milliseconds.
    pub started_at: i64,
    /// When it ended, in milliseconds.
    pub ended_at: i64,
    /// What it used, as far as the kernel counted it.
    #[serde(default)]
    pub used: Option<Usage>,
    /// What the scheduler says of its end: where the shim said nothing, or where it says more.
    #[serde(default)]
    pub scheduler: Option<SchedulerEnd>,
}

/// What the processes of a task used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processors, user and system together, in milliseconds.
    pub cpu_ms: u64,
    /// Memory of the largest process, KiB.
    pub max_rss_kib: u64,
}

impl Exit {
    /// How long its command ran, in seconds; none where it never started, or nobody knows.
    pub fn ran_seconds(&self) -> Option<u64> {
        let ran = self.ended_at.checked_sub(self.started_at)?;
        (self.started_at > 0).then_some(u64::try_from(ran).ok()? / 1000)
    }

    /// Why the task is not done, by its exit alone.
    pub fn cause(&self) -> Option<Cause> {
        if let Some(end) = &self.scheduler {
            Some(end.cause)
        } else if self.cannot_start.is_some() {
            Some(Cause::CannotStart)
        } else if self.timed_out {
            Some(Cause::TimeLimit)
        } else if self.stopped {
            Some(Cause::Stopped)
        } else if self.killed_from_outside() || self.status == Some(TRY_AGAIN.into()) {
            Some(Cause::Transient)
        } else if self.status == Some(BUDGET_SPENT.into()) {
            Some(Cause::BudgetSpent)
        } else {
            (self.status != Some(0)).then_some(Cause::Program)
        }
    }

    /// Programs do not kill themselves: the kernel does it when memory is short, a person or a shutting node otherwise.
    fn killed_from_outside(&self) -> bool {
        matches!(self.signal, Some(9 | 15))
    }

    /// In words: `ended with status 3`.
    pub fn sentence(&self) -> String {
        match self {
            Exit {
                scheduler: Some(end),
                ..
            } => end.sentence(),
            Exit {
                cannot_start: Some(why),
                ..
            } => why.clone(),
            Exit {
                timed_out: true, ..
            } => "reached its time limit".into(),
            Exit { stopped: true, .. } => "was stopped by a signal to its shim".into(),
            Exit {
                signal: Some(signal),
                ..
            } if self.killed_from_outside() => {
                format!("was killed from outside by signal {signal}, perhaps for want of memory")
            }
            Exit {
                signal: Some(signal),
                ..
            } => format!("was ended by signal {signal}"),
            Exit {
                status: Some(status),
                ..
            } if *status == i32::from(BUDGET_SPENT) => "its slice of the budget is spent".into(),
            Exit { status, .. } => format!("ended with status {}", status.unwrap_or(-1)),
        }
    }
}

/// One job directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDir {
    root: PathBuf,
}

impl JobDir {
    /// The job directory at `root`; nothing is opened.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `request.toml`.
    pub fn request_path(&self) -> PathBuf {
        self.root.join("request.toml")
    }

    /// `handle.json`.
    pub fn handle(&self) -> PathBuf {
        self.root.join("handle.json")
    }

    /// A task's own directory.
    pub fn task(&self, shard: u32) -> PathBuf {
        self.root.join("tasks").join(shard.to_string())
    }

    /// What the command printed.
    pub fn stdout(&self, shard: u32) -> PathBuf {
        self.task(shard).join("stdout")
    }

    /// What the command complained of.
    pub fn stderr(&self, shard: u32) -> PathBuf {
        self.task(shard).join("stderr")
    }

    /// The worker's own progress.
    pub fn progress(&self, shard: u32) -> PathBuf {
        self.task(shard).join("progress.jsonl")
    }

    /// What every process of a task has in its environment, unless it takes care not to.
    pub fn mark(&self, shard: u32) -> String {
        format!("CAMPAIGND_PROGRESS={}", self.progress(shard).display())
    }

    /// Writes the input.
    ///
    /// # Errors
    /// Those of the file system, naming the path.
    pub fn write_request(&self, request: &Request) -> io::Result<()> {
        if let Some(jobs) = self.root.parent() {
            // It was there when the daemon began: were it made anew, the state directory would be.
            fs::metadata(jobs).map_err(|error| named(error, "enter", jobs))?;
        }
        create_dir_private(&self.root)?;
        let text = toml::to_string(request)
            .map_err(|error| io::Error::other(format!("request.toml: {error}")))?
            + END;
        write_atomic(&self.request_path(), text.as_bytes())
    }

    /// Reads the input.
    ///
    /// # Errors
    /// Names the file; `InvalidData` where it is no request.
    pub fn read_request(&self) -> io::Result<Request> {
        let path = self.request_path();
        let text = fs::read_to_string(&path).map_err(|error| named(error, "read", &path))?;
        let wrong = |why: &str| {
            let text = format!("{}: {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        if !text.ends_with(END) {
            return Err(wrong("it has no end"));
        }
        toml::from_str(&text).map_err(|error| wrong(error.message()))
    }

    /// Says that a task is over; the last thing a shim does.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_exit(&self, shard: u32, exit: &Exit) -> io::Result<()> {
        write_atomic(
            &self.task(shard).join("exit.json"),
            &serde_json::to_vec(exit)?,
        )
    }

    /// Says on the scheduler's word that a task is over, unless somebody has said so before. A later start of the same task
    /// finds it over.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_end(&self, shard: u32, end: &SchedulerEnd) -> io::Result<()> {
        let dir = self.task(shard);
        create_dir_private(&dir)?;
        let at = Timestamp::from(SystemTime::now()).0;
        let claimed = self.read_claim(shard).map_or(at, |claim| claim.at);
        let exit = Exit {
            started_at: claimed,
            ended_at: at,
            scheduler: Some(end.clone()),
            ..Exit::default()
        };
        let told = dir.join("exit.scheduler");
        write_atomic(&told, &serde_json::to_vec(&exit)?)?;
        let linked = fs::hard_link(&told, dir.join("exit.json"));
        fs::remove_file(&told)?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    /// How the task ended; none while it has not. Written by rename: a torn one was never written by a shim.
    ///
    /// # Errors
    /// Those of reading: nothing is known then.
    pub fn read_exit(&self, shard: u32) -> io::Result<Option<Exit>> {
        let bytes = read_file(&self.task(shard).join("exit.json"))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes down what was started, for people; claims are the evidence.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_handle(&self, tasks: &[(u32, Identity)]) -> io::Result<()> {
        let tasks: Vec<_> = tasks
            .iter()
            .map(|(shard, process)| serde_json::json!({ "shard": shard, "process": process }))
            .collect();
        let handle =
            serde_json::json!({ "executor": "local", "boot_id": boot_id()?, "tasks": tasks });
        write_atomic(&self.handle(), handle.to_string().as_bytes())
    }
}

/// The content of a file; none when there is none.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(error, "read", path)),
    }
}
