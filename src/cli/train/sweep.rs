//! `campaignd train --sweep`: several fine-tunes of one model at once, and how they compare.

use super::{TrainArgs, at, bar, complete, fail};
use crate::{
    cli::{
        args::Shape,
        fail::{Fail, USAGE},
        out,
        style::thousands,
    },
    config::training::load_sweep,
    training::{
        job::{FineTune, Halving, Sweep},
        words::Device,
    },
    worker::train::{
        Step, Told,
        sweep::{self, Judged, Outcome, REPORT, Standing, Summary, Swept},
    },
};
use indicatif::ProgressBar;
use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

/// How many times fewer go on from a rung, where nobody says it; as in the file.
const REDUCTION_FACTOR: u64 = 3;

/// Trains; 2 where a member was stopped by its own numbers.
///
/// # Errors
/// What is wrong with settings, model or rows; an output that holds something already.
pub fn run(args: &TrainArgs, here: &Path, file: &Path, shape: Shape) -> Result<u8, Fail> {
    let asked = job(args, here, file)?;
    let standing = sweep::standing(&asked).map_err(fail)?;
    let begun = standing.contains(&Standing::Begun);
    if standing.iter().all(|one| *one == Standing::Ended) {
        out::note("the sweep has ended: this is what came of it");
    } else if begun && !args.resume {
        let message = format!("a sweep was begun in {}", asked.output);
        let right = "--resume, or another --output";
        return Err(at(message, &asked.output, right));
    } else if begun {
        out::note("going on where it stopped");
    }
    let mut screen = Screen::new(&asked, shape);
    let swept = sweep::sweep(&asked, &mut |member, told| screen.show(member, told));
    screen.bar.finish_and_clear();
    let swept = swept.map_err(fail)?;
    if shape.json {
        out::json(&swept)?;
    } else {
        out::print(&text(&asked, &swept))?;
    }
    let stopped = |one: &Outcome| one.stopped.is_some();
    Ok(match swept.members.iter().any(stopped) {
        true => USAGE,
        false => 0,
    })
}

fn job(args: &TrainArgs, here: &Path, file: &Path) -> Result<Sweep, Fail> {
    let read = load_sweep(file).map_err(Fail::from)?;
    let text = |path: &PathBuf| here.join(path).to_string_lossy().into_owned();
    let missing = |what: &str, key: &str| {
        let right = format!("{key} = \"...\" in {}, or --{key}", file.display());
        Fail::usage(format!("the sweep has no {what}"), right)
    };
    let model = args.model.as_ref().map(text).or(read.model);
    let model = model.ok_or_else(|| missing("model", "model"))?;
    let output = args.output.as_ref().map(text).or(read.output);
    let output = output.ok_or_else(|| missing("output", "output"))?;
    let files = |given: &[PathBuf], read: Vec<String>| match given {
        [] => read,
        given => given.iter().map(text).collect(),
    };
    let data = files(&args.data, read.data);
    let holdout = files(&args.holdout, read.holdout);
    let device = args.device.or(read.device).unwrap_or(Device::Auto);
    let member = |(name, settings): (String, _)| FineTune {
        output: Path::new(&output)
            .join(&name)
            .to_string_lossy()
            .into_owned(),
        name,
        model: model.clone(),
        make: None,
        data: data.clone(),
        holdout: holdout.clone(),
        adapter_init: None,
        merge: false,
        stage: None,
        minimum: 0,
        settings,
        device,
    };
    let members: Vec<FineTune> = read.members.into_iter().map(member).collect();
    members.iter().try_for_each(complete)?;
    Ok(Sweep {
        members,
        only: args.only.clone(),
        halving: halving(args, read.halving)?,
        output,
    })
}

/// How members are left out on the way: as the flags say it, else the file.
fn halving(args: &TrainArgs, read: Option<Halving>) -> Result<Option<Halving>, Fail> {
    let least = args.min_resource.or(read.map(|read| read.min_resource));
    let factor = args
        .reduction_factor
        .or(read.map(|read| read.reduction_factor));
    match (least, factor) {
        (Some(min_resource), factor) => Ok(Some(Halving {
            min_resource,
            reduction_factor: factor.unwrap_or(REDUCTION_FACTOR),
        })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Fail::usage(
            "--reduction-factor is for a sweep that halves, and this one does not",
            "--min-resource STEPS, or [halving] in the sweep's file",
        )),
    }
}

/// What a person sees while it trains.
struct Screen {
    bar: ProgressBar,
    quiet: bool,
    names: Vec<String>,
    /// The last step of each member.
    steps: BTreeMap<usize, Step>,
}

impl Screen {
    fn new(sweep: &Sweep, shape: Shape) -> Self {
        Self {
            bar: bar(shape),
            quiet: shape.quiet,
            names: sweep.members.iter().map(|one| one.name.clone()).collect(),
            steps: BTreeMap::new(),
        }
    }

