//! Who decides what SLURM is asked, and what its answers mean. No clock, no process, no file: the caller makes the calls, one
//! at a time, and lends the job directories ([`Dirs`]), so that the same code runs under a daemon and under a simulation.
//!
//! - A part is written down as about to be submitted before `sbatch` is asked. Any doubt about the answer is resolved by name:
//!   seen in the queue, in the accounts, or by a claim in the job directory, it is adopted; absent from two polls and from
//!   the accounts, it is submitted again. The claims see to it that a task runs once even if both were wrong.
//! - One `squeue` serves all jobs. `sacct` is asked only about jobs that the queue does not show.
//! - No answer is no news: it changes a counter, and nothing else.
//! - A task is over when its job directory says so. Where the scheduler says so by name and the directory does not, twice,
//!   the end is written into the directory on the scheduler's word: from then on no later start of it runs.

mod asking;
mod hearing;
mod seen;
mod unit;

use super::{
    bucket::{Bucket, Rate},
    calls::Call,
    contact::Contact,
    handle::Handle,
    words::{Meaning, State},
};
use crate::{ids::EffectId, machines::job::Cause, time::Timestamp};
use seen::Stage;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};
use unit::Unit;

/// How often, how much, how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one poll to the next.
    pub interval: Duration,
    /// Calls that are allowed.
    pub rate: Rate,
    /// The most tasks of one array.
    pub largest: u32,
}

/// How a task ended by the scheduler's word, where its job directory says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerEnd {
    /// SLURM's word: `NODE_FAIL`; empty where it knows nothing of the job any more.
    pub state: String,
    /// SLURM's reason: `NodeDown`.
    pub reason: String,
    /// The task by SLURM's id: `918280_3`.
    pub task: String,
    /// What that means.
    pub cause: Cause,
}

impl SchedulerEnd {
    /// In words: `SLURM says NODE_FAIL (NodeDown) of 918280_3`.
    pub fn sentence(&self) -> String {
        let Self {
            state,
            reason,
            task,
            ..
        } = self;
        if state.is_empty() {
            return format!("SLURM knows nothing of {task} any more, and it left no exit.json");
        }
        let reason = match reason.as_str() {
            "" | "None" => String::new(),
            word => format!(" ({word})"),
        };
        let silent = match self.cause {
            Cause::Lost => ", and it left no exit.json: see what its batch script printed",
            _ => "",
        };
        format!("SLURM says {state}{reason} of {task}{silent}")
    }
}

/// What the job directories say and are told. Errors are no news.
pub trait Dirs {
    /// What was written down of a job's submission; none when nothing was.
    ///
    /// # Errors
    /// Those of reading; `InvalidData`: it was damaged.
    fn handle(&self, job: &EffectId) -> io::Result<Option<Handle>>;
    /// Writes it down, durably.
    ///
    /// # Errors
    /// Those of writing.
    fn write_handle(&mut self, job: &EffectId, handle: &Handle) -> io::Result<()>;
    /// The batch script of a part, visible to who reads it.
    ///
    /// # Errors
    /// Those of writing; something in it cannot be said in a script.
    fn script(&mut self, job: &EffectId, part: u32, handle: &Handle) -> io::Result<PathBuf>;
    /// The SLURM job that took a task's claim.
    ///
    /// # Errors
    /// Those of reading.
    fn claimed_by(&self, job: &EffectId, shard: u32) -> io::Result<Option<u64>>;
    /// Whether a task is over, or will never begin.
    ///
    /// # Errors
    /// Those of reading.
    fn is_over(&self, job: &EffectId, shard: u32) -> io::Result<bool>;
    /// A task's latest sign of life: it changes as long as its shim runs.
    ///
    /// # Errors
    /// Those of reading.
    fn beat(&self, job: &EffectId, shard: u32) -> io::Result<Option<i64>>;
    /// Ends a task on the scheduler's word, unless it is over already.
    ///
    /// # Errors
    /// Those of writing.
    fn tell_end(&mut self, job: &EffectId, shard: u32, end: &SchedulerEnd) -> io::Result<()>;
}

