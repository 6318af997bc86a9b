//! Everything the program can do to the world, in one enum.
//!
//! An effect is an obligation: it stays in the outbox until the event that discharges it is committed. Recovery is to
//! perform the outbox again, so every performer must bear being asked twice.

use super::job::Phase;
use crate::{ids::EffectId, time::Timestamp, words::words};
use serde::{Deserialize, Serialize};

words! {
    /// The actor that performs an effect.
    pub enum Performer {
        /// Watches the pilot's jobs.
        PilotMonitor = "PilotMonitor",
        /// Judges the pilot.
        Validator = "Validator",
        /// Starts and ends jobs.
        Launcher = "Launcher",
        /// Watches all other jobs.
        CampaignMonitor = "CampaignMonitor",
        /// Records results and plans the next cycle.
        Historian = "Historian",
        /// Starts and watches training jobs.
        Trainer = "Trainer",
    }
}

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Start the job that bears this effect's id, or find it already started. Discharged by `job_launched` or
    /// `launch_failed`.
    LaunchJob {
        /// What the job works for.
        phase: Phase,
    },
    /// Follow a job until its last task has ended. Discharged by the last `task_ended`.
    WatchJob {
        /// The job.
        job: EffectId,
        /// What it works for.
        phase: Phase,
    },
    /// End a job and make sure that nothing of it runs or will run. Discharged by `job_ended`.
    EndJob {
        /// The job.
        job: EffectId,
    },
    /// Judge the pilot's samples. Discharged by `pilot_judged` or `effect_failed`.
    JudgePilot {
        /// Which look this is, from 1.
        look: u32,
    },
    /// Write the campaign's result into the history. Discharged by `recorded` or `effect_failed`.
    WriteRecord {
        /// Which cycle this is, from 1.
        cycle: u32,
    },
    /// Find what to try next. Discharged by `planned` or `effect_failed`.
    PlanNext {
        /// Which cycle has just been recorded.
        cycle: u32,
    },
    /// Keep what a cycle that will not be recorded has come to already. Discharged by `recorded` or `effect_failed`.
    KeepResults {
        /// Which cycle.
        cycle: u32,
    },
}

impl Effect {
    /// Who performs it.
    pub fn performer(&self) -> Performer {
        match self {
            Effect::LaunchJob {
                phase: Phase::Train,
            } => Performer::Trainer,
            Effect::LaunchJob { .. } | Effect::EndJob { .. } => Performer::Launcher,
            Effect::WatchJob { phase, .. } => match phase {
                Phase::Pilot => Performer::PilotMonitor,
                Phase::Train => Performer::Trainer,
                _ => Performer::CampaignMonitor,
            },
            Effect::JudgePilot { .. } => Performer::Validator,
            Effect::WriteRecord { .. } | Effect::PlanNext { .. } | Effect::KeepResults { .. } => {
                Performer::Historian
            }
        }
    }

    /// Whether it belongs to the campaign's state and is dropped when that changes; effects on jobs and results outlive it.
    pub fn belongs_to_state(&self) -> bool {
        matches!(
            self,
            Effect::JudgePilot { .. } | Effect::WriteRecord { .. } | Effect::PlanNext { .. }
        )
    }

    /// Whether it starts a job.
    pub fn launches(&self) -> bool {
        matches!(self, Effect::LaunchJob { .. })
    }

    /// Whether it begins new work, which a pause holds back.
    pub fn is_new_work(&self) -> bool {
        matches!(self, Effect::LaunchJob { .. } | Effect::PlanNext { .. })
    }

    /// One word for journals and screens.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::LaunchJob { .. } => "launch_job",
            Effect::WatchJob { .. } => "watch_job",
            Effect::EndJob { .. } => "end_job",
            Effect::JudgePilot { .. } => "judge_pilot",
            Effect::WriteRecord { .. } => "write_record",
            Effect::PlanNext { .. } => "plan_next",
            Effect::KeepResults { .. } => "keep_results",
        }
    }
}

/// A stored effect not yet discharged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// What is to be done.
    pub effect: Effect,
    /// Since when.
    pub since: Timestamp,
}
