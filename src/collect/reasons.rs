//! Why tasks failed: what their own output, SLURM and the run's log say.

use std::path::PathBuf;

use super::directory_of;
use super::files::{Room, name};
use super::slurm::{Job, ended_badly, sacct};
use super::tasks::TaskDir;
use crate::workflow::errors::{Level, diagnose, entry};
use crate::workflow::trace::{Account, Failure};

/// Most failed tasks whose output is read.
const MOST: usize = 1_000;

/// What a directory of SLURM logs holds.
#[derive(Debug, Default)]
pub struct Slurm {
    /// Where sacct's answer is.
    pub file: PathBuf,
    /// Its jobs.
    pub jobs: Vec<Job>,
    /// The first error of each log that tells of one, by the log's name.
    errors: Vec<(String, String)>,
}

impl Slurm {
    /// Reads sacct's answer (`sacct*.txt`) and the logs (`*.out`, `*.err`, `*.log`, `slurm*`).
    pub fn read(mut room: Room<'_>) -> Slurm {
        let mut slurm = Slurm::default();
        let root = room.root.clone();
        for path in room.list(&root).into_iter().filter(|path| path.is_file()) {
            let file = name(&path);
            if file.starts_with("sacct") {
                let jobs = room.tail(&path).and_then(|text| sacct(&text));
                match jobs {
                    Some(jobs) => (slurm.file, slurm.jobs) = (path, jobs),
                    None => room.note(format!(
                        "{} is no answer of sacct --parsable2 with JobID and State",
                        path.display()
                    )),
                }
                continue;
            }
            let log = [".out", ".err", ".log"]
                .iter()
                .any(|kind| file.ends_with(kind));
            if !log && !file.starts_with("slurm") {
                continue;
            }
            if let Some(message) = room.tail(&path).and_then(|text| reason(&text)) {
                slurm.errors.push((file, message));
            }
        }
        slurm
    }

    /// What SLURM says of the job of a failed attempt.
    fn of(&self, failure: &Failure) -> Option<String> {
        let id = failure.native_id.as_deref()?;
        let logged = self.errors.iter().find(|(file, _)| is_of(file, id));
        if let Some((_, message)) = logged {
            return Some(message.clone());
        }
        let job = self.jobs.iter().find(|job| job.id == id)?;
        ended_badly(&job.state).then(|| format!("SLURM job {id} ended as {}", job.state))
    }
}

/// Whether a log's name has this job's number, and not as a part of another.
fn is_of(file: &str, id: &str) -> bool {
    file.split(|c: char| !c.is_ascii_digit())
        .any(|number| number == id)
}

/// What is known when reasons are asked for.
pub struct Asked<'a> {
    /// The rows.
    pub account: &'a Account,
    /// The task directories.
    pub tasks: &'a [TaskDir],
    /// The end of `.nextflow.log`.
    pub log: Option<&'a str>,
    /// What SLURM says.
    pub slurm: &'a Slurm,
}

/// What the final failures said, each message once: a failure that another attempt made good says nothing here. A task whose
/// output names no error is told by its exit status.
pub fn messages(asked: &Asked<'_>, mut room: Option<Room<'_>>) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    let lost = asked
        .account
        .failures
        .iter()
        .filter(|failure| !failure.recovered);
    for (number, failure) in lost.enumerate() {
        let own = room
            .as_mut()
            .filter(|_| number < MOST)
            .and_then(|room| of_task(asked, failure, room));
        let told = own.or_else(|| asked.slurm.of(failure));
        push(&mut said, told.unwrap_or_else(|| by_status(failure)));
    }
    let others = |number: &String| {
        let ids = asked
            .account
            .failures
            .iter()
            .filter_map(|one| one.native_id.as_deref());
        !ids.into_iter().any(|id| is_of(number, id))
    };
    for (file, message) in &asked.slurm.errors {
        // The log of an attempt was asked above, or its failure was made good.
        if others(file) {
            push(&mut said, message.clone());
        }
    }
    if let Some(message) = asked.log.and_then(reason) {
        push(&mut said, message);
    }
    said
}

fn push(said: &mut Vec<String>, message: String) {
    if !said.contains(&message) {
        said.push(message);
    }
}

/// The error that a text tells of; none for what was tried again or let go.
fn reason(text: &str) -> Option<String> {
    let found = diagnose(text)?;
    let level = entry(&found.kind).map(|entry| entry.level);
    (level != Some(Level::Note)).then_some(found.message)
}

/// What an attempt's own output says.
fn of_task(asked: &Asked<'_>, failure: &Failure, room: &mut Room<'_>) -> Option<String> {
    let hash = failure.hash.as_deref()?;
    let task = directory_of(asked.tasks, hash)?;
    for file in [".command.err", ".command.log", ".command.out"] {
        let path = task.path.join(file);
        if !path.exists() {
            continue;
        }
        if let Some(message) = room.tail(&path).and_then(|text| reason(&text)) {
            return Some(message);
        }
    }
    None
}

fn by_status(failure: &Failure) -> String {
    match &failure.exit {
        Some(exit) => format!("{} failed with exit status {exit}", failure.name),
        None => format!("{} failed without an exit status", failure.name),
    }
}
