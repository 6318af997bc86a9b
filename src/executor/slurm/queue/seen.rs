//! What is known of a submission, and what is seen of each of its tasks.

use crate::{
    executor::slurm::words::{Meaning, State},
    time::Timestamp,
};
use std::time::Duration;

/// Where a submission is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// To be submitted, not before this; and what stands in the way.
    Fresh(Timestamp, Option<String>),
    /// `sbatch` is at work.
    Asked,
    /// It may be queued.
    Doubt(Doubt),
    /// It is, under this id.
    Known(u64),
    /// It never will be: the scheduler's own sentence.
    Refused(String),
    /// It was ended before it was queued.
    Dropped,
}

/// What is known of a submission that may have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// When it may have.
    pub since: Timestamp,
    /// Why that is not known.
    pub why: String,
    /// Polls since then that did not show it.
    pub absent: u32,
    /// The accounts were asked for it, and do not know it or do not answer.
    pub not_in_accounts: bool,
}

impl Stage {
    /// What stands in the way of a submission.
    pub fn why(&self) -> Option<String> {
        match self {
            Stage::Fresh(_, why) => why.clone(),
            Stage::Doubt(doubt) => Some(format!("being looked for: {}", doubt.why)),
            _ => None,
        }
    }
}

/// What is seen of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The job directory calls it over.
    pub over: bool,
    /// The latest row about it.
    pub row: Option<Row>,
    /// How often in a row the scheduler called it over and the job directory did not.
    pub ended: u32,
    /// Polls in a row that did not show it, and since when.
    pub absent: u32,
    /// When the first of them was.
    pub absent_since: Timestamp,
    /// Its latest sign of life in the job directory.
    pub beat: Option<i64>,
    /// Of these, answers of the accounts without it.
    pub unknown: u32,
    /// Of these, answers of the accounts by which it goes on.
    pub stale: u32,
    /// Since which poll a word about its end is waited for.
    pub word_since: Option<u32>,
    /// The word was given, or given up.
    pub word_told: bool,
}

impl Seen {
    /// Whether the scheduler has not said yet how it ended, and somebody waits for that.
    pub fn waits_for_a_word(&self) -> bool {
        self.word_since.is_some() && !self.word_told && !self.says_it_all()
    }

    /// Whether the latest row tells the end, and of a cancellation who did it.
    pub fn says_it_all(&self) -> bool {
        let state = self.row.as_ref().map(|row| &row.state);
        state.is_some_and(|state| matches!(state.meaning(), Meaning::Over(_)))
            && !self.is_cancelled_by_nobody()
    }

    /// `squeue` never says who cancelled a job; `sacct` does.
    pub fn is_cancelled_by_nobody(&self) -> bool {
        let state = self.row.as_ref().map(|row| &row.state);
        state == Some(&State::Cancelled { by: None })
    }

    /// Whether so many looks without it are enough.
    pub fn gone(&self, looks: u32, (least, over): (u32, Duration), now: Timestamp) -> bool {
        looks >= least && now.since(self.absent_since) >= over
    }
}

/// What a row said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its state.
    pub state: State,
    /// Its reason.
    pub reason: String,
    /// Its nodes.
    pub nodes: String,
    /// Its partition.
    pub partition: String,
}
