//! `campaignctl experiment baseline`: what experiments of a directory start from, in `baseline.json`.

use super::files::{fail, failed, put, whole};
use crate::{
    artifacts::named,
    cli::{args::Shape, fail::Fail, out},
    config::parameters::vocabulary,
    experiment::{
        BackEnd, Vocabulary,
        config::{Baseline, Config, said},
        estimate::{self, Past},
    },
    parameters::Assignment,
};
use serde_json::json;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The file.
pub const FILE: &str = "baseline.json";

/// The flags of `baseline`.
#[derive(clap::Args, Debug)]
pub struct BaselineArgs {
    /// get, or set-from
    #[command(subcommand)]
    pub what: What,
}

/// What is done with the baseline.
#[derive(clap::Subcommand, Debug)]
pub enum What {
    /// Show it
    Get {
        /// The directory of experiments
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Take what a run was set to: a run's directory with config.json, or with --from an experiment of a history
    SetFrom {
        /// The run
        run: String,
        /// training_history.json
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Whose parameters
        #[arg(long, value_name = "NAME", default_value = "builtin", value_parser = back_end)]
        back_end: BackEnd,
        /// The directory of experiments
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Show it; write nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Reads the name of a back end.
pub fn back_end(text: &str) -> Result<BackEnd, String> {
    text.parse()
}

/// Shows or sets it.
///
/// # Errors
/// A run that is not there, or says nothing that this back end knows.
pub fn run(args: &BaselineArgs, shape: Shape) -> Result<u8, Fail> {
    match &args.what {
        What::Get { dir } => {
            let found = read(dir)?;
            tell(&found.unwrap_or_default(), shape)
        }
        What::SetFrom {
            run,
            from,
            back_end,
            dir,
            dry_run,
        } => {
            let words = vocabulary(*back_end);
            let baseline = of(words, run, from.as_deref())?;
            if !dry_run {
                let text = serde_json::to_string_pretty(&baseline).unwrap_or_default() + "\n";
                put(&whole(dir).join(FILE), text.as_bytes())?;
            }
            tell(&baseline, shape)
        }
    }
}

fn tell(baseline: &Baseline, shape: Shape) -> Result<u8, Fail> {
    if shape.json {
        out::json(&json!({ "version": 1, "baseline": baseline }))?;
    } else if baseline.values.is_empty() {
        out::line("the back end's defaults")?;
    } else {
        out::line(&format!(
            "from {}: {}",
            baseline.from,
            said(&baseline.values)
        ))?;
    }
    Ok(0)
}

/// The baseline of a directory; none where nobody set one.
///
/// # Errors
/// It cannot be read.
pub fn read(dir: &Path) -> Result<Option<Baseline>, Fail> {
    let path = whole(dir).join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(named(error, "read", &path))),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let at = format!("{}: {error}", path.display());
        fail(
            "the baseline cannot be read",
            &at,
            "campaignctl experiment baseline set-from RUN writes it anew",
        )
    })
}

/// What a run was set to.
///
/// # Errors
/// It is not there; it says nothing that the back end knows.
pub fn of(words: &Vocabulary, run: &str, from: Option<&Path>) -> Result<Baseline, Fail> {
    let values = match from {
        Some(file) => in_history(run, file)?,
        None => in_directory(run)?,
    };
    let (values, left) = words.recognised(&values);
    if values.is_empty() {
        let message = format!("{run} sets no parameter of {}", words.back_end);
        return Err(fail(
            &message,
            run,
            "--back-end builtin | torchtune | generic",
        ));
    }
    if !left.is_empty() {
        out::note(&format!(
            "not taken, since {} does not have it or not so: {}",
            words.back_end,
            left.join(", ")
        ));
    }
    Ok(Baseline {
        version: 1,
        from: run.into(),
        values,
    })
}

fn in_history(run: &str, file: &Path) -> Result<Assignment, Fail> {
    let all = history(file)?;
    let found = all.iter().find(|one| one.experiment_id == run);
    found.map(|one| one.config.clone()).ok_or_else(|| {
        let ids: Vec<&str> = all
            .iter()
            .rev()
            .take(8)
            .map(|one| one.experiment_id.as_str())
            .collect();
        let message = format!("there is no experiment {run}");
        fail(
            &message,
            &file.display().to_string(),
            &format!("the latest are {}", ids.join(", ")),
        )
    })
}

/// A history's experiments.
///
/// # Errors
/// It cannot be read, is torn, or is something else.
pub fn history(file: &Path) -> Result<Vec<Past>, Fail> {
    let text = fs::read_to_string(file).map_err(|error| failed(named(error, "read", file)))?;
    estimate::history(&text).map_err(|why| {
        let at = format!("{}: {why}", file.display());
        fail(
            "the history cannot be read",
            &at,
            "training_history.json as campaignd writes it",
        )
    })
}

fn in_directory(run: &str) -> Result<Assignment, Fail> {
    let path = Path::new(run).join("config.json");
    let text = fs::read_to_string(&path).map_err(|_| {
        let right = "a run's directory with config.json, or an experiment's id with --from training_history.json";
        fail("there is no such run", &path.display().to_string(), right)
    })?;
    let config = Config::read(&text).map_err(|why| {
        fail(
            "the run's config cannot be read",
            &format!("{}: {why}", path.display()),
            "config.json as it was written",
        )
    })?;
    Ok(config.values)
}
