//! Whether an ended task did what was asked: its exit says how it ended, what it left on disk says what it did.

use super::{Made, Watch};
use crate::{
    actors::{now, outcome::Executed, seen::ShardCount},
    artifacts::is_starved,
    executor::{job_dir::Exit, said},
    machines::job::{Cause, Phase, Task, TaskEnd},
};
use std::io;

impl Watch {
    /// Whether an ended task did what was asked.
    ///
    /// # Errors
    /// Its samples cannot be read for now.
    pub(super) fn judge(
        &self,
        task: &Task,
        exit: &Exit,
        made: io::Result<Made>,
    ) -> io::Result<TaskEnd> {
        let (cause, text) = match (exit.cause(), made) {
            (Some(cause), made) => {
                let said = match cause {
                    Cause::Program => said::log_says(&self.dir, task.shard),
                    _ => None,
                };
                if let Some((cause, line)) = said {
                    let text = format!("{}: {line}", exit.sentence());
                    return Ok(TaskEnd {
                        cause: Some(cause),
                        text,
                        at: now(),
                        ran_seconds: exit.ran_seconds(),
                    });
                }
                let executed = made.ok().and_then(|made| made.executed);
                let why = executed.as_ref().and_then(Executed::problem);
                let own = (cause == Cause::Program && self.job.phase == Phase::Train)
                    .then(|| said::last_error(&self.dir, task.shard))
                    .flatten();
                let why = why.map(String::from).or(own);
                let why = why.map_or(String::new(), |why| format!(": {why}"));
                (Some(cause), exit.sentence() + &why)
            }
            (None, Err(error)) if is_starved(&error) => return Err(error),
            (None, Err(error)) => (Some(Cause::Transient), error.to_string()),
            (None, Ok(made)) if self.job.phase.makes_samples() => {
                self.judge_samples(task, exit, made.count)
            }
            (
                None,
                Ok(Made {
                    executed: Some(executed),
                    ..
                }),
            ) => match executed.judged() {
                Ok(said) => (None, format!("{}, {said}", exit.sentence())),
                Err(why) => {
                    let text = format!("{} {why}", exit.sentence());
                    (Some(Cause::Incomplete), text)
                }
            },
            (None, Ok(Made { missing: None, .. })) => (None, exit.sentence()),
            (
                None,
                Ok(Made {
                    missing: Some(path),
                    ..
                }),
            ) => {
                let text = format!("{} and no {}", exit.sentence(), path.display());
                (Some(Cause::Incomplete), text)
            }
        };
        Ok(TaskEnd {
            cause,
            text,
            at: now(),
            ran_seconds: exit.ran_seconds(),
        })
    }

    fn judge_samples(
        &self,
        task: &Task,
        exit: &Exit,
        count: ShardCount,
    ) -> (Option<Cause>, String) {
        let mut notes = String::new();
        for (number, what) in [
            (count.invalid, "are no samples"),
            (count.duplicates, "repeat an id"),
        ] {
            if number > 0 {
                notes += &format!(", {number} lines {what}");
            }
        }
        let shared = self
            .here
            .seen
            .shared_ids(&self.effect.campaign, self.job.phase);
        let made = count.distinct;
        if made < task.target {
            let text = format!(
                "{} and too few samples: {made} of {}{notes}",
                exit.sentence(),
                task.target
            );
            (Some(Cause::Incomplete), text)
        } else if shared > 0 {
            let text = format!(
                "{} ids stand in more than one shard: make {{shard}} part of them",
                shared
            );
            (Some(Cause::Incomplete), text)
        } else {
            (None, format!("{}, {made} samples{notes}", exit.sentence()))
        }
    }
}
