//! The campaign's record as version 1 had it: without agents, without a budget.

use super::{
    v2::{CampaignV2, EvaluationV2, SpecV2, TrainingV2},
    v3::ExecutionV3,
    v4::PlanningV4,
};
use crate::{
    evaluation::{Criteria, Verdict},
    ids::CampaignId,
    machines::{
        campaign::{Approval, StageTime, State, Transition},
        spec::{
            AgentsSpec, Brain, CurationSpec, EvidenceKind, ExecutorKind, GeneratorSpec, Parts,
            Provenance, RetryTimes,
        },
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// `Campaign` as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CampaignV1 {
    id: CampaignId,
    spec: SpecV1,
    parts: Parts,
    state: State,
    state_since: Timestamp,
    deadline_at: Option<Timestamp>,
    paused_at: Option<Timestamp>,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
    look: u32,
    verdict: Option<Verdict>,
    judged_at: Option<Timestamp>,
    approval: Option<Approval>,
    cycle: u32,
    proposals: u32,
    spent_transient: u32,
    spent_lost: u32,
    stages: Vec<StageTime>,
    cause: Option<String>,
    failed_in: Option<State>,
    next_number: u64,
    trail: Vec<Transition>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SpecV1 {
    name: CampaignId,
    file: Option<String>,
    directory: String,
    criteria: Criteria,
    campaign_target: u64,
    auto_launch: bool,
    executor: ExecutorKind,
    seed: u64,
    generator: GeneratorV1,
    retry: RetryTimes,
    execution: Option<ExecutionV3>,
    curation: Option<CurationV1>,
    training: Option<TrainingV2>,
    evaluation: Option<EvaluationV2>,
    planning: Option<PlanningV4>,
    provenance: Vec<Provenance>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct CurationV1 {
    min_quality: f64,
    split: [f64; 3],
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct GeneratorV1 {
    brain: Brain,
    command: Vec<String>,
    shards: u32,
    time_seconds: Option<u64>,
    evidence: EvidenceKind,
    faults: f64,
}

/// Brings a campaign forward. Its generator goes on with the agents' defaults, its curation with those of the filters:
/// version 1 made queries, and what it made stays as it is.
pub fn v1_to_v2(old: CampaignV1) -> CampaignV2 {
    CampaignV2 {
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
        spent_transient: old.spent_transient,
        spent_lost: old.spent_lost,
        stages: old.stages,
        cause: old.cause,
        failed_in: old.failed_in,
        next_number: old.next_number,
        trail: old.trail,
    }
}

fn spec(old: SpecV1) -> SpecV2 {
    SpecV2 {
        name: old.name,
        file: old.file,
        directory: old.directory,
        criteria: old.criteria,
        campaign_target: old.campaign_target,
        auto_launch: old.auto_launch,
        executor: old.executor,
        seed: old.seed,
        generator: GeneratorSpec {
            brain: old.generator.brain,
            command: old.generator.command,
            shards: old.generator.shards,
            time_seconds: old.generator.time_seconds,
            evidence: old.generator.evidence,
            faults: old.generator.faults,
            agents: AgentsSpec::default(),
        },
        retry: old.retry,
        execution: old.execution,
        curation: old.curation.map(|old| CurationSpec {
            min_quality: old.min_quality,
            split: old.split,
            ..CurationSpec::default()
        }),
        training: old.training,
        evaluation: old.evaluation,
        planning: old.planning,
        budget: None,
        provenance: old.provenance,
    }
}
