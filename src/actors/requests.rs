//! A job's record to its complete input: what `request.toml` says. Pure but for the paths it names; what training needs is
//! looked for on disk ([`fine_tunes`]).

use super::fine_tunes::{self, Trouble};
use crate::{
    executor::job_dir::{Request, TaskRequest, Work},
    generation::shard_range,
    ids::EffectId,
    machines::{
        job::{Job, Phase},
        spec::{Brain, CampaignSpec},
        tree::CampaignTree,
    },
    manifest::{CampaignManifest, StateDir},
};
use std::path::PathBuf;

/// The phase, by the name of its files, whose samples are repairs.
const REPAIRS: &str = "repair";

/// The full generation draws from another seed than the pilot, so that a foreign generator does not repeat itself.
const GENERATION_SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// The request of a job.
///
/// # Errors
/// [`Trouble`]: this version has no worker for the phase, or something that the job needs is not there.
pub fn request(
    state: &StateDir,
    store_id: &str,
    tree: &CampaignTree,
    job: &Job,
) -> Result<Request, Trouble> {
    let spec = &tree.campaign.spec;
    Ok(Request {
        job: job.id.to_string(),
        name: EffectId::scheduler_name(&job.id, store_id),
        campaign: spec.name.to_string(),
        phase: job.phase.name().into(),
        attempt: job.attempt,
        directory: spec.directory.clone(),
        time_seconds: job.time_seconds,
        side_by_side: 1,
        slurm: job.slurm.clone(),
        work: work(state, tree, job)?,
        tasks: job
            .tasks
            .iter()
            .map(|task| task_request(state, tree, job, task.shard))
            .collect(),
    })
}

fn work(state: &StateDir, tree: &CampaignTree, job: &Job) -> Result<Work, Trouble> {
    let spec = &tree.campaign.spec;
    match (job.phase, spec.generator.brain) {
        (Phase::Pilot | Phase::Generate, Brain::Command) => Ok(Work::Command {
            argv: spec.generator.command.clone(),
        }),
        (Phase::Pilot | Phase::Generate, brain) => Ok(Work::Generate {
            brain,
            seed: spec.seed,
            faults: spec.generator.faults,
            // The full generation goes on in the plan behind everything a pilot could ask for.
            offset: if job.phase == Phase::Pilot {
                0
            } else {
                spec.criteria.max_pilot_samples
            },
            total: tree.campaign.target(job.phase),
            experience: if job.phase == Phase::Pilot {
                Vec::new()
            } else {
                let pilot = state
                    .campaign(&spec.name)
                    .experience(Phase::Pilot.name(), 0);
                vec![pilot.to_string_lossy().into_owned()]
            },
            agents: spec.generator.agents.clone(),
        }),
        (Phase::Execute, _) => Ok(execute(state, tree)?),
        (Phase::Curate, _) => Ok(curate(state, tree)?),
        (Phase::Train, _) => Ok(Work::Train {
            job: fine_tunes::fine_tune(state, tree, job)?,
        }),
        (Phase::Evaluate, _) => Ok(Work::Evaluate {
            jobs: fine_tunes::measures(state, tree)?,
        }),
    }
}

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

/// The files of the samples, the pilot's first.
fn samples(spec: &CampaignSpec, paths: &CampaignManifest) -> Vec<PathBuf> {
    let pilot = [paths.shard(Phase::Pilot.name(), 0)];
    let shards = (0..spec.shards(false)).map(|shard| paths.shard(Phase::Generate.name(), shard));
    pilot.into_iter().chain(shards).collect()
}

fn execute(state: &StateDir, tree: &CampaignTree) -> Result<Work, String> {
    let spec = &tree.campaign.spec;
    let paths = state.campaign(&spec.name);
    let settings = spec.execution.as_ref();
    let settings = settings.ok_or("execution is not asked for")?;
    Ok(Work::Execute {
        inputs: samples(spec, &paths).into_iter().map(text).collect(),
        executions: text(paths.executions()),
        repairs: text(paths.data(REPAIRS)),
        settings: settings.clone(),
        max_repairs: spec.generator.agents.cycles(),
    })
}

fn curate(state: &StateDir, tree: &CampaignTree) -> Result<Work, String> {
    let spec = &tree.campaign.spec;
    let paths = state.campaign(&spec.name);
    let settings = spec.curation.as_ref().ok_or("curation is not asked for")?;
    let shards = spec.execution.as_ref().map_or(0, |spec| spec.shards);
    let run = (0..shards).map(|shard| paths.shard(Phase::Execute.name(), shard));
    // A task that repaired nothing has left no file.
    let repaired = (0..shards).map(|shard| paths.shard(REPAIRS, shard));
    let repaired = repaired.filter(|path| path.exists());
    let inputs = samples(spec, &paths).into_iter().chain(repaired);
    Ok(Work::Curate {
        inputs: inputs.map(text).collect(),
        executions: run.map(text).collect(),
        output: paths.dataset().to_string_lossy().into_owned(),
        seed: spec.seed,
        name: spec.name.to_string(),
        settings: settings.clone(),
    })
}

fn task_request(state: &StateDir, tree: &CampaignTree, job: &Job, shard: u32) -> TaskRequest {
    let spec = &tree.campaign.spec;
    let shards = job.task(shard).map_or(1, |task| task.shards);
    let range = shard_range(
        tree.campaign.target(job.phase),
        u64::from(shard),
        u64::from(shards),
    );
    let paths = state.campaign(&spec.name);
    let appends = job.phase.makes_samples() || job.phase == Phase::Execute;
    let output = appends.then(|| text(paths.shard(job.phase.name(), shard)));
    let built_in = job.phase.makes_samples() && spec.generator.brain != Brain::Command;
    let asks = built_in && spec.generator.brain == Brain::Endpoint;
    let phase_seed = if job.phase == Phase::Pilot {
        spec.seed
    } else {
        spec.seed ^ GENERATION_SEED
    };
    TaskRequest {
        shard,
        shards,
        target: range.end - range.start,
        first: range.start,
        output,
        // Positive in every language's integers.
        seed: phase_seed.wrapping_add(u64::from(shard)) & 0x7FFF_FFFF,
        experience: built_in.then(|| text(paths.experience(job.phase.name(), shard))),
        ledger: asks.then(|| text(paths.ledger(job.phase.name(), shard))),
        // Dealt when the job is launched: what is left then is not known here.
        budget: None,
    }
}
