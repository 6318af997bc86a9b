//! The training worker: a model, rows and settings in, an adapter's directory out, which appears only when it is complete.
//!
//! Until then everything is in a directory beside the output (see `places`): checkpoints, each whole, and the metrics.
//! Rows, their order, dropout and learning rates are functions of the request, so a run that was killed anywhere goes on
//! from its last checkpoint and ends with the same bytes as one that was not.

mod card;
mod checkpoint;
mod export;
mod halved;
mod holdout;
mod identity;
mod judged;
mod learn;
mod look;
mod member;
mod metrics;
pub mod origin;
mod places;
mod prepare;
mod rung;
mod stage;
mod start;
mod state;
mod stop;
pub mod sweep;
mod swept;
mod verify;

use super::{Undone, base, device};
use crate::{
    artifacts::{is_starved, room::say},
    executor::job_dir::{JobDir, TRY_AGAIN, Work},
    lora::{backend::Trouble, pack::Layout},
    training::{base::BaseJob, job::FineTune},
};
use learn::{Learning, Seat};
use places::Places;
use prepare::{Prepared, Sources};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How it goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What is done now, in a word or two.
    Stage(&'static str),
    /// A step is done.
    Step(Step),
    /// The holdout was looked at.
    Look {
        /// Steps done by then.
        step: u64,
        /// Mean loss.
        loss: f64,
        /// Whether it is the best so far.
        best: bool,
    },
    /// Something that a person should know.
    Note(String),
}

/// A step that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Which one, from 1.
    pub step: u64,
    /// Of how many.
    pub steps: u64,
    /// Its mean loss.
    pub loss: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
}

/// Who is told.
pub type Tell<'a> = &'a mut dyn FnMut(Told);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// What it is called.
    pub name: String,
    /// The adapter's directory.
    pub output: String,
    /// Merged weights, where they were asked for.
    pub merged: Option<String>,
    /// Rows that were learned from.
    pub rows: u64,
    /// Rows that were only looked at.
    pub holdout_rows: u64,
    /// Rows left out because they are longer than a row may be.
    pub too_long: u64,
    /// Rows cut to the length that a row may have.
    pub truncated: u64,
    /// Rows that could not be used.
    pub refused: u64,
    /// Rows of the holdout that are not looked at: too long, or of no use.
    #[serde(default)]
    pub holdout_left_out: u64,
    /// Rows of the holdout that were cut.
    #[serde(default)]
    pub holdout_truncated: u64,
    /// Numbers that were trained.
    pub trainable_parameters: u64,
    /// Steps done.
    pub steps: u64,
    /// Steps planned: more when it stopped early.
    pub planned_steps: u64,
    /// Passes over the rows.
    pub epochs: f64,
    /// Tokens that went through the model in training.
    pub tokens: u64,
    /// Loss of the first step.
    pub first_loss: Option<f64>,
    /// Loss of the last step.
    pub last_loss: Option<f64>,
    /// Loss on the holdout before the first step.
    pub eval_loss_before: Option<f64>,
    /// Loss on the holdout of what was exported.
    pub eval_loss: Option<f64>,
    /// The step whose adapter was exported.
    pub best_step: u64,
    /// Of a member of a sweep that did not go on from a rung: `left out at step S: ...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// What was measured on what was written.
    pub verification: verify::Verified,
}

impl Trained {
    /// Whether the holdout ended it before its last planned step.
    pub fn stopped_early(&self) -> bool {
        self.steps < self.planned_steps && self.ended.is_none()
    }
}

/// What there is at the place of a fine-tune's output.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Training was begun, and is not done.
    Unfinished(PathBuf),
    /// A trained adapter.
    Finished(PathBuf),
    /// Something else.
    Other(PathBuf),
}

/// What there is.
///
/// # Errors
/// A run without a manifest.
pub fn found(job: &FineTune) -> Result<Found, Undone> {
    Ok(Places::of(job)?.found())
}

/// The work of a job directory; it goes on where an earlier attempt stopped.
///
/// # Errors
/// [`Undone`]: to be tried again where the machine lacks something.
pub fn run(job_dir: &Path, shard: u32) -> Result<(), Undone> {
    let dir = JobDir::new(job_dir);
    let Work::Train { job } = dir.read_request().map_err(|error| error.to_string())?.work else {
        return Err("request.toml asks for other work".to_owned().into());
    };
    let mut note = Notes::new(dir.progress(shard));
    let trained = train(&job, &mut |told| note.take(told))?;
    // The adapter is there; stdout may lie on a full disk.
    let _ = writeln!(io::stdout(), "{} steps, {}", trained.steps, trained.output);
    Ok(())
}

/// What is told, as lines of `progress.jsonl`: a hint, and where it cannot be written nothing is lost.
struct Notes {
    path: PathBuf,
    last: Option<Instant>,
}

impl Notes {
    /// Between two lines about steps.
    const PAUSE: Duration = Duration::from_secs(1);

    fn new(path: PathBuf) -> Self {
        Self { path, last: None }
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Note(text) => say(&text),
            Told::Stage(stage) => self.line(&json!({ "stage": stage })),
            Told::Look { step, loss, .. } => self.line(&json!({ "step": step, "eval_loss": loss })),
            Told::Step(step) => {
                let ended = step.step == step.steps;
                if ended || self.last.is_none_or(|last| last.elapsed() >= Self::PAUSE) {
                    self.last = Some(Instant::now());
                    self.line(&json!({
                        "stage": "train",
                        "done": step.step,
                        "total": step.steps,
                        "loss": step.loss,
                        "tokens_per_second": step.tokens_per_second,
                    }));
                }
            }
        }
    }

    fn line(&self, line: &serde_json::Value) {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path);
        if let Ok(mut file) = file {
            let _ = writeln!(file, "{line}");
        }
    }
}

