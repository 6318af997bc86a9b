//! `campaignd train`: one fine-tune, one stage of one, or a sweep of several, outside a campaign.

mod sweep;

use super::{
    args::Shape,
    fail::{Fail, MISSING, USAGE},
    now, out,
    style::{Style, thousands},
};
use crate::{
    artifacts::run,
    config::training::load_training,
    control::api::ErrorView,
    executor::job_dir::TRY_AGAIN,
    machines::spec::{StageData, StageSpec},
    manifest::{RUN_MANIFEST, RunManifest},
    training::{
        job::{FineTune, StageOf},
        settings::Settings,
        words::Device,
    },
    worker::{
        Undone,
        train::{self, Found, Told, Trained},
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

/// The flags of `train`.
#[derive(clap::Args, Clone, Debug)]
pub struct TrainArgs {
    /// A Hugging Face model directory
    #[arg(long, value_name = "DIR", required_unless_present = "sweep")]
    pub model: Option<PathBuf>,
    /// Rows to learn from: JSON lines with messages, prompt and chosen, or input_ids
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// The adapter's directory, which appears when it is complete; with --stage the run's, with --sweep that of all members
    #[arg(long, value_name = "DIR", required_unless_present = "sweep")]
    pub output: Option<PathBuf>,
    /// Rows that are only looked at: the adapter that is best on them is kept
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub holdout: Vec<PathBuf>,
    /// Hyperparameters by the names of PEFT and Hugging Face, and stages
    #[arg(long, value_name = "train.toml")]
    pub config: Option<PathBuf>,
    /// One of the settings' stages; the output is a run, whose run-manifest.json says where everything is
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// Several fine-tunes of one model at once, each with settings of its own
    #[arg(long, value_name = "sweep.toml", conflicts_with_all = ["config", "stage", "adapter_init", "merge", "name"])]
    pub sweep: Option<PathBuf>,
    /// One member of the sweep; it comes out as it does among all
    #[arg(long, value_name = "NAME", requires = "sweep")]
    pub only: Option<String>,
    /// Halve the sweep: compare its members on the holdout after so many steps first, and let the better ones go on
    #[arg(long, value_name = "STEPS", requires = "sweep", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub min_resource: Option<u64>,
    /// One in so many goes on, and the next rung is so many times as far [default: 3]
    #[arg(long, value_name = "N", requires = "sweep", value_parser = clap::value_parser!(u64).range(2..=64))]
    pub reduction_factor: Option<u64>,
    /// Go on where a training stopped
    #[arg(long)]
    pub resume: bool,
    /// A PEFT directory to start from
    #[arg(long, value_name = "DIR")]
    pub adapter_init: Option<PathBuf>,
    /// Write merged weights as well
    #[arg(long)]
    pub merge: bool,
    /// Where to compute: auto, cpu, cuda [default: auto]
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    pub device: Option<Device>,
    /// What it is called [default: the output's name]
    #[arg(long)]
    pub name: Option<String>,
}

fn device(text: &str) -> Result<Device, String> {
    text.parse()
}

/// Trains; 1 where the machine lacks something.
///
/// # Errors
/// What is wrong with settings, model or rows; an output that holds something already.
pub fn run(args: &TrainArgs, shape: Shape) -> Result<u8, Fail> {
    let here = std::env::current_dir()
        .map_err(|error| Fail::usage(format!("there is no directory to be in: {error}"), "cd"))?;
    if let Some(file) = &args.sweep {
        return sweep::run(args, &here, &here.join(file), shape);
    }
    let config = args.config.as_ref().map(|config| here.join(config));
    let (settings, stages) = load_training(config.as_deref(), &here).map_err(Fail::from)?;
    let job = job(args, &here, settings, &stages)?;
    let begun = match train::found(&job).map_err(fail)? {
        Found::Unfinished(work) if !args.resume => {
            let message = format!("a training was begun in {}", work.display());
            return Err(at(message, &job.output, "--resume, or another --output"));
        }
        Found::Other(path) => {
            let message = format!("{} is there, and is no trained adapter", path.display());
            return Err(at(message, &job.output, "another --output"));
        }
        Found::Finished(_) => {
            out::note("the training is finished: this is what came of it");
            false
        }
        found => !matches!(found, Found::Nothing),
    };
    if args.resume && begun {
        out::note("going on where it stopped");
    }
    let mut screen = Screen::new(shape);
    let trained = train::train(&job, &mut |told| screen.show(told));
    screen.bar.finish_and_clear();
    tell(&trained.map_err(fail)?, shape)
}

fn job(
    args: &TrainArgs,
    here: &Path,
    settings: Settings,
    stages: &[StageSpec],
) -> Result<FineTune, Fail> {
    let text = |path: &PathBuf| here.join(path).to_string_lossy().into_owned();
    let (Some(model), Some(output)) = (&args.model, &args.output) else {
        return Err(Fail::usage(
            "there is no model or no output",
            "--model DIR --output DIR",
        ));
    };
    let output = here.join(output);
    let name = output
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let mut job = FineTune {
        name: args
            .name
            .clone()
            .or(name)
            .unwrap_or_else(|| "adapter".into()),
        model: text(model),
        make: None,
        data: args.data.iter().map(text).collect(),
        holdout: args.holdout.iter().map(text).collect(),
        output: output.to_string_lossy().into_owned(),
        adapter_init: args.adapter_init.as_ref().map(text),
        merge: args.merge,
        stage: None,
        minimum: 0,
        settings,
        device: args.device.unwrap_or(Device::Auto),
    };
    if let Some(name) = &args.stage {
        stage(&mut job, name, stages)?;
    }
    complete(&job)?;
    Ok(job)
}

/// That everything is there which a fine-tune needs.
fn complete(job: &FineTune) -> Result<(), Fail> {
    if job.settings.early_stopping_patience > 0 && job.holdout.is_empty() {
        let message = "early stopping looks at held-out rows, and there are none";
        return Err(Fail::usage(
            message,
            "--holdout FILE.jsonl, or early_stopping_patience = 0",
        ));
    }
    if job.data.is_empty() {
        let right = "--data FILE.jsonl";
        return Err(Fail::usage("there are no rows to learn from", right));
    }
    Ok(())
}

/// Makes it one stage of a run, which is created where it is not there.
fn stage(job: &mut FineTune, name: &str, stages: &[StageSpec]) -> Result<(), Fail> {
    let Some((number, stage)) = (1..).zip(stages).find(|(_, stage)| stage.name == name) else {
        let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        let right = match names.as_slice() {
            [] => "--config with [[stage]] tables: name, data, replay_share, start".into(),
            names => format!("--stage {}", names.join(" | ")),
        };
        return Err(Fail::usage(format!("there is no stage {name:?}"), right));
    };
    if let StageData::File(file) = &stage.data
        && job.data.is_empty()
    {
        job.data = vec![file.clone()];
    }
    let next = stages.get(number as usize);
    job.merge |= next.is_some_and(|next| next.start == crate::training::words::Start::Merged);
    let of = u32::try_from(stages.len()).unwrap_or(u32::MAX);
    job.stage = Some(StageOf {
        number,
        of,
        replay_share: stage.replay_share,
        start: stage.start,
    });
    begin(job, of)?;
    let dir = Path::new(&job.output);
    let starts: Vec<_> = stages.iter().map(|stage| stage.start).collect();
    let base = run::read(dir).and_then(|run| run::merged_base(dir, &run, &starts, number));
    if let Some(merged) = base.map_err(|why| fail(why.into()))? {
        job.model = merged.to_string_lossy().into_owned();
    }
    Ok(())
}

/// The run of a stage: created where it is not there, and else of as many stages and the same base model.
fn begin(job: &FineTune, stages: u32) -> Result<(), Fail> {
    let dir = Path::new(&job.output);
    let path = dir.join(RUN_MANIFEST);
    let model = run::named_model(Path::new(&job.model))
        .map_err(|error| fail(format!("{} cannot be read: {error}", job.model).into()))?;
    let asked = RunManifest::new(&job.name, now(), &model, stages);
    if !path.exists() {
        let created = run::create(dir, &asked);
        return created.map_err(|error| fail(format!("the run cannot be created: {error}").into()));
    }
    let found = run::read(dir).map_err(|why| fail(why.into()))?;
    let (have, want) = (
        &found.run_metadata.base_model,
        &asked.run_metadata.base_model,
    );
    let message = if found.stages() != stages {
        format!(
            "the run has {} stages, the settings have {stages}",
            found.stages()
        )
    } else if have != want {
        format!("the run's base model is {have}, not {want}")
    } else {
        return Ok(());
    };
    let right = "another --output, or what the run was begun with";
    Err(at(message, &path.to_string_lossy(), right))
}

fn at(message: String, at: &str, right: &str) -> Fail {
    Fail(vec![ErrorView {
        kind: "training".into(),
        message,
        at: Some(at.into()),
        right: Some(right.into()),
        exit_status: USAGE,
        ..ErrorView::default()
    }])
}

fn fail(undone: Undone) -> Fail {
    let passing = undone.status == TRY_AGAIN;
    let right = if passing {
        "the same command with --resume, later: it goes on where it was"
    } else {
        "campaignd train --help"
    };
    Fail(vec![ErrorView {
        kind: "training".into(),
        message: undone.text,
        right: Some(right.into()),
        exit_status: if passing { MISSING } else { USAGE },
        ..ErrorView::default()
    }])
}

/// Steps of a training, on a terminal.
fn bar(shape: Shape) -> ProgressBar {
    let bar = if !io::stderr().is_terminal() || shape.quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10))
    };
    let style = Style::of(&io::stderr(), shape.color);
    let drawn = ProgressStyle::with_template(
        "{prefix:10}  {bar:30}  {human_pos} / {human_len} steps  {msg}  {eta} left",
    );
    if let Ok(drawn) = drawn {
        bar.set_style(drawn.progress_chars(style.bar_signs()));
    }
    bar
}

