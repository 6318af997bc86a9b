//! The made-up world: what an effect leads to, and when. Everything else is the program's own.

use super::{
    Assumptions,
    chance::Chance,
    objective::{Answer, Field},
};
use crate::{
    evaluation::{Evidence, judge, score_shape::ScoreShape},
    history::{Experiment, History, Status},
    ids::EffectId,
    machines::{
        admission::Limits,
        budget,
        effect::Effect,
        event::Event,
        job::{Cause, Phase, TaskEnd},
        lesson,
        plan::{self, Plan, plan},
        spec::EvidenceKind,
        training_run::{State as RunState, TrainingRun},
        tree::CampaignTree,
    },
    parameters::{Assignment, Value},
    time::Timestamp,
    training::words::Device,
};
use std::{collections::BTreeMap, time::Duration};

/// What an actor takes for anything but work: to start a job, to judge, to record, to plan.
const ERRAND: Duration = Duration::from_secs(1);
/// How pilot scores are spread around their mean.
const SCORES: ScoreShape = ScoreShape::Beta {
    concentration: 10.0,
};
/// Reports, each with when it comes.
pub(super) type Reports = Vec<(Timestamp, Event)>;

/// The world.
pub(super) struct World<'a> {
    pub(super) assumed: &'a Assumptions,
    limits: Limits,
    pub(super) chance: Chance,
    pub(super) field: Field,
    /// Samples on disk by phase and shard, and seconds of training behind a checkpoint by run and stage.
    pub(super) kept: BTreeMap<(Phase, String), f64>,
}

impl<'a> World<'a> {
    pub(super) fn new(assumed: &'a Assumptions, limits: Limits, field: Field) -> Self {
        Self {
            assumed,
            limits,
            chance: Chance(assumed.seed),
            field,
            kept: BTreeMap::new(),
        }
    }

    /// What comes of an effect.
    pub(super) fn perform(
        &mut self,
        tree: &CampaignTree,
        id: &EffectId,
        effect: &Effect,
        now: Timestamp,
    ) -> Reports {
        let owed = id.clone();
        let soon = now.after(ERRAND);
        let event = match effect {
            Effect::LaunchJob { .. } => Event::JobLaunched {
                gpus: self.gpus(tree, id),
                effect: owed,
                adopted: false,
            },
            Effect::WatchJob { job, .. } => return self.ends(tree, id, job, now),
            Effect::EndJob { job } => Event::JobEnded {
                effect: owed,
                job: job.clone(),
                ends: cancelled(tree, job, soon),
            },
            Effect::JudgePilot { look } => self.judged(tree, owed, *look),
            Effect::WriteRecord { cycle } => Event::Recorded {
                effect: owed,
                experiments: self.experiments(tree, *cycle),
            },
            Effect::KeepResults { cycle } => {
                let mut experiments = self.experiments(tree, *cycle);
                experiments.retain(|one| one.status == Status::Completed);
                Event::Recorded {
                    effect: owed,
                    experiments,
                }
            }
            Effect::PlanNext { .. } => {
                let known = History::new(tree.experiments.values().cloned().collect());
                let Plan { proposals, why } = plan(tree, &known, soon);
                Event::Planned {
                    effect: owed,
                    proposals,
                    why,
                }
            }
        };
        vec![(soon, event)]
    }

    /// As the Launcher says: a task that trains or measures here has GPUs where its fine-tune leaves the device open.
    fn gpus(&self, tree: &CampaignTree, job: &EffectId) -> Option<u32> {
        let job = tree.jobs.get(job)?;
        let open = tree
            .asked_runs()
            .iter()
            .any(|run| run.device == Device::Auto);
        (job.slurm.is_none() && job.phase.trains() && open)
            .then_some(self.assumed.gpus_per_training)
    }

    fn judged(&self, tree: &CampaignTree, effect: EffectId, look: u32) -> Event {
        let spec = &tree.campaign.spec;
        let (quality, seed) = (self.assumed.quality, self.assumed.seed);
        let asked = spec.criteria.asked_at(look);
        let evidence = match spec.generator.evidence {
            EvidenceKind::Samples => {
                let scores = (0..asked).map(|index| SCORES.score(quality, seed, 0, index));
                Evidence::from_scores(scores.collect(), asked)
            }
            EvidenceKind::Log => Evidence::from_log(Some(quality), asked, asked),
        };
        Event::PilotJudged {
            effect,
            verdict: judge(&evidence, &spec.criteria, look),
        }
    }

