//! Jobs on SLURM: launched, ended and looked at for the performers.

use super::{Perform, Surroundings, fine_tunes::Trouble};
use crate::{
    executor::{
        identity::Identity,
        job_dir::{JobDir, Request, TaskRequest, Work},
        local::{Launched, Observed},
        slurm::{
            desk::LOOK,
            look::look,
            queue::{Launch, Submission},
        },
    },
    ids::EffectId,
    machines::{job::Job, spec::SlurmSpec},
};
use std::{io, time::Duration};

/// A probe does nothing, so it needs little.
const PROBE_SECONDS: u64 = 60;
/// Between two looks at a probe.
const SOON: Duration = Duration::from_millis(500);

/// What SLURM is asked about a job.
pub(super) fn submission(here: &Surroundings, job: &Job, slurm: &SlurmSpec) -> Submission {
    Submission {
        job: job.id.clone(),
        name: job.id.scheduler_name(&here.store_id),
        clusters: slurm.clusters.clone(),
        shards: job.tasks.iter().map(|task| task.shard).collect(),
        launched: job.launched_at.is_some(),
    }
}

/// Submits a job whose request is written, or finds it submitted. None: the launch is not owed any more.
pub(super) async fn launch(
    here: &Surroundings,
    perform: &Perform,
    job: &Job,
    slurm: &SlurmSpec,
) -> Result<Option<Launched>, Trouble> {
    if !probed(here, perform, job, slurm).await? {
        return Ok(None);
    }
    submit(here, perform, &submission(here, job, slurm)).await
}

async fn submit(
    here: &Surroundings,
    perform: &Perform,
    asked: &Submission,
) -> Result<Option<Launched>, Trouble> {
    let clusters = asked.clusters.as_str();
    here.slurm.take(asked).await?;
    loop {
        match here.slurm.launched(clusters, &asked.job) {
            Some(Launch::Done { adopted }) => return Ok(Some(Launched { adopted })),
            Some(Launch::Refused(text)) => {
                return Err(Trouble::Never(format!("SLURM refuses the job: {text}")));
            }
            Some(Launch::Pending(_)) => {}
            // Ended meanwhile by somebody else.
            None => return Ok(None),
        }
        here.slurm.turn(clusters, LOOK).await?;
        if !here.owed(&perform.id).await {
            return Ok(None);
        }
    }
}

/// Before the first job of a kind: whether the nodes see the state directory, found by a job that does nothing. What was
/// found once is remembered. Not when the launch is not owed any more.
async fn probed(
    here: &Surroundings,
    perform: &Perform,
    job: &Job,
    slurm: &SlurmSpec,
) -> Result<bool, Trouble> {
    let seen_from = here.state.root().join("slurm-seen-from");
    let partition = format!("{}/{}\n", slurm.clusters, slurm.partition);
    let known = std::fs::read_to_string(&seen_from).unwrap_or_default();
    if known.contains(&partition) {
        return Ok(true);
    }
    // Effects count from 1: no job of the campaign has this id.
    let probe = EffectId {
        campaign: job.id.campaign.clone(),
        number: 0,
    };
    let dir = JobDir::new(here.state.job(&probe));
    let asked = Submission {
        name: probe.scheduler_name(&here.store_id),
        job: probe,
        clusters: slurm.clusters.clone(),
        shards: vec![0],
        launched: false,
    };
    if dir.read_request().is_err() {
        dir.write_request(&nothing(&asked, slurm, here))?;
    }
    if submit(here, perform, &asked).await?.is_none() {
        return Ok(false);
    }
    let observed = loop {
        match look(&dir, 0) {
            Observed::Ended(exit) => break exit,
            _ if !here.owed(&perform.id).await => return Ok(false),
            _ => here.slurm.turn(&asked.clusters, SOON).await?,
        }
    };
    here.slurm.forget(&asked.clusters, &asked.job);
    // The next campaign of this name probes again if this one failed.
    std::fs::remove_dir_all(dir.root())?;
    if let Some(cause) = observed.cause() {
        let root = here.state.root().display();
        return Err(Trouble::Never(format!(
            "a job that does nothing did not come back ({cause}: {}): the nodes must see {root} under that name, and run \
             what lies there",
            observed.sentence()
        )));
    }
    crate::artifacts::write_atomic(&seen_from, (known + &partition).as_bytes())?;
    Ok(true)
}

/// A job that does nothing, where the other one would run.
fn nothing(asked: &Submission, slurm: &SlurmSpec, here: &Surroundings) -> Request {
    let probe = SlurmSpec {
        time_seconds: Some(PROBE_SECONDS),
        mem_mib: None,
        cpus_per_task: None,
        ..slurm.clone()
    };
    Request {
        job: asked.job.to_string(),
        name: asked.name.clone(),
        campaign: asked.job.campaign.to_string(),
        phase: "probe".into(),
        attempt: 1,
        directory: here.state.root().display().to_string(),
        time_seconds: None,
        side_by_side: 1,
        slurm: Some(probe),
        work: Work::Command {
            argv: vec!["true".into()],
        },
        tasks: vec![TaskRequest {
            shard: 0,
            shards: 1,
            target: 0,
            first: 0,
            output: None,
            seed: 0,
            experience: None,
            ledger: None,
            budget: None,
        }],
    }
}

/// Ends these tasks of a job. Returns how each ended; nothing of them runs any more, as far as the scheduler was heard.
///
/// # Errors
/// A task could not be claimed or looked at: it may still run, and this is to be called again.
pub(super) async fn end(
    here: &Surroundings,
    job: &Job,
    slurm: &SlurmSpec,
    shards: &[u32],
) -> io::Result<Vec<(u32, Observed)>> {
    let dir = JobDir::new(here.state.job(&job.id));
    let me = Identity::own()?;
    for shard in shards {
        // Where a shim has the claim, or the task is over, this takes nothing.
        dir.take_claim(*shard, me.clone(), "canceller")?;
        tokio::task::yield_now().await;
    }
    let clusters = slurm.clusters.as_str();
    here.slurm.take(&submission(here, job, slurm)).await?;
    here.slurm.end(clusters, &job.id);
    while !here.slurm.is_ended(clusters, &job.id) {
        here.slurm.turn(clusters, LOOK).await?;
    }
    here.slurm.forget(clusters, &job.id);
    let seen = shards.iter().map(|shard| (*shard, look(&dir, *shard)));
    Ok(seen.collect())
}
