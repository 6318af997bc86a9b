//! Following a job to its end, for the monitors and the Trainer.
//!
//! A task is over when its job directory says so, or when its session is dead and seen empty. What it made is counted
//! from the samples on disk: an exit status of 0 with fewer distinct ids than asked is not complete, and neither is one of a
//! training without its adapter.

mod judge;
mod log;

use super::{
    Pace, Perform, Surroundings, now,
    outcome::{self, Executed},
    patience::patiently,
    seen::ShardCount,
    slurm,
};
use crate::{
    artifacts::named,
    executor::{
        identity::Identity,
        job_dir::{Exit, JobDir},
        local::{Local, Observed},
        slurm::{
            look::{look, wants_a_word, with_word},
            queue::Word,
        },
    },
    ids::EffectId,
    machines::{
        effect::Effect,
        event::Event,
        job::{Cause, Job, Phase, Task, TaskEnd},
    },
    time::{Timestamp, two_units},
};
use futures_util::future::select_all;
use log::{TaskLog, lock};
use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// A young job is looked at this often; the pace slows down with its age to the setting.
const EAGER: Duration = Duration::from_millis(100);
/// A job's age over this is the pace: a job of 200 s is looked at every 10 s.
const AGE_SHARE: u32 = 20;
/// Of a job elsewhere so much time lies between two looks for each of its tasks.
const LOOK_SHARE: Duration = Duration::from_millis(17);

/// One watch under way.
struct Watch {
    here: Surroundings,
    effect: EffectId,
    job: Job,
    dir: JobDir,
    place: Place,
    /// Some task of it has begun, as far as is seen.
    begun: bool,
    /// Tasks that have not ended yet.
    open: Vec<Task>,
    logs: Vec<Arc<Mutex<TaskLog>>>,
    began: Timestamp,
    silent: bool,
    /// Why a task could not be looked at was told already.
    told: bool,
}

/// Where a job runs.
#[derive(Clone, Debug)]
enum Place {
    /// On this machine.
    Here,
    /// On these clusters.
    Slurm(String),
}

/// What a task has left on disk.
#[derive(Default)]
struct Made {
    /// Its samples.
    count: ShardCount,
    /// What belongs to the result of a training or an evaluation, and is not there.
    missing: Option<PathBuf>,
    /// What a task of the execution has run.
    executed: Option<Executed>,
}

/// Follows the job of a watch until its last task has ended, and reports each end.
pub async fn watch(here: &Surroundings, perform: &Perform, pace: fn(&Pace) -> Duration) {
    let Effect::WatchJob { job: id, .. } = &perform.effect else {
        tracing::error!("{} is no watch", perform.effect.name());
        return;
    };
    let Some(job) = perform.tree.jobs.get(id) else {
        tracing::error!(campaign = %id.campaign, job = %id, "job {id} has no record");
        return;
    };
    let mut watch = Watch::new(here, perform, job);
    if let Some(slurm) = &job.slurm {
        let asked = slurm::submission(here, job, slurm);
        let follows = patiently(
            here,
            &perform.id,
            |_: &io::Error| true,
            || here.slurm.take(&asked),
        )
        .await;
        if matches!(follows, Ok(None)) {
            return;
        }
    }
    while !watch.open.is_empty() {
        let alive = watch.look().await;
        if watch.open.is_empty() {
            break;
        }
        watch.flag_silence();
        let age = now().since(watch.began) / AGE_SHARE;
        let most = pace(&here.tuning.get().pace).max(EAGER);
        let pause = age.clamp(EAGER, most).max(watch.dearest().min(most));
        watch.wait(alive, pause).await;
    }
    if let Place::Slurm(clusters) = &watch.place {
        // It is followed by nobody else.
        let _ = here.slurm.forget(clusters, &job.id, false).await;
    }
}

impl Watch {
    fn new(here: &Surroundings, perform: &Perform, job: &Job) -> Self {
        let dir = JobDir::new(here.state.job(&job.id));
        let at = now();
        let log =
            |task: &Task| Arc::new(Mutex::new(TaskLog::new(&dir, task.shard, task.target, at)));
        Self {
            effect: perform.id.clone(),
            logs: job.tasks.iter().map(log).collect(),
            open: job
                .tasks
                .iter()
                .filter(|task| task.end.is_none())
                .cloned()
                .collect(),
            place: match &job.slurm {
                Some(slurm) => Place::Slurm(slurm.clusters.clone()),
                None => Place::Here,
            },
            begun: job.slurm.is_none(),
            began: job.launched_at.unwrap_or(at),
            silent: job.silent_since.is_some(),
            told: false,
            here: here.clone(),
            job: job.clone(),
            dir,
        }
    }

