//! A shard's file: what it has, and what is appended to it.

use super::Made;
use crate::{
    artifacts::{
        jsonl::{JsonlReader, Line},
        room::{patiently, write_patiently},
    },
    trajectory::{TrajectoryRecord, experience::Experience, record::Sample},
};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Rows are handed to the system at least this often: what a kill costs.
const ROWS: u64 = 32;

/// The file.
pub(super) struct Output {
    path: PathBuf,
    file: File,
    /// Places in the plan of the samples that are there.
    there: HashSet<u64>,
    /// What those teach.
    experience: Experience,
    waiting: Vec<u8>,
    rows: u64,
}

impl Output {
    /// Opens it, and reads what it has.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn open(path: &Path) -> Result<Self, String> {
        let named = |error: io::Error| format!("{}: {error}", path.display());
        let (there, experience) = existing(path)?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(named)?;
        Ok(Self {
            path: path.into(),
            file,
            there,
            experience,
            waiting: Vec::new(),
            rows: 0,
        })
    }

    /// Whether it has the sample of an index.
    pub fn has(&self, index: u64) -> bool {
        self.there.contains(&index)
    }

    /// What was there, as a beginning of what is made: of `target` samples at most.
    pub fn found(&self, target: u64) -> Made {
        Made {
            existing: (self.there.len() as u64).min(target),
            experience: self.experience.clone(),
            ..Made::default()
        }
    }

    /// Appends a sample; whether it, and all before it, are now with the system.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn append(&mut self, record: &TrajectoryRecord) -> Result<bool, String> {
        let sample = Sample {
            id: &record.trajectory_id,
            trajectory: record,
        };
        serde_json::to_writer(&mut self.waiting, &sample).map_err(|error| error.to_string())?;
        self.waiting.push(b'\n');
        self.rows += 1;
        let full = self.rows.is_multiple_of(ROWS);
        if full {
            self.hand_over()?;
        }
        Ok(full)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn hand_over(&mut self) -> Result<(), String> {
        write_patiently(&mut self.file, &self.waiting).map_err(|error| self.named(&error))?;
        self.waiting.clear();
        Ok(())
    }

    /// Everything is on the disk.
    ///
    /// # Errors
    /// A sentence naming the file.
    pub fn sync(&mut self) -> Result<(), String> {
        self.hand_over()?;
        patiently(|_| (), || self.file.sync_data()).map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.path.display())
    }
}

/// The samples that the file has. The shim has cut a torn last line already.
fn existing(path: &Path) -> Result<(HashSet<u64>, Experience), String> {
    let (mut there, mut experience) = (HashSet::new(), Experience::default());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((there, experience)),
        // Taken for an empty file, its samples would be made twice.
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    for line in JsonlReader::<_, TrajectoryRecord>::new(BufReader::new(file)) {
        match line.map_err(|error| format!("{}: {error}", path.display()))? {
            Line::Row { value, .. } => {
                there.insert(value.index);
                experience.learn(&value);
            }
            // Counted by who reads the samples; here it is merely not one of ours.
            Line::Invalid { .. } => {}
        }
    }
    Ok((there, experience))
}
