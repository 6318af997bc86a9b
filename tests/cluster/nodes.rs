//! What time does: tasks start, run, end, are put back and forgotten.

use super::{
    Cluster, Started,
    faults::Fate,
    job::{Ending, Entry, Job, Phase},
};
use campaignd::time::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// A task on its node.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its job, by a number that is never used again.
    pub serial: u64,
    /// The job's id; of an array, the array's.
    pub id: u64,
    /// Its own id.
    pub raw: u64,
    /// The job's name.
    pub name: String,
    /// Its index in the array; none without one.
    pub index: Option<u32>,
    /// Tasks of the job.
    pub count: u32,
    /// How often it was put back.
    pub restarts: u32,
    /// The script.
    pub script: String,
    /// The script's options, without dashes.
    pub options: BTreeMap<String, String>,
    /// The node.
    pub node: String,
}

/// How a task's batch process ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit status.
    pub status: i32,
    /// The signal that ended it, or 0.
    pub signal: i32,
}

/// What runs on the nodes: the test, or real processes.
pub trait Nodes {
    /// The batch script of a task begins.
    fn start(&mut self, run: &Run, now: Timestamp);
    /// How it ended, if it has.
    fn look(&mut self, run: &Run, now: Timestamp) -> Option<Exit>;
    /// Everything of it is sent SIGTERM.
    fn term(&mut self, run: &Run, now: Timestamp);
    /// Everything of it is gone at once, as by SIGKILL or with its node.
    fn kill(&mut self, run: &Run, now: Timestamp);
}

/// From one look of the controller at a task to the next state of it.
enum Turn {
    Stay,
    /// It is over once it has completed.
    Ends(Entry),
    /// It waits again.
    Back(Entry),
}

impl Cluster {
    /// Time goes on. Without a controller nothing is noticed, though what runs goes on.
    pub fn advance(&mut self, now: Timestamp, nodes: &mut impl Nodes) {
        self.born.get_or_insert(now);
        if self.is_down(now, false) {
            return;
        }
        self.arrive(now);
        for serial in self.live() {
            for task in 0..self.jobs[&serial].tasks.len() {
                self.go_on(serial, task, now, nodes);
            }
        }
        for serial in self.live() {
            self.start_waiting(serial, now, nodes);
        }
        self.purge(now);
    }

    fn live(&self) -> Vec<u64> {
        let live = self.jobs.values().filter(|job| !job.is_over());
        live.map(|job| job.serial).collect()
    }

    fn run_of(&self, serial: u64, task: usize) -> Run {
        let job = &self.jobs[&serial];
        let task = &job.tasks[task];
        Run {
            serial,
            id: job.id,
            raw: task.raw,
            name: job.name.clone(),
            index: job.is_array().then_some(task.index),
            count: job.tasks.len() as u32,
            restarts: task.restarts,
            script: job.script.clone(),
            options: job.options.clone(),
            node: node_of(job),
        }
    }

    fn start_waiting(&mut self, serial: u64, now: Timestamp, nodes: &mut impl Nodes) {
        let job = &self.jobs[&serial];
        if job.held || (job.is_singleton() && self.is_blocked(job)) {
            return;
        }
        let at_once = job.at_once();
        for task in 0..self.jobs[&serial].tasks.len() {
            let job = &self.jobs[&serial];
            let of_job = job.tasks.iter().filter(|task| task.runs()).count();
            let tasks = self
                .jobs
                .values()
                .filter(|job| !job.foreign)
                .flat_map(|job| &job.tasks);
            let in_all = tasks.filter(|task| task.runs()).count();
            if of_job >= at_once || in_all >= self.faults.slots as usize || job.held {
                return;
            }
            if matches!(job.tasks[task].phase, Phase::Waiting(from) if from <= now) {
                self.start(serial, task, now, nodes);
            }
        }
    }

    fn start(&mut self, serial: u64, task: usize, now: Timestamp, nodes: &mut impl Nodes) {
        let chance = self.dice.share();
        let within = self.some_seconds(self.faults.fate_seconds);
        let fate = self.faults.fates.pick(chance);
        let raw = self.raw_id(serial, task);
        let mut entry = self.entry("RUNNING", now);
        entry.began = Some(now);
        match fate {
            Some(Fate::Held) => return self.hold(serial, task, now),
            Some(Fate::Launch) => {
                entry.state = "FAILED".into();
                entry.reason = "JobLaunchFailure".into();
                entry.exit = "0:53".into();
            }
            _ => {}
        }
        let Some(job) = self.jobs.get_mut(&serial) else {
            return;
        };
        entry.node = node_of(job);
        let failed = fate == Some(Fate::Launch);
        let of = &mut job.tasks[task];
        of.raw = raw;
        of.history.push(entry);
        if failed {
            of.phase = Phase::Over(now);
            return;
        }
        of.phase = Phase::Running {
            began: now,
            fate: fate.map(|fate| (now.after(within), fate)),
            ending: None,
        };
        self.starts.push(Started {
            serial,
            id: job.id,
            name: job.name.clone(),
            index: of.index,
            restarts: of.restarts,
            at: now,
        });
        let run = self.run_of(serial, task);
        nodes.start(&run, now);
    }

