//! The execution worker: runs the workflows of a task's share one after the other, and says of each what came of it.
//!
//! ```text
//! data/execute/shard-K.jsonl      a line a run, appended when it has ended: law 7
//! data/execute/summary-K.json     last: what the task was given and did
//! data/repair/shard-K.jsonl       repaired samples, written before they are run
//! executions/ID/                  main.nf, nextflow.config, README.md, stdout.log, stderr.log, work/, results/
//! ```
//!
//! Task K of N takes the sound workflows number K, K+N, ... of the first that are asked for, in the order of the sample
//! files. A line that is there says that its workflow has run: a resumed task runs none of those again.

mod account;
mod lines;
mod listing;
mod observed;
mod place;
mod repair;
mod runner;
#[cfg(test)]
mod tests;

use super::Undone;
use crate::{
    artifacts::{executions::Summary, is_starved, write_atomic},
    executor::job_dir::{JobDir, TRY_AGAIN, Work},
    machines::spec::ExecutionSpec,
    points::point,
    time::Timestamp,
    trajectory::{Execution, Outcome},
};
use lines::Lines;
use listing::Listed;
use place::Place;
use repair::Sample;
use runner::Runner;
use serde_json::json;
use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// One task's part of the phase.
#[derive(Clone, Debug, PartialEq)]
struct Job {
    /// Sample files, in their order.
    inputs: Vec<PathBuf>,
    /// Where each workflow gets a directory.
    executions: PathBuf,
    /// Where repaired samples are appended.
    repairs: PathBuf,
    /// Where a line is appended for each run.
    output: PathBuf,
    /// Where the account of the task is written last.
    summary: PathBuf,
    /// Where progress goes.
    progress: PathBuf,
    /// Where runs keep their work instead of their own directories, if anywhere.
    work_base: Option<PathBuf>,
    /// The campaign file's directory.
    directory: PathBuf,
    /// Which part, from 0.
    shard: u32,
    /// Of how many.
    shards: u32,
    settings: ExecutionSpec,
    max_repairs: u32,
}

/// The work of one task of a job directory.
///
/// # Errors
/// [`Undone`]; what has run has its line.
pub fn run(job_dir: &Path, shard: u32) -> Result<(), Undone> {
    // Before any thread exists, so that every thread inherits the mask.
    let mut runner = Runner::new().map_err(|error| undone(&error))?;
    let job = read(&JobDir::new(job_dir), shard)?;
    execute(&job, &mut runner)
}

fn read(dir: &JobDir, shard: u32) -> Result<Job, Undone> {
    let request = dir.read_request().map_err(|error| undone(&error))?;
    let task = request.tasks.iter().find(|task| task.shard == shard);
    let task = task.ok_or_else(|| "no such task in request.toml".to_owned())?;
    let output = task.output.as_ref();
    let output = PathBuf::from(output.ok_or_else(|| "request.toml names no output".to_owned())?);
    let Work::Execute {
        inputs,
        executions,
        repairs,
        settings,
        max_repairs,
    } = request.work
    else {
        return Err("request.toml asks for other work".to_owned().into());
    };
    Ok(Job {
        inputs: inputs.into_iter().map(PathBuf::from).collect(),
        executions: executions.into(),
        repairs: Path::new(&repairs).join(format!("shard-{shard}.jsonl")),
        summary: output.with_file_name(format!("summary-{shard}.json")),
        output,
        progress: dir.progress(shard),
        work_base: request
            .slurm
            .filter(|slurm| !slurm.work_base_dir.is_empty())
            .map(|slurm| Path::new(&slurm.work_base_dir).join(&request.campaign)),
        directory: request.directory.into(),
        shard,
        shards: task.shards.max(1),
        settings,
        max_repairs,
    })
}

/// To be tried again where the machine lacks something; else final.
fn undone(error: &io::Error) -> Undone {
    Undone {
        status: if is_starved(error) { TRY_AGAIN } else { 1 },
        text: error.to_string(),
    }
}

