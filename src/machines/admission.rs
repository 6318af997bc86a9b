//! Which of the owed effects may be performed now: a pause and the limits hold new work back, in line.

use super::{
    effect::Effect,
    job::{Job, Phase},
    tree::CampaignTree,
};
use crate::{ids::EffectId, time::Timestamp};
use std::time::Duration;

/// Limits over all campaigns of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks at once.
    pub max_concurrent_jobs: u32,
    /// Of these, tasks that train.
    pub max_training_jobs: u32,
    /// Jobs submitted in any 60 minutes.
    pub max_jobs_per_hour: u32,
}

/// The launches that may not be performed now, of all campaigns; everything else in the outboxes may.
///
/// Launches stand in line by the time they were decided. `begun` are those whose performer is at work already: they
/// count as running. A job with more tasks than the limit runs alone.
pub fn held<'a>(
    trees: impl Iterator<Item = &'a CampaignTree> + Clone,
    begun: impl Fn(&EffectId) -> bool,
    limits: Limits,
    now: Timestamp,
) -> Vec<EffectId> {
    let jobs = || trees.clone().flat_map(|tree| tree.jobs.values());
    let mut running: usize = jobs().map(Job::running_tasks).sum();
    let training = |job: &&Job| job.phase == Phase::Train;
    let mut runs: usize = jobs().filter(training).map(Job::running_tasks).sum();
    let hour_ago = |job: &&Job| {
        job.launched_at
            .is_some_and(|at| now.since(at) < Duration::from_secs(3600))
    };
    let mut in_the_hour = jobs().filter(hour_ago).count();

    let mut line: Vec<(Timestamp, &EffectId, &CampaignTree)> = trees
        .clone()
        .flat_map(|tree| tree.outbox.iter().map(move |(id, owed)| (id, owed, tree)))
        .filter(|(_, owed, _)| owed.effect.is_new_work())
        .map(|(id, owed, tree)| (owed.since, id, tree))
        .collect();
    line.sort_by_key(|(since, id, _)| (*since, *id));
    // Those at work come first: they cannot be held back any more.
    line.sort_by_key(|(_, id, _)| !begun(id));

    let mut held = Vec::new();
    for (_, id, tree) in line {
        let launch = matches!(
            tree.outbox.get(id).map(|owed| &owed.effect),
            Some(Effect::LaunchJob { .. })
        );
        let (tasks, trains) = match tree.jobs.get(id).filter(|_| launch) {
            Some(job) => (job.tasks.len(), job.phase == Phase::Train),
            None => (0, false),
        };
        let fits = running == 0 || running + tasks <= limits.max_concurrent_jobs as usize;
        let trainable = !trains || runs + tasks <= limits.max_training_jobs as usize;
        let this_hour = tasks == 0 || in_the_hour < limits.max_jobs_per_hour as usize;
        let paused = tree.campaign.paused_at.is_some();
        if begun(id) || (fits && trainable && this_hour && !paused) {
            running += tasks;
            runs += if trains { tasks } else { 0 };
            in_the_hour += usize::from(tasks > 0);
        } else {
            held.push(id.clone());
        }
    }
    held
}
