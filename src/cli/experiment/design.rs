//! `campaignctl experiment design`.

mod asked;
mod inputs;

use super::{
    baseline::back_end,
    config::{faults, set},
    constraints,
    files::{How, log, whole, write},
};
use crate::{
    cli::{args::Shape, fail::Fail, out},
    config::parameters::vocabulary,
    experiment::{
        BackEnd, Vocabulary,
        config::{Refusal, Violation, generate},
        log::{Block, Event, LogFile},
        names,
        plan::{Plan, Run, SUMMARY, TWIN},
        scaffold::File,
        summary,
    },
    history::constraints::Constraint,
    parameters::{Assignment, Domain, Value},
    time::parse_duration,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The flags of `design`.
#[derive(clap::Args, Debug)]
pub struct DesignArgs {
    /// What it is called: the directory that is made
    pub name: String,
    /// A parameter and what it is varied over: r=8,16,64 or learning_rate=1e-5..1e-3:log; repeats
    #[arg(long, value_name = "NAME=VALUES", value_parser = vary)]
    pub vary: Vec<(String, Domain)>,
    /// Another value of a parameter that stays the same; repeats
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = set)]
    pub set: Vec<(String, Value)>,
    /// Runs beside the baseline, where ranges are varied [default: 4 for each cell of the grid, at least 8]
    #[arg(long, value_name = "N")]
    pub runs: Option<usize>,
    /// GPU hours that all runs together may take, such as 20h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub budget: Option<Duration>,
    /// training_history.json: what runs like these took
    #[arg(long, value_name = "HISTORY")]
    pub from: Option<PathBuf>,
    /// What trains: builtin, or torchtune with inspect-ai
    #[arg(long, value_name = "NAME", default_value = "builtin", value_parser = back_end)]
    pub back_end: BackEnd,
    /// A Hugging Face model directory
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Rows to learn from
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Rows that are only looked at; evaluated on, too, where no --eval says otherwise
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub holdout: Vec<PathBuf>,
    /// What is evaluated: a file of held-out rows, with torchtune an inspect-ai script, TASK.py or TASK.py@name
    #[arg(long, value_name = "TASK", num_args = 1..)]
    pub eval: Vec<String>,
    /// After which epochs, from 0, with torchtune [default: the last]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub eval_epochs: Vec<u32>,
    /// Passes over the rows
    #[arg(long, value_name = "N", value_parser = value)]
    pub epochs: Option<Value>,
    /// Repetitions of every run, each with a seed of its own
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seeds: u32,
    /// What the baseline run is set to: a run's directory, or with --from an experiment's id [default: baseline.json, else the defaults]
    #[arg(long, value_name = "RUN")]
    pub baseline: Option<String>,
    /// What it is to find out
    #[arg(long, value_name = "TEXT")]
    pub question: Option<String>,
    /// Root of chance in the choice of points
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub asks: Asks,
    /// The directory of experiments
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Show the plan; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a plan that says something else
    #[arg(long)]
    pub force: bool,
}

/// What jobs ask the scheduler for.
#[derive(clap::Args, Debug)]
pub struct Asks {
    /// SLURM's partition
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,
    /// SLURM's account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// SLURM's generic resources, such as gpu:1
    #[arg(long, value_name = "GRES")]
    pub gres: Option<String>,
    /// Memory of a job, such as 32G
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<String>,
    /// Time of a job, such as 04:00:00
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,
    /// Processors of a job
    #[arg(long, value_name = "N")]
    pub cpus_per_task: Option<u32>,
    /// Price of a GPU hour, USD
    #[arg(long, value_name = "USD")]
    pub usd_per_gpu_hour: Option<f64>,
}

/// Reads `NAME=VALUES`.
fn vary(text: &str) -> Result<(String, Domain), String> {
    let right = "write NAME=8,16,64 or NAME=1e-5..1e-3:log";
    let (name, domain) = text.split_once('=').ok_or(right)?;
    Ok((name.trim().into(), Domain::parse(domain)?))
}

fn value(text: &str) -> Result<Value, String> {
    Ok(text.parse().unwrap_or_else(|never| match never {}))
}

