//! How jobs get into the queue, and are told to leave it.

use super::{
    Cluster,
    job::{Ending, Entry, Job, Phase, Task, indices, options},
};
use campaignd::{executor::slurm::calls::Unanswered, time::Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// The name that a script asks for.
pub fn name_of(script: &str) -> Option<String> {
    options(script).remove("job-name")
}

impl Cluster {
    /// Queues a job, or does not.
    pub(super) fn submit(
        &mut self,
        name: &str,
        script: &str,
        now: Timestamp,
    ) -> Result<u64, Unanswered> {
        let options = options(script);
        let failed = |why: &str| format!("sbatch: error: Batch job submission failed: {why}");
        let list = match options.get("array") {
            Some(array) => indices(array),
            None => Some(vec![0]),
        };
        let most = self.faults.most_in_array.unwrap_or(u32::MAX);
        let list = list.filter(|list| !list.is_empty() && list.iter().all(|index| *index < most));
        let Some(list) = list else {
            let text = failed("Invalid job array specification");
            return Err(Unanswered::Refused(text));
        };
        if let Some(most) = self.faults.most_queued
            && self.queued_tasks() + list.len() > most as usize
        {
            let policy = failed(
                "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            );
            let text = format!("sbatch: error: QOSMaxSubmitJobPerUserLimit\n{policy}");
            return Err(Unanswered::Later(text));
        }
        let id = self.add(name, script, list, now);
        Ok(id)
    }

    fn queued_tasks(&self) -> usize {
        let ours = self.jobs.values().filter(|job| !job.foreign);
        let tasks = ours.flat_map(|job| &job.tasks);
        tasks
            .filter(|task| !matches!(task.phase, Phase::Over(_)))
            .count()
    }

    fn add(&mut self, name: &str, script: &str, list: Vec<u32>, now: Timestamp) -> u64 {
        let (id, serial) = (self.new_id(), self.next_serial);
        self.next_serial += 1;
        let options = options(script);
        let moved = self.dice.share() < self.faults.moved;
        let mut partition = options.get("partition").cloned().unwrap_or_default();
        if partition.is_empty() {
            partition = "main".into();
        }
        let mut job = Job {
            serial,
            id,
            name: name.into(),
            script: script.into(),
            partition: if moved { "moved".into() } else { partition },
            options,
            foreign: false,
            forgotten: self.dice.share() < self.faults.forgotten,
            held: false,
            submitted: now,
            purged: None,
            tasks: Vec::new(),
        };
        let begin = match job.options.get("begin").map(String::as_str) {
            Some("now+1hour") => now.after(Duration::from_secs(3600)),
            _ => now,
        };
        let not_before = begin.after(self.some_seconds(self.faults.start_seconds));
        let mut first = self.entry("PENDING", now);
        first.reason = match job.is_singleton() && self.is_blocked(&job) {
            true => "Dependency".into(),
            false if begin > now => "BeginTime".into(),
            false => "Priority".into(),
        };
        let tasks = list.into_iter();
        job.tasks = tasks
            .map(|index| Task::new(index, not_before, first.clone()))
            .collect();
        self.jobs.insert(serial, job);
        id
    }

    /// Whether an earlier job of this name is not over.
    pub(super) fn is_blocked(&self, job: &Job) -> bool {
        let mut earlier = self.jobs.range(..job.serial).map(|(_, other)| other);
        earlier.any(|other| !other.foreign && other.name == job.name && !other.is_over())
    }

    /// The next id that the controller does not know.
    pub(super) fn new_id(&mut self) -> u64 {
        let taken: BTreeSet<u64> = self
            .jobs
            .values()
            .filter(|job| job.purged.is_none())
            .flat_map(|job| job.tasks.iter().map(|task| task.raw).chain([job.id]))
            .collect();
        loop {
            let id = self.next_id;
            self.next_id = match self.faults.ids {
                // A ring that is full grows.
                Some(last) if id >= last && (taken.len() as u64) < last => 1,
                _ => id + 1,
            };
            if !taken.contains(&id) {
                return id;
            }
        }
    }

    /// A state from now on, with accounting some time behind.
    pub(super) fn entry(&mut self, state: &str, now: Timestamp) -> Entry {
        Entry {
            at: now,
            known_at: now.after(self.some_seconds(self.faults.accounts_late_seconds)),
            state: state.into(),
            reason: String::new(),
            exit: "0:0".into(),
            began: None,
            node: String::new(),
            put_back: false,
        }
    }

    /// What was submitted unseen arrives; somebody else's jobs come.
    pub(super) fn arrive(&mut self, now: Timestamp) {
        let (here, later) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        self.late = later;
        let here: Vec<(Timestamp, String, String)> = here;
        for (_, name, script) in here {
            // Nobody is told what became of it.
            let _ = self.submit(&name, &script, now);
        }
        let live = |job: &&Job| job.foreign && !job.is_over();
        let there = self.jobs.values().filter(live).count();
        for _ in there..self.faults.foreign as usize {
            self.add_foreign(now);
        }
    }

    /// A job of somebody else that runs for up to an hour.
    fn add_foreign(&mut self, now: Timestamp) {
        let id = self.add("foreign", "", vec![0], now);
        let serial = self.next_serial - 1;
        let ends = now.after(self.some_seconds(3600));
        let mut runs = self.entry("RUNNING", now);
        runs.began = Some(now);
        runs.node = "n0".into();
        let mut over = runs.clone();
        (over.at, over.known_at, over.state) = (ends, ends, "COMPLETED".into());
        if let Some(job) = self.jobs.get_mut(&serial) {
            job.foreign = true;
            job.name = format!("foreign-{serial}");
            for task in &mut job.tasks {
                task.raw = id;
                task.history.push(runs.clone());
                task.phase = Phase::Completing(ends, over.clone());
            }
        }
    }

    /// Ends jobs: those that wait at once, those that run with SIGTERM and then SIGKILL.
    pub(super) fn cancel_all(
        &mut self,
        ids: &BTreeSet<u64>,
        names: &BTreeSet<String>,
        now: Timestamp,
    ) {
        let cancelled = self.entry("CANCELLED", now);
        let kill_at = now.after(Duration::from_secs(self.faults.kill_wait_seconds));
        for job in self.jobs.values_mut().filter(|job| job.purged.is_none()) {
            if !ids.contains(&job.id) && !names.contains(&job.name) {
                continue;
            }
            if job.foreign && !job.is_over() {
                self.foreign_hits += 1;
                continue;
            }
            for task in &mut job.tasks {
                match &mut task.phase {
                    Phase::Waiting(_) => {
                        task.phase = Phase::Over(now);
                        task.history.push(cancelled.clone());
                    }
                    Phase::Running { ending, .. } => {
                        let ending = ending.get_or_insert(Ending {
                            told: false,
                            kill_at,
                            state: String::new(),
                            reason: String::new(),
                            back: false,
                        });
                        ending.state = "CANCELLED".into();
                        ending.back = false;
                    }
                    Phase::Completing(..) | Phase::Over(_) => {}
                }
            }
        }
    }
}
