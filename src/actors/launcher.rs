//! The Launcher: starts jobs, or finds them started, and ends them.

use super::{
    Perform, Surroundings, configs, fine_tunes::Trouble, now, patience::patiently, performer,
    requests, slices, slurm,
};
use crate::{
    artifacts::is_starved,
    executor::{
        job_dir::JobDir,
        local::{self, Launched, Local, Observed},
    },
    ids::EffectId,
    machines::{
        effect::Effect,
        event::Event,
        job::{Cause, Job, Phase, TaskEnd},
        tree::CampaignTree,
    },
    points::point,
    training::words::Device,
};
use std::{
    fmt,
    io::{self, ErrorKind},
    time::Duration,
};

/// How long a job that is asked to end may take before its session is killed.
const GRACE: Duration = Duration::from_secs(8);

performer! {
    /// The actor.
    Launcher, perform
}

async fn perform(here: Surroundings, perform: Perform) {
    match &perform.effect {
        Effect::LaunchJob { .. } => launch(&here, &perform).await,
        Effect::EndJob { job } => end(&here, &perform, job).await,
        other => tracing::error!("{} is not the Launcher's", other.name()),
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Io(error) => error.fmt(f),
            Trouble::Never(text) => f.write_str(text),
        }
    }
}

impl Trouble {
    /// Not the job's fault, so none of its attempts is spent on it.
    fn passes(&self) -> bool {
        matches!(self, Trouble::Io(error) if is_starved(error))
    }

    fn cause(&self) -> Cause {
        match self {
            Trouble::Io(_) => Cause::Transient,
            Trouble::Never(_) => Cause::CannotStart,
        }
    }
}

/// The GPUs of a task that trains or measures on this machine, where it takes one if there is one; else the record knows.
fn gpus_of(tree: &CampaignTree, job: &EffectId) -> Option<u32> {
    let job = tree.jobs.get(job)?;
    let asked = tree.asked_runs();
    let mut devices = asked.iter().map(|asked| asked.device);
    let may = job.slurm.is_none() && job.phase.trains() && devices.any(|it| it == Device::Auto);
    may.then(|| u32::from(local::gpus() > 0))
}

/// Starts a job, or finds it started, and says so. Also the Trainer's way to start its jobs.
pub(super) async fn launch(here: &Surroundings, perform: &Perform) {
    let effect = perform.id.clone();
    let tried = patiently(here, &effect, Trouble::passes, || try_launch(here, perform)).await;
    let event = match tried {
        Ok(None | Some(None)) => return,
        Ok(Some(Some(Launched { adopted }))) => Event::JobLaunched {
            gpus: gpus_of(&perform.tree, &effect),
            effect,
            adopted,
        },
        Err(trouble) => {
            if !clear(here, perform).await {
                return;
            }
            Event::LaunchFailed {
                effect,
                cause: trouble.cause(),
                text: trouble.to_string(),
            }
        }
    };
    point!("launch.done");
    here.report(&perform.id.campaign, event);
}

/// Some tasks of a launch that failed may run, and others may be about to: nothing of it may live beside the next attempt.
/// Whether that is so; not when the launch is not owed any more.
async fn clear(here: &Surroundings, perform: &Perform) -> bool {
    let Some(job) = perform.tree.jobs.get(&perform.id) else {
        return true;
    };
    let shards: Vec<u32> = job.tasks.iter().map(|task| task.shard).collect();
    // A task that this user can write no claim for is one that no shim could claim.
    // What may wait in a queue is not forgotten for any error.
    let passing: fn(&io::Error) -> bool = match job.slurm {
        Some(_) => |_| true,
        None => is_starved,
    };
    let ended = patiently(here, &perform.id, passing, || end_tasks(here, job, &shards)).await;
    !matches!(ended, Ok(None))
}

