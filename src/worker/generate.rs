//! The built-in generator's worker: appends the plan's samples to its shard, and makes none twice.

mod endpoint;
mod file;
mod teller;
#[cfg(test)]
mod tests;

use super::{
    Undone,
    agents::rules::Rules,
    supervisor::{self, Settings},
};
use crate::{
    artifacts::write_atomic,
    executor::job_dir::{JobDir, Work},
    generation::{Plan, QuerySample},
    machines::spec::{AgentsSpec, Brain},
    points::point,
    time::Timestamp,
    trajectory::{TrajectoryRecord, experience::Experience},
};
use file::Output;
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};
use teller::Teller;

/// One shard's work.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// The plan of queries.
    pub plan: Plan,
    /// The plan's index of the shard's first sample.
    pub first: u64,
    /// How many samples it makes.
    pub target: u64,
    /// Where they are appended.
    pub output: PathBuf,
    /// Where progress goes.
    pub progress: Option<PathBuf>,
    /// Where what was learned goes.
    pub experience: Option<PathBuf>,
    /// Who makes them: `CAMPAIGN/PHASE`.
    pub session: String,
    /// How the agents work.
    pub agents: AgentsSpec,
}

/// What was there and what was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    /// Samples found.
    pub existing: u64,
    /// Samples made now.
    pub new: u64,
    /// Accepted ones among those made now.
    pub accepted: u64,
    /// Sum of the quality of those made now.
    quality: f64,
    /// What all of them teach.
    experience: Experience,
}

impl Made {
    fn done(&self) -> u64 {
        self.existing + self.new
    }

    fn quality(&self) -> f64 {
        self.quality
    }

    fn count(&mut self, record: &TrajectoryRecord) {
        self.new += 1;
        self.accepted += u64::from(record.accepted);
        self.quality += record.quality_score;
        self.experience.learn(record);
    }
}

/// The work of one task of a job directory.
///
/// # Errors
/// [`Undone`]; what was made is saved.
pub fn run(job_dir: &Path, shard: u32) -> Result<(), Undone> {
    let dir = JobDir::new(job_dir);
    let request = dir.read_request().map_err(|error| error.to_string())?;
    let task = request
        .tasks
        .iter()
        .find(|task| task.shard == shard)
        .ok_or_else(|| "no such task in request.toml".to_owned())?;
    let Work::Generate {
        brain,
        seed,
        faults,
        offset,
        agents,
        experience,
        ..
    } = request.work
    else {
        return Err("request.toml asks for other work".to_owned().into());
    };
    let output = task
        .output
        .as_ref()
        .ok_or_else(|| "request.toml names no output".to_owned())?;
    let work = Shard {
        plan: Plan { seed, faults },
        first: offset + task.first,
        target: task.target,
        output: output.into(),
        progress: Some(dir.progress(shard)),
        experience: task.experience.as_ref().map(PathBuf::from),
        session: format!("{}/{}", request.campaign, request.phase),
        agents,
    };
    match brain {
        Brain::Endpoint => endpoint::generate(&work, task, &experience).map(drop),
        _ => generate(&work).map(drop),
    }
}

/// Makes what is missing of a shard by rules alone. Started again on a file that has samples it goes on from there.
///
/// # Errors
/// A sentence naming the file.
pub fn generate(shard: &Shard) -> Result<Made, Undone> {
    generate_by(shard, || Timestamp::from(SystemTime::now()))
}

/// The same with a clock of the caller's.
pub(super) fn generate_by(shard: &Shard, clock: impl Fn() -> Timestamp) -> Result<Made, Undone> {
    use futures_util::FutureExt;
    let settings = shard.settings();
    let mut output = Output::open(&shard.output)?;
    let mut told = Teller::new(shard)?;
    let mut made = output.found(shard.target);
    for index in shard.indexes() {
        let sample = shard.sample(index)?;
        if output.has(index) {
            continue;
        }
        let record = supervisor::make(&Rules, &settings, sample, &clock)
            .now_or_never()
            .ok_or_else(|| "an agent of the rules waited".to_owned())??;
        made.count(&record);
        if output.append(&record)? {
            point!("generate.appended");
            told.tell(&made, false);
        }
    }
    finish(shard, &mut output, &made)?;
    told.tell(&made, true);
    Ok(made)
}

/// Everything is on the disk, and what it teaches beside it.
fn finish(shard: &Shard, output: &mut Output, made: &Made) -> Result<(), String> {
    output.sync()?;
    if let Some(path) = &shard.experience {
        let text = serde_json::to_vec(&made.experience).map_err(|error| error.to_string())?;
        write_atomic(path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    point!("generate.synced");
    Ok(())
}

impl Shard {
    fn settings(&self) -> Settings {
        Settings {
            seed: self.plan.seed,
            defects: self.agents.defects,
            max_cycles: self.agents.cycles(),
            session: self.session.clone(),
        }
    }

    fn indexes(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.target
    }

    fn sample(&self, index: u64) -> Result<QuerySample, String> {
        self.plan.check()?;
        let sample = self.plan.sample(index);
        sample.ok_or_else(|| format!("the plan has no sample {index}"))
    }
}