    /// Its own id: a new one, until the last of an array takes the array's.
    fn raw_id(&mut self, serial: u64, task: usize) -> u64 {
        let job = &self.jobs[&serial];
        if job.tasks[task].raw != 0 {
            return job.tasks[task].raw;
        }
        let without = job.tasks.iter().filter(|task| task.raw == 0).count();
        match job.is_array() && without > 1 {
            true => self.new_id(),
            false => job.id,
        }
    }

    fn hold(&mut self, serial: u64, task: usize, now: Timestamp) {
        let mut entry = self.entry("PENDING", now);
        entry.reason = "launch failed requeued held".into();
        if let Some(job) = self.jobs.get_mut(&serial) {
            job.held = true;
            job.tasks[task].history.push(entry);
        }
    }

    fn go_on(&mut self, serial: u64, task: usize, now: Timestamp, nodes: &mut impl Nodes) {
        let phase = self.jobs[&serial].tasks[task].phase.clone();
        let turn = match phase {
            Phase::Running {
                began,
                fate,
                ending,
            } => self.watch(serial, task, (began, fate, ending), now, nodes),
            Phase::Completing(at, over) if at <= now => {
                let of = self.jobs.get_mut(&serial).map(|job| &mut job.tasks[task]);
                if let Some(of) = of {
                    of.phase = Phase::Over(over.at);
                    of.history.push(over);
                }
                return;
            }
            _ => return,
        };
        match turn {
            Turn::Stay => {}
            Turn::Ends(over) => self.complete(serial, task, over, now),
            Turn::Back(over) => self.put_back(serial, task, over, now),
        }
    }

    fn watch(
        &mut self,
        serial: u64,
        task: usize,
        (began, fate, ending): (Timestamp, Option<(Timestamp, Fate)>, Option<Ending>),
        now: Timestamp,
        nodes: &mut impl Nodes,
    ) -> Turn {
        let run = self.run_of(serial, task);
        if let Some(exit) = nodes.look(&run, now) {
            let ended = self.ended(serial, began, exit, ending.as_ref(), now);
            return match ending.is_some_and(|ending| ending.back) {
                true => Turn::Back(ended),
                false => Turn::Ends(ended),
            };
        }
        if let Some(ending) = ending {
            return self.end(&run, began, ending, now, nodes);
        }
        if let Some((at, fate)) = fate
            && at <= now
        {
            return self.meet(&run, began, fate, now, nodes);
        }
        let limit = self.jobs[&serial].limit();
        if limit.is_some_and(|limit| now.since(began) >= limit) {
            self.begin_to_end(&run, task, "TIMEOUT", "TimeLimit", false, now);
        }
        Turn::Stay
    }

    /// The state of a task whose process ended by itself, or after it was told to.
    fn ended(
        &mut self,
        serial: u64,
        began: Timestamp,
        exit: Exit,
        ending: Option<&Ending>,
        now: Timestamp,
    ) -> Entry {
        let (state, reason) = match (ending, exit) {
            (Some(ending), _) => (ending.state.as_str(), ending.reason.as_str()),
            (
                None,
                Exit {
                    status: 0,
                    signal: 0,
                },
            ) => ("COMPLETED", ""),
            (None, Exit { signal: 0, .. }) => ("FAILED", "NonZeroExitCode"),
            (None, _) => ("FAILED", "JobLaunchFailure"),
        };
        let (state, reason) = (state.to_owned(), reason.to_owned());
        let mut entry = self.entry(&state, now);
        entry.reason = reason;
        entry.exit = format!("{}:{}", exit.status, exit.signal);
        entry.began = Some(began);
        entry.node = node_of(&self.jobs[&serial]);
        entry
    }