    fn show(&mut self, member: usize, told: Told) {
        match told {
            Told::Stage(stage) => self.bar.set_prefix(stage),
            Told::Step(step) => {
                self.steps.insert(member, step);
                let sum = |of: fn(&Step) -> u64| self.steps.values().map(of).sum();
                self.bar.set_prefix("training");
                self.bar.set_length(sum(|step| step.steps));
                self.bar.set_position(sum(|step| step.step));
                let going = self.steps.values().filter(|step| step.step < step.steps);
                let rates = going.map(|step| step.tokens_per_second);
                let rate = thousands(rates.sum::<f64>() as u64);
                let members = self.steps.len();
                self.bar
                    .set_message(format!("{members} members  {rate} tokens/s"));
            }
            Told::Look { step, loss, best } if !self.quiet => {
                let best = if best { ", the best so far" } else { "" };
                let text = format!("step {step}: loss on the holdout {loss:.4}{best}");
                self.note(member, &text);
            }
            Told::Look { .. } => {}
            Told::Note(text) => self.note(member, &text),
        }
    }

    fn note(&self, member: usize, text: &str) {
        // What is said of no member is said of all.
        let name = self.names.get(member);
        let of = name.map_or(String::new(), |name| format!("{name}: "));
        self.bar.suspend(|| out::note(&format!("{of}{text}")));
    }
}

/// The members beside one another, the best first.
fn text(asked: &Sweep, swept: &Swept) -> String {
    let names = swept.members.iter().map(|one| one.name.chars().count());
    let wide = names.max().unwrap_or(0).max("MEMBER".len());
    let done = swept.ranked();
    let mut text = format!(
        "{} of {} members trained on {}\n\n",
        done.len(),
        swept.members.len(),
        swept.device
    );
    if !done.is_empty() {
        let _ = writeln!(
            text,
            "  {:<wide$} {:>8} {:>8}    {:>8} {:>9}",
            "MEMBER", "BEFORE", "AFTER", "STEPS", "TOKENS"
        );
    }
    let loss = |loss: Option<f64>| loss.map_or("–".into(), |loss| format!("{loss:.4}"));
    for one in &done {
        let Some(trained) = &one.trained else {
            continue;
        };
        let early = match &trained.ended {
            Some(_) => "<",
            None if trained.stopped_early() => "*",
            None => " ",
        };
        let before = trained.eval_loss_before.or(trained.first_loss);
        let _ = writeln!(
            text,
            "  {:<wide$} {:>8} {:>8}    {:>7}{early} {:>9}",
            one.name,
            loss(before),
            loss(one.loss()),
            thousands(trained.steps),
            thousands(trained.tokens)
        );
    }
    if !done.is_empty() {
        let holdout = !asked.members[0].holdout.is_empty();
        text += match holdout {
            true => "\n  loss on the holdout, in nats; * stopped early: it got no better\n",
            false => "\n  loss of the first and of the last step, in nats: there is no holdout\n",
        };
    }
    if let Some(summary) = &swept.halving {
        halved(&mut text, summary, swept.plan_key.is_some());
    }
    for one in &swept.members {
        if let Some(why) = &one.stopped {
            let _ = writeln!(text, "\n  {} goes no further: {why}", one.name);
        }
    }
    let left = |one: &&Outcome| one.trained.is_none() && one.stopped.is_none();
    let left = swept.members.iter().filter(left).count();
    if left > 0 {
        let _ = writeln!(text, "\n  {left} members are not trained yet");
    }
    let _ = writeln!(
        text,
        "\n  where    {}/NAME\n  look     {}/{REPORT}",
        asked.output, asked.output
    );
    text
}

/// Who went on from which rung, and what that saved. `slots` says that the rows of those left out are filled up.
fn halved(text: &mut String, summary: &Summary, slots: bool) {
    let _ = writeln!(text, "  < left out at a rung\n");
    for Judged { step, runs } in &summary.rungs {
        let on = runs.iter().filter(|run| run.went_on);
        let on: Vec<&str> = on.map(|run| run.name.as_str()).collect();
        let (kept, all) = (on.len(), runs.len());
        let mut line = format!(
            "  rung     step {}: {kept} of {all} went on",
            thousands(*step)
        );
        let names = format!(": {}", on.join(", "));
        if kept > 0 && line.len() + names.chars().count() <= WIDTH {
            line += &names;
        }
        let _ = writeln!(text, "{line}");
    }
    let (made, without) = (summary.steps, summary.steps_without);
    let _ = writeln!(
        text,
        "  steps    {} made of at most {} without halving",
        thousands(made),
        thousands(without)
    );
    if slots {
        *text += "           on this GPU a step takes as long with fewer members: their rows are filled up\n";
    }
}

/// Columns of a line at most.
const WIDTH: usize = 100;
