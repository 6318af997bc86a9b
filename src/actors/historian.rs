//! The Historian: writes what came of campaigns into `training_history.json`.

use super::{Perform, Surroundings, patience::patiently, performer, results, view};
use crate::{
    artifacts::{is_starved, named, write_atomic},
    control::training::RunView,
    history::{Experiment, Failure, History, Status},
    machines::{campaign::Campaign, effect::Effect, event::Event, tree::CampaignTree},
    parameters::{Assignment, Value},
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

/// The history with this cycle's experiments in it, written by rename.
fn record(here: &Surroundings, tree: &CampaignTree, cycle: u32) -> io::Result<()> {
    let path = here.state.training_history();
    let mut experiments = read(&path)?;
    let ours = experiments_of(here, tree, cycle)?;
    experiments.retain(|one| {
        ours.iter()
            .all(|our| our.experiment_id != one.experiment_id)
    });
    experiments.extend(ours);
    let text = serde_json::to_vec_pretty(&History::new(experiments).render())?;
    write_atomic(&path, &text)
}

/// One for each training run of the cycle, or one for the data of a campaign that trains nothing.
///
/// # Errors
/// What a run or an evaluation left cannot be read: a fact that is not there today would be missing for ever.
fn experiments_of(
    here: &Surroundings,
    tree: &CampaignTree,
    cycle: u32,
) -> io::Result<Vec<Experiment>> {
    let runs = results::runs(tree, &here.state, tree.campaign.state_since)?;
    let of_data = experiment(here, tree, cycle);
    let ours: Vec<Experiment> = runs
        .iter()
        .filter(|run| run.cycle == cycle)
        .map(|run| trained(&tree.campaign, run, &of_data.metrics))
        .collect();
    Ok(if ours.is_empty() { vec![of_data] } else { ours })
}

/// What a training run came to: what it was set to, its losses, and what its adapter is worth.
///
/// Only what is better the more, or the less, there is of it is a metric: `best_metrics` ranks them all. Counts of the run
/// stand beside its settings. `data` is what the campaign's data came to.
fn trained(campaign: &Campaign, run: &RunView, data: &BTreeMap<String, f64>) -> Experiment {
    let mut metrics = data.clone();
    let mut config = set(campaign, run);
    let mut adapter = None;
    if let Some(trained) = &run.trained {
        adapter = Some(trained.adapter.clone());
        let counts = [
            ("training_rows", trained.rows),
            ("steps", trained.steps),
            ("best_step", trained.best_step),
            ("trainable_parameters", trained.trainable_parameters),
        ];
        config.extend(counts.map(|(name, count)| {
            (
                name.to_string(),
                Value::Whole(i64::try_from(count).unwrap_or(i64::MAX)),
            )
        }));
        let losses = [
            ("first_loss", trained.first_loss),
            ("last_loss", trained.last_loss),
            ("eval_loss_before", trained.eval_loss_before),
            ("eval_loss", trained.eval_loss),
        ];
        let known = losses
            .into_iter()
            .filter_map(|(name, loss)| Some((name.to_string(), loss?)));
        metrics.extend(known);
    }
    for one in &run.comparisons {
        // The loss on the test split, beside those of training.
        let name = if one.metric == "loss" {
            "test_loss"
        } else {
            &one.metric
        };
        metrics.extend(one.adapter.map(|value| (name.to_string(), value)));
        metrics.extend(
            one.difference
                .map(|value| (format!("{name}_difference"), value)),
        );
    }
    Experiment {
        experiment_id: format!("{}-{}", campaign.id, run.run),
        cycle_id: run.cycle,
        campaign: campaign.id.to_string(),
        gpu_hours: 0.0,
        proposal: None,
        failure: None,
        status: Status::Completed,
        config,
        metrics,
        duration_seconds: run.duration_seconds,
        proposal_type: "fine_tuning".into(),
        risk_level: "low".into(),
        adapter,
        verdict: run.verdict.clone(),
        ended_at: campaign.state_since,
    }
}

/// What the fine-tune was set to: its own settings whole, by their names.
fn set(campaign: &Campaign, run: &RunView) -> Assignment {
    let asked = campaign.spec.training.as_ref();
    let asked = asked.and_then(|spec| spec.run(&run.name));
    let settings = asked.and_then(|asked| serde_json::to_value(&asked.settings).ok());
    let mut all: Assignment = settings
        .as_ref()
        .and_then(serde_json::Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            // Lists and tables stand as their text.
            let plain = serde_json::from_value(value.clone());
            (key.clone(), plain.unwrap_or(Value::Text(value.to_string())))
        })
        .collect();
    if let Some(asked) = asked {
        all.insert("model".into(), Value::Text(asked.model.clone()));
        all.extend(
            asked
                .dataset
                .map(|set| ("dataset".into(), Value::Text(set.name().into()))),
        );
        all.insert("stages".into(), Value::Whole(asked.stage_count().into()));
    }
    all
}

