//! The states of SLURM by name (`man squeue`, "JOB STATE CODES"), and what each means here.

use crate::{machines::job::Cause, words::words};
use std::fmt;

/// A state of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Cancelled before or while it ran, by this user if that was said.
    Cancelled {
        /// The uid.
        by: Option<u32>,
    },
    /// One of the known words.
    Known(Word),
    /// A word that this version has never seen: neither an error nor a guess.
    Unknown(String),
}

words! {
    /// The known words but `CANCELLED`.
    pub enum Word {
        /// Its nodes did not boot.
        BootFail = "BOOT_FAIL",
        /// Ended with status 0.
        Completed = "COMPLETED",
        /// Being taken down.
        Completing = "COMPLETING",
        /// Its nodes are made ready.
        Configuring = "CONFIGURING",
        /// Ended at its deadline.
        Deadline = "DEADLINE",
        /// Ended with another status, or by a signal.
        Failed = "FAILED",
        /// Its nodes could not launch it.
        LaunchFailed = "LAUNCH_FAILED",
        /// A node of it failed.
        NodeFail = "NODE_FAIL",
        /// The kernel killed some of it for want of memory.
        OutOfMemory = "OUT_OF_MEMORY",
        /// Waits.
        Pending = "PENDING",
        /// Its nodes are powered up.
        PowerUpNode = "POWER_UP_NODE",
        /// Gave way to another job.
        Preempted = "PREEMPTED",
        /// Its nodes could not be made ready.
        ReconfigFail = "RECONFIG_FAIL",
        /// Put back into the queue.
        Requeued = "REQUEUED",
        /// Put back by a federation.
        RequeueFed = "REQUEUE_FED",
        /// Put back, and held.
        RequeueHold = "REQUEUE_HOLD",
        /// Changes its size.
        Resizing = "RESIZING",
        /// Held: its reservation is gone.
        ResvDelHold = "RESV_DEL_HOLD",
        /// Runs on another cluster.
        Revoked = "REVOKED",
        /// Runs.
        Running = "RUNNING",
        /// Is being sent a signal.
        Signaling = "SIGNALING",
        /// Put back after a special exit, and held.
        SpecialExit = "SPECIAL_EXIT",
        /// Its files are brought out.
        StageOut = "STAGE_OUT",
        /// Stopped by SIGSTOP; keeps its processors.
        Stopped = "STOPPED",
        /// Stopped; its processors are given away.
        Suspended = "SUSPENDED",
        /// Reached its time limit.
        Timeout = "TIMEOUT",
        /// Accounting is brought up to date.
        UpdateDb = "UPDATE_DB",
    }
}

/// What a state means for who waits for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It has not begun, or will begin again.
    Waits,
    /// It runs, or is about to be over.
    Runs,
    /// It is over: none of it runs and none will. Without a cause, its own exit status says how it ended.
    Over(Option<Cause>),
    /// Nothing is known.
    Unclear,
}

const CANCELLED: &str = "CANCELLED";

impl State {
    /// Reads SLURM's word: `RUNNING`, `CANCELLED by 1000`, and what a narrow column leaves of one (`OUT_OF_ME+`) if only one
    /// word begins so. Anything else is [`State::Unknown`].
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let whole = match text.strip_suffix('+') {
            Some(beginning) => completed(beginning),
            None => Some(text),
        };
        whole
            .and_then(Self::whole)
            .unwrap_or_else(|| State::Unknown(text.into()))
    }

    fn whole(text: &str) -> Option<Self> {
        if text == CANCELLED {
            return Some(State::Cancelled { by: None });
        }
        if let Some(uid) = text.strip_prefix("CANCELLED by ") {
            let by = Some(uid.parse().ok()?);
            return Some(State::Cancelled { by });
        }
        text.parse().ok().map(State::Known)
    }

    /// What it means for who waits for the job.
    pub fn meaning(&self) -> Meaning {
        match self {
            State::Cancelled { .. } => Meaning::Over(Some(Cause::Stopped)),
            State::Known(word) => word.meaning(),
            State::Unknown(_) => Meaning::Unclear,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Cancelled { by: None } => f.pad(CANCELLED),
            State::Cancelled { by: Some(uid) } => f.pad(&format!("{CANCELLED} by {uid}")),
            State::Known(word) => f.pad(word.name()),
            State::Unknown(text) => f.pad(text),
        }
    }
}