/// What a person sees while it trains.
struct Screen {
    bar: ProgressBar,
    quiet: bool,
}

impl Screen {
    fn new(shape: Shape) -> Self {
        Self {
            bar: bar(shape),
            quiet: shape.quiet,
        }
    }

    fn show(&mut self, told: Told) {
        match told {
            Told::Stage(stage) => self.bar.set_prefix(stage),
            Told::Step(step) => {
                self.bar.set_prefix("training");
                self.bar.set_length(step.steps);
                self.bar.set_position(step.step);
                let rate = thousands(step.tokens_per_second as u64);
                self.bar
                    .set_message(format!("loss {:.3}  {rate} tokens/s", step.loss));
            }
            Told::Look { step, loss, best } if !self.quiet => {
                let best = if best { ", the best so far" } else { "" };
                self.note(&format!("step {step}: loss on the holdout {loss:.4}{best}"));
            }
            Told::Look { .. } => {}
            Told::Note(text) => self.note(&text),
        }
    }

    fn note(&self, text: &str) {
        self.bar.suspend(|| out::note(text));
    }
}

fn tell(trained: &Trained, shape: Shape) -> Result<u8, Fail> {
    if shape.json {
        let mut value = json!({ "version": 1, "stopped_early": trained.stopped_early() });
        let fields = serde_json::to_value(trained).unwrap_or_default();
        if let (Some(all), serde_json::Value::Object(fields)) = (value.as_object_mut(), fields) {
            all.extend(fields);
        }
        out::json(&value)?;
    } else {
        out::print(&text(trained))?;
    }
    Ok(0)
}

