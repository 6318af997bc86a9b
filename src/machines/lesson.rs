//! What there is to learn from a fine-tune that failed.

use super::{
    job::{Cause, TaskEnd},
    plan::REFUSED_BY,
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
        .any(|word| says(&end.text, word))
    };
    match end.cause {
        Some(Cause::OutOfMemory | Cause::GpuMemory) => FailureCause::Memory,
        Some(Cause::TimeLimit) => FailureCause::TimeLimit,
        Some(Cause::Lost | Cause::Stopped | Cause::Transient | Cause::Cancelled) => {
            FailureCause::Node
        }
        Some(Cause::CannotStart) if end.text.starts_with(REFUSED_BY) => FailureCause::Refused,
        Some(Cause::Program) if unstable() => FailureCause::Stability,
        _ => FailureCause::Program,
    }
}

/// Whether a text has these words, not merely longer ones that begin so.
fn says(text: &str, words: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(char::is_alphanumeric);
    text.match_indices(words)
        .any(|(at, _)| ends(&text[at + words.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{time::Timestamp, training::health::Ailment};

    fn taught(cause: Cause, text: &str) -> FailureCause {
        super::cause(&TaskEnd {
            cause: Some(cause),
            text: text.into(),
            at: Timestamp(0),
            ran_seconds: None,
        })
    }

    #[test]
    fn what_the_trainer_says_of_its_loss_teaches_stability() {
        let norm = 1e9;
        for ailment in [
            Ailment::Loss(f64::NAN),
            Ailment::Loss(f64::INFINITY),
            Ailment::Norm(f64::NAN),
            Ailment::Exploded { norm, median: 1.0 },
            Ailment::Diverged {
                loss: norm,
                before: 1.0,
            },
        ] {
            let text = format!("ended with status 1: {ailment}");
            assert_eq!(
                taught(Cause::Program, &text),
                FailureCause::Stability,
                "{text}"
            );
        }
        for other in [
            "ended with status 1",
            "the information of inference is infinitesimal",
        ] {
            assert_eq!(
                taught(Cause::Program, other),
                FailureCause::Program,
                "{other}"
            );
        }
        assert_eq!(taught(Cause::GpuMemory, "NaN"), FailureCause::Memory);
        let refused = format!("{REFUSED_BY}c-1 refuses it: r = 64");
        assert_eq!(taught(Cause::CannotStart, &refused), FailureCause::Refused);
        assert_eq!(
            taught(Cause::CannotStart, "no model"),
            FailureCause::Program
        );
        assert_eq!(taught(Cause::Transient, "exploded"), FailureCause::Node);
    }
}
