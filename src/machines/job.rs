//! One job: an attempt of one or more tasks, and how each task ended.

use super::{spec::SlurmSpec, table::Guard};
use crate::{ids::EffectId, time::Timestamp, words::words};
use serde::{Deserialize, Serialize};

words! {
    /// The states of `state-machines/job.toml`.
    pub enum State {
        /// To be launched.
        Waiting = "waiting",
        /// Launched; its tasks run, or wait in a scheduler's queue.
        Running = "running",
        /// Asked to end.
        Ending = "ending",
        /// Every task is done.
        Done = "done",
        /// A task failed.
        Failed = "failed",
        /// A task vanished without a word.
        Lost = "lost",
        /// Ended because it was asked to.
        Cancelled = "cancelled",
    }
}

impl State {
    /// Whether nothing of the job runs any more.
    pub fn ended(self) -> bool {
        matches!(
            self,
            State::Done | State::Failed | State::Lost | State::Cancelled
        )
    }

    /// The six words for a job that other systems know (specification 4, "Job States").
    pub fn spoken(self, started: bool) -> &'static str {
        match self {
            State::Waiting => "PENDING",
            State::Running if !started => "QUEUED",
            State::Running | State::Ending => "RUNNING",
            State::Done => "COMPLETED",
            State::Failed | State::Lost => "FAILED",
            State::Cancelled => "CANCELLED",
        }
    }
}

words! {
    /// What kind of work a job does: the phase it belongs to.
    pub enum Phase {
        /// Pilot samples.
        Pilot = "pilot",
        /// The full generation.
        Generate = "generate",
        /// Running generated workflows.
        Execute = "execute",
        /// Raw samples to a data set.
        Curate = "curate",
        /// One stage of a training run.
        Train = "train",
        /// Measuring an adapter.
        Evaluate = "evaluate",
    }
}

impl Phase {
    /// Whether its tasks compute with a model of their own.
    pub fn trains(self) -> bool {
        matches!(self, Phase::Train | Phase::Evaluate)
    }

    /// Whether its tasks append samples to shard files.
    pub fn makes_samples(self) -> bool {
        matches!(self, Phase::Pilot | Phase::Generate)
    }
}

words! {
    /// Why a task is not done.
    pub enum Cause {
        /// The command could not be started.
        CannotStart = "cannot_start",
        /// It ended with a status other than 0, or by a signal of its own making.
        Program = "program",
        /// It ended with status 0 and has not made what was asked.
        Incomplete = "incomplete",
        /// It reached its time limit.
        TimeLimit = "time_limit",
        /// The kernel killed it for want of memory.
        OutOfMemory = "out_of_memory",
        /// A GPU had no memory left for it.
        GpuMemory = "gpu_memory",
        /// It vanished without a word: its session was killed and seen empty.
        Lost = "lost",
        /// The node or the network failed it, or its command was killed from outside.
        Transient = "transient",
        /// Somebody sent its shim a termination signal.
        Stopped = "stopped",
        /// Its slice of the budget is spent.
        BudgetSpent = "budget_spent",
        /// The campaign ended it.
        Cancelled = "cancelled",
    }
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEnd {
    /// None: done, as its exit status and what it made say.
    pub cause: Option<Cause>,
    /// One sentence with the evidence: `exit status 0, 4313 distinct samples`.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// How long its command ran, in seconds, where that is known.
    #[serde(default)]
    pub ran_seconds: Option<u64>,
}

impl TaskEnd {
    /// Whether the task did what was asked.
    pub fn done(&self) -> bool {
        self.cause.is_none()
    }
}

/// One process of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Which part of the phase's work, from 0.
    pub shard: u32,
    /// Of how many parts.
    pub shards: u32,
    /// This part's share of the samples; 0 where the phase counts nothing.
    pub target: u64,
    /// How it ended.
    pub end: Option<TaskEnd>,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The id of the effect that launches it.
    pub id: EffectId,
    /// What it works for.
    pub phase: Phase,
    /// Which round of the phase: the look of a pilot, the cycle of a training or evaluation; else 1.
    pub round: u32,
    /// The key of the training run that it is a stage of; else none.
    pub run: Option<String>,
    /// Which stage of the training run; else 0.
    pub stage: u32,
    /// Counts the attempts of the same work from 1.
    pub attempt: u32,
    /// Where it is in `state-machines/job.toml`.
    pub state: State,
    /// Its tasks, by shard.
    pub tasks: Vec<Task>,
    /// The job this one repeats the unfinished tasks of.
    pub retry_of: Option<EffectId>,
    /// The daemon ended it on purpose and means to start it again: costs no retry.
    pub interrupted: bool,
    /// Since when it is alive but silent.
    pub silent_since: Option<Timestamp>,
    /// When the effect was decided.
    pub created_at: Timestamp,
    /// When it was launched.
    pub launched_at: Option<Timestamp>,
    /// When its last task ended.
    pub ended_at: Option<Timestamp>,
    /// Limit of one task in seconds.
    pub time_seconds: Option<u64>,
    /// What is asked of SLURM for each task; none: it runs on this machine.
    pub slurm: Option<SlurmSpec>,
    /// GPUs that each task has.
    pub gpus: u32,
}

