//! Facts from outside: what persons asked for, what performers report, and what the clock says.

use super::{
    job::{Cause, TaskEnd},
    proposal::Proposal,
    spec::{BudgetSpec, CampaignSpec, Parts},
};
use crate::{
    evaluation::{Criteria, Verdict},
    history::{Experiment, constraints::Ruling},
    ids::EffectId,
};
use serde::{Deserialize, Serialize};

/// A fact, in the past tense. The journal keeps it as JSON, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A person handed in a campaign.
    Submitted {
        /// What is asked for.
        spec: Box<CampaignSpec>,
        /// Which part of it.
        parts: Parts,
    },
    /// A person asked for another part of a halted campaign.
    Continued {
        /// Which part.
        parts: Parts,
    },
    /// A person approved the launch.
    ApprovalGranted {},
    /// A person refused the launch.
    ApprovalDenied {
        /// In their words.
        why: String,
    },
    /// A person changed what the gate compares.
    CriteriaAmended {
        /// The new criteria.
        criteria: Criteria,
    },
    /// A person changed what the campaign's models may cost; a bound that is not named stays.
    BudgetAmended {
        /// The new bounds.
        budget: BudgetSpec,
    },
    /// Nothing new is to start.
    PauseAsked {},
    /// The pause is over.
    ResumeAsked {},
    /// A person ends the campaign.
    CancelAsked {
        /// In their words; may be empty.
        why: String,
    },
    /// A person wants a failed campaign to go on.
    RetryAsked {},
    /// The state lasted too long.
    DeadlinePassed {},
    /// The daemon ends its local jobs on purpose, to start them again later.
    Interrupted {},
    /// A job's tasks are started, or were found started.
    JobLaunched {
        /// The obligation, which is the job's id.
        effect: EffectId,
        /// Whether it was found rather than started.
        adopted: bool,
        /// GPUs that each task has, where only the machine knows.
        #[serde(default)]
        gpus: Option<u32>,
    },
    /// A job could not be started.
    LaunchFailed {
        /// The obligation, which is the job's id.
        effect: EffectId,
        /// Whether trying again may help.
        cause: Cause,
        /// One sentence.
        text: String,
    },
    /// A task ended.
    TaskEnded {
        /// The watch that saw it.
        effect: EffectId,
        /// Its job.
        job: EffectId,
        /// Which task.
        shard: u32,
        /// How.
        end: TaskEnd,
    },
    /// Several tasks of a job ended, in this order.
    TasksEnded {
        /// The watch that saw them.
        effect: EffectId,
        /// Their job.
        job: EffectId,
        /// Which, and how.
        ends: Vec<(u32, TaskEnd)>,
    },
    /// A job was ended because that was asked: nothing of it runs any more.
    JobEnded {
        /// The obligation.
        effect: EffectId,
        /// Its job.
        job: EffectId,
        /// How each task ended that had not ended before.
        ends: Vec<(u32, TaskEnd)>,
    },
    /// A job is alive but has made nothing for a while.
    JobSilent {
        /// The job.
        job: EffectId,
        /// For how many seconds.
        seconds: u64,
    },
    /// A silent job makes progress again.
    JobSpoke {
        /// The job.
        job: EffectId,
    },
    /// The gate gave its verdict.
    PilotJudged {
        /// The obligation.
        effect: EffectId,
        /// The verdict.
        verdict: Verdict,
    },
    /// The history holds the campaign's result.
    Recorded {
        /// The obligation.
        effect: EffectId,
        /// What came of the cycle.
        #[serde(default)]
        experiments: Vec<Experiment>,
    },
    /// The next proposals are known.
    Planned {
        /// The obligation.
        effect: EffectId,
        /// They are; their ids are given here, and those of their runs with them.
        proposals: Vec<Proposal>,
        /// Why there are none, or how they were chosen.
        why: String,
    },
    /// A person wants something tried.
    Proposed {
        /// What.
        proposal: Box<Proposal>,
    },
    /// A person decided on proposals that wait.
    ProposalsDecided {
        /// Which.
        ids: Vec<String>,
        /// Whether they are to be tried.
        approve: bool,
        /// Who, and in their words why.
        by: String,
    },
    /// A person ruled about a constraint.
    ConstraintRuled {
        /// What came of it.
        ruling: Box<Ruling>,
    },
    /// The budget forbids to launch what waits.
    BudgetSpent {
        /// Which bound, in a sentence.
        text: String,
    },
    /// An effect cannot be performed.
    EffectFailed {
        /// The obligation.
        effect: EffectId,
        /// One sentence.
        text: String,
    },
}

impl Event {
    /// The word for journals and screens.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Submitted { .. } => "submitted",
            Event::Continued { .. } => "continued",
            Event::ApprovalGranted {} => "approval_granted",
            Event::ApprovalDenied { .. } => "approval_denied",
            Event::CriteriaAmended { .. } => "criteria_amended",
            Event::BudgetAmended { .. } => "budget_amended",
            Event::PauseAsked {} => "pause_asked",
            Event::ResumeAsked {} => "resume_asked",
            Event::CancelAsked { .. } => "cancel_asked",
            Event::RetryAsked {} => "retry_asked",
            Event::DeadlinePassed {} => "deadline_passed",
            Event::Interrupted {} => "interrupted",
            Event::JobLaunched { .. } => "job_launched",
            Event::LaunchFailed { .. } => "launch_failed",
            Event::TaskEnded { .. } => "task_ended",
            Event::TasksEnded { .. } => "tasks_ended",
            Event::JobEnded { .. } => "job_ended",
            Event::JobSilent { .. } => "job_silent",
            Event::JobSpoke { .. } => "job_spoke",
            Event::PilotJudged { .. } => "pilot_judged",
            Event::Recorded { .. } => "recorded",
            Event::Planned { .. } => "planned",
            Event::Proposed { .. } => "proposed",
            Event::ProposalsDecided { .. } => "proposals_decided",
            Event::ConstraintRuled { .. } => "constraint_ruled",
            Event::BudgetSpent { .. } => "budget_spent",
            Event::EffectFailed { .. } => "effect_failed",
        }
    }

    /// The job that this event is about.
    pub fn job(&self) -> Option<&EffectId> {
        match self {
            Event::JobLaunched { effect: job, .. }
            | Event::LaunchFailed { effect: job, .. }
            | Event::TaskEnded { job, .. }
            | Event::TasksEnded { job, .. }
            | Event::JobEnded { job, .. }
            | Event::JobSilent { job, .. }
            | Event::JobSpoke { job } => Some(job),
            _ => None,
        }
    }

    /// The obligation that this event is a report on.
    pub fn effect(&self) -> Option<&EffectId> {
        match self {
            Event::JobLaunched { effect, .. }
            | Event::LaunchFailed { effect, .. }
            | Event::TaskEnded { effect, .. }
            | Event::TasksEnded { effect, .. }
            | Event::JobEnded { effect, .. }
            | Event::PilotJudged { effect, .. }
            | Event::Recorded { effect, .. }
            | Event::Planned { effect, .. }
            | Event::EffectFailed { effect, .. } => Some(effect),
            _ => None,
        }
    }
}
