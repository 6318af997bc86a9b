//! The Launcher: starts jobs, or finds them started, and ends them.

use super::{Perform, Surroundings, now, performer, requests};
use crate::{
    executor::{
        job_dir::JobDir,
        local::{Local, Observed},
    },
    ids::EffectId,
    machines::{
        effect::Effect,
        event::Event,
        job::{Cause, TaskEnd},
    },
};
use std::time::Duration;

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

/// Starts a job, or finds it started, and says so. Also the Trainer's way to start its jobs.
pub(super) async fn launch(here: &Surroundings, perform: &Perform) {
    let effect = perform.id.clone();
    let event = match try_launch(here, perform).await {
        Ok(adopted) => Event::JobLaunched { effect, adopted },
        Err((cause, text)) => Event::LaunchFailed {
            effect,
            cause,
            text,
        },
    };
    here.report(&perform.id.campaign, event);
}

async fn try_launch(here: &Surroundings, perform: &Perform) -> Result<bool, (Cause, String)> {
    let missing = || {
        (
            Cause::CannotStart,
            format!("job {} has no record", perform.id),
        )
    };
    let job = perform.tree.jobs.get(&perform.id).ok_or_else(missing)?;
    let request = requests::request(&here.state, &here.store_id, &perform.tree, job)
        .map_err(|text| (Cause::CannotStart, text))?;
    let dir = JobDir::new(here.state.job(&perform.id));
    // What is written first is what every later attempt to perform this effect finds.
    if !dir.request_path().exists() {
        dir.write_request(&request)
            .map_err(|error| (Cause::Transient, error.to_string()))?;
    }
    let local = Local;
    match local.launch(&dir).await {
        Ok(launched) => Ok(launched.adopted),
        Err(error) => Err((Cause::Transient, error.to_string())),
    }
}

async fn end(here: &Surroundings, perform: &Perform, job: &EffectId) {
    let dir = JobDir::new(here.state.job(job));
    let ends = if dir.request_path().exists() {
        Local.end(&dir, GRACE).await
    } else {
        Vec::new()
    };
    let at = now();
    let said = |shard: u32| {
        ends.iter()
            .find(|(ended, _)| *ended == shard)
            .map(|(_, seen)| seen)
    };
    let record = perform.tree.jobs.get(job);
    let tasks = record.map_or(&[][..], |job| &job.tasks);
    let ends = tasks
        .iter()
        .filter(|task| task.end.is_none())
        .map(|task| {
            let text = match said(task.shard) {
                Some(Observed::Ended(exit)) => format!("ended on request, {}", exit.sentence()),
                Some(Observed::Lost { why }) => format!("killed on request: {why}"),
                _ => "never started".into(),
            };
            (
                task.shard,
                TaskEnd {
                    cause: Some(Cause::Cancelled),
                    text,
                    at,
                },
            )
        })
        .collect();
    let event = Event::JobEnded {
        effect: perform.id.clone(),
        job: job.clone(),
        ends,
    };
    here.report(&perform.id.campaign, event);
}
