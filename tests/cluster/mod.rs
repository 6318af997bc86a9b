//! A faulty cluster: a model of SLURM with virtual time that answers calls as badly as it is told to, and counts.
//!
//! [`Cluster::call`] is what the programs do, [`Cluster::advance`] is what time does: jobs start, run, end and are
//! forgotten. What runs is supplied by the test ([`Nodes`]). Behind `sbatch`, `squeue` ... on `PATH` the same model
//! runs real processes (`bin.rs`).

#![allow(dead_code, unused_imports, reason = "no test target needs all of it")]

pub mod faults;
pub mod job;
pub mod lists;
pub mod nodes;
mod submit;

pub use faults::{Chances, Fates, Fault, Faults, On, Outage, Rate};
pub use nodes::{Exit, Nodes, Run};

use campaignd::{
    executor::slurm::{
        calls::{Answer, Call, Inquiry, QueueRow, Unanswered},
        words::State,
    },
    time::Timestamp,
};
use faults::Dice;
use job::{Job, Phase};
use lists::Account;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

/// What a program says when nothing came back.
const TIMED_OUT: &str = "Socket timed out on send/recv operation";
/// What it says when there is nobody.
const NOBODY: &str = "Unable to contact slurm controller (connect failure)";

/// The cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// What goes wrong; may be changed at any time.
    pub faults: Faults,
    dice: Dice,
    born: Option<Timestamp>,
    jobs: BTreeMap<u64, Job>,
    /// Submissions on their way: when they arrive, name, script.
    late: Vec<(Timestamp, String, String)>,
    /// Scripts that are in no file.
    #[serde(skip)]
    laid: BTreeMap<PathBuf, String>,
    next_id: u64,
    next_serial: u64,
    /// Calls that the limit still allows.
    tokens: Option<(f64, Timestamp)>,
    runs: BTreeMap<String, u64>,
    log: Vec<(Timestamp, String)>,
    starts: Vec<Started>,
    foreign_hits: u64,
}

/// A task that began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its job.
    pub serial: u64,
    /// The job's id.
    pub id: u64,
    /// The job's name.
    pub name: String,
    /// Its index, 0 without an array.
    pub index: u32,
    /// How often it had been put back.
    pub restarts: u32,
    /// When.
    pub at: Timestamp,
}

