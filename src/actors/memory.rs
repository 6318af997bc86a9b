//! What came of every experiment of this daemon, as it is committed: for who plans, who asks, and `training_history.json`.
//!
//! Readers get a history that does not change any more and that nobody waits for: it is made once after each change, by the
//! first who asks.

use super::coordinator::Trees;
use crate::{
    artifacts::{named, write_atomic},
    history::{Experiment, Failure, History},
    ids::CampaignId,
    machines::tree::CampaignTree,
    time::Timestamp,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// The experiments of all campaigns, also of those that were cleaned.
#[derive(Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Of campaigns that are gone.
    past: Vec<Experiment>,
    /// Of the others.
    present: BTreeMap<CampaignId, Arc<CampaignTree>>,
    /// Counts the changes.
    version: u64,
    made: Option<(u64, Arc<History>)>,
}

impl Memory {
    /// What the store held.
    pub fn new(past: Vec<Experiment>, trees: &Trees) -> Self {
        let inner = Inner {
            past,
            present: trees.clone(),
            version: 1,
            made: None,
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// A campaign as it is committed.
    pub fn keep(&self, tree: &Arc<CampaignTree>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let id = tree.campaign.id.clone();
        let before = inner.present.insert(id, Arc::clone(tree));
        let known = before.is_some_and(|before| before.experiments == tree.experiments);
        if !known && !(tree.experiments.is_empty()) {
            inner.version += 1;
        }
    }

    /// A campaign was cleaned: what it taught stays.
    pub fn forget(&self, id: &CampaignId) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = inner.present.remove(id) {
            inner.past.extend(tree.experiments.values().cloned());
        }
    }

    /// Everything, and which version of it: the same number is the same history.
    pub fn history(&self) -> (u64, Arc<History>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let version = inner.version;
        if let Some((_, history)) = inner.made.as_ref().filter(|(made, _)| *made == version) {
            return (version, Arc::clone(history));
        }
        let present = inner.present.values();
        let present = present.flat_map(|tree| tree.experiments.values());
        let all = inner.past.iter().chain(present).cloned().collect();
        let history = Arc::new(History::new(all));
        inner.made = Some((version, Arc::clone(&history)));
        (version, history)
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
    let Ok(written) = serde_json::from_slice::<Value>(&bytes) else {
        let aside = path.with_extension("json.unreadable");
        tracing::error!(
            "{} cannot be read; it is kept as {}",
            path.display(),
            aside.display()
        );
        fs::rename(path, &aside).map_err(|error| named(error, "move aside", path))?;
        return Ok(Vec::new());
    };
    let all = written["experiments"].as_array();
    Ok(all.into_iter().flatten().filter_map(parse).collect())
}

/// An experiment as `training_history.json` has it; of what an earlier version wrote, the settings are texts.
fn parse(one: &Value) -> Option<Experiment> {
    let text = |key: &str| one[key].as_str().map(String::from);
    let config = one["config"].as_object()?.iter();
    let config = config.filter_map(|(key, value)| {
        Some((key.clone(), serde_json::from_value(value.clone()).ok()?))
    });
    let metrics = one["metrics"].as_object()?.iter();
    let metrics = metrics.filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)));
    Some(Experiment {
        experiment_id: text("experiment_id")?,
        campaign: text("campaign").unwrap_or_default(),
        cycle_id: u32::try_from(one["cycle_id"].as_u64()?).ok()?,
        status: text("status")?.parse().ok()?,
        config: config.collect(),
        metrics: metrics.collect(),
        duration_seconds: one["duration_seconds"].as_f64()?,
        gpu_hours: one["gpu_hours"].as_f64().unwrap_or(0.0),
        proposal_type: text("proposal_type")?,
        risk_level: text("risk_level")?,
        proposal: text("proposal"),
        adapter: text("adapter"),
        verdict: text("verdict"),
        failure: failure(&one["failure"]),
        ended_at: Timestamp(one["ended_at_ms"].as_i64().unwrap_or(0)),
    })
}

fn failure(written: &Value) -> Option<Failure> {
    Some(Failure {
        cause: written["cause"].as_str()?.parse().ok()?,
        text: written["text"].as_str().unwrap_or_default().into(),
    })
}
