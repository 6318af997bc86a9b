//! The config generator at work: before a fine-tune of a campaign that plans is launched for the first time, it is held to
//! every hard constraint, and what it is set to is written down (specification 4, "Experiment Config Generator").
//!
//! Proposals are held to constraints when they are made and when they are approved. Here everything is that is launched: the
//! campaign file's own fine-tunes, too, and what failed elsewhere since.

use super::{Surroundings, fine_tunes::Trouble, now};
use crate::{
    artifacts::{create_dir_private, write_atomic},
    experiment::config::{Config, held},
    history::constraints::Constraint,
    machines::{
        job::{Job, Phase},
        plan,
        spec::RunSpec,
        training_run::TrainingRun,
        tree::CampaignTree,
    },
    parameters::Value,
};
use std::{io, path::Path};

/// Writes the config of a fine-tune that begins; nothing for other jobs.
///
/// # Errors
/// [`Trouble`]: a constraint refuses it, named with its evidence; those of the file system.
pub(super) fn configure(
    here: &Surroundings,
    tree: &CampaignTree,
    job: &Job,
) -> Result<(), Trouble> {
    let begins = job.phase == Phase::Train && job.stage <= 1 && job.attempt <= 1;
    let key = job.run.as_deref().unwrap_or_default();
    let record = tree.runs.get(key);
    let asked = record.and_then(|record| Some((record, tree.run_spec(&record.name)?)));
    let (true, Some(_), Some((record, asked))) = (begins, &tree.campaign.spec.planning, asked)
    else {
        return Ok(());
    };
    let known = plan::constraints(tree, &here.memory.history().1, now());
    let config = config(tree, &known, record, asked).map_err(Trouble::Never)?;
    let dir = here.state.campaign(&tree.campaign.id).experiment(key);
    Ok(write(&config, &dir)?)
}

/// What a fine-tune is set to.
///
/// # Errors
/// A sentence: the constraint that refuses it, and its evidence.
fn config(
    tree: &CampaignTree,
    known: &[Constraint],
    record: &TrainingRun,
    asked: &RunSpec,
) -> Result<Config, String> {
    let mut values = plan::settings(asked);
    if let Some(broken) = held(known, &values, &asked.model).first() {
        return Err(format!(
            "the constraint {} refuses it: {} ({}); campaignctl constraints delete {} lets it be tried all the same",
            broken.constraint, broken.says, broken.evidence, broken.constraint
        ));
    }
    let base = tree.campaign.spec.training.as_ref();
    let base = base.and_then(|training| training.runs.first());
    let base = base.map(plan::settings).unwrap_or_default();
    let differs = |(name, value): &(&String, &Value)| base.get(*name) != Some(*value);
    let changed = values
        .iter()
        .filter(differs)
        .map(|(name, _)| name.clone())
        .collect();
    values.insert("model".into(), Value::Text(asked.model.clone()));
    Ok(Config {
        experiment_id: record.experiment_id(&tree.campaign.id),
        values,
        changed,
    })
}

fn write(config: &Config, dir: &Path) -> io::Result<()> {
    create_dir_private(dir)?;
    write_atomic(&dir.join("config.yaml"), config.yaml().as_bytes())?;
    write_atomic(&dir.join("config.json"), config.json().as_bytes())
}