impl Cluster {
    /// A cluster without jobs.
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self {
            faults,
            dice: Dice::new(seed),
            born: None,
            jobs: BTreeMap::new(),
            late: Vec::new(),
            laid: BTreeMap::new(),
            next_id: 1,
            next_serial: 1,
            tokens: None,
            runs: BTreeMap::new(),
            log: Vec::new(),
            starts: Vec::new(),
            foreign_hits: 0,
        }
    }

    /// A script that need not be in a file.
    pub fn lay(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) {
        self.laid.insert(path.into(), text.into());
    }

    /// What a call comes to, as whoever runs the programs sees it.
    ///
    /// # Errors
    /// What there is instead of an answer, in SLURM's words.
    pub fn call(&mut self, call: &Call, now: Timestamp) -> Result<Answer, Unanswered> {
        match call {
            Call::Ping => self.ping(now).map(|()| Answer::Pong),
            Call::Submit { name, script } => {
                let id = self.sbatch(Some(name), script, now)?;
                Ok(Answer::Submitted { id })
            }
            Call::Queue => self.squeue(now).map(Answer::Queue),
            Call::Accounts(inquiry) => {
                let accounts = self.sacct(inquiry, now)?;
                let rows = accounts.into_iter().map(|account| account.row);
                Ok(Answer::Accounts(rows.collect()))
            }
            Call::Cancel { ids, names } => {
                self.scancel(ids, names, now)?;
                Ok(Answer::Cancelled)
            }
        }
    }

    /// `scontrol ping`.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn ping(&mut self, now: Timestamp) -> Result<(), Unanswered> {
        let fault = self.begin("scontrol", now);
        if fault.is_some() || self.is_down(now, false) {
            return Err(unsure("Slurmctld(primary) is DOWN"));
        }
        Ok(())
    }

    /// `sbatch` of a script file.
    ///
    /// # Errors
    /// There is no id; the job may be queued nevertheless.
    pub fn sbatch(
        &mut self,
        name: Option<&str>,
        script: &Path,
        now: Timestamp,
    ) -> Result<u64, Unanswered> {
        let fault = self.begin("sbatch", now);
        let laid = self.laid.get(script).cloned();
        let Some(text) = laid.or_else(|| std::fs::read_to_string(script).ok()) else {
            let text = format!("sbatch: error: Unable to open file {}", script.display());
            return Err(Unanswered::NotAsked(text));
        };
        let failed = |why: &str| format!("sbatch: error: Batch job submission failed: {why}");
        if self.is_down(now, false) {
            return Err(unsure(&failed(NOBODY)));
        }
        if self.is_limited(now) {
            let text = "Rate limit exceeded, please retry momentarily";
            return Err(Unanswered::Later(failed(text)));
        }
        let name = name.map(str::to_owned).or_else(|| submit::name_of(&text));
        let name = name.unwrap_or_else(|| "sbatch".into());
        match fault {
            Some(Fault::Later) => Err(Unanswered::Later(failed(
                "Slurm temporarily unable to accept job, sleeping and retrying",
            ))),
            Some(Fault::Refused) => Err(Unanswered::Refused(failed("Invalid qos specification"))),
            Some(Fault::LateUnsure) => {
                let late = self.some_seconds(self.faults.late_seconds);
                self.late.push((now.after(late), name, text));
                Err(unsure(&failed(TIMED_OUT)))
            }
            Some(Fault::DoneUnsure) => {
                // The client cannot tell whether this worked.
                let _ = self.submit(&name, &text, now);
                Err(unsure(&failed(TIMED_OUT)))
            }
            Some(_) => Err(unsure(&failed(TIMED_OUT))),
            None => self.submit(&name, &text, now),
        }
    }

    /// `squeue` of every job of this user.
    ///
    /// # Errors
    /// No news.
    pub fn squeue(&mut self, now: Timestamp) -> Result<Vec<QueueRow>, Unanswered> {
        let fault = self.begin("squeue", now);
        let failed = |why: &str| unsure(&format!("slurm_load_jobs error: {why}"));
        if self.is_down(now, false) {
            return Err(failed(NOBODY));
        }
        if self.is_limited(now) {
            return Err(failed("Rate limit exceeded, please retry momentarily"));
        }
        let at = match fault {
            Some(Fault::Old) => {
                let old = self.some_seconds(self.faults.old_seconds);
                let old = i64::try_from(old.as_millis()).unwrap_or(0);
                Timestamp(now.0.saturating_sub(old))
            }
            _ => now,
        };
        let mut rows = lists::queue(&self.jobs, at);
        match fault {
            None | Some(Fault::Old | Fault::FirstAttempt) => {}
            Some(Fault::Partial) => rows.truncate(self.cut(rows.len())),
            Some(Fault::Odd) => {
                for row in &mut rows {
                    row.state = State::read("HIBERNATING");
                }
            }
            Some(_) => return Err(failed(TIMED_OUT)),
        }
        Ok(rows)
    }

    /// `sacct` by id and by name; by name, what began or waited since a time, or since midnight.
    ///
    /// # Errors
    /// No news.
    pub fn sacct(&mut self, inquiry: &Inquiry, now: Timestamp) -> Result<Vec<Account>, Unanswered> {
        let fault = self.begin("sacct", now);
        let failed = |why: &str| unsure(&format!("sacct: error: {why}"));
        if self.is_down(now, true) {
            return Err(failed(
                "Problem talking to the database: Connection refused",
            ));
        }
        if self.is_limited(now) {
            return Err(failed("Rate limit exceeded, please retry momentarily"));
        }
        let midnight = Timestamp(now.0 - now.0.rem_euclid(86_400_000));
        let since = match inquiry.since {
            Timestamp(0) => midnight,
            since => since,
        };
        let named = |job: &&Job| {
            let over_before = job.over_at().is_some_and(|over| over < since);
            inquiry.names.contains(&job.name) && !over_before
        };
        let known = |job: &&Job| job.tasks.iter().any(|task| task.known_at(now).is_some());
        // Of an id that was used again, only the latest job is shown.
        let mut latest = BTreeMap::new();
        for job in self
            .jobs
            .values()
            .filter(known)
            .filter(|job| !job.forgotten)
        {
            latest.insert(job.id, job.serial);
        }
        let by_id =
            |job: &&Job| inquiry.ids.contains(&job.id) && latest.get(&job.id) == Some(&job.serial);
        let chosen = self.jobs.values().filter(|job| by_id(job) || named(job));
        let first = fault == Some(Fault::FirstAttempt);
        let mut rows = lists::accounts(chosen, now, first);
        match fault {
            None | Some(Fault::FirstAttempt | Fault::Old) => {}
            Some(Fault::Partial) => rows.truncate(self.cut(rows.len())),
            Some(Fault::Odd) => {
                for account in &mut rows {
                    account.row.state = State::read("HIBERNATING");
                }
            }
            Some(_) => return Err(failed(TIMED_OUT)),
        }
        Ok(rows)
    }

    /// `scancel` by id and by name.
    ///
    /// # Errors
    /// It may have been done.
    pub fn scancel(
        &mut self,
        ids: &BTreeSet<u64>,
        names: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), Unanswered> {
        let fault = self.begin("scancel", now);
        let failed = |why: &str| unsure(&format!("scancel: error: Kill job error: {why}"));
        if self.is_down(now, false) {
            return Err(failed(NOBODY));
        }
        if self.is_limited(now) {
            return Err(failed("Rate limit exceeded, please retry momentarily"));
        }
        if fault.is_none() || fault == Some(Fault::DoneUnsure) {
            self.cancel_all(ids, names, now);
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(failed(TIMED_OUT)),
        }
    }

    /// Counts a run and finds its fault.
    fn begin(&mut self, program: &str, now: Timestamp) -> Option<Fault> {
        self.born.get_or_insert(now);
        self.log.push((now, program.into()));
        let run = self.runs.entry(program.into()).or_default();
        *run += 1;
        let chance = self.dice.share();
        let planned = |on: &&On| on.program == program && (on.first..=on.last).contains(run);
        if let Some(on) = self.faults.on.iter().find(planned) {
            return Some(on.fault);
        }
        let chances = match program {
            "sbatch" => &self.faults.sbatch,
            "squeue" => &self.faults.squeue,
            "sacct" => &self.faults.sacct,
            "scancel" => &self.faults.scancel,
            _ => &self.faults.scontrol,
        };
        chances.pick(chance)
    }

    /// Whether the controller, or accounting, is away.
    pub fn is_down(&self, now: Timestamp, accounting: bool) -> bool {
        let age = now.since(self.born.unwrap_or(now)).as_secs();
        self.faults.outages.iter().any(|outage| {
            let to = outage.from_seconds.saturating_add(outage.seconds);
            outage.accounting == accounting && (outage.from_seconds..to).contains(&age)
        })
    }

    /// Takes a call from the limit; whether there was none left.
    fn is_limited(&mut self, now: Timestamp) -> bool {
        let Some(rate) = self.faults.rate else {
            return false;
        };
        let burst = f64::from(rate.burst);
        let (left, at) = self.tokens.unwrap_or((burst, now));
        let back = now.since(at).as_secs_f64() * f64::from(rate.per_minute) / 60.0;
        let left = (left + back).min(burst);
        let limited = left < 1.0;
        self.tokens = Some((if limited { left } else { left - 1.0 }, now));
        limited
    }

    fn some_seconds(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.dice.up_to(most.saturating_mul(1000)))
    }

    /// How much is left of so many rows when the output is cut: never all.
    fn cut(&mut self, rows: usize) -> usize {
        match rows as u64 {
            0 => 0,
            rows => self.dice.up_to(rows - 1) as usize,
        }
    }
}

