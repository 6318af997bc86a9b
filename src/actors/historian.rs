//! The Historian: what came of each run of a cycle becomes an experiment, which is committed once.

use super::{
    Perform, Surroundings, fine_tunes::halved, now, patience::patiently, performer, results, view,
};
use crate::{
    artifacts::is_starved,
    control::training::RunView,
    history::{Experiment, Status},
    ids::EffectId,
    machines::{
        budget,
        campaign::Campaign,
        effect::Effect,
        event::Event,
        lesson,
        plan::{self, Plan, plan},
        spec::RunSpec,
        training_run::State as RunState,
        tree::CampaignTree,
    },
    parameters::{Assignment, Value},
};
use std::{collections::BTreeMap, io, sync::Arc};

performer! {
    /// The actor.
    Historian, perform
}

async fn perform(here: Surroundings, perform: Perform) {
    let effect = perform.id.clone();
    let id = perform.id.campaign.clone();
    let event = match perform.effect {
        Effect::WriteRecord { cycle } => record(&here, &perform, cycle, |_| true).await,
        // What had not ended by itself tells nothing of its settings.
        Effect::KeepResults { cycle } => {
            let completed = |one: &Experiment| one.status == Status::Completed;
            record(&here, &perform, cycle, completed).await
        }
        Effect::PlanNext { .. } => {
            let tree = Arc::clone(&perform.tree);
            Some(plan_next(&here, effect, tree).await)
        }
        _ => None,
    };
    if let Some(event) = event {
        here.report(&id, event);
    }
}

/// What came of a cycle, read on a thread of its own; none where nobody waits for it any more.
async fn record(
    here: &Surroundings,
    perform: &Perform,
    cycle: u32,
    kept: fn(&Experiment) -> bool,
) -> Option<Event> {
    let effect = perform.id.clone();
    let read = async || {
        let (here, tree) = (here.clone(), Arc::clone(&perform.tree));
        let read = tokio::task::spawn_blocking(move || experiments_of(&here, &tree, cycle));
        read.await.map_err(io::Error::other)?
    };
    Some(match patiently(here, &effect, is_starved, read).await {
        Ok(None) => return None,
        Ok(Some(mut experiments)) => {
            experiments.retain(kept);
            Event::Recorded {
                effect,
                experiments,
            }
        }
        Err(error) => Event::EffectFailed {
            effect,
            text: format!("the results cannot be read: {error}"),
        },
    })
}

/// Plans on a thread of its own: seconds where there are many results.
async fn plan_next(here: &Surroundings, effect: EffectId, tree: Arc<CampaignTree>) -> Event {
    let memory = Arc::clone(&here.memory);
    let planned = tokio::task::spawn_blocking(move || plan(&tree, &memory.history().1, now()));
    match planned.await {
        Ok(Plan { proposals, why }) => Event::Planned {
            effect,
            proposals,
            why,
        },
        Err(panicked) => Event::EffectFailed {
            effect,
            text: format!("the planner broke: {panicked}"),
        },
    }
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
        .map(|run| trained(tree, run, &of_data.metrics))
        .collect();
    Ok(if ours.is_empty() { vec![of_data] } else { ours })
}

/// What a training run came to: what it was set to, its losses, and what its adapter is worth.
///
/// Only what is better the more, or the less, there is of it is a metric: `best_metrics` ranks them all. Counts of the run
/// stand beside its settings. `data` is what the campaign's data came to.
fn trained(tree: &CampaignTree, run: &RunView, data: &BTreeMap<String, f64>) -> Experiment {
    let campaign = &tree.campaign;
    let mut metrics = data.clone();
    let mut config = set(tree, run);
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
    let proposal = tree.proposals.get(&run.name);
    let record = tree.runs.get(&run.run);
    let status = match record.map(|record| record.state) {
        Some(RunState::Done) => Status::Completed,
        Some(RunState::Cancelled) => Status::Cancelled,
        _ => Status::Failed,
    };
    let jobs = tree.jobs.values();
    let jobs = jobs.filter(|job| job.run.as_deref() == Some(&run.run));
    let gpu_hours = jobs.map(|job| budget::gpu_hours(job, campaign.state_since));
    Experiment {
        experiment_id: record.map_or_else(
            || format!("{}-{}", campaign.id, run.run),
            |record| record.experiment_id(&campaign.id),
        ),
        campaign: campaign.id.to_string(),
        cycle_id: run.cycle,
        status,
        config,
        metrics,
        duration_seconds: run.duration_seconds,
        gpu_hours: gpu_hours.sum(),
        proposal_type: proposal.map_or("fine_tuning", |one| &one.kind).into(),
        risk_level: proposal.map_or("low", |one| one.risk.name()).into(),
        proposal: proposal.map(|one| one.id.clone()),
        adapter,
        verdict: run.verdict.clone(),
        failure: (status == Status::Failed).then(|| lesson::failure(tree, &run.run)),
        ended_at: record
            .and_then(|record| record.ended_at)
            .unwrap_or(campaign.state_since),
    }
}

/// What the fine-tune was set to: its own settings whole, by their names.
fn set(tree: &CampaignTree, run: &RunView) -> Assignment {
    let asked = tree.run_spec(&run.name);
    let mut jobs = tree.jobs.values();
    let last = jobs.rfind(|job| job.run.as_deref() == Some(&run.run));
    let ran = asked.map(|asked| RunSpec {
        settings: halved(&asked.settings, last.map_or(0, |job| tree.halvings(job))),
        ..asked.clone()
    });
    let mut all = ran.as_ref().map(plan::settings).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::training::TrainedView, machines::spec::CampaignSpec, time::Timestamp};

    #[test]
    fn what_was_set_is_no_metric_and_the_data_stay_known() {
        let spec = CampaignSpec::bare("a");
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
        let one = trained(&CampaignTree::new(campaign), &run, &data);
        let metrics: Vec<&str> = one.metrics.keys().map(String::as_str).collect();
        assert_eq!(metrics, ["eval_loss", "quality"]);
        assert_eq!(
            (&one.config["steps"], &one.config["training_rows"]),
            (&Value::Whole(9), &Value::Whole(30))
        );
    }
}