    /// SIGTERM, and after a while SIGKILL.
    fn end(
        &mut self,
        run: &Run,
        began: Timestamp,
        ending: Ending,
        now: Timestamp,
        nodes: &mut impl Nodes,
    ) -> Turn {
        if !ending.told {
            nodes.term(run, now);
            self.with_ending(run, |ending| ending.told = true);
            return Turn::Stay;
        }
        if now < ending.kill_at {
            return Turn::Stay;
        }
        nodes.kill(run, now);
        let killed = Exit {
            status: 0,
            signal: 9,
        };
        let entry = self.ended(run.serial, began, killed, Some(&ending), now);
        match ending.back {
            true => Turn::Back(entry),
            false => Turn::Ends(entry),
        }
    }

    fn with_ending(&mut self, run: &Run, change: impl FnOnce(&mut Ending)) {
        let job = self.jobs.get_mut(&run.serial);
        let task = job.and_then(|job| {
            let index = run.index.unwrap_or(0);
            job.tasks.iter_mut().find(|task| task.index == index)
        });
        if let Some(Phase::Running {
            ending: Some(ending),
            ..
        }) = task.map(|task| &mut task.phase)
        {
            change(ending);
        }
    }

    fn begin_to_end(
        &mut self,
        run: &Run,
        task: usize,
        state: &str,
        reason: &str,
        back: bool,
        now: Timestamp,
    ) {
        let kill_at = now.after(Duration::from_secs(self.faults.kill_wait_seconds));
        let job = self.jobs.get_mut(&run.serial);
        if let Some(Phase::Running { ending, .. }) = job.map(|job| &mut job.tasks[task].phase) {
            *ending = Some(Ending {
                told: false,
                kill_at,
                state: state.into(),
                reason: reason.into(),
                back,
            });
        }
    }

    /// What fate has for it.
    fn meet(
        &mut self,
        run: &Run,
        began: Timestamp,
        fate: Fate,
        now: Timestamp,
        nodes: &mut impl Nodes,
    ) -> Turn {
        let job = &self.jobs[&run.serial];
        let back = job.may_restart();
        let task = job
            .tasks
            .iter()
            .position(|task| task.index == run.index.unwrap_or(0));
        let (state, reason, exit, back) = match fate {
            Fate::Preempted => {
                if let Some(task) = task {
                    self.begin_to_end(run, task, "PREEMPTED", "", back, now);
                }
                return Turn::Stay;
            }
            Fate::NodeFail => ("NODE_FAIL", "NodeDown", "0:0", back),
            Fate::Requeued => ("REQUEUED", "", "0:0", true),
            _ => ("OUT_OF_MEMORY", "OutOfMemory", "0:125", false),
        };
        nodes.kill(run, now);
        let mut entry = self.entry(state, now);
        entry.reason = reason.into();
        entry.exit = exit.into();
        entry.began = Some(began);
        entry.node.clone_from(&run.node);
        match back {
            true => Turn::Back(entry),
            false => Turn::Ends(entry),
        }
    }

    fn complete(&mut self, serial: u64, task: usize, over: Entry, now: Timestamp) {
        let pause = Duration::from_secs(self.faults.completing_seconds);
        let mut completing = over.clone();
        completing.state = "COMPLETING".into();
        let Some(job) = self.jobs.get_mut(&serial) else {
            return;
        };
        let of = &mut job.tasks[task];
        if pause.is_zero() {
            of.phase = Phase::Over(now);
            of.history.push(over);
            return;
        }
        of.history.push(completing);
        let at = now.after(pause);
        let known_at = over.known_at.after(pause);
        of.phase = Phase::Completing(
            at,
            Entry {
                at,
                known_at,
                ..over
            },
        );
    }

    /// It waits again, as after `BeginTime`: two minutes.
    fn put_back(&mut self, serial: u64, task: usize, mut over: Entry, now: Timestamp) {
        over.put_back = true;
        let mut waits = self.entry("PENDING", now);
        waits.reason = "BeginTime".into();
        if let Some(job) = self.jobs.get_mut(&serial) {
            let of = &mut job.tasks[task];
            of.restarts += 1;
            of.phase = Phase::Waiting(now.after(Duration::from_secs(120)));
            of.history.extend([over, waits]);
        }
    }

    /// The controller forgets what has been over for long enough.
    fn purge(&mut self, now: Timestamp) {
        let age = Duration::from_secs(self.faults.min_job_age_seconds);
        for job in self.jobs.values_mut().filter(|job| job.purged.is_none()) {
            if job.over_at().is_some_and(|over| now.since(over) >= age) {
                job.purged = Some(now);
            }
        }
    }
}

fn node_of(job: &Job) -> String {
    format!("n{}", job.serial % 7 + 1)
}
