//! What was done about tasks that ended undone, and whether it helped: the `error_resolutions` of specification 1, section
//! 2.3, of a campaign's jobs. Nothing is kept for it: the chain of attempts says it all.

use super::{
    job::{Cause, Job, Task},
    tree::CampaignTree,
};
use crate::ids::EffectId;
use serde::{Deserialize, Serialize};

/// One retry of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResolution {
    /// The job that ended undone.
    pub job: EffectId,
    /// Its task.
    pub shard: u32,
    /// The job that was started for it.
    pub retry: EffectId,
    /// Why the task was not done.
    pub error_type: Cause,
    /// The evidence, one sentence.
    pub error_message: String,
    /// `resubmit`, `increase_memory 32768 -> 49152 MiB`, `increase_time 3600 -> 5400 s`.
    pub resolution_attempted: String,
    /// Whether the task was done then; none while it is not over.
    pub resolution_success: Option<bool>,
    /// Which retry of the task this was, from 1.
    pub iterations: u32,
    /// How the retry stands: a state of `state-machines/job.toml` or the cause of its end.
    pub final_state: String,
}

/// Every retry of a campaign, in the order of the jobs that were started for them.
pub fn resolutions(tree: &CampaignTree) -> Vec<JobResolution> {
    let retried = tree.jobs.values().filter_map(|retry| {
        let failed = tree.jobs.get(retry.retry_of.as_ref()?)?;
        Some((failed, retry))
    });
    let of_job = |(failed, retry): (&Job, &Job)| {
        let tasks = retry.tasks.iter();
        let all = tasks.filter_map(|task| resolution(failed, retry, task));
        all.collect::<Vec<_>>()
    };
    retried.flat_map(of_job).collect()
}

fn resolution(failed: &Job, retry: &Job, task: &Task) -> Option<JobResolution> {
    let end = failed.task(task.shard)?.end.as_ref()?;
    let error_type = end.cause?;
    let ended = task.end.as_ref();
    let cause = ended.and_then(|end| end.cause);
    Some(JobResolution {
        job: failed.id.clone(),
        shard: task.shard,
        retry: retry.id.clone(),
        error_type,
        error_message: end.text.clone(),
        resolution_attempted: attempted(error_type, failed, retry),
        resolution_success: ended.map(|end| end.done()),
        iterations: retry.attempt.saturating_sub(1),
        final_state: match (ended, cause) {
            (Some(_), Some(cause)) => cause.name().into(),
            (Some(_), None) => super::job::State::Done.name().into(),
            (None, _) => retry.state.name().into(),
        },
    })
}

/// What the retry had that the attempt before had not.
fn attempted(cause: Cause, failed: &Job, retry: &Job) -> String {
    let memory = |job: &Job| job.slurm.as_ref().and_then(|slurm| slurm.mem_mib);
    let limit = |job: &Job| {
        let asked = job.slurm.as_ref().and_then(|slurm| slurm.time_seconds);
        job.time_seconds.or(asked)
    };
    match (
        cause,
        memory(failed),
        memory(retry),
        limit(failed),
        limit(retry),
    ) {
        (Cause::OutOfMemory, Some(before), Some(after), _, _) if after > before => {
            format!("increase_memory {before} -> {after} MiB")
        }
        (Cause::TimeLimit, _, _, Some(before), Some(after)) if after > before => {
            format!("increase_time {before} -> {after} s")
        }
        _ => "resubmit".into(),
    }
}