/// What a campaign without training came to: data.
fn experiment(here: &Surroundings, tree: &CampaignTree, cycle: u32) -> Experiment {
    let campaign = &tree.campaign;
    let ended_at = campaign.state_since;
    let shown = view::campaign(tree, &here.seen, &here.state, &here.slurm, ended_at);
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
        campaign: campaign.id.to_string(),
        gpu_hours: 0.0,
        proposal: None,
        failure: None,
        status: Status::Completed,
        config: config(campaign),
        metrics,
        duration_seconds: ended_at.since(campaign.created_at).as_secs_f64(),
        proposal_type: "data_generation".into(),
        risk_level: "low".into(),
        adapter: None,
        verdict: None,
        ended_at,
    }
}

fn config(campaign: &Campaign) -> Assignment {
    let settings = campaign.spec.provenance.iter();
    settings
        .map(|setting| {
            (
                setting.key.clone(),
                setting.value.parse().unwrap_or_else(|never| match never {}),
            )
        })
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

/// An experiment as `training_history.json` has it; of what an earlier version wrote, the settings are texts.
fn parse(one: &serde_json::Value) -> Option<Experiment> {
    let text = |key: &str| one[key].as_str().map(String::from);
    let config = one["config"]
        .as_object()?
        .iter()
        .filter_map(|(key, value)| {
            Some((key.clone(), serde_json::from_value(value.clone()).ok()?))
        });
    let metrics = one["metrics"]
        .as_object()?
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)));
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

fn failure(written: &serde_json::Value) -> Option<Failure> {
    Some(Failure {
        cause: written["cause"].as_str()?.parse().ok()?,
        text: written["text"].as_str().unwrap_or_default().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::training::TrainedView;

    #[test]
    fn what_was_set_is_no_metric_and_the_data_stay_known() {
        let spec = serde_json::from_value(serde_json::json!({
            "name": "a", "file": null, "directory": "/",
            "criteria": { "gate": "point", "quality_threshold": 0.75, "min_pilot_samples": 1, "pilot_target": 1,
                "max_pilot_samples": 1 },
            "campaign_target": 1, "auto_launch": true, "executor": "local", "seed": 1,
            "generator": { "brain": "rules", "command": [], "shards": 1, "time_seconds": null, "evidence": "samples",
                "faults": 0.1 },
            "retry": { "transient": 3, "lost": 3 }, "execution": null, "curation": null, "training": null,
            "evaluation": null, "planning": null, "provenance": [],
        }))
        .unwrap();
        let campaign = Campaign::draft(spec, crate::machines::spec::Parts::Whole, Timestamp(0));
        let run = RunView {
            rank: 16,
            trained: Some(TrainedView {
                rows: 30,
                steps: 9,
                eval_loss: Some(1.5),
                ..TrainedView::default()
            }),
            ..RunView::default()
        };
        let data = BTreeMap::from([("quality".to_string(), 0.8)]);
        let one = trained(&campaign, &run, &data);
        let metrics: Vec<&str> = one.metrics.keys().map(String::as_str).collect();
        assert_eq!(metrics, ["eval_loss", "quality"]);
        assert_eq!(
            (&one.config["steps"], &one.config["training_rows"]),
            (&Value::Whole(9), &Value::Whole(30))
        );
    }
}