/// What is known afterwards.
impl Cluster {
    /// Runs of a program.
    pub fn runs(&self, program: &str) -> u64 {
        self.runs.get(program).copied().unwrap_or(0)
    }

    /// Every run of a program but `scontrol`, in order.
    pub fn log(&self) -> &[(Timestamp, String)] {
        &self.log
    }

    /// The most runs but those of `scontrol` that ever fell within a time.
    pub fn busiest(&self, within: Duration) -> usize {
        let counted = self.log.iter().filter(|(_, program)| program != "scontrol");
        let times: Vec<Timestamp> = counted.map(|(at, _)| *at).collect();
        let (mut most, mut from) = (0, 0);
        for (to, at) in times.iter().enumerate() {
            while at.since(times[from]) >= within {
                from += 1;
            }
            most = most.max(to + 1 - from);
        }
        most
    }

    /// Every task that ever began, in order.
    pub fn starts(&self) -> &[Started] {
        &self.starts
    }

    /// Jobs of a name that were ever queued, by id.
    pub fn queued(&self, name: &str) -> Vec<u64> {
        let named = self.jobs.values().filter(|job| job.name == name);
        named.map(|job| job.id).collect()
    }

    /// Names of all jobs of ours that were ever queued, once for each job.
    pub fn names(&self) -> Vec<&str> {
        let ours = self.jobs.values().filter(|job| !job.foreign);
        ours.map(|job| job.name.as_str()).collect()
    }

    /// Whether anything of ours waits, runs or is on its way.
    pub fn is_busy(&self) -> bool {
        let live = |job: &Job| !job.foreign && !job.is_over();
        !self.late.is_empty() || self.jobs.values().any(live)
    }

    /// Tasks of a name that run now.
    pub fn running(&self, name: &str) -> usize {
        let named = self.jobs.values().filter(|job| job.name == name);
        let tasks = named.flat_map(|job| &job.tasks);
        tasks.filter(|task| task.runs()).count()
    }

    /// Jobs of somebody else that were cancelled.
    pub fn foreign_hits(&self) -> u64 {
        self.foreign_hits
    }

    /// An operator cancels one waiting task of an array: it leaves the queue without a row.
    pub fn drop_task(&mut self, id: u64, index: u32, now: Timestamp) {
        let jobs = self.jobs.values_mut().filter(|job| job.id == id);
        for job in jobs.filter(|job| job.purged.is_none()) {
            for task in job.tasks.iter_mut().filter(|task| task.index == index) {
                if matches!(task.phase, Phase::Waiting(_)) {
                    task.phase = Phase::Over(now);
                    let mut gone = task.history[0].clone();
                    (gone.at, gone.known_at) = (now, Timestamp(i64::MAX));
                    gone.state = String::new();
                    task.history.push(gone);
                }
            }
        }
    }
}

fn unsure(text: &str) -> Unanswered {
    Unanswered::Unsure(text.into())
}
