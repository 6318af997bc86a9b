//! An attempt at a task: how much there is to do, how fast, and what it ends of.

use super::{
    chance::{About, number_of},
    objective::Answer,
    world::World,
};
use crate::{
    history::FailureCause,
    machines::{
        job::{Cause, Job, Phase, Task},
        plan,
        tree::CampaignTree,
    },
};

/// After this share of its time a fine-tune is out of memory, or diverges.
const OUT_OF_MEMORY_AT: f64 = 0.02;
/// See [`OUT_OF_MEMORY_AT`].
const DIVERGES_AT: f64 = 0.3;

impl World<'_> {
    /// How an attempt at a task ends: why, in a sentence, and after how many seconds.
    pub(super) fn attempt(
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
            FailureCause::Node | FailureCause::Program | FailureCause::Refused => {
                (Cause::Program, "exit status 1", DIVERGES_AT)
            }
        };
        Some((cause, text.into(), share))
    }
}

/// Whether what was done until an end is kept: a setting that cannot be trained leaves no checkpoint.
fn is_kept(cause: Option<Cause>) -> bool {
    !matches!(cause, Some(Cause::GpuMemory | Cause::Program))
}
