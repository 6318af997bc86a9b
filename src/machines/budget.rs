//! What a campaign has spent of its budget, and whether that forbids a launch.
//!
//! Work in flight counts as far as it is known: what a budget may be passed by is at most what was under way when it
//! was reached.

use super::{job::Job, tree::CampaignTree};
use crate::time::Timestamp;

/// What a campaign's jobs have used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// GPUs times hours, of tasks that have ended, and of those that run on this machine.
    pub gpu_hours: f64,
    /// What they cost at `budget.gpu_hour_usd`, in USD.
    pub gpu_usd: f64,
    /// Time since it was handed in, in seconds.
    pub wall_seconds: u64,
    /// Jobs that were launched, further attempts among them.
    pub jobs: u64,
}

/// What a campaign has used until now.
pub fn spent(tree: &CampaignTree, now: Timestamp) -> Spent {
    let campaign = &tree.campaign;
    let until = campaign.ended_at.unwrap_or(now);
    let launched = || tree.jobs.values().filter(|job| job.launched_at.is_some());
    let gpu_hours = launched().map(|job| gpu_hours(job, until)).sum();
    let price = campaign.spec.budget.as_ref();
    let price = price.and_then(|budget| budget.gpu_hour_usd).unwrap_or(0.0);
    Spent {
        gpu_hours,
        gpu_usd: gpu_hours * price,
        wall_seconds: until.since(campaign.created_at).as_secs(),
        jobs: launched().count() as u64,
    }
}

/// The GPU hours of one job.
pub fn gpu_hours(job: &Job, now: Timestamp) -> f64 {
    let seconds = |task: &super::job::Task| match (&task.end, job.launched_at) {
        (Some(end), Some(from)) => match end.ran_seconds {
            Some(ran) => ran as f64,
            // It may have waited in SLURM's queue all the time.
            None if job.slurm.is_some() => 0.0,
            None => end.at.since(from).as_secs_f64(),
        },
        // A task of SLURM may wait in its queue: only its end says how long it ran.
        (None, Some(from)) if job.slurm.is_none() => now.since(from).as_secs_f64(),
        _ => 0.0,
    };
    let seconds: f64 = job.tasks.iter().map(seconds).sum();
    seconds * f64::from(job.gpus) / 3600.0
}

/// The bound that forbids another launch, as a sentence; none while there is room.
pub fn exhausted(tree: &CampaignTree, now: Timestamp) -> Option<String> {
    exhausted_beside(tree, 0, now)
}

/// The same where so many launches are under way that no event has told of yet.
pub fn exhausted_beside(tree: &CampaignTree, begun: u64, now: Timestamp) -> Option<String> {
    let budget = tree.campaign.spec.budget.as_ref()?;
    let Spent {
        gpu_hours,
        gpu_usd,
        wall_seconds,
        jobs,
    } = spent(tree, now);
    let jobs = jobs + begun;
    if let Some(most) = budget.gpu_hours.filter(|most| gpu_hours >= *most) {
        return Some(format!(
            "budget.gpu_hours = {most} is spent: {gpu_hours:.2} GPU hours are used"
        ));
    }
    let priced = budget.usd.filter(|_| budget.gpu_hour_usd.is_some());
    if let Some(most) = priced.filter(|most| gpu_usd >= *most) {
        return Some(format!(
            "budget.usd = {most} is spent: GPUs cost {gpu_usd:.2} USD"
        ));
    }
    if let Some(most) = budget.wall_seconds.filter(|most| wall_seconds >= *most) {
        return Some(format!(
            "budget.wall = {most} s is over: it was handed in {wall_seconds} s ago"
        ));
    }
    let most = budget.jobs.filter(|most| jobs >= *most)?;
    Some(format!(
        "budget.jobs = {most} is spent: {jobs} were launched"
    ))
}
