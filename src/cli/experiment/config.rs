//! `campaignctl experiment config`: one config for a training program.

use super::{
    baseline::{self, back_end},
    constraints,
    files::{How, problem, whole, write},
};
use crate::{
    cli::{args::Shape, fail::Fail, out},
    config::parameters::vocabulary,
    experiment::{
        BackEnd,
        config::{Config, Refusal, generate, said},
        names,
        scaffold::File,
    },
    parameters::{Assignment, Fault, Value},
};
use serde_json::json;
use std::path::PathBuf;

/// The flags of `config`.
#[derive(clap::Args, Debug)]
pub struct ConfigArgs {
    /// The experiment's id: the directory that is written
    pub id: String,
    /// A parameter and its value; repeats
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = set)]
    pub set: Vec<(String, Value)>,
    /// Whose parameters: builtin, torchtune, generic
    #[arg(long, value_name = "NAME", default_value = "builtin", value_parser = back_end)]
    pub back_end: BackEnd,
    /// The directory of experiments
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Show it; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a config that says something else
    #[arg(long)]
    pub force: bool,
}

/// Reads `NAME=VALUE`.
pub fn set(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, such as r=8")?;
    let value = value.parse().unwrap_or_else(|never| match never {});
    Ok((name.trim().into(), value))
}

/// Makes the config.
///
/// # Errors
/// Everything that the back end does not take; every constraint that refuses it; a config that says something else.
pub fn run(args: &ConfigArgs, shape: Shape) -> Result<u8, Fail> {
    if let Some(why) = names::problem(&args.id) {
        let right = "letters, digits, -, _ and .";
        return Err(Fail::usage(
            format!("{:?} is no name for an experiment: {why}", args.id),
            right,
        ));
    }
    let words = vocabulary(args.back_end);
    let (changes, twice) = values(&args.set);
    if let Some(name) = twice {
        return Err(Fail::usage(
            format!("{name} is set twice"),
            "each parameter once",
        ));
    }
    let baseline = baseline::read(&args.dir)?.unwrap_or_default();
    let (kept, _) = words.recognised(&baseline.values);
    let known = constraints::read(&[&args.dir], words)?;
    let check = constraints::check(&known, None);
    let config = generate(words, &args.id, (&kept, &changes), &check).map_err(refused)?;
    let how = How {
        dry_run: args.dry_run,
        force: args.force,
    };
    let files = [
        ("config.yaml", config.yaml()),
        ("config.json", config.json()),
    ];
    let files = files.map(|(name, text)| File {
        path: format!("{}/{name}", args.id),
        text,
    });
    write(&whole(&args.dir), &files, how)?;
    tell(&config, args.dry_run, shape)
}

fn values(set: &[(String, Value)]) -> (Assignment, Option<String>) {
    let (mut all, mut twice) = (Assignment::new(), None);
    for (name, value) in set {
        if all.insert(name.clone(), value.clone()).is_some() {
            twice = Some(name.clone());
        }
    }
    (all, twice)
}

/// Faults as a person sees them.
pub fn faults(all: Vec<Fault>) -> Fail {
    let one = |fault: Fault| {
        problem(
            &fault.message,
            &format!("parameter {}", fault.parameter),
            &fault.right,
        )
    };
    Fail(all.into_iter().map(one).collect())
}

/// A refusal as a person sees it.
pub fn refused(refusal: Refusal) -> Fail {
    match refusal {
        Refusal::Schema(all) => faults(all),
        Refusal::Constraints(all) => Fail(
            all.into_iter()
                .map(|one| {
                    let message =
                        format!("the constraint {} refuses it: {}", one.constraint, one.says);
                    let right = format!(
                        "what keeps it, or {} out of {}",
                        one.constraint,
                        constraints::FILE
                    );
                    problem(&message, &format!("evidence: {}", one.evidence), &right)
                })
                .collect(),
        ),
    }
}

fn tell(config: &Config, dry_run: bool, shape: Shape) -> Result<u8, Fail> {
    if shape.json {
        out::json(&json!({
            "version": 1, "experiment_id": config.experiment_id, "dry_run": dry_run, "config": config.values,
            "changed": config.changed,
        }))?;
    } else {
        let done = if dry_run { "would write" } else { "wrote" };
        let id = &config.experiment_id;
        out::line(&format!(
            "{done} {id}/config.yaml and {id}/config.json\n  {}",
            said(&config.values)
        ))?;
    }
    Ok(0)
}