/// A piece of a campaign's work: what a job and its further attempts are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The phase.
    pub phase: Phase,
    /// Of training, the key of the run.
    pub run: Option<String>,
}

impl From<Phase> for Piece {
    /// The whole of a phase other than training.
    fn from(phase: Phase) -> Self {
        Self { phase, run: None }
    }
}

impl Job {
    /// Whether a route's condition holds.
    pub fn holds(&self, guard: Guard) -> bool {
        match guard {
            Guard::AllDone => self
                .tasks
                .iter()
                .all(|task| task.end.as_ref().is_some_and(TaskEnd::done)),
            Guard::AnyLost => self
                .tasks
                .iter()
                .any(|task| task.cause() == Some(Cause::Lost)),
            _ => false,
        }
    }

    /// The task of a shard.
    pub fn task(&self, shard: u32) -> Option<&Task> {
        self.tasks.iter().find(|task| task.shard == shard)
    }

    /// Whether every task has ended.
    pub fn all_ended(&self) -> bool {
        self.tasks.iter().all(|task| task.end.is_some())
    }

    /// How many of its tasks are under way.
    pub fn running_tasks(&self) -> usize {
        match self.state {
            State::Running | State::Ending => {
                self.tasks.iter().filter(|task| task.end.is_none()).count()
            }
            _ => 0,
        }
    }

    /// What it and its further attempts are about.
    pub fn piece(&self) -> Piece {
        Piece {
            phase: self.phase,
            run: self.run.clone(),
        }
    }

    /// Sentences about facts that cannot be; empty for a sound record.
    pub fn check(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut say = |wrong: bool, what: &str| {
            if wrong {
                found.push(format!("job {}: {what}", self.id));
            }
        };
        say(self.tasks.is_empty(), "has no task");
        say(
            (self.phase == Phase::Train) != self.run.is_some(),
            "trains without a run, or the reverse",
        );
        say(self.attempt == 0, "has attempt 0");
        say(
            self.state == State::Done && !self.holds(Guard::AllDone),
            "is done with an unfinished task",
        );
        say(
            self.state.ended() != self.ended_at.is_some(),
            "ended without a time, or the reverse",
        );
        say(
            self.state.ended() && !self.all_ended(),
            "ended with a task under way",
        );
        say(
            self.state == State::Running && self.launched_at.is_none(),
            "runs and was not launched",
        );
        found
    }
}

impl Task {
    /// Why it is not done, once it has ended so.
    pub fn cause(&self) -> Option<Cause> {
        self.end.as_ref().and_then(|end| end.cause)
    }
}
