//! One training run: the stages of a fine-tune, one after the other.

use super::table::Guard;
use crate::{ids::CampaignId, time::Timestamp, words::words};
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

/// The record; its key is `run-CYCLE-NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingRun {
    /// Which cycle of the campaign it belongs to, from 1.
    pub cycle: u32,
    /// Which of the campaign's fine-tunes it is; empty in a campaign that had one without a name.
    pub name: String,
    /// The stage under way, from 1; 0 before the first.
    pub stage: u32,
    /// How many stages there are.
    pub stages: u32,
    /// Where it is in `state-machines/training_run.toml`.
    pub state: State,
    /// When it first began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl TrainingRun {
    /// The record's key, and the name of the run's directory.
    pub fn key_of(cycle: u32, name: &str) -> String {
        let dash = if name.is_empty() { "" } else { "-" };
        format!("run-{cycle}{dash}{name}")
    }

    /// Its own.
    pub fn key(&self) -> String {
        Self::key_of(self.cycle, &self.name)
    }

    /// The id of the experiment that it is, in the history.
    pub fn experiment_id(&self, campaign: &CampaignId) -> String {
        format!("{campaign}-{}", self.key())
    }

    /// Whether a route's condition holds.
    pub fn holds(&self, guard: Guard) -> bool {
        guard == Guard::StagesLeft && self.stage < self.stages
    }

    /// Sentences about facts that cannot be; empty for a sound record.
    pub fn check(&self) -> Vec<String> {
        let key = self.key();
        let mut found = Vec::new();
        if self.stage > self.stages {
            found.push(format!("{key}: stage {} of {}", self.stage, self.stages));
        }
        if self.state.ended() != self.ended_at.is_some() {
            found.push(format!("{key}: ended without a time, or the reverse"));
        }
        if self.state == State::Done && self.stage != self.stages {
            found.push(format!("{key}: done after stage {}", self.stage));
        }
        found
    }
}
