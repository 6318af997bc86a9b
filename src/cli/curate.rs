//! `campaignd curate`: curation alone, of any JSON lines, outside a campaign.

use super::{
    args::Shape,
    fail::{Fail, MISSING, USAGE},
    out,
    style::{Style, thousands},
};
use crate::{
    artifacts::sums,
    config::curation::load_curation,
    control::api::ErrorView,
    curation::words::{Reason, Split},
    executor::job_dir::TRY_AGAIN,
    worker::{
        Undone,
        curate::{self, Job, Made, Told},
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

/// The flags of `curate`.
#[derive(clap::Args, Clone, Debug)]
pub struct CurateArgs {
    /// JSON lines, JSON arrays, or directories of them
    #[arg(long, required = true, value_name = "DIR", num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// The data set's directory, which must not exist
    #[arg(long, required_unless_present = "dry_run", value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// A campaign file: its curation and export tables, seed and name
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show what would go and why; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The data set's name [default: the campaign's, or the output's]
    #[arg(long)]
    pub name: Option<String>,
}

/// Curates; 1 where the machine lacks something.
///
/// # Errors
/// A wrong file of settings; input that cannot be read; no usable row, with the reasons by count.
pub fn run(args: &CurateArgs, shape: Shape) -> Result<u8, Fail> {
    let here = std::env::current_dir()
        .map_err(|error| Fail::usage(format!("there is no directory to be in: {error}"), "cd"))?;
    let (settings, seed, named) =
        load_curation(args.config.as_deref(), &here).map_err(Fail::from)?;
    let output = match &args.output {
        Some(output) if !args.dry_run => Some(here.join(output)),
        _ => None,
    };
    let there = output
        .as_deref()
        .filter(|output| fs::symlink_metadata(output).is_ok());
    if let Some(output) = there {
        // A data set whose exports were interrupted, or could not be delivered.
        if settings.exports.is_empty() || !sums::is_listed(output) {
            let message = "the output is there already".to_string();
            return Err(at(message, output, "another --output, or remove it", USAGE));
        }
        out::note("the data set is there already: it is exported as it is");
    }
    let job = Job {
        executions: Vec::new(),
        inputs: args.input.iter().map(|input| here.join(input)).collect(),
        name: args
            .name
            .clone()
            .or(named)
            .unwrap_or_else(|| name_of(output.as_deref())),
        output,
        seed,
        settings,
    };
    let bar = bar(shape);
    let made = curate::curate(&job, &mut |told| show(&bar, &told));
    bar.finish_and_clear();
    tell(&job, &made.map_err(fail)?, shape)
}

fn name_of(output: Option<&Path>) -> String {
    output
        .and_then(Path::file_name)
        .map_or("dataset".into(), |name| name.to_string_lossy().into_owned())
}

fn at(message: String, at: &Path, right: &str, exit_status: u8) -> Fail {
    Fail(vec![ErrorView {
        kind: "curation".into(),
        message,
        at: Some(at.display().to_string()),
        right: Some(right.into()),
        exit_status,
        ..ErrorView::default()
    }])
}

fn fail(undone: Undone) -> Fail {
    let passing = undone.status == TRY_AGAIN;
    let right = if passing {
        "the same command again, later: it goes on where it can"
    } else {
        "campaignd curate --help"
    };
    Fail(vec![ErrorView {
        kind: "curation".into(),
        message: undone.text,
        right: Some(right.into()),
        exit_status: if passing { MISSING } else { USAGE },
        ..ErrorView::default()
    }])
}

fn bar(shape: Shape) -> ProgressBar {
    if !io::stderr().is_terminal() || shape.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    let style = Style::of(&io::stderr(), shape.color);
    let drawn = ProgressStyle::with_template("{msg:12}  {bar:30}  {human_pos} / {human_len}");
    if let Ok(drawn) = drawn {
        bar.set_style(drawn.progress_chars(style.bar_signs()));
    }
    bar
}

fn show(bar: &ProgressBar, told: &Told) {
    bar.set_message(told.stage);
    bar.set_length(told.total);
    bar.set_position(told.done);
}

fn tell(job: &Job, made: &Made, shape: Shape) -> Result<u8, Fail> {
    if shape.json {
        let removed: serde_json::Map<_, _> = made
            .removed
            .iter()
            .map(|(reason, gone)| {
                (
                    reason.name().into(),
                    json!({ "rows": gone.rows, "examples": gone.examples }),
                )
            })
            .collect();
        out::json(&json!({
            "version": 1,
            "name": job.name,
            "output": job.output,
            "rows_in": made.rows_in,
            "kept": made.kept,
            "removed": made.removed_rows(),
            "removed_by_reason": removed,
            "splits": made.splits,
            "datasets": made.datasets,
            "exports": made.exports,
        }))?;
        return Ok(0);
    }
    out::print(&text(job, made))?;
    Ok(0)
}

fn text(job: &Job, made: &Made) -> String {
    let verb = if job.output.is_some() {
        "kept"
    } else {
        "would keep"
    };
    let mut text = format!(
        "{verb} {} of {} rows\n",
        thousands(made.kept),
        thousands(made.rows_in)
    );
    let splits: Vec<String> = Split::ALL
        .iter()
        .filter_map(|split| Some((split, made.splits.get(split.name())?)))
        .map(|(split, rows)| format!("{split} {}", thousands(*rows)))
        .collect();
    text += &format!("  splits   {}\n", splits.join("   "));
    for (set, rows) in &made.datasets {
        text += &format!("  data set {set:<24} {:>10} rows\n", thousands(*rows));
    }
    for (reason, gone) in &made.removed {
        text += &format!(
            "  removed  {:<24} {:>10} rows\n",
            reason.name(),
            thousands(gone.rows)
        );
        for example in &gone.examples {
            text += &format!("             {}\n", example.sentence(*reason));
        }
    }
    for export in &made.exports {
        text += &format!(
            "  export   {}: {} rows to {}; {} that its format cannot say\n",
            export.name,
            thousands(export.rows),
            export.destination,
            thousands(export.left_out)
        );
    }
    if let Some(output) = &job.output {
        text += &format!(
            "  where    {}\n  look     {}/report.html\n",
            output.display(),
            output.display()
        );
    }
    text
}

impl curate::Example {
    fn sentence(&self, reason: Reason) -> String {
        let mut text = self.id.clone();
        if let Some(partner) = &self.partner {
            text += match reason {
                Reason::DuplicateId => " again, kept once as ",
                _ => " for ",
            };
            text += partner;
        }
        if let Some(similarity) = self.similarity {
            text += &format!(", similarity {similarity:.2}");
        }
        if let Some(detail) = &self.detail {
            text += &format!(": {detail}");
        }
        text
    }
}