fn clock() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Runs what is missing of the share.
fn execute(job: &Job, runner: &mut Runner) -> Result<(), Undone> {
    // What an earlier attempt came to says nothing of this one.
    match fs::remove_file(&job.summary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(undone(&error)),
        _ => {}
    }
    let listed = listing::list(&job.inputs, &job.settings).map_err(|error| undone(&error))?;
    let mut task = Task::begin(job, &listed)?;
    let done = match listed.problem() {
        Some(problem) => Err(Undone::from(problem)),
        None => task.all(runner, &listed),
    };
    if let Err(undone) = &done {
        task.summary.problem = Some(undone.text.clone());
    }
    task.finish()?;
    done
}

/// A task under way.
struct Task<'a> {
    job: &'a Job,
    lines: Lines,
    /// The ids of its share.
    share: HashSet<String>,
    summary: Summary,
}

impl<'a> Task<'a> {
    fn begin(job: &'a Job, listed: &Listed) -> Result<Self, Undone> {
        let share = listed.share(job.shard, job.shards);
        let lines = Lines::open(&job.output, &job.repairs).map_err(|error| undone(&error))?;
        Ok(Self {
            job,
            lines,
            summary: Summary {
                samples: listed.samples,
                workflows: listed.ids.len() as u64,
                given: share.len() as u64,
                ..Summary::default()
            },
            share,
        })
    }

    fn all(&mut self, runner: &mut Runner, listed: &Listed) -> Result<(), Undone> {
        self.tell();
        let mut open = self.share.clone();
        let mut failed = None;
        let job = self.job;
        let read = listing::each(&job.inputs, &mut |row| {
            let id = listing::runnable(&row, &job.settings).filter(|id| open.remove(id));
            let Some(id) = id else {
                return !open.is_empty();
            };
            if let Err(undone) = self.workflow(runner, Sample::found(id, row)) {
                failed = Some(undone);
                return false;
            }
            self.tell();
            !open.is_empty()
        });
        read.map_err(|error| undone(&error))?;
        match failed {
            Some(undone) => Err(undone),
            None if open.is_empty() => Ok(()),
            None => Err(format!(
                "{} of {} workflows are gone from the samples",
                open.len(),
                listed.ids.len()
            )
            .into()),
        }
    }

    /// Runs one workflow, and its repairs as long as one promises something.
    fn workflow(&mut self, runner: &mut Runner, found: Sample) -> Result<(), Undone> {
        let mut sample = found;
        for repairs in 0.. {
            let known = self.lines.of(&sample.id).cloned();
            let run = match known {
                Some(run) => run,
                None => self.once(runner, &sample)?,
            };
            self.summary.repairs += u64::from(repairs > 0);
            self.summary.succeeded += u64::from(run.outcome == Outcome::Success);
            let next = (repairs < self.job.max_repairs)
                .then(|| sample.repaired(&run, repairs + 1))
                .flatten();
            let Some(next) = next else { break };
            let kept = self.lines.keep_sample(&next.id, &next.row);
            kept.map_err(|error| undone(&error))?;
            point!("execute.repaired");
            sample = next;
        }
        self.summary.run += 1;
        Ok(())
    }

    fn once(&mut self, runner: &mut Runner, sample: &Sample) -> Result<Execution, Undone> {
        let job = self.job;
        let set = listing::dataset(&job.settings, &sample.row);
        let place = Place::prepare(job, sample, set).map_err(|error| undone(&error))?;
        let limit = job.settings.time_seconds;
        let ended = runner.run(&place, limit)?;
        let run = account::account(sample, &place, set, &ended, limit);
        point!("execute.ended");
        let kept = self.lines.keep(&run);
        kept.map_err(|error| undone(&error))?;
        point!("execute.appended");
        Ok(run)
    }

    /// Progress is a hint; where it cannot be written nothing is lost.
    fn tell(&self) {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.job.progress);
        let Summary {
            run,
            given,
            succeeded,
            ..
        } = self.summary;
        if let Ok(mut file) = file {
            let line = json!({ "done": run, "total": given, "succeeded": succeeded });
            let _ = writeln!(file, "{line}");
        }
        // So may stdout be on a full disk.
        let said = format!("Progress: {run}/{given} | Succeeded: {succeeded}");
        let _ = writeln!(io::stdout(), "{said}");
    }

    fn finish(&self) -> Result<(), Undone> {
        let text = serde_json::to_vec(&self.summary).map_err(|error| error.to_string())?;
        write_atomic(&self.job.summary, &text).map_err(|error| undone(&error))
    }
}
