//! A look at a task that a scheduler runs: its job directory says all of it. Processes are elsewhere, and are not asked for.

use crate::executor::{
    job_dir::{Claimed, Exit, JobDir},
    local::Observed,
    slurm::words::{Meaning, State},
};
use std::io;

use super::queue::SchedulerEnd;
use crate::machines::job::Cause;

/// Looks at a task. Waiting in the queue is [`Observed::NotStarted`].
pub fn look(dir: &JobDir, shard: u32) -> Observed {
    read(dir, shard).unwrap_or_else(|error| Observed::Unknown {
        why: error.to_string(),
    })
}

fn read(dir: &JobDir, shard: u32) -> io::Result<Observed> {
    if let Some(exit) = dir.read_exit(shard)? {
        return Ok(Observed::Ended(exit));
    }
    Ok(match dir.claimed(shard)? {
        Claimed::Nobody => Observed::NotStarted,
        Claimed::By(claim) if claim.by == "canceller" => Observed::Cancelled,
        Claimed::By(claim) => Observed::Running(claim.process),
        Claimed::Unreadable => Observed::Unknown {
            why: format!("the claim of task {shard} cannot be read"),
        },
    })
}

/// Whether the scheduler may know more of an end than the shim does: who sent the signal, and whether memory was short.
pub fn wants_a_word(exit: &Exit) -> bool {
    exit.scheduler.is_none()
        && matches!(
            exit.cause(),
            Some(Cause::Stopped | Cause::Transient | Cause::Program)
        )
        && exit.status != Some(crate::executor::job_dir::TRY_AGAIN.into())
}

/// A task's end with what the scheduler says of it, where that says more.
pub fn with_word(mut exit: Exit, state: &State, reason: &str, task: &str) -> Exit {
    // What somebody cancelled ended of that, whatever its command made of the signal: SLURM signals both it and its shim.
    if let (Some(_), Meaning::Over(Some(cause))) = (exit.cause(), state.meaning()) {
        exit.scheduler = Some(SchedulerEnd {
            state: state.to_string(),
            reason: reason.into(),
            task: task.into(),
            cause,
        });
    }
    exit
}