/// Trains. An output that is complete is left as it is; one that was begun is gone on with.
///
/// # Errors
/// A sentence: what is wrong with model, rows or settings; that the output holds something else; numbers that are none, with
/// step and rows.
pub fn train(job: &FineTune, tell: Tell<'_>) -> Result<Trained, Undone> {
    if let Some((key, value, right)) = job.settings.problems().into_iter().next() {
        return Err(format!("{key} = {value} is wrong: {right}").into());
    }
    let places = Places::of(job)?;
    // Nobody else makes, writes or removes anything of this output from here on; what is there is looked at only now.
    let _lock = places.lock()?;
    let trained = locked(job, &places, tell);
    if trained.is_err() && !places.is_begun() {
        places.clear();
    }
    trained
}

/// The work, with the lock in hand.
fn locked(asked: &FineTune, places: &Places, tell: Tell<'_>) -> Result<Trained, Undone> {
    let found = places.found();
    if let Found::Other(path) = found {
        return Err(format!("{} is there, and is no trained adapter", path.display()).into());
    }
    make(asked, tell)?;
    let job = &stage::begin(asked, places)?;
    let prepared = Prepared::read(&mut Sources::default(), asked, job, tell)?;
    if let Some(why) = device::without_gpu(job.device) {
        tell(Told::Note(format!("computes on the processor: {why}")));
    }
    let trained = if let Found::Finished(output) = found {
        let trained = export::read(&output, &prepared.identity)?;
        if trained.merged.is_some() || !job.merge {
            trained
        } else {
            let training = Training::of(job, places, &prepared, tell);
            device::on(job.device, Some(&places.plans), Merging(training, trained))?
        }
    } else {
        let training = Training::of(job, places, &prepared, tell);
        device::on(job.device, Some(&places.plans), training)?
    };
    places.clear();
    Ok(trained)
}

/// Makes the model, where it is to be made and is not there.
fn make(job: &FineTune, tell: Tell<'_>) -> Result<(), Undone> {
    if let Some(settings) = job.make {
        tell(Told::Stage("base model"));
        let base = BaseJob {
            data: job.data.clone(),
            output: job.model.clone(),
            settings,
        };
        base::make(&base, &mut |_| {})?;
    }
    Ok(())
}

/// A fine-tune that is ready to be computed.
struct Training<'a> {
    job: &'a FineTune,
    places: &'a Places,
    prepared: &'a Prepared,
    tell: Tell<'a>,
}

impl<'a> Training<'a> {
    fn of(job: &'a FineTune, places: &'a Places, prepared: &'a Prepared, tell: Tell<'a>) -> Self {
        Self {
            job,
            places,
            prepared,
            tell,
        }
    }
}

/// An adapter that is trained, and whose merged weights are missing.
struct Merging<'a>(Training<'a>, Trained);

impl device::Task for Merging<'_> {
    type Made = Trained;

    fn run<B: crate::lora::backend::Backend>(
        self,
        machine: impl Fn() -> B,
        _room: Option<u64>,
    ) -> Result<Trained, Undone> {
        let Self(training, trained) = self;
        let Training {
            job,
            places,
            prepared,
            tell,
        } = training;
        let parts = export::Parts::new(job, places, prepared);
        export::merge_finished(&parts, trained, &machine, tell)
    }
}

impl device::Task for Training<'_> {
    type Made = Trained;

    fn run<B: crate::lora::backend::Backend>(
        self,
        machine: impl Fn() -> B,
        _room: Option<u64>,
    ) -> Result<Trained, Undone> {
        let Self {
            job,
            places,
            prepared,
            tell,
        } = self;
        let seat = Seat {
            job,
            places,
            prepared,
            trains: true,
        };
        let mut each = |_, told| tell(told);
        let layout = match device::grain(job.device) {
            Some(grain) => {
                let [most, _] = prepared.most(&job.settings);
                Layout::steps(grain, most, prepared.model.decoder.context)
            }
            None => Layout::Dense,
        };
        let mut learning = Learning::begin(&[seat], layout, machine(), &mut each)?;
        learning.go_on(&mut each)?;
        let Learning {
            mut engine,
            members,
            ..
        } = learning;
        let member = members.into_iter().next().expect("the only seat trains");
        if let Some(undone) = member.stopped {
            return Err(undone);
        }
        let learned = export::Learned::of(&engine, &member)?;
        let mut written = learned.write(&mut engine, &member, tell)?;
        // A merged model is loaded to be compared: two do not fit where one just does.
        drop(engine);
        written.merge(&machine, tell)?;
        written.name()
    }
}

impl From<Trouble> for Undone {
    fn from(trouble: Trouble) -> Self {
        trouble.0.into()
    }
}

/// To be tried again where the machine lacks something; else final.
fn undone(what: &str, error: &io::Error) -> Undone {
    Undone {
        status: if is_starved(error) { TRY_AGAIN } else { 1 },
        text: format!("{what}: {error}"),
    }
}
