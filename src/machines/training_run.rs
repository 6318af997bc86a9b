//! One training run: the stages of a fine-tune, one after the other.

use super::table::Guard;
use crate::{time::Timestamp, words::words};
use serde::{Deserialize, Serialize};

words! {
    /// The states of `state-machines/training_run.toml`.
    pub enum State {
        /// Decided, not begun.
        Queued = "queued",
        /// A stage is under way.
        Running = "running",
        /// Every stage is done.
        Done = "done",
        /// A stage failed.
        Failed = "failed",
        /// Ended because it was asked to.
        Cancelled = "cancelled",
    }
}

impl State {
    /// Whether the run is over.
    pub fn ended(self) -> bool {
        matches!(self, State::Done | State::Failed | State::Cancelled)
    }
}

/// The record; its key is `run-CYCLE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingRun {
    /// Which cycle of the campaign it belongs to, from 1.
    pub cycle: u32,
    /// The stage under way, from 1; 0 before the first.
    pub stage: u32,
    /// How many stages there are.
    pub stages: u32,
    /// Where it is in `state-machines/training_run.toml`.
    pub state: State,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl TrainingRun {
    /// The record's key.
    pub fn key(cycle: u32) -> String {
        format!("run-{cycle}")
    }

    /// Whether a route's condition holds.
    pub fn holds(&self, guard: Guard) -> bool {
        guard == Guard::StagesLeft && self.stage < self.stages
    }

    /// Sentences about facts that cannot be; empty for a sound record.
    pub fn check(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.stage > self.stages {
            found.push(format!(
                "run {}: stage {} of {}",
                self.cycle, self.stage, self.stages
            ));
        }
        if self.state.ended() != self.ended_at.is_some() {
            found.push(format!(
                "run {}: ended without a time, or the reverse",
                self.cycle
            ));
        }
        if self.state == State::Done && self.stage != self.stages {
            found.push(format!(
                "run {}: done after stage {}",
                self.cycle, self.stage
            ));
        }
        found
    }
}