    /// Looks at every open task; reports those that ended and gives the identities of those alive.
    async fn look(&mut self) -> Vec<Identity> {
        let mut alive = Vec::new();
        let mut ended = Vec::new();
        let mut unseen = None;
        let mut begun = matches!(self.place, Place::Here);
        let observed = self.observe().await;
        for (task, observed) in self.open.iter().zip(observed) {
            let elsewhere = matches!(self.place, Place::Slurm(_));
            // Who cancels a job there says itself when nothing of it is left in the queue.
            if elsewhere && matches!(observed, Observed::NotStarted | Observed::Cancelled) {
                continue;
            }
            begun = true;
            // Counted after the observation: what an ended task made is all there.
            let count = self.count(task).await;
            let end = match observed {
                Observed::Running(_) if elsewhere => continue,
                Observed::Running(identity) => {
                    self.here.handles.keep(&self.job.id, task.shard, &identity);
                    alive.push(identity);
                    continue;
                }
                Observed::Unknown { why } => {
                    unseen = Some(why);
                    continue;
                }
                Observed::Ended(exit) => match self.judge(task, &exit, count) {
                    Ok(end) => end,
                    Err(error) => {
                        unseen = Some(error.to_string());
                        continue;
                    }
                },
                Observed::Cancelled => self.end(Cause::Cancelled, "ended before it started"),
                Observed::Lost { why } => self.end(Cause::Lost, &format!("vanished: {why}")),
                // Launched, and now without a claim: somebody removed its directory.
                Observed::NotStarted => self.end(Cause::Lost, "its job directory is gone"),
            };
            ended.push((task.shard, end));
        }
        self.begun |= begun;
        self.tell(unseen);
        for (shard, _) in &ended {
            self.here.handles.release(&self.job.id, *shard);
            self.open.retain(|task| task.shard != *shard);
        }
        self.report(ended);
        alive
    }

    /// How rarely a job elsewhere is looked at for its size: a look at each of thousands of tasks is not for every second.
    fn dearest(&self) -> Duration {
        match self.place {
            Place::Here => Duration::ZERO,
            Place::Slurm(_) => {
                LOOK_SHARE.saturating_mul(u32::try_from(self.open.len()).unwrap_or(u32::MAX))
            }
        }
    }

    /// Says which tasks ended. Elsewhere many may have since the last look: one decision and one commit for all of them.
    fn report(&self, ended: Vec<(u32, TaskEnd)>) {
        let here = matches!(self.place, Place::Here);
        let together = if here { 1 } else { ended.len().max(1) };
        for ends in ended.chunks(together) {
            let (effect, job) = (self.effect.clone(), self.job.id.clone());
            let event = match ends {
                [(shard, end)] => Event::TaskEnded {
                    effect,
                    job,
                    shard: *shard,
                    end: end.clone(),
                },
                several => Event::TasksEnded {
                    effect,
                    job,
                    ends: several.to_vec(),
                },
            };
            self.here.report(&self.effect.campaign, event);
        }
    }

    /// Looks at the open tasks where they run, in their order.
    async fn observe(&self) -> Vec<Observed> {
        let mut all = Vec::new();
        let Place::Slurm(clusters) = &self.place else {
            for task in &self.open {
                all.push(Local.observe_started(&self.dir, task.shard).await);
            }
            return all;
        };
        let shards: Vec<u32> = self.open.iter().map(|task| task.shard).collect();
        let (dir, count) = (self.dir.clone(), shards.len());
        // Thousands of files, perhaps over a network: not on the thread of the actors.
        let looked = tokio::task::spawn_blocking(move || {
            let each = shards.iter().map(|shard| (*shard, look(&dir, *shard)));
            each.collect::<Vec<_>>()
        });
        let Ok(looked) = looked.await else {
            let why = String::from("the look at its job directory panicked");
            return vec![Observed::Unknown { why }; count];
        };
        for (shard, seen) in looked {
            all.push(match seen {
                Observed::Ended(exit) if wants_a_word(&exit) => {
                    self.with_word(clusters, shard, exit).await
                }
                seen => seen,
            });
        }
        all
    }

    /// A task's end with what SLURM says of it, once it has said that.
    async fn with_word(&self, clusters: &str, shard: u32, exit: Exit) -> Observed {
        let word = self.here.slurm.word(clusters, &self.job.id, shard).await;
        match word {
            Ok((Word::Said(state, reason), handle)) => {
                Observed::Ended(with_word(exit, &state, &reason, &handle))
            }
            Ok((Word::Nothing, _)) => Observed::Ended(exit),
            Ok((Word::NotYet, _)) => Observed::Unknown { why: String::new() },
            Err(error) => Observed::Unknown {
                why: error.to_string(),
            },
        }
    }

