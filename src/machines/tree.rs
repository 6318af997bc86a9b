//! One campaign with its runs, jobs and outbox: what is decided, committed and checked as one.

use super::{
    campaign::Campaign,
    effect::{Effect, Obligation},
    job::{Job, Phase, State as JobState},
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

    /// The jobs of a phase's present round, in order of their ids.
    pub fn jobs_of(&self, phase: Phase) -> impl Iterator<Item = &Job> {
        let round = self.campaign.round(phase);
        let stage = if phase == Phase::Train {
            self.stage()
        } else {
            0
        };
        self.jobs
            .values()
            .filter(move |job| job.phase == phase && job.round == round && job.stage == stage)
    }

    /// The stage of the present cycle's training run; 0 before it begins.
    pub fn stage(&self) -> u32 {
        let key = TrainingRun::key(self.campaign.cycle);
        self.runs.get(&key).map_or(0, |run| run.stage)
    }

    /// The shards of a phase's present round that no job has done and none is doing, of `shards`.
    pub fn open_shards(&self, phase: Phase, shards: u32) -> Vec<u32> {
        let taken = |shard: u32| {
            self.jobs_of(phase).any(|job| {
                job.task(shard).is_some_and(|task| match &task.end {
                    Some(end) => end.done(),
                    None => !job.state.ended(),
                })
            })
        };
        (0..shards).filter(|shard| !taken(*shard)).collect()
    }

    /// Whether every shard of a phase's present round is done.
    pub fn all_shards_done(&self, phase: Phase, shards: u32) -> bool {
        let done = |shard: u32| {
            self.jobs_of(phase).any(|job| {
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
