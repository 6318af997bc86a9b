//! What training and evaluation left on disk, for screens and the history. Only what is complete is there to be read.

use crate::{
    artifacts::{named, run},
    control::training::{ComparisonView, RunView, TrainedView},
    evaluation::{
        job::{Measured, Metric},
        paired::Comparison,
    },
    machines::{
        campaign::{Stage, State},
        training_run::TrainingRun,
        tree::CampaignTree,
    },
    manifest::{CampaignManifest, StateDir},
    time::Timestamp,
};
use serde_json::Value;
use std::{fs, io, path::Path};

/// Every training run of a campaign, with what it came to.
///
/// # Errors
/// What a run or an evaluation that is done has left cannot be read.
pub(super) fn runs(
    tree: &CampaignTree,
    state: &StateDir,
    now: Timestamp,
) -> io::Result<Vec<RunView>> {
    let paths = state.campaign(&tree.campaign.id);
    let measured = measured(tree, &paths)?;
    let one = |run: &TrainingRun| Ok(view(tree, run, trained(&paths, run)?, &measured, now));
    tree.runs.values().map(one).collect()
}

/// The same for a screen: what cannot be read now is not shown.
pub(super) fn shown(tree: &CampaignTree, state: &StateDir, now: Timestamp) -> Vec<RunView> {
    let paths = state.campaign(&tree.campaign.id);
    let measured = told(measured(tree, &paths));
    let one = |run: &TrainingRun| view(tree, run, told(trained(&paths, run)), &measured, now);
    tree.runs.values().map(one).collect()
}

fn told<T: Default>(read: io::Result<T>) -> T {
    read.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        T::default()
    })
}

fn view(
    tree: &CampaignTree,
    run: &TrainingRun,
    trained: Option<TrainedView>,
    measured: &[Measured],
    now: Timestamp,
) -> RunView {
    let key = run.key();
    let asked = tree.run_spec(&run.name);
    let verdict = measured.iter().find_map(|all| all.verdicts.get(&key));
    let ours = |one: &&Comparison| one.adapter == key;
    let comparisons = measured.iter().flat_map(|all| &all.comparisons);
    RunView {
        name: run.name.clone(),
        cycle: run.cycle,
        state: run.state.name().into(),
        stage: run.stage,
        stages: run.stages,
        rank: asked.map_or(0, |asked| asked.settings.r),
        duration_seconds: run
            .ended_at
            .unwrap_or(now)
            .since(run.started_at)
            .as_secs_f64(),
        trained,
        comparisons: comparisons.filter(ours).map(comparison).collect(),
        verdict: verdict.map(|shown| shown.name().into()),
        run: key,
    }
}

/// The evaluations that are complete. While one is made again, what an earlier one found is not shown.
///
/// # Errors
/// One is there and cannot be read.
pub fn measured(tree: &CampaignTree, paths: &CampaignManifest) -> io::Result<Vec<Measured>> {
    if tree.campaign.state == State::Evaluating {
        return Ok(Vec::new());
    }
    let mut stages = tree.campaign.stages.iter();
    if !stages.any(|timed| timed.stage == Stage::Evaluate) {
        return Ok(Vec::new());
    }
    // Those of one model and the same rows are measured together, under the first one's name.
    let keys = tree.runs.values().map(TrainingRun::key);
    let files = keys.map(|key| paths.evaluation(&key).join("results.json"));
    let found = files.map(|file| match read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    });
    found.filter_map(Result::transpose).collect()
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> io::Result<T> {
    let text = fs::read(file).map_err(|error| named(error, "read", file))?;
    serde_json::from_slice(&text).map_err(|error| {
        let why = format!("{} cannot be read: {error}", file.display());
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

fn trained(paths: &CampaignManifest, run: &TrainingRun) -> io::Result<Option<TrainedView>> {
    if run.state != crate::machines::training_run::State::Done {
        return Ok(None);
    }
    let dir = paths.run(&run.key());
    let manifest = run::read(&dir).map_err(io::Error::other)?;
    let stage = run::stage(&dir, &manifest, manifest.stages()).map_err(io::Error::other)?;
    let written: Value = read(&stage.adapter.join("training.json"))?;
    let trained = &written["trained"];
    let whole = |key: &str| trained[key].as_u64().unwrap_or(0);
    Ok(Some(TrainedView {
        merged: trained["merged"].as_str().map(String::from),
        rows: whole("rows"),
        steps: whole("steps"),
        planned_steps: whole("planned_steps"),
        best_step: whole("best_step"),
        trainable_parameters: whole("trainable_parameters"),
        first_loss: trained["first_loss"].as_f64(),
        last_loss: trained["last_loss"].as_f64(),
        eval_loss_before: trained["eval_loss_before"].as_f64(),
        eval_loss: trained["eval_loss"].as_f64(),
        adapter: stage.adapter.to_string_lossy().into_owned(),
    }))
}

fn comparison(one: &Comparison) -> ComparisonView {
    ComparisonView {
        metric: one.metric.name().into(),
        base: one.base,
        adapter: one.value,
        difference: one.difference,
        low: one.interval.map(|(low, _)| low),
        high: one.interval.map(|(_, high)| high),
        n: one.items,
        p: one.corrected_p,
        share: one.metric != Metric::Loss,
        verdict: one.shown.name().into(),
    }
}
