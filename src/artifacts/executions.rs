//! What running workflows adds to their trajectories, as it lies on disk: a line a run, joined by id when a trajectory is
//! read; and what each task of the phase says it has done.

use super::{
    jsonl::{JsonlReader, Line},
    named, samples,
};
use crate::{
    manifest::CampaignManifest,
    trajectory::{Execution, Outcome},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

/// The phase by the name of its files.
const PHASE: &str = "execute";

/// What one task of the phase was given and did: `summary-K.json`, written when its last workflow has run, and when there
/// is none that it could run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Samples that were looked at, over all tasks.
    pub samples: u64,
    /// Sound workflows among them, at most as many as are to be run, over all tasks.
    pub workflows: u64,
    /// This task's share of those.
    pub given: u64,
    /// Those of its share that were run.
    pub run: u64,
    /// Those that succeeded, at last.
    pub succeeded: u64,
    /// Runs of repairs.
    pub repairs: u64,
    /// Why nothing, or no more, could be run.
    pub problem: Option<String>,
}

/// What a task says it has done; none where it has said nothing.
///
/// # Errors
/// With the path; what is no such file is none.
pub fn summary(path: &Path) -> io::Result<Option<Summary>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(error, "read", path)),
    }
}

/// What counting needs of a line.
#[derive(Deserialize)]
struct Counted {
    id: String,
    parent: Option<String>,
}

/// How many distinct workflows the lines of a shard tell of, repairs not counted. No file tells of none.
///
/// # Errors
/// With the path.
pub fn count(shard: &Path) -> io::Result<u64> {
    let mut seen = HashSet::new();
    each(shard, |line: Counted| {
        if line.parent.is_none() {
            seen.insert(line.id);
        }
    })?;
    Ok(seen.len() as u64)
}

/// Every run of a shard, in order. A torn last line is none.
///
/// # Errors
/// With the path.
pub fn read(shard: &Path) -> io::Result<Vec<Execution>> {
    let mut all = Vec::new();
    each(shard, |line| all.push(line))?;
    Ok(all)
}

fn each<T: serde::de::DeserializeOwned>(path: &Path, mut take: impl FnMut(T)) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|error| named(error, "open", path))?,
    };
    for line in JsonlReader::new(BufReader::new(file)) {
        if let Line::Row { value, .. } = line.map_err(|error| named(error, "read", path))? {
            take(value);
        }
    }
    Ok(())
}

/// The run of a trajectory, as its line says; none where it was not run.
///
/// # Errors
/// Those of reading.
pub fn find(campaign: &CampaignManifest, id: &str) -> io::Result<Option<Value>> {
    let shards = samples::shards_of(campaign, &[PHASE])?;
    let found = samples::find_in(samples::Samples::in_shards(shards), id)?;
    Ok(found.and_then(|(_, line)| serde_json::from_slice(&line).ok()))
}

/// The runs of a campaign by the id of the trajectory.
#[derive(Clone, Debug, Default)]
pub struct Executions {
    runs: HashMap<String, Execution>,
    /// How the run of a repair ended, by the id of what it repairs.
    repaired: HashMap<String, Outcome>,
}

impl Executions {
    /// Those of some files. A file that is not there holds none.
    ///
    /// # Errors
    /// With the path.
    pub fn read(shards: &[PathBuf]) -> io::Result<Self> {
        let mut all = Self::default();
        for shard in shards {
            each(shard, |run: Execution| all.take(run))?;
        }
        Ok(all)
    }

    /// Those of a campaign.
    ///
    /// # Errors
    /// Those of listing and reading.
    pub fn of(campaign: &CampaignManifest) -> io::Result<Self> {
        let shards = samples::shards_of(campaign, &[PHASE])?;
        let paths: Vec<PathBuf> = shards.into_iter().map(|shard| shard.path).collect();
        Self::read(&paths)
    }

    fn take(&mut self, mut run: Execution) {
        if let Some(parent) = &run.parent {
            self.repaired.insert(parent.clone(), run.outcome);
        }
        // The account of a run is long, and no trajectory holds it.
        run.metrics = None;
        self.runs.entry(run.id.clone()).or_insert(run);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Joins its run to a row, where there is one; whether there was.
    pub fn join(&self, row: &mut Map<String, Value>) -> bool {
        let id = match row.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return false,
        };
        let Some(run) = self.runs.get(&id) else {
            return false;
        };
        run.join(row, self.repaired.get(&id).copied());
        true
    }

    /// Whether there is a run of that id.
    pub fn has(&self, id: &str) -> bool {
        self.runs.contains_key(id)
    }
}
