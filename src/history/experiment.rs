//! One experiment: what was set, what was measured, and why it failed if it did.

use crate::{parameters::Assignment, time::Timestamp, words::words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// How an experiment ended (specification 4, "Job States": those that are an end).
    pub enum Status {
        /// It did what was asked.
        Completed = "completed",
        /// It did not.
        Failed = "failed",
        /// A person ended it.
        Cancelled = "cancelled",
    }
}

words! {
    /// What an experiment failed of: what there is to learn from it.
    pub enum FailureCause {
        /// Memory, of the machine or of a GPU: too large a model, batch or sequence.
        Memory = "memory",
        /// A loss that grew without bound or was no number: too large a step.
        Stability = "stability",
        /// It did not end in its time.
        TimeLimit = "time_limit",
        /// The node or the network: teaches nothing.
        Node = "node",
        /// The program ended with an error of its own, or its data were wrong.
        Program = "program",
        /// It never ran: a constraint refused it. Teaches nothing.
        Refused = "refused",
    }
}

impl Experiment {
    /// Whether it never ran.
    pub fn is_refused(&self) -> bool {
        let cause = self.failure.as_ref().map(|failure| failure.cause);
        cause == Some(FailureCause::Refused)
    }

    /// Whether it says something of what was set: it completed, or failed of that. A lost node, a refusal and a person who
    /// ended it say nothing.
    pub fn teaches(&self) -> bool {
        let cause = self.failure.as_ref().map(|failure| failure.cause);
        match self.status {
            Status::Completed => true,
            Status::Failed => !matches!(cause, Some(FailureCause::Node | FailureCause::Refused)),
            Status::Cancelled => false,
        }
    }

    /// The same when its campaign is removed: another of that name may make experiments of the same ids.
    pub fn of_the_past(&self, campaign_created_at: Timestamp) -> Experiment {
        Experiment {
            experiment_id: format!("{}@{campaign_created_at}", self.experiment_id),
            ..self.clone()
        }
    }
}

/// Why an experiment failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Of what.
    pub cause: FailureCause,
    /// One sentence with the evidence.
    pub text: String,
}

/// One experiment: a training run, or a campaign that made data and trained nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its id, unique over all campaigns: `alttp-run-2-p4`.
    pub experiment_id: String,
    /// The campaign that it belongs to.
    pub campaign: String,
    /// Which cycle of it, from 1.
    pub cycle_id: u32,
    /// How it ended.
    pub status: Status,
    /// What was set.
    pub config: Assignment,
    /// What was measured; finite numbers.
    pub metrics: BTreeMap<String, f64>,
    /// How long it took.
    pub duration_seconds: f64,
    /// GPU hours that it used; 0 on processors.
    pub gpu_hours: f64,
    /// What kind of proposal it was.
    pub proposal_type: String,
    /// How daring: `low`, `medium` or `high`.
    pub risk_level: String,
    /// The proposal that it carried out, where there was one.
    pub proposal: Option<String>,
    /// The adapter that it made.
    pub adapter: Option<String>,
    /// What is shown of it: `improved`, `regressed` or `underpowered`.
    pub verdict: Option<String>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// When it ended.
    pub ended_at: Timestamp,
}
