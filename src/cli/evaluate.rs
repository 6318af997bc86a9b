//! `campaignd evaluate`: a model and adapters on held-out rows, outside a campaign.

use super::{
    args::Shape,
    fail::{Fail, MISSING, USAGE},
    out,
    style::{Style, thousands},
};
use crate::{
    control::api::ErrorView,
    evaluation::{
        job::{Contender, EvaluationSettings, Measure, Measured, Metric},
        paired::Comparison,
    },
    executor::job_dir::TRY_AGAIN,
    training::words::Device,
    worker::{
        Undone,
        evaluate::{self, Told},
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

/// The flags of `evaluate`.
#[derive(clap::Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// A Hugging Face model directory
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// A PEFT directory of an adapter of that model; repeats
    #[arg(long, value_name = "DIR")]
    pub adapter: Vec<PathBuf>,
    /// Held-out rows: JSON lines in any format that train takes
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// The directory of results, which appears when it is complete
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Training rows: their bigram model is the baseline to beat
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub training: Vec<PathBuf>,
    /// Where to compute
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = device)]
    pub device: Device,
    /// Rows looked at, at most; 0: all
    #[arg(long, value_name = "N", default_value_t = EvaluationSettings::default().items)]
    pub items: u64,
    /// Answers to choose from; below 2 nothing is ranked
    #[arg(long, value_name = "N", default_value_t = EvaluationSettings::default().options)]
    pub options: u32,
    /// Rows answered by greedy decoding, at most; 0: none
    #[arg(long, value_name = "N", default_value_t = EvaluationSettings::default().generate)]
    pub generate: u64,
    /// Tokens of such an answer, at most
    #[arg(long, value_name = "N", default_value_t = EvaluationSettings::default().max_new_tokens)]
    pub max_new_tokens: u32,
    /// Tokens of a row, at most: longer ones are left out and counted; 0: what the model can
    #[arg(long, value_name = "N", default_value_t = EvaluationSettings::default().max_seq_length)]
    pub max_seq_length: u32,
    /// Root of all chance
    #[arg(long, value_name = "S", default_value_t = EvaluationSettings::default().seed)]
    pub seed: u64,
    /// What it is called [default: the output's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Replace the results of an earlier evaluation
    #[arg(long)]
    pub force: bool,
}

fn device(text: &str) -> Result<Device, String> {
    text.parse()
}

/// Evaluates; 1 where the machine lacks something.
///
/// # Errors
/// What is wrong with model, adapters or rows; an output that holds something else.
pub fn run(args: &EvaluateArgs, shape: Shape) -> Result<u8, Fail> {
    let here = std::env::current_dir()
        .map_err(|error| Fail::usage(format!("there is no directory to be in: {error}"), "cd"))?;
    let job = job(args, &here);
    let bar = bar(shape);
    let measured = evaluate::evaluate(&job, args.force, &mut |told| show(&bar, told));
    bar.finish_and_clear();
    let measured = measured.map_err(|undone| fail(undone, &job))?;
    if shape.json {
        out::json(&measured)?;
    } else {
        out::print(&text(&measured, &job.output))?;
    }
    Ok(0)
}

fn job(args: &EvaluateArgs, here: &Path) -> Measure {
    let text = |path: &PathBuf| here.join(path).to_string_lossy().into_owned();
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let output = here.join(&args.output);
    let mut adapters: Vec<Contender> = Vec::new();
    for directory in &args.adapter {
        let own = name(directory).unwrap_or_else(|| "adapter".into());
        let taken = |name: &str| name == evaluate::BASE || adapters.iter().any(|a| a.name == name);
        // Two directories may end in the same word: the second is told apart by its number.
        let free = |n: &usize| !taken(&format!("{own}-{n}"));
        let name = match taken(&own) {
            false => own.clone(),
            true => (2..)
                .find(free)
                .map_or(own.clone(), |n| format!("{own}-{n}")),
        };
        adapters.push(Contender {
            name,
            directory: text(directory),
        });
    }
    Measure {
        name: args
            .name
            .clone()
            .or_else(|| name(&output))
            .unwrap_or_else(|| "evaluation".into()),
        model: text(&args.model),
        adapters,
        data: args.data.iter().map(text).collect(),
        training: args.training.iter().map(text).collect(),
        output: output.to_string_lossy().into_owned(),
        settings: EvaluationSettings {
            items: args.items,
            options: args.options,
            generate: args.generate,
            max_new_tokens: args.max_new_tokens,
            max_seq_length: args.max_seq_length,
            seed: args.seed,
            ..EvaluationSettings::default()
        },
        device: args.device,
    }
}

