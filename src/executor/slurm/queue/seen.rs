//! What is seen of one task.

use crate::executor::slurm::words::{Meaning, State};

/// What is seen of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The job directory calls it over.
    pub over: bool,
    /// The latest row about it.
    pub row: Option<Row>,
    /// How often in a row the scheduler called it over and the job directory did not.
    pub ended: u32,
    /// Polls in a row that did not show it.
    pub absent: u32,
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
