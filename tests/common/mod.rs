//! A campaign's world without processes: a ledger of what was launched, and performers that act on it.
#![allow(dead_code)]

use campaignd::{
    config::{Env, Overrides, Settings, Source, load_campaign},
    evaluation::{Evidence, judge},
    history::{Experiment, Status},
    ids::EffectId,
    machines::{
        effect::Effect,
        event::Event,
        job::{Cause, TaskEnd},
        proposal::{self, Proposal},
        spec::{
            CampaignSpec, EvaluationSettings, ExecutionSpec, Parts, PlanningSpec, RunSpec,
            StageData, StageSpec, TrainingSet, TrainingSpec,
        },
        tree::CampaignTree,
    },
    parameters::{Domain, Value},
    planning::approval::{Check, CheckName, Risk},
    time::Timestamp,
    training::{
        settings::Settings as Hyperparameters,
        words::{Device, Start},
    },
};
use std::{collections::BTreeMap, path::Path};

/// All events of these tests happen at once, so that records can be compared whole.
pub const NOW: Timestamp = Timestamp(1_772_442_842_000);

/// A fine-tune of so many stages.
pub fn fine_tune(name: &str, stages: u32) -> RunSpec {
    let stage = |number| StageSpec {
        name: format!("stage{number}"),
        data: StageData::OfRun,
        replay_share: if number > 1 { 0.15 } else { 0.0 },
        start: Start::Adapter,
    };
    RunSpec {
        name: name.into(),
        model: "/models/small".into(),
        dataset: Some(TrainingSet::Routing),
        minimum_examples: 1,
        merge: false,
        device: Device::Cpu,
        settings: Hyperparameters::default(),
        stages: (1..=stages).map(stage).collect(),
    }
}

/// A campaign with every phase: two cycles of two fine-tunes, one of two stages and one of one.
pub fn whole_spec() -> CampaignSpec {
    let settings = Settings::load(None).unwrap();
    let here = Path::new("/");
    let mut spec = load_campaign(
        &Source::Embedded,
        &Overrides::default(),
        &Env::default(),
        &settings,
        here,
    )
    .unwrap();
    spec.execution = Some(ExecutionSpec::default());
    spec.training = Some(TrainingSpec {
        runs: vec![fine_tune("routing", 2), fine_tune("codegen", 1)],
        time_seconds: 3600,
    });
    spec.evaluation = Some(EvaluationSettings::default());
    let ranks = Domain::parse("8,16,32").unwrap();
    spec.planning = Some(PlanningSpec {
        cycles: 2,
        vary: [("r".to_string(), ranks)].into(),
        ..PlanningSpec::default()
    });
    spec.generator.shards = 3;
    spec
}

pub fn submitted() -> Event {
    Event::Submitted {
        spec: Box::new(whole_spec()),
        parts: Parts::Whole,
    }
}

/// What happened outside the daemon; it survives every crash of it.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// How often each job's tasks were really started.
    pub launches: BTreeMap<EffectId, u32>,
    /// Mean score of the pilot's samples, by look.
    pub scores: Vec<f64>,
    /// A task that is lost once, by its job's number and shard.
    pub lost_once: Option<(u64, u32)>,
}

impl World {
    /// Performs one effect as an actor would, adopting what is there; gives the reports.
    pub fn perform(&mut self, tree: &CampaignTree, id: &EffectId) -> Vec<Event> {
        let effect = id.clone();
        match &tree.outbox[id].effect {
            Effect::LaunchJob { .. } => {
                let adopted = self.launches.contains_key(id);
                self.launches.entry(id.clone()).or_insert(1);
                vec![Event::JobLaunched {
                    effect,
                    adopted,
                    gpus: None,
                }]
            }
            Effect::WatchJob { job, .. } => self.ends(tree, &effect, job),
            Effect::EndJob { job } => vec![Event::JobEnded {
                effect,
                job: job.clone(),
                ends: cancelled(tree, job),
            }],
            Effect::JudgePilot { look } => {
                let mean = self.scores.get(*look as usize - 1).copied().unwrap_or(0.9);
                let criteria = &tree.campaign.spec.criteria;
                let asked = criteria.asked_at(*look);
                // Scores around the mean, so that bounds have a width.
                let scores = (0..asked)
                    .map(|n| (mean + if n % 2 == 0 { 0.1 } else { -0.1 }).clamp(0.0, 1.0));
                let evidence = Evidence::from_scores(scores.collect(), asked);
                vec![Event::PilotJudged {
                    effect,
                    verdict: judge(&evidence, criteria, *look),
                }]
            }
            Effect::KeepResults { .. } | Effect::WriteRecord { .. } => vec![Event::Recorded {
                effect,
                experiments: vec![experiment(tree)],
            }],
            Effect::PlanNext { .. } => vec![Event::Planned {
                effect,
                proposals: vec![proposal(tree)],
                why: String::new(),
            }],
        }
    }

    fn ends(&mut self, tree: &CampaignTree, effect: &EffectId, job: &EffectId) -> Vec<Event> {
        let open = tree.jobs[job]
            .tasks
            .iter()
            .filter(|task| task.end.is_none());
        open.map(|task| {
            let lost = self.lost_once == Some((job.number, task.shard));
            let cause = lost.then_some(Cause::Lost);
            let end = TaskEnd {
                cause,
                text: "ended".into(),
                at: NOW,
                ran_seconds: None,
            };
            Event::TaskEnded {
                effect: effect.clone(),
                job: job.clone(),
                shard: task.shard,
                end,
            }
        })
        .collect()
    }
}

/// What is proposed by who plans: another rank.
pub fn proposal(tree: &CampaignTree) -> Proposal {
    let values = [("r".to_string(), Value::Whole(8))].into();
    let base = &tree.campaign.spec.training.as_ref().unwrap().runs[0];
    Proposal {
        id: String::new(),
        cycle: None,
        run: base.with("", &values).unwrap(),
        values,
        kind: "explore".into(),
        why: "r = 8 was not tried".into(),
        prediction: None,
        checks: vec![Check {
            name: CheckName::Novelty,
            passed: true,
            reason: "not tried".into(),
        }],
        risk: Risk::Low,
        risks: Vec::new(),
        evidence: Vec::new(),
        state: proposal::State::Waiting,
        decided_by: String::new(),
        created_at: NOW,
        decided_at: None,
    }
}

/// What came of a cycle.
pub fn experiment(tree: &CampaignTree) -> Experiment {
    let campaign = &tree.campaign;
    Experiment {
        experiment_id: format!("{}-run-{}", campaign.id, campaign.cycle),
        campaign: campaign.id.to_string(),
        cycle_id: campaign.cycle,
        status: Status::Completed,
        config: Default::default(),
        metrics: [("eval_loss".to_string(), 1.0)].into(),
        duration_seconds: 1.0,
        gpu_hours: 0.0,
        proposal_type: "fine_tuning".into(),
        risk_level: "low".into(),
        proposal: None,
        adapter: None,
        verdict: None,
        failure: None,
        ended_at: NOW,
    }
}

fn cancelled(tree: &CampaignTree, job: &EffectId) -> Vec<(u32, TaskEnd)> {
    let end = TaskEnd {
        cause: Some(Cause::Cancelled),
        text: "ended on request".into(),
        at: NOW,
        ran_seconds: None,
    };
    let open = tree.jobs[job]
        .tasks
        .iter()
        .filter(|task| task.end.is_none());
    open.map(|task| (task.shard, end.clone())).collect()
}

/// A generator of numbers from a seed: splitmix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }
}
