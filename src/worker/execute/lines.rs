//! A task's own files: the lines of its runs, and the samples that it repaired. Each line is on the disk before the next
//! workflow is run.

use crate::{
    artifacts::{
        create_dir_private, executions,
        jsonl::{JsonlReader, Line, cut_torn_tail},
        named,
        room::{patiently, write_patiently},
    },
    trajectory::Execution,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The lines that are there, and where more go.
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    runs: HashMap<String, Execution>,
    repairs: PathBuf,
    /// The repaired samples that are there.
    repaired: HashSet<String>,
}

impl Lines {
    /// Opens a task's files and reads what they have.
    ///
    /// # Errors
    /// With the path.
    pub fn open(path: &Path, repairs: &Path) -> io::Result<Self> {
        let runs = executions::read(path)?;
        Ok(Self {
            file: append(path)?,
            path: path.into(),
            runs: runs.into_iter().map(|run| (run.id.clone(), run)).collect(),
            repaired: ids(repairs)?,
            repairs: repairs.into(),
        })
    }

    /// The run of a sample, where it has run.
    pub fn of(&self, id: &str) -> Option<&Execution> {
        self.runs.get(id)
    }

    /// Says what came of a run.
    ///
    /// # Errors
    /// With the path.
    pub fn keep(&mut self, run: &Execution) -> io::Result<()> {
        add(&mut self.file, run).map_err(|error| named(error, "write", &self.path))?;
        self.runs.insert(run.id.clone(), run.clone());
        Ok(())
    }

    /// Keeps a repaired sample, unless it is there.
    ///
    /// # Errors
    /// With the path.
    pub fn keep_sample(&mut self, id: &str, row: &Map<String, Value>) -> io::Result<()> {
        if self.repaired.contains(id) {
            return Ok(());
        }
        let path = &self.repairs;
        let mut file = append(path)?;
        add(&mut file, row).map_err(|error| named(error, "write", path))?;
        self.repaired.insert(id.into());
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        create_dir_private(parent)?;
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    file.map_err(|error| named(error, "open", path))
}

fn add(file: &mut File, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    write_patiently(file, &line)?;
    patiently(|_| (), || file.sync_data())
}

/// The ids in a file of samples, whose torn last line is cut: the shim looks after the other file alone.
fn ids(path: &Path) -> io::Result<HashSet<String>> {
    let mut found = HashSet::new();
    if !path.exists() {
        return Ok(found);
    }
    cut_torn_tail(path)?;
    let file = File::open(path).map_err(|error| named(error, "open", path))?;
    for line in JsonlReader::<_, Value>::new(BufReader::new(file)) {
        if let Line::Row { value, .. } = line.map_err(|error| named(error, "read", path))? {
            found.extend(value.get("id").and_then(Value::as_str).map(String::from));
        }
    }
    Ok(found)
}