/// A job to submit, or to go on following.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its id.
    pub job: EffectId,
    /// Its name there.
    pub name: String,
    /// The clusters it goes to; empty for the site's own.
    pub clusters: String,
    /// The shards of its tasks, in the order of the request.
    pub shards: Vec<u32>,
    /// It is known to have been submitted: when nothing is written down of that, it is looked for.
    pub launched: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make this call, and say what came of it.
    Call(Call),
    /// Nothing before this.
    Wait(Timestamp),
    /// Nothing until something is asked for.
    Idle,
}

/// How far a job's submission is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launch {
    /// Not all of it is queued; why, in words, where something keeps it.
    Pending(Option<String>),
    /// All of it is queued. Whether that was found rather than done.
    Done {
        /// It was found.
        adopted: bool,
    },
    /// It will not be: SLURM's own sentence.
    Refused(String),
}

/// What the scheduler says of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskView {
    /// `918280_3`; empty before it is submitted.
    pub handle: String,
    /// Its state; none before it was seen.
    pub state: Option<State>,
    /// Why it waits, or ended.
    pub reason: String,
    /// Its nodes.
    pub nodes: String,
    /// Its partition.
    pub partition: String,
}

/// What the scheduler says of the end of a task that its job directory calls over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// This.
    Said(State, String),
    /// Nothing so far.
    NotYet,
    /// Nothing, and it was asked.
    Nothing,
}

/// All jobs of one set of clusters.
#[derive(Debug)]
pub struct Queue {
    pace: Pace,
    bucket: Bucket,
    contact: Contact,
    jobs: BTreeMap<EffectId, Followed>,
    /// When the queue was last seen.
    polled_at: Option<Timestamp>,
    /// Polls that were answered.
    polls: u32,
    /// Polls in a row that were made early because something was unsettled.
    hurried: u32,
    /// Since the last poll the accounts were asked.
    accounts_asked: bool,
    /// Since the last poll a cancellation failed: it is sent again after the next.
    cancel_failed: bool,
}

/// One job.
#[derive(Debug)]
struct Followed {
    handle: Handle,
    shards: Vec<u32>,
    /// Positions by shard.
    positions: BTreeMap<u32, u32>,
    units: Vec<Unit>,
    /// It is being ended.
    ending: bool,
    /// What was learned of its ids is not on disk yet.
    unsaved: bool,
}

impl Queue {
    /// One that follows nothing.
    pub fn new(pace: Pace, bucket: Bucket) -> Self {
        Self {
            pace,
            bucket,
            contact: Contact::default(),
            jobs: BTreeMap::new(),
            polled_at: None,
            polls: 0,
            hurried: 0,
            accounts_asked: false,
            cancel_failed: false,
        }
    }

