//! What is asked of SLURM and what comes back: the words between who decides ([`super::queue`]) and who asks.
//!
//! Nobody behind these words is trusted: an answer may be late, partial or about somebody else's job.

use super::words::State;
use crate::time::Timestamp;
use std::{collections::BTreeSet, path::PathBuf};

/// One call of a SLURM program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `scontrol ping`: whether a controller answers. Cheap, and not counted.
    Ping,
    /// `sbatch` of a script.
    Submit {
        /// The job's name: what it is found again by.
        name: String,
        /// The script.
        script: PathBuf,
    },
    /// `squeue`: every job of this user that the controller knows, ended ones until they are purged.
    Queue,
    /// `sacct`: what accounting knows of jobs that the queue does not show.
    Accounts(Inquiry),
    /// `scancel` of these jobs, by id and by name.
    Cancel {
        /// Ids.
        ids: BTreeSet<u64>,
        /// Names of jobs whose id is not known.
        names: BTreeSet<String>,
    },
}

/// What accounting is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inquiry {
    /// Jobs by id.
    pub ids: BTreeSet<u64>,
    /// Jobs by name.
    pub names: BTreeSet<String>,
    /// For names: nothing before this is of interest. Without it accounting looks back to midnight only.
    pub since: Timestamp,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A controller answers.
    Pong,
    /// The job is queued.
    Submitted {
        /// Its id.
        id: u64,
    },
    /// The queue.
    Queue(Vec<QueueRow>),
    /// The accounts, the latest row of a task last.
    Accounts(Vec<AccountRow>),
    /// The signal was taken; what it did is seen in the queue.
    Cancelled,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The program could not be started: certainly nothing was done.
    NotAsked(String),
    /// The controller said no in words that are known to mean it: nothing was done, and the same would be refused again.
    Refused(String),
    /// The controller said not now, in words that are known to mean it (a limit on queued jobs, a rate limit): nothing was
    /// done.
    Later(String),
    /// No news: it may have been done.
    Unsure(String),
}

impl Unanswered {
    /// What was said.
    pub fn text(&self) -> &str {
        match self {
            Unanswered::NotAsked(text)
            | Unanswered::Refused(text)
            | Unanswered::Later(text)
            | Unanswered::Unsure(text) => text,
        }
    }
}

/// Which tasks of a job a row is about: indices of its array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indices {
    /// The job is no array.
    Whole,
    /// These, as inclusive ranges: `4`, `[0-3,7%5]`.
    Some(Vec<(u32, u32)>),
    /// Not understood: it says that the job is there, and nothing of any task.
    Unclear(String),
}

impl Indices {
    /// Whether an index of an array, or the only task of a job that is none (0), is among them.
    pub fn has(&self, index: u32) -> bool {
        match self {
            Indices::Whole => index == 0,
            Indices::Some(ranges) => ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&index)),
            Indices::Unclear(_) => false,
        }
    }
}

/// One line of `squeue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// The job's id; of an array, the array's.
    pub id: u64,
    /// Which of its tasks.
    pub indices: Indices,
    /// Its name. Ids are used again, names of ours are not.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Why it waits, or ended, in SLURM's word: `Resources`, `NonZeroExitCode`; empty where there is none.
    pub reason: String,
    /// Its nodes; empty while it has none.
    pub nodes: String,
    /// Its partition: an operator may move it.
    pub partition: String,
}

/// One line of `sacct`: a job, never a step of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// The job's id; of an array, the array's.
    pub id: u64,
    /// Which of its tasks.
    pub indices: Indices,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// `0:15`: exit status and signal as accounting has them.
    pub exit: String,
    /// Seconds it ran; none before it started.
    pub elapsed_seconds: Option<u64>,
    /// Its nodes; empty while it has none.
    pub nodes: String,
}
