//! `campaignd simulate FILE`: what is assumed, and what the campaign would come to.

use super::{
    args::{Shape, SpecFlags},
    fail::Fail,
    out, screen,
    simulate::SimulateArgs,
};
use crate::{
    config::{Env, Settings},
    history::History,
    machines::spec::CampaignSpec,
    rehearsal::{self, Assumptions, Bowl, Objective, Rehearsed},
    time::parse_duration,
};
use serde_json::json;
use std::{fs, path::Path, path::PathBuf, time::Duration};

/// The most rehearsals of one call.
const MOST_TRIALS: u64 = 100_000;

/// What a person assumes of the world.
#[derive(clap::Args, Clone, Debug)]
pub struct AssumedArgs {
    /// Assumed mean score of the pilot's samples [default: 0.85]
    #[arg(long, value_name = "Q")]
    pub quality: Option<f64>,
    /// Assumed share of attempts at a task that fail by chance, 0 to 1 [default: 0]
    #[arg(long, value_name = "P")]
    pub failures: Option<f64>,
    /// Assumed samples a second of one task [default: 2/s]
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub rate: Option<f64>,
    /// Assumed time of a curation [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub curate: Option<Duration>,
    /// Assumed time of a fine-tune [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub train: Option<Duration>,
    /// Assumed time of a cycle's evaluation [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub evaluate: Option<Duration>,
    /// Assumed time of a task that runs workflows [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub execute: Option<Duration>,
    /// Assumed GPUs of a task that trains or measures on this machine [default: 1]
    #[arg(long, value_name = "N")]
    pub gpus: Option<u32>,
    /// Results to answer from: a training_history.json, or a CSV file
    #[arg(long, value_name = "HISTORY", conflicts_with_all = ["noise", "best", "memory_wall", "diverges_above"])]
    pub table: Option<PathBuf>,
    /// Assumed value of the metric at the best settings [default: 0.4 of a loss, else 0.9]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub best: Option<f64>,
    /// Assumed standard deviation of results by chance [default: 0]
    #[arg(long, value_name = "S")]
    pub noise: Option<f64>,
    /// Out of memory above this share of what is varied of r, batch and length, 0 to 1
    #[arg(long, value_name = "SHARE")]
    pub memory_wall: Option<f64>,
    /// Training diverges above this learning rate
    #[arg(long, value_name = "LR")]
    pub diverges_above: Option<f64>,
    /// The person who is asked says yes
    #[arg(long)]
    pub approve: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim();
    number
        .parse()
        .map_err(|_| format!("\"{text}\" is no rate: write 2/s or 0.5/s"))
}

impl AssumedArgs {
    fn assumptions(&self, spec: &CampaignSpec, seed: u64) -> Result<Assumptions, Fail> {
        let usual = Assumptions::default();
        let seconds = |given: Option<Duration>, usual| given.map_or(usual, |it| it.as_secs_f64());
        Ok(Assumptions {
            seed,
            quality: self.quality.unwrap_or(usual.quality),
            samples_per_second: self.rate.unwrap_or(usual.samples_per_second),
            curate_seconds: seconds(self.curate, usual.curate_seconds),
            train_seconds: seconds(self.train, usual.train_seconds),
            evaluate_seconds: seconds(self.evaluate, usual.evaluate_seconds),
            execute_seconds: seconds(self.execute, usual.execute_seconds),
            failures: self.failures.unwrap_or(usual.failures),
            gpus_per_training: self.gpus.unwrap_or(usual.gpus_per_training),
            objective: self.objective(spec)?,
            approve: self.approve,
            most_events: usual.most_events,
        })
    }

    fn objective(&self, spec: &CampaignSpec) -> Result<Objective, Fail> {
        let plan = spec.planning.clone().unwrap_or_default();
        let Some(file) = &self.table else {
            let usual = Bowl::of(&plan.metric);
            return Ok(Objective::Analytic(Bowl {
                best: self.best.unwrap_or(usual.best),
                noise: self.noise.unwrap_or(usual.noise),
                memory: self.memory_wall,
                diverges_above: self.diverges_above,
                ..usual
            }));
        };
        let shown = file.display();
        let right = "a training_history.json, or lines with commas whose first has the names";
        let wrong = |why: String| Fail::usage(format!("--table {shown}: {why}"), right);
        let bytes = fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let is_json = bytes.trim_ascii_start().first() == Some(&b'{');
        let table = if is_json {
            let history = History::read(&bytes).map_err(|why| wrong(why.to_string()))?;
            Objective::of_history(&history)
        } else {
            let text = String::from_utf8(bytes).map_err(|_| wrong("it is no text".into()))?;
            Objective::of_csv(&text, &plan)
        };
        table.map_err(wrong)
    }
}

/// Rehearses a campaign file, once or many times.
///
/// # Errors
/// A file that is none, assumptions that are none, or a rehearsal that was given up.
pub fn rehearse(args: &SimulateArgs, shape: Shape) -> Result<u8, Fail> {
    let settings = Settings::load(None)?;
    // The seed is the made-up world's: the campaign keeps its own, and plans as it will.
    let flags = SpecFlags {
        seed: None,
        ..args.flags.clone()
    };
    let spec = flags.read_unseen(Path::new(&args.what), &Env::capture(), &settings)?;
    let (seed, count) = (args.flags.seed.unwrap_or(1), args.trials.unwrap_or(1));
    if !(1..=MOST_TRIALS).contains(&count) {
        let message = format!("--trials {count} is not 1 to {MOST_TRIALS}");
        return Err(Fail::usage(message, "--trials 100"));
    }
    let assumed = args.assumed.assumptions(&spec, seed)?;
    let wrong = |why: String| Fail::usage(why, "campaignd simulate --help");
    let play = |trial: u64| {
        let seed = seed.wrapping_add(trial);
        let assumed = Assumptions {
            seed,
            ..assumed.clone()
        };
        rehearsal::rehearse(&spec, settings.limits, &assumed).map_err(wrong)
    };
    if count == 1 {
        let found = play(0)?;
        return match shape.json {
            true => out::json(&json!({ "version": 1, "assumed": assumed, "rehearsed": found })),
            false => out::print(&screen::rehearsed(&found, &assumed)),
        }
        .map(|_| 0);
    }
    let found: Vec<Rehearsed> = (0..count).map(play).collect::<Result<_, Fail>>()?;
    match shape.json {
        true => out::json(&json!({ "version": 1, "assumed": assumed, "trials": found })),
        false => out::print(&screen::trials(&found, &assumed)),
    }
    .map(|_| 0)
}
