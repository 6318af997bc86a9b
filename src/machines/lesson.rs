//! What there is to learn from a fine-tune that failed.

use super::{
    job::{Cause, TaskEnd},
    tree::CampaignTree,
};
use crate::history::{Failure, FailureCause};

/// What the last job of a run, by its key, failed of.
pub fn failure(tree: &CampaignTree, run: &str) -> Failure {
    let jobs = tree.jobs.values();
    let ours = jobs.filter(|job| job.run.as_deref() == Some(run));
    let ends = ours
        .flat_map(|job| &job.tasks)
        .filter_map(|task| task.end.as_ref());
    let last = ends
        .filter(|end| end.cause.is_some())
        .max_by_key(|end| end.at);
    Failure {
        cause: last.map_or(FailureCause::Program, cause),
        text: last.map_or("nothing is known of it".into(), |end| end.text.clone()),
    }
}

/// What there is to learn from an end.
fn cause(end: &TaskEnd) -> FailureCause {
    let unstable = || {
        // As the trainer says it, and as others do.
        [
            "not a number",
            "no finite number",
            "is infinite",
            "diverged",
            "exploded",
            "loss is nan",
            "NaN loss",
        ]
        .iter()
        .any(|word| end.text.contains(word))
    };
    match end.cause {
        Some(Cause::OutOfMemory | Cause::GpuMemory) => FailureCause::Memory,
        Some(Cause::TimeLimit) => FailureCause::TimeLimit,
        Some(Cause::Lost | Cause::Stopped | Cause::Transient | Cause::Cancelled) => {
            FailureCause::Node
        }
        Some(Cause::Program) if unstable() => FailureCause::Stability,
        _ => FailureCause::Program,
    }
}
