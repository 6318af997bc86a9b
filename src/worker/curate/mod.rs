//! The curation worker: shard files in, a data set's directory out, which appears only when it is complete.
//!
//! Two passes over the input. The first reads every row once and keeps what decisions need; between them every row's fate is
//! decided; the second reads the rows that stay again, in the order of their ids, and writes them. So memory holds about half
//! a kilobyte a row, whatever the rows' length.

mod against;
mod facts;
mod judge;
mod output;
mod scan;
mod spill;
mod write;

pub(super) use output::beside;

use super::Undone;
use crate::{
    artifacts::{
        is_starved,
        room::{patiently, say},
    },
    curation::words::Reason,
    executor::job_dir::{JobDir, TRY_AGAIN, Work},
    machines::spec::CurationSpec,
};
use serde::Serialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What is to be curated.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Files and directories; a missing one is an error.
    pub inputs: Vec<PathBuf>,
    /// Files of what running workflows adds to samples; one that is not there adds nothing.
    pub executions: Vec<PathBuf>,
    /// The data set's directory; none: nothing is written, it is only said what would be.
    pub output: Option<PathBuf>,
    /// Root of all chance.
    pub seed: u64,
    /// The data set's name.
    pub name: String,
    /// What is kept, and where it goes.
    pub settings: CurationSpec,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// With what.
    pub stage: &'static str,
    /// Rows done.
    pub done: u64,
    /// Of how many, as far as that is known.
    pub total: u64,
}

/// Who is told.
pub type Tell<'a> = &'a mut dyn FnMut(Told);

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    /// Rows and lines read.
    pub rows_in: u64,
    /// Rows kept.
    pub kept: u64,
    /// Rows and lines removed, by reason.
    pub removed: BTreeMap<Reason, Gone>,
    /// Kept rows by split.
    pub splits: BTreeMap<&'static str, u64>,
    /// Rows by data set.
    pub datasets: BTreeMap<&'static str, u64>,
    /// What was handed on.
    pub exports: Vec<Exported>,
}

impl Made {
    /// Everything removed.
    pub fn removed_rows(&self) -> u64 {
        self.removed.values().map(|gone| gone.rows).sum()
    }

    fn counts(&self) -> String {
        let counts: BTreeMap<&str, u64> = self
            .removed
            .iter()
            .map(|(reason, gone)| (reason.name(), gone.rows))
            .collect();
        json!(counts).to_string()
    }
}

/// What went for one reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gone {
    /// How many.
    pub rows: u64,
    /// The first few by id.
    pub examples: Vec<Example>,
}

/// A row that went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// Its id, or where it stands.
    pub id: String,
    /// The id of the row that it went for.
    pub partner: Option<String>,
    /// How similar they are.
    pub similarity: Option<f32>,
    /// What more there is to say.
    pub detail: Option<String>,
}

/// A part of the data set that was handed on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub destination: String,
    /// Rows.
    pub rows: u64,
    /// Rows that its format cannot say.
    pub left_out: u64,
}

/// The work of a job directory.
///
/// # Errors
/// [`Undone`]: to be tried again where the machine lacks something.
pub fn run(job_dir: &Path, shard: u32) -> Result<(), Undone> {
    let dir = JobDir::new(job_dir);
    let Work::Curate {
        inputs,
        executions,
        output,
        seed,
        name,
        settings,
    } = dir.read_request().map_err(|error| error.to_string())?.work
    else {
        return Err("request.toml asks for other work".to_owned().into());
    };
    let job = Job {
        inputs: inputs.into_iter().map(PathBuf::from).collect(),
        executions: executions.into_iter().map(PathBuf::from).collect(),
        output: Some(output.into()),
        seed,
        name,
        settings,
    };
    let progress = dir.progress(shard);
    let made = curate(&job, &mut |told| note(&progress, told))?;
    // The data set is there; stdout may lie on a full disk.
    let _ = writeln!(io::stdout(), "{} rows of {}", made.kept, made.rows_in);
    Ok(())
}

/// Progress is a hint; where it cannot be written nothing is lost.
fn note(path: &Path, told: Told) {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    if let Ok(mut file) = file {
        let line = json!({ "done": told.done, "total": told.total, "stage": told.stage });
        let _ = writeln!(file, "{line}");
    }
}

/// Curates. An output that exists is complete, and is left as it is; what it is to be exported to is looked after all the
/// same.
///
/// # Errors
/// A sentence naming the file; nothing usable, with the reasons by count.
pub fn curate(job: &Job, tell: Tell<'_>) -> Result<Made, Undone> {
    let mut made = match &job.output {
        Some(output) if output.exists() => output::read(output)?,
        _ => make(job, tell)?,
    };
    if let Some(output) = &job.output {
        made.exports = super::deliver::exports(output, &job.settings.exports, tell)?;
    }
    Ok(made)
}

fn make(job: &Job, tell: Tell<'_>) -> Result<Made, Undone> {
    let scanned = scan::scan(job, tell)?;
    let judged = judge::judge(job, &scanned, tell)?;
    let made = judged.summary(&scanned);
    if made.kept == 0 {
        return Err(format!("no usable row among {}: {}", made.rows_in, made.counts()).into());
    }
    let Some(output) = &job.output else {
        return Ok(made);
    };
    let say_so = |error: &io::Error| say(&format!("{error}; waiting for room"));
    let datasets = patiently(say_so, || {
        write::write(job, output, &scanned, &judged, tell)
    })
    .map_err(|error| undone("the data set cannot be written", &error))?;
    Ok(Made { datasets, ..made })
}

/// To be tried again where the machine lacks something; else final.
fn undone(what: &str, error: &io::Error) -> Undone {
    Undone {
        status: if is_starved(error) { TRY_AGAIN } else { 1 },
        text: format!("{what}: {error}"),
    }
}

#[cfg(test)]
mod tests;