    /// What cannot be looked at is no news: said once, and looked at again.
    fn tell(&mut self, unseen: Option<String>) {
        if let Some(why) = &unseen
            && !self.told
            && !why.is_empty()
        {
            let (campaign, job) = (&self.effect.campaign, &self.job.id);
            tracing::error!(%campaign, %job, "job {job} cannot be looked at: {why}");
        }
        self.told = unseen.is_some();
    }

    fn end(&self, cause: Cause, text: &str) -> TaskEnd {
        TaskEnd {
            cause: Some(cause),
            text: text.into(),
            at: now(),
            ran_seconds: None,
        }
    }

    /// Reads what a task has made and said since the last look.
    async fn count(&self, task: &Task) -> io::Result<Made> {
        let (here, dir) = (self.here.clone(), self.dir.clone());
        let (campaign, phase, shard) = (self.effect.campaign.clone(), self.job.phase, task.shard);
        let round = self.job.round;
        let piece = piece_of(&self.job, shard);
        let file: Option<PathBuf> = phase
            .makes_samples()
            .then(|| here.state.campaign(&campaign).shard(phase.name(), shard));
        let log = self
            .logs
            .iter()
            .find(|log| lock(log).shard == shard)
            .cloned();
        let read = tokio::task::spawn_blocking(move || {
            let at = now();
            if let Some(log) = log {
                lock(&log).look(&here.seen, &campaign, (phase, round), &piece, at);
            }
            if phase == Phase::Execute {
                let paths = here.state.campaign(&campaign);
                let lines = paths.shard(phase.name(), shard);
                let found = outcome::executed(&lines, &paths.execution_summary(shard))?;
                return Ok(Made {
                    executed: Some(found),
                    ..Made::default()
                });
            }
            if matches!(phase, Phase::Train | Phase::Evaluate) {
                return outcome::missing(&dir).map(|missing| Made {
                    missing,
                    ..Made::default()
                });
            }
            let count = match file {
                Some(file) => here
                    .seen
                    .look(&campaign, phase, shard, &file, at)
                    .map_err(|error| named(error, "read", &file))?,
                None => ShardCount::default(),
            };
            Ok(Made {
                count,
                ..Made::default()
            })
        });
        read.await.unwrap_or_else(|panicked| {
            Err(io::Error::other(format!("counting failed: {panicked}")))
        })
    }

    /// A job is silent when none of its tasks has made or said anything for long; it is flagged, never ended.
    fn flag_silence(&mut self) {
        let at = now();
        let count = self.here.seen.count(&self.effect.campaign, self.job.phase);
        let spoke = self.logs.iter().map(|log| lock(log).spoke_at).max();
        // What one of several runs does is no sign of life of another.
        let grew = count.grew_at.filter(|_| self.job.phase.makes_samples());
        let last = spoke.max(grew).unwrap_or(self.began).max(self.began);
        let quiet = at.since(last);
        // What waits in a queue has nothing to say.
        let silent = self.begun && quiet >= self.here.tuning.get().pace.silent_after;
        if silent == self.silent {
            return;
        }
        self.silent = silent;
        let job = self.job.id.clone();
        let event = if silent {
            let campaign = &self.effect.campaign;
            tracing::warn!(%campaign, %job, "job {job} is alive but silent for {}", two_units(quiet));
            Event::JobSilent {
                job,
                seconds: quiet.as_secs(),
            }
        } else {
            Event::JobSpoke { job }
        };
        self.here.report(&self.effect.campaign, event);
    }

    /// Until a task's process ends, or the next look is due.
    async fn wait(&self, alive: Vec<Identity>, at_most: Duration) {
        if let Place::Slurm(clusters) = &self.place {
            return self.wait_for_slurm(clusters, at_most).await;
        }
        if alive.is_empty() {
            return tokio::time::sleep(EAGER).await;
        }
        let each = alive
            .into_iter()
            .map(|identity| Box::pin(async move { Local.changed(&identity, at_most).await }));
        select_all(each).await;
    }

    /// Until SLURM says something new, or the next look is due.
    async fn wait_for_slurm(&self, clusters: &str, at_most: Duration) {
        let slurm = &self.here.slurm;
        let (polls, began) = (slurm.polls(clusters), Instant::now());
        while began.elapsed() < at_most && slurm.polls(clusters) == polls {
            if let Err(error) = slurm.turn(clusters, at_most).await {
                tracing::warn!("SLURM's jobs cannot be followed: {error}");
                return tokio::time::sleep(at_most).await;
            }
        }
    }
}

/// What a worker's own progress is about: its training run; of the execution, where every task has its share, that.
pub(super) fn piece_of(job: &Job, shard: u32) -> String {
    match job.phase {
        Phase::Execute => shard.to_string(),
        _ => job.run.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