fn fail(undone: Undone, job: &Measure) -> Fail {
    let passing = undone.status == TRY_AGAIN;
    let right = if passing {
        "the same command again, later"
    } else {
        "campaignd evaluate --help"
    };
    Fail(vec![ErrorView {
        kind: "evaluation".into(),
        message: undone.text,
        at: passing.then(|| job.output.clone()),
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
    let drawn = ProgressStyle::with_template(
        "{prefix}  {msg:9}  {bar:30}  {human_pos} / {human_len}  {eta} left",
    );
    if let Ok(drawn) = drawn {
        bar.set_style(drawn.progress_chars(style.bar_signs()));
    }
    bar
}

fn show(bar: &ProgressBar, told: Told) {
    match told {
        Told::Note(text) => bar.suspend(|| out::note(&text)),
        Told::Arm(name) => bar.set_prefix(name),
        Told::Step { stage, done, total } => {
            bar.set_message(stage);
            bar.set_length(total);
            bar.set_position(done);
        }
    }
}

fn text(measured: &Measured, output: &str) -> String {
    let items = &measured.items;
    let mut text = format!(
        "measured on {} of {} rows, {} components\n",
        thousands(items.measured),
        thousands(items.read),
        thousands(items.clusters)
    );
    for (rows, why) in [
        (items.too_long, "longer than a row may be, left out"),
        (items.unanswered, "without an answer to measure, left out"),
        (
            items.trained_on,
            "that are training rows too, and are measured: they are not held out",
        ),
    ] {
        if rows > 0 {
            text += &format!("  rows     {} {why}\n", thousands(rows));
        }
    }
    if let Some(bigram) = &measured.bigram {
        text += &format!(
            "  bigram   {:.4} nats a token, of {} pairs of the training rows\n",
            bigram.loss,
            thousands(bigram.pairs)
        );
        for found in &bigram.against {
            text += &format!(
                "  {:<24} {}\n",
                format!("{} to bigram", found.adapter),
                said(found)
            );
        }
    }
    if measured.comparisons.is_empty() {
        for (metric, scored) in measured.arms.iter().flat_map(|arm| &arm.metrics) {
            text += &format!(
                "  {:<24} {}\n",
                metric.name(),
                number(*metric, scored.value)
            );
        }
    }
    for (adapter, verdict) in &measured.verdicts {
        text += &format!("\n{adapter}: {verdict}\n");
        let own = measured
            .comparisons
            .iter()
            .filter(|found| &found.adapter == adapter);
        for found in own {
            text += &format!("  {:<24} {}\n", found.metric.name(), said(found));
        }
    }
    text + &format!("\n  where    {output}\n  look     {output}/report.html\n")
}

fn number(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Loss => format!("{value:.4}"),
        _ => format!("{:.1}%", value * 100.0),
    }
}

/// `1.9000 -> 1.2000  -0.7000 (-0.8000 to -0.6000)  n 120  p 0.001  improved`.
fn said(found: &Comparison) -> String {
    let level = |value: Option<f64>| value.map_or("-".into(), |value| number(found.metric, value));
    let signed = |value: f64| match found.metric {
        Metric::Loss => format!("{value:+.4}"),
        _ => format!("{:+.1}", value * 100.0),
    };
    let change = match (found.difference, found.interval) {
        (Some(value), Some((low, high))) => {
            format!("{} ({} to {})", signed(value), signed(low), signed(high))
        }
        (Some(value), None) => signed(value),
        _ => "-".into(),
    };
    format!(
        "{:>8} -> {:<8} {change:<28} n {:<5} p {:.4}  {}",
        level(found.base),
        level(found.value),
        thousands(found.items),
        found.corrected_p,
        found.shown
    )
}
