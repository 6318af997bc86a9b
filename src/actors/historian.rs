//! The Historian: writes what came of campaigns into `training_history.json`.

use super::{Perform, Surroundings, patience::patiently, performer, view};
use crate::{
    artifacts::{is_starved, named, write_atomic},
    history::{Experiment, History},
    machines::{campaign::Campaign, effect::Effect, event::Event, tree::CampaignTree},
    time::Timestamp,
};
use std::{collections::BTreeMap, fs, io, path::Path};

performer! {
    /// The actor.
    Historian, perform
}

async fn perform(here: Surroundings, perform: Perform) {
    let effect = perform.id.clone();
    let id = perform.id.campaign.clone();
    let event = match perform.effect {
        // A few kilobytes: short enough to be written here.
        Effect::WriteRecord { cycle } => {
            let write = async || record(&here, &perform.tree, cycle);
            match patiently(&here, &effect, is_starved, write).await {
                Ok(None) => return,
                Ok(Some(())) => Event::Recorded { effect },
                Err(error) => Event::EffectFailed {
                    effect,
                    text: format!("the history cannot be written: {error}"),
                },
            }
        }
        _ => Event::EffectFailed {
            effect,
            text: "this campaignd has no planner yet".into(),
        },
    };
    here.report(&id, event);
}

/// The history with this campaign's experiment in it, written by rename.
fn record(here: &Surroundings, tree: &CampaignTree, cycle: u32) -> io::Result<()> {
    let path = here.state.training_history();
    let mut experiments = read(&path)?;
    let ours = experiment(here, tree, cycle);
    experiments.retain(|one| one.experiment_id != ours.experiment_id);
    experiments.push(ours);
    let text = serde_json::to_vec_pretty(&History::new(experiments).render())?;
    write_atomic(&path, &text)
}

/// What a campaign without training came to: data.
fn experiment(here: &Surroundings, tree: &CampaignTree, cycle: u32) -> Experiment {
    let campaign = &tree.campaign;
    let ended_at = campaign.state_since;
    let shown = view::campaign(tree, &here.seen, &here.state, ended_at);
    let mut metrics =
        BTreeMap::from([("samples".to_string(), campaign.spec.campaign_target as f64)]);
    if let Some(mean) = campaign.verdict.as_ref().and_then(|verdict| verdict.mean) {
        metrics.insert("pilot_quality".into(), mean);
    }
    if let Some(mean) = shown.quality.and_then(|quality| quality.mean) {
        metrics.insert("quality".into(), mean);
    }
    if let Some(dataset) = shown.dataset {
        metrics.insert("dataset_rows".into(), dataset.rows as f64);
        metrics.insert("removed_rows".into(), dataset.removed as f64);
    }
    Experiment {
        experiment_id: format!("{}-cycle-{cycle}", campaign.id),
        cycle_id: cycle,
        status: "completed".into(),
        config: config(campaign),
        metrics,
        duration_seconds: ended_at.since(campaign.created_at).as_secs_f64(),
        proposal_type: "data_generation".into(),
        risk_level: "low".into(),
        ended_at,
    }
}

fn config(campaign: &Campaign) -> BTreeMap<String, String> {
    let settings = campaign.spec.provenance.iter();
    settings
        .map(|setting| (setting.key.clone(), setting.value.clone()))
        .collect()
}

/// The experiments written before. The history outlives the campaigns that it is about, which may have been cleaned;
/// what cannot be read is kept aside, never overwritten.
fn read(path: &Path) -> io::Result<Vec<Experiment>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // Not read is not empty: what is there would be overwritten.
        Err(error) => return Err(named(error, "read", path)),
    };
    let Ok(written) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
        let aside = path.with_extension("json.unreadable");
        tracing::error!(
            "{} cannot be read; it is kept as {}",
            path.display(),
            aside.display()
        );
        fs::rename(path, &aside).map_err(|error| named(error, "move aside", path))?;
        return Ok(Vec::new());
    };
    let all = written["experiments"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Ok(all.iter().filter_map(parse).collect())
}

fn parse(one: &serde_json::Value) -> Option<Experiment> {
    let text = |key: &str| one[key].as_str().map(String::from);
    let config = one["config"]
        .as_object()?
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.into())));
    let metrics = one["metrics"]
        .as_object()?
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)));
    Some(Experiment {
        experiment_id: text("experiment_id")?,
        cycle_id: u32::try_from(one["cycle_id"].as_u64()?).ok()?,
        status: text("status")?,
        config: config.collect(),
        metrics: metrics.collect(),
        duration_seconds: one["duration_seconds"].as_f64()?,
        proposal_type: text("proposal_type")?,
        risk_level: text("risk_level")?,
        ended_at: Timestamp(one["ended_at_ms"].as_i64().unwrap_or(0)),
    })
}
