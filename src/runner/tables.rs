//! The two status tables of an experiment, kept in `experiment.json` and in the summary, and its logs.

use super::{
    item::{Item, Worker},
    room::room,
};
use crate::{
    artifacts::{named, write_atomic},
    experiment::{
        log::{Block, Event, LogFile, submitted},
        plan::{Plan, SUMMARY, TWIN},
        status::{EVALUATION, FINE_TUNING, Row, replaced},
    },
    points::point,
    time::Timestamp,
};
use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The tables with their files.
#[derive(Debug)]
pub struct Tables {
    dir: PathBuf,
    plan: Plan,
    /// What the summary lacks was said.
    told: bool,
}

impl Tables {
    /// Those of an experiment. Rows that the plan does not have yet are pending ones.
    pub fn new(dir: &Path, plan: &Plan) -> Self {
        let mut fresh = plan.clone();
        fresh.reset();
        for (own, old) in [
            (&mut fresh.fine_tuning, &plan.fine_tuning),
            (&mut fresh.evaluation, &plan.evaluation),
        ] {
            for row in own {
                if let Some(known) = old.iter().find(|one| one.name == row.name) {
                    row.clone_from(known);
                }
            }
        }
        Self {
            dir: dir.into(),
            plan: fresh,
            told: false,
        }
    }

    /// The plan with its rows as they are now.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The row of an item.
    pub fn row(&self, item: &Item) -> Row {
        let rows = match item.worker {
            Worker::Torchtune => &self.plan.fine_tuning,
            Worker::Inspect => &self.plan.evaluation,
        };
        let row = rows.iter().find(|row| row.name == item.name);
        row.cloned().unwrap_or_else(|| Row::pending(&item.name))
    }

    /// Puts another row in the place of the one of its name.
    pub fn set(&mut self, worker: Worker, row: Row) {
        let rows = match worker {
            Worker::Torchtune => &mut self.plan.fine_tuning,
            Worker::Inspect => &mut self.plan.evaluation,
        };
        match rows.iter_mut().find(|one| one.name == row.name) {
            Some(old) => *old = row,
            None => rows.push(row),
        }
    }

    /// Writes both files. Gives a sentence where the summary has no place for a table any more, once.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` where the experiment was planned anew meanwhile.
    pub fn keep(&mut self) -> io::Result<Option<String>> {
        self.same()?;
        room()?;
        write_atomic(&self.dir.join(TWIN), self.plan.json().as_bytes())?;
        point!("run.table");
        let path = self.dir.join(SUMMARY);
        let found = match fs::read_to_string(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(error, "read", &path)),
        };
        let (mut text, mut lacks) = (found.clone(), Vec::new());
        for (heading, rows) in [
            (FINE_TUNING, &self.plan.fine_tuning),
            (EVALUATION, &self.plan.evaluation),
        ] {
            match replaced(&text, heading, rows) {
                Some(new) => text = new,
                None => lacks.push(heading),
            }
        }
        if text != found {
            room()?;
            write_atomic(&path, text.as_bytes())?;
        }
        if lacks.is_empty() || std::mem::replace(&mut self.told, true) {
            return Ok(None);
        }
        Ok(Some(format!(
            "{SUMMARY} has no line {:?} any more: that table is kept in {TWIN} alone",
            lacks.join(" and ")
        )))
    }

    /// That the plan on disk is still this one, but for its rows.
    fn same(&self) -> io::Result<()> {
        let path = self.dir.join(TWIN);
        let text = fs::read_to_string(&path).map_err(|error| named(error, "read", &path))?;
        let wrong = |why: &str| {
            let text = format!("{}: {why}", path.display());
            io::Error::new(ErrorKind::InvalidData, text)
        };
        let mut found = Plan::read(&text).map_err(|why| wrong(&why))?;
        found.fine_tuning.clone_from(&self.plan.fine_tuning);
        found.evaluation.clone_from(&self.plan.evaluation);
        match found.json() == self.plan.json() {
            true => Ok(()),
            false => Err(wrong("the experiment was planned anew while it runs")),
        }
    }
}

/// The log of a worker.
pub fn log_of(worker: Worker) -> LogFile {
    match worker {
        Worker::Torchtune => LogFile::RunTorchtune,
        Worker::Inspect => LogFile::RunInspect,
    }
}

/// Adds a block to a log, in one write.
///
/// # Errors
/// Those of the file system.
pub fn log(dir: &Path, file: LogFile, block: &Block) -> io::Result<()> {
    let path = dir.join(file.name());
    let text = block.text(Timestamp::from(SystemTime::now()));
    append(&path, text.as_bytes()).map_err(|error| named(error, "write", &path))
}

/// All of it, or nothing: what a full disk took of a block would stand there before the whole of it.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    room()?;
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let before = log.metadata()?.len();
    let written = log.write_all(bytes);
    if written.is_err() {
        // The write error is the one to report.
        let _ = log.set_len(before);
    }
    written
}

/// Adds a block unless it is there already, whenever that was written: what a runner does again after a crash is told once.
///
/// # Errors
/// Those of the file system.
pub fn log_once(dir: &Path, file: LogFile, block: &Block) -> io::Result<()> {
    let text = block.text(Timestamp(0));
    let (_, said) = text.split_once("] ").unwrap_or_default();
    match read(dir, file)?.contains(said) {
        true => Ok(()),
        false => log(dir, file, block),
    }
}

/// Whether a log says that a job was handed in.
///
/// # Errors
/// Those of reading it.
pub fn is_submitted(dir: &Path, file: LogFile, what: (Event, &str, &str)) -> io::Result<bool> {
    let all = submitted(&read(dir, file)?);
    let same = |(event, name, job): &(Event, String, String)| {
        (*event, name.as_str(), job.as_str()) == what
    };
    Ok(all.iter().any(same))
}

fn read(dir: &Path, file: LogFile) -> io::Result<String> {
    let path = dir.join(file.name());
    match fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(named(error, "read", &path)),
    }
}
