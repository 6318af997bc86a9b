//! The campaign's record as version 4 had it, and the job's as version 3 had it: nothing was planned, and what GPUs were
//! used for how long was not counted.

use crate::{
    evaluation::{Criteria, Verdict},
    ids::{CampaignId, EffectId},
    machines::{
        campaign::{Approval, Campaign, StageTime, State, Transition},
        job::{self, Cause, Job, Phase, Task, TaskEnd},
        spec::{
            BudgetSpec, CampaignSpec, CurationSpec, EvaluationSettings, ExecutionSpec,
            ExecutorKind, GeneratorSpec, Parts, PlanningSpec, Provenance, RetryTimes, SlurmSpec,
            TrainingSpec,
        },
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// [`Campaign`] as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CampaignV4 {
    pub(super) id: CampaignId,
    pub(super) spec: SpecV4,
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
    pub(super) stages: Vec<StageTime>,
    pub(super) cause: Option<String>,
    pub(super) failed_in: Option<State>,
    pub(super) next_number: u64,
    pub(super) trail: Vec<Transition>,
}

/// [`CampaignSpec`] as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpecV4 {
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
    pub(super) execution: Option<ExecutionSpec>,
    pub(super) curation: Option<CurationSpec>,
    pub(super) training: Option<TrainingSpec>,
    pub(super) evaluation: Option<EvaluationSettings>,
    pub(super) planning: Option<PlanningV4>,
    pub(super) budget: Option<BudgetV4>,
    pub(super) provenance: Vec<Provenance>,
    pub(super) slurm: BTreeMap<Phase, SlurmSpec>,
}

/// What could be asked of planning: how many cycles.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanningV4 {
    cycles: u32,
}

/// What a campaign's models could cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BudgetV4 {
    usd: Option<f64>,
    tokens: Option<u64>,
}

/// Brings a campaign forward: it planned nothing.
pub fn v4_to_v5(old: CampaignV4) -> Campaign {
    Campaign {
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
        next_proposal: 1,
        stopped: None,
        forgiven: 0,
        rulings: Vec::new(),
        stages: old.stages,
        cause: old.cause,
        failed_in: old.failed_in,
        next_number: old.next_number,
        trail: old.trail,
    }
}

fn spec(old: SpecV4) -> CampaignSpec {
    CampaignSpec {
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
        execution: old.execution,
        curation: old.curation,
        training: old.training,
        evaluation: old.evaluation,
        planning: old.planning.map(|plan| PlanningSpec {
            cycles: plan.cycles,
            ..PlanningSpec::default()
        }),
        budget: old.budget.map(|budget| BudgetSpec {
            usd: budget.usd,
            tokens: budget.tokens,
            ..BudgetSpec::default()
        }),
        provenance: old.provenance,
        slurm: old.slurm,
    }
}

/// [`Job`] as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobV3 {
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
    pub(super) slurm: Option<SlurmSpec>,
}

/// [`Task`] as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskV3 {
    shard: u32,
    shards: u32,
    target: u64,
    end: Option<TaskEndV3>,
}

/// [`TaskEnd`] as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskEndV3 {
    cause: Option<Cause>,
    text: String,
    at: Timestamp,
}

/// Brings a job forward: how long its tasks ran is not known, and neither is what GPUs they had but for SLURM's.
pub fn job_v3_to_v4(old: JobV3) -> Job {
    Job {
        id: old.id,
        phase: old.phase,
        round: old.round,
        run: old.run,
        stage: old.stage,
        attempt: old.attempt,
        state: old.state,
        tasks: old.tasks.into_iter().map(task).collect(),
        retry_of: old.retry_of,
        interrupted: old.interrupted,
        silent_since: old.silent_since,
        created_at: old.created_at,
        launched_at: old.launched_at,
        ended_at: old.ended_at,
        time_seconds: old.time_seconds,
        gpus: old.slurm.as_ref().map_or(0, SlurmSpec::gpus),
        slurm: old.slurm,
    }
}

fn task(old: TaskV3) -> Task {
    Task {
        shard: old.shard,
        shards: old.shards,
        target: old.target,
        end: old.end.map(|end| TaskEnd {
            cause: end.cause,
            text: end.text,
            at: end.at,
            ran_seconds: None,
        }),
    }
}
