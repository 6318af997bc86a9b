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
    let record = tree.runs.get(key);
    let begins = begins(tree, job);
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

/// Whether a job is the first of its fine-tune to run. What has run goes on: an attempt that was refused, or could not be
/// launched, has not.
fn begins(tree: &CampaignTree, job: &Job) -> bool {
    let before = |other: &Job| other.id != job.id && other.run == job.run;
    let mut launched = tree.jobs.values().filter(|job| job.launched_at.is_some());
    job.phase == Phase::Train && !launched.any(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machines::{
            campaign::Campaign,
            job::State,
            spec::{CampaignSpec, Parts},
        },
        time::Timestamp,
    };

    const NOW: Timestamp = Timestamp(10_000_000);

    /// The first, second, … job of a campaign.
    fn job(tree: &mut CampaignTree, phase: Phase, run: &str, launched: bool) -> Job {
        let number = tree.jobs.len() as u64 + 1;
        let job = Job {
            id: tree.campaign.id.effect(number),
            phase,
            round: 1,
            run: Some(run.into()),
            stage: 0,
            attempt: 1,
            state: State::Waiting,
            tasks: Vec::new(),
            retry_of: None,
            interrupted: false,
            silent_since: None,
            created_at: NOW,
            launched_at: launched.then_some(NOW),
            ended_at: None,
            time_seconds: None,
            slurm: None,
            gpus: 0,
        };
        tree.jobs.insert(job.id.clone(), job.clone());
        job
    }

    #[test]
    fn a_fine_tune_begins_with_the_first_job_that_runs() {
        let draft = Campaign::draft(CampaignSpec::bare("held"), Parts::Whole, NOW);
        let tree = &mut CampaignTree::new(draft);
        let other = job(tree, Phase::Train, "run-1-b", true);
        let refused = job(tree, Phase::Train, "run-1-a", false);
        let retried = job(tree, Phase::Train, "run-1-a", true);
        assert!(begins(tree, &other) && begins(tree, &retried));
        // The refused attempt itself is over: what counts is that another has run since.
        assert!(!begins(tree, &refused));
        let stage = job(tree, Phase::Train, "run-1-a", false);
        let measured = job(tree, Phase::Evaluate, "run-1-c", false);
        assert!(!begins(tree, &stage) && !begins(tree, &measured));
    }
}
