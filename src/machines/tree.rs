//! One campaign with its runs, jobs and outbox: what is decided, committed and checked as one.

use super::{
    campaign::Campaign,
    effect::{Effect, Obligation},
    job::{Job, Piece, State as JobState, Task},
    training_run::TrainingRun,
};
use crate::ids::EffectId;
use std::collections::BTreeMap;

/// The unit of consistency.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignTree {
    /// The campaign.
    pub campaign: Campaign,
    /// Its training runs, by key.
    pub runs: BTreeMap<String, TrainingRun>,
    /// Its jobs.
    pub jobs: BTreeMap<EffectId, Job>,
    /// Effects not yet discharged.
    pub outbox: BTreeMap<EffectId, Obligation>,
}

impl CampaignTree {
    /// A campaign that has done nothing yet.
    pub fn new(campaign: Campaign) -> Self {
        Self {
            campaign,
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            outbox: BTreeMap::new(),
        }
    }

    /// The jobs of a piece of work in its present round and stage, in order of their ids.
    pub fn jobs_of<'a>(&'a self, piece: &'a Piece) -> impl Iterator<Item = &'a Job> {
        let round = self.campaign.round(piece.phase);
        let stage = self.stage(piece);
        self.jobs.values().filter(move |job| {
            job.phase == piece.phase
                && job.run == piece.run
                && job.round == round
                && job.stage == stage
        })
    }

    /// The stage that a piece of work is in: that of its training run; 0 before it begins, and for all else.
    pub fn stage(&self, piece: &Piece) -> u32 {
        let run = piece.run.as_ref().and_then(|key| self.runs.get(key));
        run.map_or(0, |run| run.stage)
    }

    /// The training runs of the present cycle, by key.
    pub fn present_runs(&self) -> impl Iterator<Item = &TrainingRun> {
        let cycle = self.campaign.cycle;
        self.runs.values().filter(move |run| run.cycle == cycle)
    }

    /// `pilot`, `generate 3/8`, `train routing 1/2`: what a task of a job is called on a screen. A run is named where there
    /// are several, a stage counted where there are several.
    pub fn task_name(&self, job: &Job, task: &Task) -> String {
        let mut text = job.phase.name().to_string();
        let run = job.run.as_ref().and_then(|key| self.runs.get(key));
        if let Some(run) = run {
            let runs = self.runs.values().filter(|other| other.cycle == run.cycle);
            if runs.count() > 1 {
                text += &format!(" {}", run.name);
            }
            if run.stages > 1 {
                text += &format!(" {}/{}", job.stage, run.stages);
            }
        }
        if task.shards > 1 {
            text += &format!(" {}/{}", task.shard + 1, task.shards);
        }
        text
    }

    /// The shards of a piece of work that no job has done and none is doing, of `shards`.
    pub fn open_shards(&self, piece: &Piece, shards: u32) -> Vec<u32> {
        let taken = |shard: u32| {
            self.jobs_of(piece).any(|job| {
                job.task(shard).is_some_and(|task| match &task.end {
                    Some(end) => end.done(),
                    None => !job.state.ended(),
                })
            })
        };
        (0..shards).filter(|shard| !taken(*shard)).collect()
    }

    /// Whether every shard of a piece of work is done.
    pub fn all_shards_done(&self, piece: &Piece, shards: u32) -> bool {
        let done = |shard: u32| {
            self.jobs_of(piece).any(|job| {
                job.task(shard)
                    .and_then(|task| task.end.as_ref())
                    .is_some_and(|end| end.done())
            })
        };
        (0..shards).all(done)
    }

    /// Sentences about facts that cannot be; empty for a sound tree.
    pub fn check(&self) -> Vec<String> {
        let mut found = self.campaign.check();
        found.extend(self.runs.values().flat_map(TrainingRun::check));
        found.extend(self.jobs.values().flat_map(Job::check));
        for (key, run) in self.runs.iter().filter(|(key, run)| **key != run.key()) {
            found.push(format!("run {} is kept as {key}", run.key()));
        }
        for job in self.jobs.values() {
            found.extend(self.check_obligations(job));
        }
        for (id, obligation) in &self.outbox {
            if obligation.effect.belongs_to_state() && self.campaign.state.ended() {
                found.push(format!(
                    "{id} {} outlived the campaign",
                    obligation.effect.name()
                ));
            }
        }
        found
    }

    /// Each live job has exactly the obligation of its state, and an ended one has none: nothing hangs, nothing haunts.
    fn check_obligations(&self, job: &Job) -> Option<String> {
        let count = |wanted: fn(&Effect) -> bool| {
            let about = |id: &EffectId, effect: &Effect| match effect {
                Effect::LaunchJob { .. } => *id == job.id,
                Effect::WatchJob { job: other, .. } | Effect::EndJob { job: other } => {
                    *other == job.id
                }
                _ => false,
            };
            self.outbox
                .iter()
                .filter(|(id, obligation)| {
                    about(id, &obligation.effect) && wanted(&obligation.effect)
                })
                .count()
        };
        let launches = count(|effect| matches!(effect, Effect::LaunchJob { .. }));
        let watches = count(|effect| matches!(effect, Effect::WatchJob { .. }));
        let ends = count(|effect| matches!(effect, Effect::EndJob { .. }));
        let right = match job.state {
            JobState::Waiting => (launches, watches, ends) == (1, 0, 0),
            JobState::Running => (launches, watches, ends) == (0, 1, 0),
            JobState::Ending => launches == 0 && watches <= 1 && ends == 1,
            _ => (launches, watches, ends) == (0, 0, 0),
        };
        (!right).then(|| {
            format!(
                "job {} is {} with {launches} launches, {watches} watches, {ends} ends owed",
                job.id, job.state
            )
        })
    }
}