/// The only word that begins so.
fn completed(beginning: &str) -> Option<&'static str> {
    let words = Word::ALL.iter().map(|word| word.name());
    let mut fitting = words
        .chain([CANCELLED])
        .filter(|word| !beginning.is_empty() && word.starts_with(beginning));
    let first = fitting.next();
    first.filter(|_| fitting.next().is_none())
}

impl Word {
    fn meaning(self) -> Meaning {
        match self {
            Word::Configuring
            | Word::Pending
            | Word::PowerUpNode
            | Word::Requeued
            | Word::RequeueFed
            | Word::RequeueHold
            | Word::ResvDelHold
            | Word::SpecialExit => Meaning::Waits,
            Word::Completing
            | Word::Resizing
            | Word::Running
            | Word::Signaling
            | Word::StageOut
            | Word::Stopped
            | Word::Suspended => Meaning::Runs,
            Word::Completed | Word::Failed => Meaning::Over(None),
            Word::Deadline | Word::Timeout => Meaning::Over(Some(Cause::TimeLimit)),
            Word::OutOfMemory => Meaning::Over(Some(Cause::OutOfMemory)),
            Word::BootFail
            | Word::LaunchFailed
            | Word::NodeFail
            | Word::Preempted
            | Word::ReconfigFail => Meaning::Over(Some(Cause::Transient)),
            // A revoked job was started by another cluster of the federation: here it is over, there it may run.
            Word::Revoked | Word::UpdateDb => Meaning::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_and_is_given_back() {
        for word in Word::ALL {
            assert_eq!(State::read(word.name()), State::Known(*word));
            assert_eq!(State::Known(*word).to_string(), word.name());
        }
        assert_eq!(State::read(" RUNNING "), State::Known(Word::Running));
        for text in ["CANCELLED", "CANCELLED by 1000", "HIBERNATING", ""] {
            assert_eq!(State::read(text).to_string(), text);
        }
    }

    #[test]
    fn who_cancelled_is_read() {
        // sacct of SLURM 22.05.8 after scancel by root; squeue says CANCELLED.
        assert_eq!(
            State::read("CANCELLED by 0"),
            State::Cancelled { by: Some(0) }
        );
        assert_eq!(State::read("CANCELLED"), State::Cancelled { by: None });
        assert_eq!(State::read("CANCELLED+"), State::Cancelled { by: None });
        let odd = "CANCELLED by -1";
        assert_eq!(State::read(odd), State::Unknown(odd.into()));
    }

    #[test]
    fn a_beginning_counts_if_one_word_has_it() {
        assert_eq!(State::read("OUT_OF_ME+"), State::Known(Word::OutOfMemory));
        assert_eq!(State::read("COMPLETED+"), State::Known(Word::Completed));
        for unclear in ["COMPLET+", "REQUEUE+", "RE+", "+", "OUT_OF_ME", "XYZ+"] {
            assert_eq!(State::read(unclear), State::Unknown(unclear.into()));
        }
    }

    #[test]
    fn what_states_mean() {
        let meaning = |text| State::read(text).meaning();
        let over = |cause| Meaning::Over(Some(cause));
        assert_eq!(meaning("PENDING"), Meaning::Waits);
        assert_eq!(meaning("SPECIAL_EXIT"), Meaning::Waits);
        assert_eq!(meaning("SUSPENDED"), Meaning::Runs);
        assert_eq!(meaning("COMPLETING"), Meaning::Runs);
        assert_eq!(meaning("COMPLETED"), Meaning::Over(None));
        assert_eq!(meaning("FAILED"), Meaning::Over(None));
        assert_eq!(meaning("DEADLINE"), over(Cause::TimeLimit));
        assert_eq!(meaning("PREEMPTED"), over(Cause::Transient));
        assert_eq!(meaning("OUT_OF_MEMORY"), over(Cause::OutOfMemory));
        assert_eq!(meaning("CANCELLED by 5"), over(Cause::Stopped));
        assert_eq!(meaning("REVOKED"), Meaning::Unclear);
        assert_eq!(meaning("HIBERNATING"), Meaning::Unclear);
    }
}
