//! The daemon without a daemon: `step` decides, the queue asks, everything it knows but its records dies with it.

use crate::{
    cluster::Cluster,
    world::{Dir, TaskDir, World},
};
use campaignd::{
    executor::slurm::{
        bucket::Bucket,
        calls::Call,
        look::{wants_a_word, with_word},
        queue::{Launch, Next, Pace, Queue, Submission, Word},
    },
    ids::EffectId,
    machines::{
        admission::{Limits, held},
        effect::Effect,
        event::Event,
        job::{Cause, Job, Phase, TaskEnd},
        spec::{CampaignSpec, Parts},
        step::{Refused, step},
        tree::CampaignTree,
    },
    time::Timestamp,
};
use std::time::Duration;

/// The store's random id.
const STORE: &str = "5eed";
/// At most so many calls in one go.
const CALLS: usize = 200;

/// What outlives a daemon, and the daemon.
pub struct Daemon {
    /// The records.
    pub tree: CampaignTree,
    pub pace: Pace,
    pub limits: Limits,
    /// Kept in a file.
    bucket: Bucket,
    queue: Queue,
    /// Calls in a row of this daemon that gave no news.
    pub calls: u64,
    pub launched: u64,
    pub adopted: u64,
    pub launch_failures: Vec<String>,
    /// The most tries in a row without an answer.
    pub longest_silence: u32,
    /// Calls that a limit turned away.
    pub turned_away: u64,
}

impl Daemon {
    pub fn new(spec: CampaignSpec, pace: Pace, limits: Limits, now: Timestamp) -> Self {
        let submitted = Event::Submitted {
            spec: Box::new(spec),
            parts: Parts::SkipPilot,
        };
        let bucket = Bucket::full(pace.rate, now);
        Self {
            tree: step(None, &submitted, now).unwrap().tree,
            pace,
            limits,
            bucket,
            queue: Queue::new(pace, bucket),
            calls: 0,
            launched: 0,
            adopted: 0,
            launch_failures: Vec::new(),
            longest_silence: 0,
            turned_away: 0,
        }
    }

    /// A new process over the same records.
    pub fn restart(&mut self, world: &mut World) {
        self.queue = Queue::new(self.pace, self.bucket);
        world.dead = false;
        world.dies_in = None;
    }

    fn commit(&mut self, event: &Event, now: Timestamp) {
        match step(Some(&self.tree), event, now) {
            Ok(outcome) => self.tree = outcome.tree,
            Err(Refused::Late) => {}
            Err(refused) => panic!("{}: {refused}", event.name()),
        }
        assert_eq!(self.tree.check(), Vec::<String>::new(), "{}", event.name());
    }

    /// Everything that can be done now. Ends early when the daemon dies.
    pub fn go(&mut self, world: &mut World, cluster: &mut Cluster, now: Timestamp) {
        self.perform(world, now);
        for _ in 0..CALLS {
            if world.dead {
                return;
            }
            let next = self.queue.next(world, now);
            self.bucket = self.queue.bucket();
            let Next::Call(call) = next else { break };
            if world.dead {
                return;
            }
            self.calls += 1;
            if let Call::Submit { script, .. } = &call {
                cluster.lay(script.clone(), world.scripts[script].clone());
            }
            let answer = cluster.call(&call, now);
            // Killed while sbatch was at work: it was done, or not, and nobody heard.
            if let Some(0) = world.dies_in {
                world.dead = true;
                return;
            }
            if let Err(no) = &answer {
                self.turned_away += u64::from(no.text().contains("Rate limit"));
            }
            self.queue
                .heard(&call, answer, Duration::from_millis(8), world, now);
            self.bucket = self.queue.bucket();
            let silence = self.queue.contact().silence.as_ref();
            let tries = silence.map_or(0, |silence| silence.tries);
            self.longest_silence = self.longest_silence.max(tries);
        }
        self.perform(world, now);
    }

    fn perform(&mut self, world: &mut World, now: Timestamp) {
        let late: Vec<EffectId> = held([&self.tree].into_iter(), |_| false, self.limits, now);
        let owed: Vec<(EffectId, Effect)> = self
            .tree
            .outbox
            .iter()
            .filter(|(id, _)| !late.contains(id))
            .map(|(id, owed)| (id.clone(), owed.effect.clone()))
            .collect();
        for (id, effect) in owed {
            if world.dead {
                return;
            }
            match effect {
                Effect::LaunchJob { .. } => self.launch(&id, world, now),
                Effect::WatchJob { job, .. } => self.watch(&id, &job, world, now),
                Effect::EndJob { job } => self.end(&id, &job, world, now),
                Effect::WriteRecord { .. } | Effect::KeepResults { .. } => {
                    let experiments = Vec::new();
                    self.commit(
                        &Event::Recorded {
                            effect: id,
                            experiments,
                        },
                        now,
                    )
                }
                other => panic!("{} is not simulated", other.name()),
            }
        }
    }