    /// When and how the tasks of a job end. SLURM runs only so many of an array at once.
    fn ends(
        &mut self,
        tree: &CampaignTree,
        watch: &EffectId,
        job: &EffectId,
        now: Timestamp,
    ) -> Reports {
        let Some(job) = tree.jobs.get(job) else {
            return Vec::new();
        };
        let most = match job.slurm {
            Some(_) => self.limits.max_concurrent_jobs.max(1) as usize,
            None => job.tasks.len().max(1),
        };
        let mut free = vec![now; most.min(job.tasks.len().max(1))];
        let mut reports = Vec::new();
        for task in job.tasks.iter().filter(|task| task.end.is_none()) {
            let (cause, text, seconds) = self.attempt(tree, job, task);
            let took = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            let Some(slot) = free.iter_mut().min() else {
                break;
            };
            *slot = slot.after(took);
            let end = TaskEnd {
                cause,
                text,
                at: *slot,
                ran_seconds: Some(took.as_secs()),
            };
            let event = Event::TaskEnded {
                effect: watch.clone(),
                job: job.id.clone(),
                shard: task.shard,
                end,
            };
            reports.push((*slot, event));
        }
        reports
    }

    /// What the Historian would write: one for each training run of the cycle, or one for the data.
    fn experiments(&self, tree: &CampaignTree, cycle: u32) -> Vec<Experiment> {
        let runs = tree.runs.values().filter(|run| run.cycle == cycle);
        let ours: Vec<Experiment> = runs.map(|run| self.trained(tree, run)).collect();
        match ours.is_empty() {
            true => vec![self.data(tree, cycle)],
            false => ours,
        }
    }

    fn trained(&self, tree: &CampaignTree, run: &TrainingRun) -> Experiment {
        let asked = tree.run_spec(&run.name);
        let settings = asked.map(plan::settings).unwrap_or_default();
        let key = run.key();
        let mut metrics = BTreeMap::new();
        if run.state == RunState::Done {
            let halvings = tree
                .jobs
                .values()
                .filter(|job| job.run.as_ref() == Some(&key));
            let halvings = halvings.map(|job| tree.halvings(job)).max().unwrap_or(0);
            if let Answer::Metrics(found) = self.field.answer(&settings, halvings, &key) {
                metrics = found;
            }
        }
        let mut config: Assignment = settings;
        if let Some(asked) = asked {
            config.insert("model".into(), Value::Text(asked.model.clone()));
            config.insert("stages".into(), Value::Whole(asked.stage_count().into()));
        }
        let proposal = tree.proposals.get(&run.name);
        let status = match run.state {
            RunState::Done => Status::Completed,
            RunState::Cancelled => Status::Cancelled,
            _ => Status::Failed,
        };
        let campaign = &tree.campaign;
        let jobs = tree.jobs.values();
        let jobs = jobs.filter(|job| job.run.as_ref() == Some(&key));
        let ended_at = run.ended_at.unwrap_or(campaign.state_since);
        Experiment {
            experiment_id: format!("{}-{key}", campaign.id),
            cycle_id: run.cycle,
            status,
            config,
            metrics,
            duration_seconds: ended_at.since(run.started_at).as_secs_f64(),
            gpu_hours: jobs
                .map(|job| budget::gpu_hours(job, campaign.state_since))
                .sum(),
            proposal_type: proposal.map_or("fine_tuning", |one| &one.kind).into(),
            risk_level: proposal.map_or("low", |one| one.risk.name()).into(),
            proposal: proposal.map(|one| one.id.clone()),
            failure: (status == Status::Failed).then(|| lesson::failure(tree, &key)),
            ended_at,
            ..self.data(tree, run.cycle)
        }
    }

    fn data(&self, tree: &CampaignTree, cycle: u32) -> Experiment {
        let campaign = &tree.campaign;
        let mut metrics =
            BTreeMap::from([("samples".to_string(), campaign.spec.campaign_target as f64)]);
        let mean = campaign.verdict.as_ref().and_then(|verdict| verdict.mean);
        metrics.extend(mean.map(|mean| ("pilot_quality".to_string(), mean)));
        let ended_at = campaign.state_since;
        Experiment {
            experiment_id: format!("{}-cycle-{cycle}", campaign.id),
            campaign: campaign.id.to_string(),
            cycle_id: cycle,
            status: Status::Completed,
            config: Assignment::new(),
            metrics,
            duration_seconds: ended_at.since(campaign.created_at).as_secs_f64(),
            gpu_hours: 0.0,
            proposal_type: "data_generation".into(),
            risk_level: "low".into(),
            proposal: None,
            adapter: None,
            verdict: None,
            failure: None,
            ended_at,
        }
    }
}

fn cancelled(tree: &CampaignTree, job: &EffectId, at: Timestamp) -> Vec<(u32, TaskEnd)> {
    let tasks = tree.jobs.get(job).map(|job| job.tasks.iter());
    let open = tasks
        .into_iter()
        .flatten()
        .filter(|task| task.end.is_none());
    let end = TaskEnd {
        cause: Some(Cause::Cancelled),
        text: "ended on request".into(),
        at,
        ran_seconds: None,
    };
    open.map(|task| (task.shard, end.clone())).collect()
}