/// Plans the experiment.
///
/// # Errors
/// All that is wrong with what was asked; another plan of that name.
pub fn run(args: &DesignArgs, shape: Shape) -> Result<u8, Fail> {
    if let Some(why) = names::problem(&args.name) {
        let message = format!("{:?} is no name for an experiment: {why}", args.name);
        return Err(Fail::usage(
            message,
            "letters, digits, -, _ and .; it names a directory",
        ));
    }
    let words = vocabulary(args.back_end);
    let plan = asked::plan(args, words)?;
    let shown = summary::render(&plan, words);
    let dir = whole(&args.dir).join(&args.name);
    let how = How {
        dry_run: args.dry_run,
        force: args.force,
    };
    let file = |name: &str, text: String| File {
        path: name.into(),
        text,
    };
    let mut files = vec![file(TWIN, plan.json()), file(SUMMARY, shown.clone())];
    let learned = match &args.from {
        Some(history) => constraints::learned(history, &dir)?,
        None => None,
    };
    // One that forbids nothing replaces what an earlier history taught.
    let stale = dir.join(constraints::FILE).exists();
    let known = match learned.filter(|view| stale || !view.constraints.is_empty()) {
        Some(view) => {
            files.push(file(constraints::FILE, constraints::text(&view)));
            constraints::renamed(view.constraints, words)
        }
        None => constraints::of_experiment(&dir, words)?,
    };
    let refused = refused(&plan, words, &known);
    write(&dir, &files, how)?;
    if !args.dry_run {
        log(&dir, LogFile::Design, &[block(&plan)])?;
    }
    if shape.json {
        out::json(
            &json!({ "version": 1, "dry_run": args.dry_run, "directory": dir, "plan": plan, "refused": refused }),
        )?;
    } else if args.dry_run {
        out::print(&shown)?;
    } else {
        out::print(&told(&plan, &dir, &refused))?;
    }
    Ok(0)
}

fn block(plan: &Plan) -> Block {
    let names: Vec<&str> = plan.variables.iter().map(|one| one.name.as_str()).collect();
    let details = format!(
        "{} runs of {}, {} evaluations; varied: {}; baseline from {}",
        plan.runs.len(),
        plan.back_end,
        plan.evaluation.len(),
        names.join(", "),
        plan.baseline
    );
    Block::done(Event::Design, &plan.name, details)
}

/// Runs that scaffolding will refuse, each with the constraints that it breaks.
fn refused(plan: &Plan, words: &Vocabulary, known: &[Constraint]) -> Vec<(String, Vec<Violation>)> {
    let check = constraints::check(known, plan.model.as_deref());
    let of = |run: &Run| {
        let settings = plan.settings(run);
        match generate(words, &run.name, (&Assignment::new(), &settings), &check) {
            Err(Refusal::Constraints(broken)) => Some((run.name.clone(), broken)),
            _ => None,
        }
    };
    plan.runs.iter().filter_map(of).collect()
}

fn told(plan: &Plan, dir: &Path, refused: &[(String, Vec<Violation>)]) -> String {
    let mut text = format!(
        "{}: {} runs, {} evaluations\n",
        plan.name,
        plan.runs.len(),
        plan.evaluation.len()
    );
    for one in &plan.variables {
        text += &format!("  varied   {} over {}\n", one.name, one.domain);
    }
    for one in &plan.estimates {
        let amount = one
            .amount
            .map_or("-".into(), |amount| format!("{amount:.2} {}", one.unit));
        text += &format!("  {:<40} {amount:<16} {}\n", one.what, one.basis);
    }
    for (run, broken) in refused {
        for one in broken {
            text += &format!(
                "  refused  {run} by {}: {}; {}\n",
                one.constraint, one.says, one.evidence
            );
        }
    }
    let dir = dir.display();
    text + &format!(
        "  look     {dir}/{SUMMARY}\n  next     campaignctl experiment scaffold {dir}\n"
    )
}

/// Faults of a design as errors.
fn unplanned(all: Vec<crate::experiment::asked::Unplanned>) -> Fail {
    let one = |(message, right)| Fail::usage(message, right).0;
    Fail(all.into_iter().flat_map(one).collect())
}