fn text(trained: &Trained) -> String {
    let loss = |loss: Option<f64>| loss.map_or("–".into(), |loss| format!("{loss:.4}"));
    let mut text = format!(
        "trained {} steps on {} rows, {} tokens\n  loss     {} -> {}\n",
        thousands(trained.steps),
        thousands(trained.rows),
        thousands(trained.tokens),
        loss(trained.first_loss),
        loss(trained.last_loss)
    );
    if trained.eval_loss.is_some() {
        text += &format!(
            "  holdout  {} -> {} on {} rows\n",
            loss(trained.eval_loss_before),
            loss(trained.eval_loss),
            thousands(trained.holdout_rows)
        );
    }
    if let Some(ended) = &trained.ended {
        text += &format!("  ended    {ended}\n");
    }
    if trained.stopped_early() {
        text += &format!(
            "  stopped  after {} of {} steps: the holdout got no better\n",
            trained.steps, trained.planned_steps
        );
    }
    for (rows, why) in [
        (trained.too_long, "longer than a row may be, left out"),
        (trained.truncated, "cut to the length that a row may have"),
        (trained.refused, "that could not be used, left out"),
    ] {
        if rows > 0 {
            text += &format!("  rows     {} {why}\n", thousands(rows));
        }
    }
    let found = &trained.verification;
    text += &format!(
        "  checked  read back on {} tokens: off by {:.0e}; without the adapter {:.3} away\n",
        thousands(found.tokens),
        found.reloaded_max_abs,
        found.off_on_max_abs
    );
    if let (Some(path), Some(merged)) = (&trained.merged, &found.merged) {
        text += &format!(
            "  merged   {path}, {}: log-probabilities off by up to {:.0e}\n",
            merged.dtype, merged.log_prob_gap
        );
    }
    text += &format!(
        "  where    {}, the adapter of step {}\n  look     {}/report.html\n",
        trained.output, trained.best_step, trained.output
    );
    text
}