    /// From now on it goes at this pace.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Submits a job, or goes on following it. Asking again is harmless.
    ///
    /// # Errors
    /// Its job directory cannot be read.
    pub fn take(&mut self, asked: &Submission, dirs: &dyn Dirs, now: Timestamp) -> io::Result<()> {
        if self.jobs.contains_key(&asked.job) {
            return Ok(());
        }
        let tasks = u32::try_from(asked.shards.len()).unwrap_or(u32::MAX);
        let plan = || Handle::plan(&asked.name, &asked.clusters, tasks, self.pace.largest);
        let handle = match dirs.handle(&asked.job) {
            Ok(Some(handle)) if handle.covers(tasks) => handle,
            Ok(Some(_)) => plan().unknown(now),
            Ok(None) if asked.launched => plan().unknown(now),
            Ok(None) => plan(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => plan().unknown(now),
            Err(error) => return Err(error),
        };
        let units = handle
            .parts
            .iter()
            .map(|part| Unit::of(part, now))
            .collect();
        let followed = Followed {
            handle,
            positions: asked.shards.iter().copied().zip(0..).collect(),
            shards: asked.shards.clone(),
            units,
            ending: false,
            unsaved: false,
        };
        self.jobs.insert(asked.job.clone(), followed);
        Ok(())
    }

    /// Begins to end a job. Its tasks' claims have been taken by who asks, as far as they were free.
    pub fn end(&mut self, job: &EffectId) {
        if let Some(followed) = self.jobs.get_mut(job) {
            followed.ending = true;
            for unit in &mut followed.units {
                unit.end();
            }
        }
    }

    /// Whether a job is being ended.
    pub fn is_ending(&self, job: &EffectId) -> bool {
        self.jobs.get(job).is_some_and(|followed| followed.ending)
    }

    /// Follows a job no longer.
    pub fn forget(&mut self, job: &EffectId) {
        self.jobs.remove(job);
    }

    /// How far the submission of a job is; none when it is not followed.
    pub fn launch(&self, job: &EffectId) -> Option<Launch> {
        let followed = self.jobs.get(job)?;
        let mut adopted = false;
        let mut pending = None;
        for unit in &followed.units {
            match &unit.stage {
                Stage::Refused(text) => return Some(Launch::Refused(text.clone())),
                Stage::Known(_) => adopted |= unit.adopted,
                stage => pending = Some(stage.why()),
            }
        }
        Some(match pending {
            Some(why) => Launch::Pending(why),
            None if followed.unsaved => Launch::Pending(None),
            None => Launch::Done { adopted },
        })
    }

    /// Whether nothing of a job that is being ended is left, as far as SLURM was heard since.
    pub fn is_ended(&self, job: &EffectId) -> bool {
        self.jobs
            .get(job)
            .is_none_or(|followed| followed.units.iter().all(Unit::is_ended))
    }

    /// What the scheduler says of a task.
    pub fn task(&self, job: &EffectId, shard: u32) -> Option<TaskView> {
        let (unit, index, _) = self.find(job, shard)?;
        let mut view = TaskView {
            handle: unit.handle_of(index),
            ..TaskView::default()
        };
        if let Some(row) = unit
            .tasks
            .get(index as usize)
            .and_then(|seen| seen.row.as_ref())
        {
            view.state = Some(row.state.clone());
            view.reason.clone_from(&row.reason);
            view.nodes.clone_from(&row.nodes);
            view.partition.clone_from(&row.partition);
        }
        Some(view)
    }

    /// What the scheduler says of the end of a task that is over by its job directory. Asking makes it look.
    pub fn word(&mut self, job: &EffectId, shard: u32) -> Word {
        let polls = self.polls;
        let Some((unit, index)) = self.find_mut(job, shard) else {
            return Word::Nothing;
        };
        let known = matches!(unit.stage, Stage::Known(_));
        let Some(seen) = unit.tasks.get_mut(index as usize) else {
            return Word::Nothing;
        };
        seen.over = true;
        let since = *seen.word_since.get_or_insert(polls);
        // Accounting is asked who cancelled it once the queue shows that somebody did.
        let looks = match seen.is_cancelled_by_nobody() {
            true => 2 * unit::LOOKS_FOR_A_WORD,
            false => unit::LOOKS_FOR_A_WORD,
        };
        let given_up = !known || polls.wrapping_sub(since) >= looks;
        seen.word_told |= given_up || seen.says_it_all();
        if !seen.word_told {
            return Word::NotYet;
        }
        match &seen.row {
            Some(row) if matches!(row.state.meaning(), Meaning::Over(_)) => {
                Word::Said(row.state.clone(), row.reason.clone())
            }
            _ => Word::Nothing,
        }
    }

    /// What is known of the controller.
    pub fn contact(&self) -> &Contact {
        &self.contact
    }

    /// When the queue was last seen.
    pub fn polled_at(&self) -> Option<Timestamp> {
        self.polled_at
    }

    /// Polls that were answered so far.
    pub fn polls(&self) -> u32 {
        self.polls
    }

    /// What is left of the calls.
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The jobs that are followed.
    pub fn jobs(&self) -> impl Iterator<Item = &EffectId> {
        self.jobs.keys()
    }

    fn find(&self, job: &EffectId, shard: u32) -> Option<(&Unit, u32, usize)> {
        let followed = self.jobs.get(job)?;
        let (part, index) = followed.place(shard)?;
        Some((followed.units.get(part)?, index, part))
    }

    fn find_mut(&mut self, job: &EffectId, shard: u32) -> Option<(&mut Unit, u32)> {
        let followed = self.jobs.get_mut(job)?;
        let (part, index) = followed.place(shard)?;
        Some((followed.units.get_mut(part)?, index))
    }
}

impl Followed {
    /// The part of a shard, and its index there.
    fn place(&self, shard: u32) -> Option<(usize, u32)> {
        let position = *self.positions.get(&shard)?;
        let within = |part: &super::handle::Part| {
            (part.first..part.first.saturating_add(part.count)).contains(&position)
        };
        let part = self.handle.parts.iter().position(within)?;
        Some((part, position - self.handle.parts[part].first))
    }
}
