//! The campaign's record as version 3 had it, and the job's as version 2 had it: nothing ran on SLURM, and a phase had one
//! budget of retries for all of its tasks.

use super::v4::{BudgetV4, CampaignV4, JobV3, PlanningV4, SpecV4, TaskV3};
use crate::{
    evaluation::{Criteria, Verdict},
    ids::{CampaignId, EffectId},
    machines::{
        campaign::{Approval, StageTime, State, Transition},
        job::{self, Phase},
        spec::{
            CurationSpec, EvaluationSettings, ExecutionSpec, ExecutorKind, GeneratorSpec, Parts,
            Provenance, RetryTimes, TrainingSpec,
        },
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// [`CampaignV4`] as it was before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CampaignV3 {
    pub(super) id: CampaignId,
    pub(super) spec: SpecV3,
    pub(super) parts: Parts,
    pub(super) state: State,
    pub(super) state_since: Timestamp,
    pub(super) deadline_at: Option<Timestamp>,
    pub(super) paused_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) look: u32,
    pub(super) verdict: Option<Verdict>,
    pub(super) judged_at: Option<Timestamp>,
    pub(super) approval: Option<Approval>,
    pub(super) cycle: u32,
    pub(super) proposals: u32,
    pub(super) spent_transient: u32,
    pub(super) spent_lost: u32,
    pub(super) stages: Vec<StageTime>,
    pub(super) cause: Option<String>,
    pub(super) failed_in: Option<State>,
    pub(super) next_number: u64,
    pub(super) trail: Vec<Transition>,
}

/// [`SpecV4`] as it was before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpecV3 {
    pub(super) name: CampaignId,
    pub(super) file: Option<String>,
    pub(super) directory: String,
    pub(super) criteria: Criteria,
    pub(super) campaign_target: u64,
    pub(super) auto_launch: bool,
    pub(super) executor: ExecutorKind,
    pub(super) seed: u64,
    pub(super) generator: GeneratorSpec,
    pub(super) retry: RetryTimes,
    pub(super) execution: Option<ExecutionV3>,
    pub(super) curation: Option<CurationSpec>,
    pub(super) training: Option<TrainingSpec>,
    pub(super) evaluation: Option<EvaluationSettings>,
    pub(super) planning: Option<PlanningV4>,
    pub(super) budget: Option<BudgetV4>,
    pub(super) provenance: Vec<Provenance>,
}

/// What was known of an execution: that it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionV3 {}

/// Brings a campaign forward: everything of it runs on this machine, and its retries are counted by the jobs themselves.
pub fn v3_to_v4(old: CampaignV3) -> CampaignV4 {
    CampaignV4 {
        id: old.id,
        spec: spec(old.spec),
        parts: old.parts,
        state: old.state,
        state_since: old.state_since,
        deadline_at: old.deadline_at,
        paused_at: old.paused_at,
        created_at: old.created_at,
        ended_at: old.ended_at,
        look: old.look,
        verdict: old.verdict,
        judged_at: old.judged_at,
        approval: old.approval,
        cycle: old.cycle,
        proposals: old.proposals,
        stages: old.stages,
        cause: old.cause,
        failed_in: old.failed_in,
        next_number: old.next_number,
        trail: old.trail,
    }
}

fn spec(old: SpecV3) -> SpecV4 {
    SpecV4 {
        name: old.name,
        file: old.file,
        directory: old.directory,
        criteria: old.criteria,
        campaign_target: old.campaign_target,
        auto_launch: old.auto_launch,
        executor: old.executor,
        seed: old.seed,
        generator: old.generator,
        retry: old.retry,
        execution: old.execution.map(|_| ExecutionSpec::default()),
        curation: old.curation,
        training: old.training,
        evaluation: old.evaluation,
        planning: old.planning,
        budget: old.budget,
        provenance: old.provenance,
        slurm: BTreeMap::new(),
    }
}

/// [`JobV3`] as it was before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobV2 {
    pub(super) id: EffectId,
    pub(super) phase: Phase,
    pub(super) round: u32,
    pub(super) run: Option<String>,
    pub(super) stage: u32,
    pub(super) attempt: u32,
    pub(super) state: job::State,
    pub(super) tasks: Vec<TaskV3>,
    pub(super) retry_of: Option<EffectId>,
    pub(super) interrupted: bool,
    pub(super) silent_since: Option<Timestamp>,
    pub(super) created_at: Timestamp,
    pub(super) launched_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) time_seconds: Option<u64>,
}

/// Brings a job forward: it ran on this machine.
pub fn job_v2_to_v3(old: JobV2) -> JobV3 {
    JobV3 {
        id: old.id,
        phase: old.phase,
        round: old.round,
        run: old.run,
        stage: old.stage,
        attempt: old.attempt,
        state: old.state,
        tasks: old.tasks,
        retry_of: old.retry_of,
        interrupted: old.interrupted,
        silent_since: old.silent_since,
        created_at: old.created_at,
        launched_at: old.launched_at,
        ended_at: old.ended_at,
        time_seconds: old.time_seconds,
        slurm: None,
    }
}
