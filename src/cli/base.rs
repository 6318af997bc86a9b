//! `campaignd base`: a base model made on the spot, where none can be had.

use super::{
    args::Shape,
    fail::{Fail, MISSING, USAGE},
    out,
    style::thousands,
};
use crate::{
    control::api::ErrorView,
    executor::job_dir::TRY_AGAIN,
    training::base::{BaseJob, BaseSettings, Size},
    worker::{
        Undone,
        base::{self, Made},
    },
};
use serde_json::json;
use std::path::PathBuf;

/// The flags of `base`.
#[derive(clap::Args, Clone, Debug)]
pub struct BaseArgs {
    /// JSON lines whose texts the tokenizer is trained on: training rows, never held-out ones
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// The model's directory, which appears when it is complete
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// "tiny" (0.7 million numbers) or "small" (5 million)
    #[arg(long, value_name = "SIZE", default_value = "tiny", value_parser = size)]
    pub size: Size,
    /// Root of all randomness
    #[arg(long, value_name = "N", default_value_t = BaseSettings::default().seed)]
    pub seed: u64,
}

fn size(text: &str) -> Result<Size, String> {
    text.parse()
}

/// Makes it; 1 where the machine lacks something.
///
/// # Errors
/// Rows that cannot be read; an output that holds something else.
pub fn run(args: &BaseArgs, shape: Shape) -> Result<u8, Fail> {
    let here = std::env::current_dir()
        .map_err(|error| Fail::usage(format!("there is no directory to be in: {error}"), "cd"))?;
    let text = |path: &PathBuf| here.join(path).to_string_lossy().into_owned();
    let job = BaseJob {
        data: args.data.iter().map(text).collect(),
        output: text(&args.output),
        settings: BaseSettings {
            size: args.size,
            seed: args.seed,
        },
    };
    let made = base::make(&job, &mut |_| {}).map_err(fail)?;
    tell(&job, &made, shape)
}

fn fail(undone: Undone) -> Fail {
    let passing = undone.status == TRY_AGAIN;
    let right = if passing {
        "the same command again, later"
    } else {
        "campaignd base --help"
    };
    Fail(vec![ErrorView {
        kind: "base".into(),
        message: undone.text,
        right: Some(right.into()),
        exit_status: if passing { MISSING } else { USAGE },
        ..ErrorView::default()
    }])
}

fn tell(job: &BaseJob, made: &Made, shape: Shape) -> Result<u8, Fail> {
    if shape.json {
        out::json(&json!({
            "version": 1,
            "output": made.output,
            "found": made.found,
            "size": job.settings.size,
            "seed": job.settings.seed,
            "vocabulary": made.vocabulary,
            "parameters": made.parameters,
            "text_bytes": made.text_bytes,
        }))?;
        return Ok(0);
    }
    if made.found {
        out::note("the model is there already: it was made of the same texts in the same way");
    }
    let text = format!(
        "made   {} model, {} numbers, random, seed {}\n       tokenizer of {} tokens from {} bytes of text\nwhere  {}\nnext   campaignd train --model {} --data {} --output adapter\n",
        job.settings.size,
        thousands(made.parameters),
        job.settings.seed,
        thousands(made.vocabulary as u64),
        thousands(made.text_bytes),
        made.output.display(),
        made.output.display(),
        job.data.join(" "),
    );
    out::print(&text)?;
    Ok(0)
}
