//! The config generator at work: before a fine-tune of a campaign that plans is launched for the first time, it is held to
//! every hard constraint, and what it is set to is written down.
//!
//! Proposals are held to constraints when they are made and when they are approved. Here everything is that is launched: the
//! campaign file's own fine-tunes, too, and what failed elsewhere since.

use super::{Surroundings, fine_tunes::Trouble, now};
use crate::{
    artifacts::{create_dir_private, write_atomic},
    machines::{
        job::{Job, Phase},
        plan,
        tree::CampaignTree,
    },
};

/// Writes the config of a fine-tune that begins; nothing for other jobs.
///
/// # Errors
/// [`Trouble`]: a constraint refuses it, named with its evidence; those of the file system.
pub(super) fn configure(
    here: &Surroundings,
    tree: &CampaignTree,
    job: &Job,
) -> Result<(), Trouble> {
    let key = job.run.as_deref().unwrap_or_default();
    // What has run goes on: an attempt that was refused, or could not be launched, has not.
    let ours = |other: &&Job| other.id != job.id && other.run.as_deref() == Some(key);
    let mut others = tree.jobs.values().filter(ours);
    let begins = job.phase == Phase::Train && others.all(|other| other.launched_at.is_none());
    let record = tree.runs.get(key);
    let (true, Some(_), Some(record)) = (begins, &tree.campaign.spec.planning, record) else {
        return Ok(());
    };
    let known = plan::constraints(tree, &here.memory.history().1, now());
    if let Some(config) = plan::config(tree, &known, record)? {
        let dir = here.state.campaign(&tree.campaign.id).experiment(key);
        create_dir_private(&dir)?;
        write_atomic(&dir.join("config.yaml"), config.yaml().as_bytes())?;
        write_atomic(&dir.join("config.json"), config.json().as_bytes())?;
    }
    Ok(())
}
