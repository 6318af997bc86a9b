//! What came of every experiment of this daemon, as it is committed: for who plans, who asks, and `training_history.json`.
//!
//! Readers get a history that does not change any more and that nobody waits for: it is made once after each change, by the
//! first who asks.

use super::coordinator::Trees;
use crate::{
    artifacts::{named, write_atomic},
    history::{Experiment, History},
    ids::CampaignId,
    machines::tree::CampaignTree,
    manifest::StateDir,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// The experiments of campaigns that were cleaned.
pub type Past = Vec<Experiment>;

/// The experiments of all campaigns, also of those that were cleaned.
#[derive(Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Of campaigns that are gone.
    past: Arc<Vec<Experiment>>,
    /// Of the others.
    present: BTreeMap<CampaignId, Arc<CampaignTree>>,
    /// Counts the changes.
    version: u64,
    made: Option<(u64, Arc<History>)>,
}

impl Memory {
    /// What the store held.
    pub fn new(past: Past, trees: &Trees) -> Self {
        let inner = Inner {
            past: Arc::new(past),
            present: trees.clone(),
            version: 1,
            made: None,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// A campaign as it is committed, and whether results of it just were.
    pub fn keep(&self, tree: &Arc<CampaignTree>, recorded: bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let id = tree.campaign.id.clone();
        inner.present.insert(id, Arc::clone(tree));
        inner.version += u64::from(recorded);
    }

    /// A campaign was cleaned: what it taught stays.
    pub fn forget(&self, id: &CampaignId) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = inner.present.remove(id) {
            let ended = tree.experiments.values();
            let past = ended.map(|one| one.of_the_past(tree.campaign.created_at));
            let mut all = inner.past.to_vec();
            all.extend(past);
            inner.past = Arc::new(all);
            inner.version += 1;
        }
    }

    /// Everything, and which version of it: the same number is the same history.
    pub fn history(&self) -> (u64, Arc<History>) {
        let (version, past, trees) = {
            let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let version = inner.version;
            if let Some((_, made)) = inner.made.as_ref().filter(|(made, _)| *made == version) {
                return (version, Arc::clone(made));
            }
            let trees: Vec<Arc<CampaignTree>> = inner.present.values().cloned().collect();
            (version, Arc::clone(&inner.past), trees)
        };
        // Who commits waits for nobody that reads.
        let present = trees.iter().flat_map(|tree| tree.experiments.values());
        let history = Arc::new(History::new(past.iter().chain(present).cloned().collect()));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.version == version {
            inner.made = Some((version, Arc::clone(&history)));
        }
        (version, history)
    }
}

/// Writes `training_history.json` a last time: whoever keeps it in step may have ended before the last result.
pub fn settle(state: &StateDir, memory: &Memory) {
    let (_, history) = memory.history();
    if history.experiments().is_empty() || !state.root().exists() {
        return;
    }
    if let Err(error) = write(&state.training_history(), &history) {
        tracing::warn!("the history cannot be written: {error}");
    }
}

/// Writes `training_history.json`. What an earlier campaignd wrote there, and no record holds, is kept.
///
/// # Errors
/// It cannot be read, or written.
pub(super) fn write(path: &Path, history: &History) -> io::Result<()> {
    let ours: BTreeSet<&str> = history
        .experiments()
        .iter()
        .map(|one| one.experiment_id.as_str())
        .collect();
    let mut foreign = read(path)?;
    foreign.retain(|one| !ours.contains(one.experiment_id.as_str()));
    let text = if foreign.is_empty() {
        serde_json::to_vec_pretty(&history.render())?
    } else {
        let all = foreign
            .into_iter()
            .chain(history.experiments().iter().cloned());
        serde_json::to_vec_pretty(&History::new(all.collect()).render())?
    };
    write_atomic(path, &text)
}

/// The experiments written before. What cannot be read is kept aside, never overwritten.
fn read(path: &Path) -> io::Result<Vec<Experiment>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // Not read is not empty: what is there would be overwritten.
        Err(error) => return Err(named(error, "read", path)),
    };
    match History::read(&bytes) {
        Ok(history) => Ok(history.experiments().to_vec()),
        Err(why) => {
            let aside = path.with_extension("json.unreadable");
            let (path, kept) = (path.display(), aside.display());
            tracing::error!("{path} cannot be read ({why}); it is kept as {kept}");
            fs::rename(path.to_string(), &aside).map_err(|error| {
                io::Error::new(error.kind(), format!("move {path} aside: {error}"))
            })?;
            Ok(Vec::new())
        }
    }
}
