//! The campaign's record as version 2 had it, and the records of runs and jobs as version 1 had them: one fine-tune a cycle,
//! of which nothing was known but the number of its stages.

use super::{
    v3::{CampaignV3, ExecutionV3, JobV2, SpecV3},
    v4::{BudgetV4, PlanningV4, TaskV3},
};
use crate::{
    evaluation::{Criteria, Verdict},
    ids::{CampaignId, EffectId},
    machines::{
        campaign::{Approval, StageTime, State, Transition},
        job::{self, Phase},
        spec::{
            CurationSpec, EvaluationSettings, ExecutorKind, GeneratorSpec, Parts, Provenance,
            RetryTimes, RunSpec, StageData, StageSpec, TrainingSpec,
        },
        training_run::{self, TrainingRun},
    },
    time::Timestamp,
    training::{
        settings::Settings,
        words::{Device, Start},
    },
};
use serde::{Deserialize, Serialize};

/// A campaign as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CampaignV2 {
    pub(super) id: CampaignId,
    pub(super) spec: SpecV2,
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

/// What was asked for, as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpecV2 {
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
    pub(super) training: Option<TrainingV2>,
    pub(super) evaluation: Option<EvaluationV2>,
    pub(super) planning: Option<PlanningV4>,
    pub(super) budget: Option<BudgetV4>,
    pub(super) provenance: Vec<Provenance>,
}

/// [`TrainingSpec`] as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrainingV2 {
    stages: u32,
    time_seconds: u64,
}

/// What was known of an evaluation: that it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvaluationV2 {}

/// Brings a campaign forward. One that asked for training asked no campaignd that could train; its one fine-tune has no name
/// and no model, which is said when it comes to be launched.
pub fn v2_to_v3(old: CampaignV2) -> CampaignV3 {
    CampaignV3 {
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

fn spec(old: SpecV2) -> SpecV3 {
    SpecV3 {
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
        training: old.training.map(training),
        evaluation: old.evaluation.map(|_| EvaluationSettings::default()),
        planning: old.planning,
        budget: old.budget,
        provenance: old.provenance,
    }
}

fn training(old: TrainingV2) -> TrainingSpec {
    let stage = |number: u32| StageSpec {
        name: format!("stage{number}"),
        data: StageData::OfRun,
        replay_share: 0.0,
        start: Start::Adapter,
    };
    let run = RunSpec {
        name: String::new(),
        model: String::new(),
        dataset: None,
        minimum_examples: 0,
        merge: false,
        device: Device::Auto,
        settings: Settings::default(),
        stages: (1..=old.stages.max(1)).map(stage).collect(),
    };
    TrainingSpec {
        runs: vec![run],
        time_seconds: old.time_seconds,
    }
}

/// [`TrainingRun`] as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunV1 {
    cycle: u32,
    stage: u32,
    stages: u32,
    state: training_run::State,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

/// Brings a run forward; its key, `run-CYCLE`, stays.
pub fn run_v1_to_v2(old: RunV1) -> TrainingRun {
    TrainingRun {
        cycle: old.cycle,
        name: String::new(),
        stage: old.stage,
        stages: old.stages,
        state: old.state,
        started_at: old.started_at,
        ended_at: old.ended_at,
    }
}

/// A job as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobV1 {
    id: EffectId,
    phase: Phase,
    round: u32,
    stage: u32,
    attempt: u32,
    state: job::State,
    tasks: Vec<TaskV3>,
    retry_of: Option<EffectId>,
    interrupted: bool,
    silent_since: Option<Timestamp>,
    created_at: Timestamp,
    launched_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    time_seconds: Option<u64>,
}

/// Brings a job forward: one that trains belongs to the one run of its cycle.
pub fn job_v1_to_v2(old: JobV1) -> JobV2 {
    let trains = old.phase == Phase::Train;
    JobV2 {
        id: old.id,
        phase: old.phase,
        round: old.round,
        run: trains.then(|| TrainingRun::key_of(old.round, "")),
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machines::{campaign::Campaign, job::Job},
        store::wire,
    };

    /// A campaign of version 2 that asked for training and evaluation; the rest is the golden one's.
    #[test]
    fn a_campaign_that_asked_for_training_has_one_fine_tune_without_a_model() {
        let text = include_str!("../../../tests/golden/campaign-v2.hex").trim();
        let bytes: Vec<u8> = (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect();
        let mut old: CampaignV2 = wire::decode(2, &bytes).unwrap();
        old.spec.training = Some(TrainingV2 {
            stages: 3,
            time_seconds: 60,
        });
        old.spec.evaluation = Some(EvaluationV2 {});
        let read: Campaign = wire::record(&wire::encode(2, &old)).unwrap();
        let training = read.spec.training.unwrap();
        assert_eq!((training.runs.len(), training.time_seconds), (1, 60));
        let run = &training.runs[0];
        assert_eq!((run.name.as_str(), run.model.as_str()), ("", ""));
        assert_eq!(run.stage_count(), 3);
        assert!(run.stages.iter().all(|one| one.replay_share == 0.0));
        let evaluation = read.spec.evaluation;
        assert_eq!(evaluation, Some(EvaluationSettings::default()));
    }

    #[test]
    fn a_job_that_trained_belongs_to_the_one_run_of_its_cycle() {
        let id = "alttp".parse::<CampaignId>().unwrap().effect(7);
        let old = |phase| JobV1 {
            id: id.clone(),
            phase,
            round: 2,
            stage: 1,
            attempt: 1,
            state: job::State::Running,
            tasks: Vec::new(),
            retry_of: None,
            interrupted: false,
            silent_since: None,
            created_at: Timestamp(1),
            launched_at: Some(Timestamp(2)),
            ended_at: None,
            time_seconds: Some(60),
        };
        let read = |phase| wire::record::<Job>(&wire::encode(1, &old(phase))).unwrap();
        assert_eq!(read(Phase::Train).run.as_deref(), Some("run-2"));
        assert_eq!(
            (read(Phase::Train).stage, read(Phase::Train).time_seconds),
            (1, Some(60))
        );
        assert_eq!(read(Phase::Evaluate).run, None);
    }
}