/// Ends tasks wherever they run.
async fn end_tasks(
    here: &Surroundings,
    job: &Job,
    shards: &[u32],
) -> io::Result<Vec<(u32, Observed)>> {
    match &job.slurm {
        Some(slurm) => slurm::end(here, job, slurm, shards).await,
        None => {
            let dir = JobDir::new(here.state.job(&job.id));
            Local.end(&dir, shards, GRACE).await
        }
    }
}

/// None: the launch is not owed any more.
async fn try_launch(here: &Surroundings, perform: &Perform) -> Result<Option<Launched>, Trouble> {
    let job = perform.tree.jobs.get(&perform.id);
    let job = job.ok_or_else(|| Trouble::Never(format!("job {} has no record", perform.id)))?;
    let dir = JobDir::new(here.state.job(&perform.id));
    // What is written first is what every later attempt to perform this effect finds, unless it was damaged since.
    match dir.read_request() {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
            let (here, tree, job) = (here.clone(), perform.tree.clone(), job.clone());
            // Rows may have to be counted: not on the thread of the actors.
            let written = tokio::task::spawn_blocking(move || write(&here, &tree, &job));
            written.await.unwrap_or_else(|panicked| {
                Err(io::Error::other(format!("no request could be made: {panicked}")).into())
            })?;
        }
        Err(error) => return Err(Trouble::Io(error)),
    }
    match &job.slurm {
        Some(slurm) => slurm::launch(here, perform, job, slurm).await,
        None => Local.launch(&dir).await.map(Some).map_err(Trouble::Io),
    }
}

/// Writes the job's complete input.
fn write(here: &Surroundings, tree: &CampaignTree, job: &Job) -> Result<(), Trouble> {
    configs::configure(here, tree, job)?;
    let mut request = requests::request(&here.state, &here.store_id, tree, job)?;
    request.side_by_side = side_by_side(tree, job, here.tuning.get().limits.max_training_jobs);
    slices::deal(&here.state, tree, &mut request)??;
    Ok(JobDir::new(here.state.job(&job.id)).write_request(&request)?)
}

/// How many fine-tunes of the campaign may compute at once with this job, itself among them; other work shares nothing.
fn side_by_side(tree: &CampaignTree, job: &Job, slots: u32) -> u32 {
    if job.phase != Phase::Train {
        return 1;
    }
    let live = tree.present_runs().filter(|run| !run.state.ended());
    u32::try_from(live.count())
        .unwrap_or(u32::MAX)
        .min(slots)
        .max(1)
}

/// Ends a job. Whatever keeps that from being known to be done is tried again: a job that may run must not be forgotten.
async fn end(here: &Surroundings, perform: &Perform, job: &EffectId) {
    let Some(record) = perform.tree.jobs.get(job) else {
        tracing::error!(campaign = %job.campaign, %job, "job {job} has no record");
        return;
    };
    let open = record.tasks.iter().filter(|task| task.end.is_none());
    let shards: Vec<u32> = open.map(|task| task.shard).collect();
    let always = |_: &io::Error| true;
    let ended = patiently(here, &perform.id, always, || {
        end_tasks(here, record, &shards)
    })
    .await;
    let Ok(Some(seen)) = ended else {
        return;
    };
    let at = now();
    for shard in shards {
        // The watch over it may be over.
        here.handles.release(job, shard);
    }
    let ends = seen.into_iter().map(|(shard, seen)| {
        let ran_seconds = match &seen {
            Observed::Ended(exit) => exit.ran_seconds(),
            _ => None,
        };
        let text = match seen {
            Observed::Ended(exit) => format!("ended on request, {}", exit.sentence()),
            Observed::Lost { why } => format!("killed on request: {why}"),
            _ => "never started".into(),
        };
        let cause = Some(Cause::Cancelled);
        (
            shard,
            TaskEnd {
                cause,
                text,
                at,
                ran_seconds,
            },
        )
    });
    let event = Event::JobEnded {
        effect: perform.id.clone(),
        job: job.clone(),
        ends: ends.collect(),
    };
    point!("end.done");
    here.report(&perform.id.campaign, event);
}
