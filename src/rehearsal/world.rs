//! The made-up world: what an effect leads to, and when. Everything else is the program's own.

use super::{
    Assumptions,
    chance::{About, Chance, number_of},
    objective::{Answer, Field},
};
use crate::{
    evaluation::{Evidence, judge, score_shape::ScoreShape},
    history::{Experiment, FailureCause, History, Status},
    ids::EffectId,
    machines::{
        admission::Limits,
        budget,
        effect::Effect,
        event::Event,
        job::{Cause, Job, Phase, Task, TaskEnd},
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
/// After this share of its time a fine-tune is out of memory, or diverges.
const OUT_OF_MEMORY_AT: f64 = 0.02;
/// See [`OUT_OF_MEMORY_AT`].
const DIVERGES_AT: f64 = 0.3;

/// Reports, each with when it comes.
pub(super) type Reports = Vec<(Timestamp, Event)>;

/// The world.
pub(super) struct World<'a> {
    assumed: &'a Assumptions,
    limits: Limits,
    chance: Chance,
    field: Field,
    /// Samples on disk by phase and shard, and seconds of training behind a checkpoint by run and stage.
    kept: BTreeMap<(Phase, String), f64>,
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
        let open = tree.asked_runs().iter().any(|run| run.device == Device::Auto);
        (job.slurm.is_none() && job.phase.trains() && open).then_some(self.assumed.gpus_per_training)
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

    /// How an attempt at a task ends: why, in a sentence, and after how many seconds.
    fn attempt(
        &mut self,
        tree: &CampaignTree,
        job: &Job,
        task: &Task,
    ) -> (Option<Cause>, String, f64) {
        let (key, whole, per_second) = self.work(tree, job, task);
        let left = (whole - self.kept.get(&key).copied().unwrap_or(0.0)).max(0.0);
        let needs = left / per_second;
        let (one, other) = (job.id.number, u64::from(task.shard));
        let wall = self.wall(tree, job);
        let fails = self.chance.unit(About::Failure, one, other) < self.assumed.failures;
        let (cause, text, seconds) = if let Some((cause, text, share)) = wall {
            (Some(cause), text, whole / per_second * share)
        } else if fails {
            let at = self.chance.unit(About::Share, one, other);
            let lost = self.chance.unit(About::Kind, one, other) < 0.5;
            let (cause, text) = match lost {
                true => (Cause::Lost, "it vanished without a word"),
                false => (Cause::Transient, "the node failed it"),
            };
            (Some(cause), text.into(), needs * at)
        } else {
            (None, "exit status 0".into(), needs)
        };
        let (cause, text, seconds) = match job.time_seconds.map(|limit| limit as f64) {
            Some(limit) if seconds > limit => {
                let text = format!("it reached its time limit of {limit} s");
                (Some(Cause::TimeLimit), text, limit)
            }
            _ => (cause, text, seconds),
        };
        let keeps = job.phase.makes_samples() || job.phase == Phase::Train;
        if keeps && is_kept(cause) {
            *self.kept.entry(key).or_default() += seconds * per_second;
        }
        (cause, text, seconds)
    }

    /// Whose work a task is, how much of it there is, and how much is done in a second.
    fn work(&self, tree: &CampaignTree, job: &Job, task: &Task) -> ((Phase, String), f64, f64) {
        let assumed = self.assumed;
        let shard = task.shard.to_string();
        let run = job.run.as_ref().and_then(|key| tree.runs.get(key));
        let (name, whole, rate) = match job.phase {
            Phase::Pilot | Phase::Generate => {
                (shard, task.target as f64, assumed.samples_per_second)
            }
            Phase::Execute => (shard, assumed.execute_seconds, 1.0),
            Phase::Curate => (shard, assumed.curate_seconds, 1.0),
            Phase::Evaluate => (shard, assumed.evaluate_seconds, 1.0),
            Phase::Train => {
                let stages = run.map_or(1, |run| run.stages.max(1));
                let name = format!("{}/{}", job.run.as_deref().unwrap_or_default(), job.stage);
                (name, assumed.train_seconds / f64::from(stages), 1.0)
            }
        };
        let subject = number_of(&format!("{} {} {name}", job.phase, job.round));
        let pace = 0.9 + 0.2 * self.chance.unit(About::Pace, subject, 0);
        ((job.phase, name), whole, rate * pace)
    }

    /// What the settings of a stage of training forbid: the cause, a sentence, and after which share of its time.
    fn wall(&self, tree: &CampaignTree, job: &Job) -> Option<(Cause, String, f64)> {
        let run = tree.runs.get(job.run.as_ref()?)?;
        let asked = tree.run_spec(&run.name)?;
        let answer = self
            .field
            .answer(&plan::settings(asked), tree.halvings(job), &run.key());
        let Answer::Fails(cause) = answer else {
            return None;
        };
        let (cause, text, share) = match cause {
            FailureCause::Memory => (
                Cause::GpuMemory,
                "the GPU is out of memory",
                OUT_OF_MEMORY_AT,
            ),
            FailureCause::Stability => (
                Cause::Program,
                "the loss is not a number: it diverged",
                DIVERGES_AT,
            ),
            // So often it is let go on: together that is the whole of its time.
            FailureCause::TimeLimit => (Cause::TimeLimit, "it did not end in its time", 0.01),
            FailureCause::Node | FailureCause::Program => {
                (Cause::Program, "exit status 1", DIVERGES_AT)
            }
        };
        Some((cause, text.into(), share))
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
            let halvings = tree.jobs.values().filter(|job| job.run.as_ref() == Some(&key));
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

/// Whether what was done until an end is kept: a setting that cannot be trained leaves no checkpoint.
fn is_kept(cause: Option<Cause>) -> bool {
    !matches!(cause, Some(Cause::GpuMemory | Cause::Program))
}

fn cancelled(tree: &CampaignTree, job: &EffectId, at: Timestamp) -> Vec<(u32, TaskEnd)> {
    let tasks = tree.jobs.get(job).map(|job| job.tasks.iter());
    let open = tasks.into_iter().flatten().filter(|task| task.end.is_none());
    let end = TaskEnd {
        cause: Some(Cause::Cancelled),
        text: "ended on request".into(),
        at,
        ran_seconds: None,
    };
    open.map(|task| (task.shard, end.clone())).collect()
}
