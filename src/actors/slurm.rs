//! Jobs on SLURM: launched, ended and looked at for the performers.

use super::{Perform, Surroundings, fine_tunes::Trouble, now};
use crate::{
    artifacts::write_atomic,
    executor::{
        identity::Identity,
        job_dir::{Exit, JobDir, Request, TaskRequest, Work},
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
    // Ended meanwhile, it would be followed by nobody.
    if !here.owed(&perform.id).await {
        return Ok(None);
    }
    here.slurm.take(asked).await?;
    loop {
        match here.slurm.launched(clusters, &asked.job).await? {
            Some(Launch::Done { adopted }) => return Ok(Some(Launched { adopted })),
            Some(Launch::Refused(text)) => {
                return Err(Trouble::Never(format!("SLURM refuses the job: {text}")));
            }
            Some(Launch::Pending(_)) => {}
            // Ended meanwhile by somebody else.
            None => return Ok(None),
        }
        if !here.owed(&perform.id).await {
            return Ok(None);
        }
        here.slurm.turn(clusters, LOOK).await?;
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
    let partition = format!("{}/{}", slurm.clusters, slurm.partition);
    let known = |text: &str| text.lines().any(|line| line == partition);
    if known(&std::fs::read_to_string(&seen_from).unwrap_or_default()) {
        return Ok(true);
    }
    let waits = "a job that does nothing finds out first whether the nodes see the state directory";
    here.slurm.note(&job.id, Some(waits));
    // Several launches of one kind wait for one probe.
    let _alone = here.slurm.probing.lock().await;
    let text = std::fs::read_to_string(&seen_from).unwrap_or_default();
    let answer = if known(&text) {
        Ok(true)
    } else {
        probe(here, perform, job, slurm).await
    };
    here.slurm.note(&job.id, None);
    if matches!(answer, Ok(true)) && !known(&text) {
        write_atomic(&seen_from, format!("{text}{partition}\n").as_bytes())?;
    }
    answer
}

/// Sends a job that does nothing, and waits until it came back.
async fn probe(
    here: &Surroundings,
    perform: &Perform,
    job: &Job,
    slurm: &SlurmSpec,
) -> Result<bool, Trouble> {
    // Effects count from 1: no job of the campaign has this id.
    let probe = EffectId {
        campaign: job.id.campaign.clone(),
        number: 0,
    };
    let dir = JobDir::new(here.state.job(&probe));
    // An earlier one of the same name is not this one.
    let name = format!("{}.p{:x}", probe.scheduler_name(&here.store_id), now().0);
    let asked = Submission {
        name,
        job: probe,
        clusters: slurm.clusters.clone(),
        shards: vec![0],
        launched: false,
    };
    let same = |request: Request| request.slurm.is_some_and(|other| other == for_probe(slurm));
    if !dir.read_request().is_ok_and(same) {
        leave(here, &asked, &dir).await?;
        dir.write_request(&nothing(&asked, slurm, here))?;
    }
    let came_back = match submit(here, perform, &asked).await {
        Ok(Some(_)) => wait_for_probe(here, perform, &asked, &dir).await,
        Ok(None) => Ok(None),
        Err(refused) => Err(refused),
    };
    // Also after a refusal: the next launch asks again.
    leave(here, &asked, &dir).await?;
    let Some(exit) = came_back? else {
        return Ok(false);
    };
    if let Some(cause) = exit.cause() {
        let root = here.state.root().display();
        return Err(Trouble::Never(format!(
            "a job that does nothing did not come back ({cause}: {}): the nodes must see {root} under that name, and run \
             what lies there",
            exit.sentence()
        )));
    }
    Ok(true)
}

/// None: the launch is not owed any more.
async fn wait_for_probe(
    here: &Surroundings,
    perform: &Perform,
    asked: &Submission,
    dir: &JobDir,
) -> Result<Option<Exit>, Trouble> {
    loop {
        if !here.owed(&perform.id).await {
            return Ok(None);
        }
        match look(dir, 0) {
            Observed::Ended(exit) => return Ok(Some(exit)),
            _ => here.slurm.turn(&asked.clusters, SOON).await?,
        }
    }
}

/// Ends a probe, if anything of it is left, and removes its directory.
async fn leave(here: &Surroundings, asked: &Submission, dir: &JobDir) -> io::Result<()> {
    let clusters = asked.clusters.as_str();
    if !dir.root().exists() {
        return here.slurm.forget(clusters, &asked.job, true).await;
    }
    let over = matches!(look(dir, 0), Observed::Ended(_));
    if !over && dir.handle().exists() {
        dir.take_claim(0, Identity::own()?, "canceller")?;
        here.slurm.take(asked).await?;
        here.slurm.end(clusters, &asked.job).await?;
        // Should SLURM not answer now, the probe finds its directory gone when it starts.
        here.slurm.turn(clusters, SOON).await?;
    }
    here.slurm.forget(clusters, &asked.job, true).await?;
    std::fs::remove_dir_all(dir.root())
}

/// A probe asks for the same place, and for next to nothing.
fn for_probe(slurm: &SlurmSpec) -> SlurmSpec {
    SlurmSpec {
        time_seconds: Some(PROBE_SECONDS),
        mem_mib: None,
        cpus_per_task: None,
        ..slurm.clone()
    }
}

/// A job that does nothing, where the other one would run.
fn nothing(asked: &Submission, slurm: &SlurmSpec, here: &Surroundings) -> Request {
    Request {
        job: asked.job.to_string(),
        name: asked.name.clone(),
        campaign: asked.job.campaign.to_string(),
        phase: "probe".into(),
        attempt: 1,
        directory: here.state.root().display().to_string(),
        time_seconds: None,
        side_by_side: 1,
        slurm: Some(for_probe(slurm)),
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
    let (claims, all) = (dir.clone(), shards.to_vec());
    // Each waits for the disk: not on the thread of the actors.
    let taken = tokio::task::spawn_blocking(move || {
        // Where a shim has the claim, or the task is over, this takes nothing.
        let take = |shard: &u32| claims.take_claim(*shard, me.clone(), "canceller");
        all.iter().try_for_each(|shard| take(shard).map(drop))
    });
    taken.await.map_err(io::Error::other)??;
    let clusters = slurm.clusters.as_str();
    here.slurm.take(&submission(here, job, slurm)).await?;
    here.slurm.end(clusters, &job.id).await?;
    while !here.slurm.is_ended(clusters, &job.id).await? {
        here.slurm.turn(clusters, LOOK).await?;
    }
    here.slurm.forget(clusters, &job.id, true).await?;
    let seen = shards.iter().map(|shard| (*shard, look(&dir, *shard)));
    Ok(seen.collect())
}