    fn submission(&self, job: &Job) -> Submission {
        Submission {
            job: job.id.clone(),
            name: job.id.scheduler_name(STORE),
            clusters: String::new(),
            shards: job.tasks.iter().map(|task| task.shard).collect(),
            launched: job.launched_at.is_some(),
        }
    }

    fn launch(&mut self, id: &EffectId, world: &mut World, now: Timestamp) {
        let job = self.tree.jobs[id].clone();
        assert_eq!(job.phase, Phase::Generate);
        world.dirs.entry(id.clone()).or_insert_with(|| Dir {
            handle: None,
            shards: job.tasks.iter().map(|task| task.shard).collect(),
            tasks: job
                .tasks
                .iter()
                .map(|task| (task.shard, TaskDir::default()))
                .collect(),
            slurm: job.slurm.clone().unwrap(),
        });
        let asked = self.submission(&job);
        self.queue.take(&asked, world, now).unwrap();
        match self.queue.launch(id) {
            Some(Launch::Done { adopted }) => {
                self.launched += 1;
                self.adopted += u64::from(adopted);
                let effect = id.clone();
                self.commit(
                    &Event::JobLaunched {
                        effect,
                        adopted,
                        gpus: None,
                    },
                    now,
                );
            }
            Some(Launch::Refused(text)) => {
                self.launch_failures.push(text.clone());
                world.cancel(id);
                self.queue.end(id);
                if self.queue.is_ended(id) {
                    self.queue.forget(id);
                    let (effect, cause) = (id.clone(), Cause::CannotStart);
                    self.commit(
                        &Event::LaunchFailed {
                            effect,
                            cause,
                            text,
                        },
                        now,
                    );
                }
            }
            _ => {}
        }
    }

    fn watch(&mut self, id: &EffectId, job: &EffectId, world: &mut World, now: Timestamp) {
        let record = self.tree.jobs[job].clone();
        let asked = self.submission(&record);
        self.queue.take(&asked, world, now).unwrap();
        for task in record.tasks.iter().filter(|task| task.end.is_none()) {
            let shard = task.shard;
            let Some(exit) = world.dirs[job].tasks[&shard].exit.clone() else {
                continue;
            };
            let exit = if wants_a_word(&exit) {
                match self.queue.word(job, shard) {
                    Word::Said(state, reason) => with_word(exit, &state, &reason, ""),
                    Word::NotYet => continue,
                    Word::Nothing => exit,
                }
            } else {
                exit
            };
            let made = world.samples.get(&shard).copied().unwrap_or(0);
            let cause = match exit.cause() {
                None if made < task.target => Some(Cause::Incomplete),
                cause => cause,
            };
            let end = TaskEnd {
                cause,
                text: exit.sentence(),
                at: now,
                ran_seconds: None,
            };
            let done = end.done();
            self.commit(
                &Event::TaskEnded {
                    effect: id.clone(),
                    job: job.clone(),
                    shard,
                    end,
                },
                now,
            );
            if done {
                world.acknowledged.insert(shard);
            }
        }
        if self.tree.jobs[job].all_ended() {
            self.queue.forget(job);
        }
    }

    fn end(&mut self, id: &EffectId, job: &EffectId, world: &mut World, now: Timestamp) {
        let record = self.tree.jobs[job].clone();
        world.cancel(job);
        if !world.dirs.contains_key(job) {
            let (effect, job) = (id.clone(), job.clone());
            let ends = all_cancelled(&record, now);
            return self.commit(&Event::JobEnded { effect, job, ends }, now);
        }
        let asked = self.submission(&record);
        self.queue.take(&asked, world, now).unwrap();
        self.queue.end(job);
        if self.queue.is_ended(job) {
            self.queue.forget(job);
            let ends = all_cancelled(&record, now);
            let (effect, job) = (id.clone(), job.clone());
            self.commit(&Event::JobEnded { effect, job, ends }, now);
        }
    }
}

fn all_cancelled(job: &Job, at: Timestamp) -> Vec<(u32, TaskEnd)> {
    let open = job.tasks.iter().filter(|task| task.end.is_none());
    let end = |cause| TaskEnd {
        cause: Some(cause),
        text: "ended on request".into(),
        at,
        ran_seconds: None,
    };
    open.map(|task| (task.shard, end(Cause::Cancelled)))
        .collect()
}
