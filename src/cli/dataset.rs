//! `campaignctl dataset`: a campaign's data set, or a part of it, in a format. The directory appears only whole: made beside
//! its name, compared with the daemon's checksums, made durable, renamed.

mod plan;
mod rendered;
mod taken;

use super::{
    args::Shape,
    fail::{Fail, MISSING, USAGE},
    out, steer,
    style::{Style, thousands},
};
use crate::{
    artifacts::{is_starved, making, making::Making, sums},
    chat::Template,
    control::{
        api::{CampaignView, ErrorView, VERSION},
        client::{Client, Target},
        dataset::DatasetIndex,
    },
    curation::{
        format::Format,
        part::{Part, in_order},
    },
    worker::deliver,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plan::Plan;
use serde_json::json;
use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    str::FromStr,
};

/// The flags of `dataset`.
#[derive(clap::Args, Clone, Debug)]
pub struct DatasetArgs {
    /// The campaign
    pub id: Option<String>,
    /// Only this data set: routing, codegen, validation, ... [default: all]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only this split: train, validation, test or test_unseen_template [default: all]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// How rows are said
    #[arg(long, value_name = "FORMAT", default_value = "messages", value_parser = formats())]
    pub format: Format,
    /// The model's directory, for --format template: its tokenizer_config.json, chat_template.jinja
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// The directory that is made
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Replace the directory, where it is an earlier data set or empty
    #[arg(long)]
    pub force: bool,
}

fn formats() -> impl TypedValueParser<Value = Format> {
    let names = Format::ALL.iter().map(|format| format.name());
    PossibleValuesParser::new(names).try_map(|name| Format::from_str(&name))
}

/// `dataset [CAMPAIGN] [--name N] [--split S] [--format F] [--model DIR] --output DIR [--force]`.
pub async fn dataset(client: &Client, shape: Shape, args: &DatasetArgs) -> Result<u8, Fail> {
    if (args.format == Format::Template) != args.model.is_some() {
        return Err(Fail::usage(
            "--format template and --model go together",
            "--format template --model DIR, with the model's tokenizer_config.json in it",
        ));
    }
    if fs::symlink_metadata(&args.output).is_ok() {
        let there = |message: &str, right: &str| {
            let status = USAGE;
            Err(failed(message.into(), &args.output, right, status))
        };
        if !making::is_replaceable(&args.output) {
            let right = "another --output: what is no data set is never replaced";
            return there(
                "the directory is there already, and holds other files",
                right,
            );
        }
        if !args.force {
            let right = "--force replaces it, or another --output";
            return there("the directory is there already", right);
        }
    }
    let view = steer::one(client, args.id.as_deref().unwrap_or("-")).await?;
    let template = args.model.as_deref().map(|dir| model(dir, &view));
    let template = template.transpose()?;
    let target = Target::new(&["campaigns", &view.id, "dataset"]);
    let index: DatasetIndex = client.get(&target).await?;
    let plan = Plan::of(&index, args)?;
    let making = Making::beside(&args.output).map_err(|error| unwritten(&args.output, &error))?;
    let bar = bar(&view, shape, plan.bytes());
    let made = match args.format {
        Format::Messages => taken::take(client, &plan, making.path(), &bar).await?,
        format => {
            let how = (format, template.as_ref());
            rendered::render(client, &plan, how, making.path(), &bar).await?
        }
    };
    bar.finish_and_clear();
    let finished = finish(&plan, &made, args, &making);
    finished
        .and_then(|()| making.complete(args.force))
        .map_err(|error| unwritten(&args.output, &error))?;
    tell(&view, shape, args, &made)
}

/// What a part of a data set needs to be one itself: a card, and checksums. The whole has both.
fn finish(plan: &Plan, made: &Part, args: &DatasetArgs, making: &Making) -> io::Result<()> {
    if plan.whole {
        return Ok(());
    }
    let dir = making.path();
    fs::write(
        dir.join("README.md"),
        made.card(
            &plan.campaign,
            &format!("the data set of campaign `{}`", plan.campaign),
            args.format,
        ),
    )?;
    let text = sums::text(&sums::of(dir)?);
    fs::write(dir.join(sums::NAME), text)
}

/// The chat template of a model's directory. Its date is the campaign's, so that the same command gives the same bytes.
fn model(dir: &Path, view: &CampaignView) -> Result<Template, Fail> {
    let right = "the directory of a model with a chat template, as transformers saves it";
    let template = deliver::template(dir).map_err(|message| failed(message, dir, right, USAGE))?;
    match humantime::parse_rfc3339(&view.created_at) {
        Ok(created) => Ok(template.at(created.into())),
        Err(_) => Ok(template),
    }
}

/// On a terminal, how far it is, in bytes.
fn bar(view: &CampaignView, shape: Shape, bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() || shape.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr_with_hz(10));
    let style = Style::of(&io::stderr(), shape.color);
    let drawn = ProgressStyle::with_template(
        "{msg}  {bar:30}  {binary_bytes} / {binary_total_bytes}  {eta} left",
    );
    if let Ok(drawn) = drawn {
        bar.set_style(drawn.progress_chars(style.bar_signs()));
    }
    bar.set_message(format!("data set of {}", view.id));
    bar
}

fn tell(view: &CampaignView, shape: Shape, args: &DatasetArgs, made: &Part) -> Result<u8, Fail> {
    if shape.json {
        let left_out = made.left_out.iter();
        let left_out = left_out
            .map(|((name, reason), rows)| json!({ "name": name, "reason": reason, "rows": rows }));
        out::json(&json!({
            "version": VERSION, "campaign": view.id, "format": args.format, "output": args.output,
            "rows": made.total(), "datasets": made.rows, "left_out": left_out.collect::<Vec<_>>(),
        }))?;
        return Ok(0);
    }
    let mut text = format!(
        "{} data set as {}: {} rows in {}\n",
        view.id,
        args.format,
        thousands(made.total()),
        args.output.display()
    );
    for (name, splits) in &made.rows {
        let said = in_order(splits)
            .into_iter()
            .map(|split| format!("{split} {}", thousands(splits[split])));
        text += &format!("  {name:<23} {}\n", said.collect::<Vec<_>>().join("   "));
    }
    for ((name, reason), rows) in &made.left_out {
        text += &format!("  left out  {} of {name}: {reason}\n", thousands(*rows));
    }
    if !shape.quiet {
        out::print(&text)?;
    }
    Ok(0)
}

fn failed(message: String, at: &Path, right: &str, exit_status: u8) -> Fail {
    Fail(vec![ErrorView {
        kind: "store".into(),
        message,
        at: Some(at.display().to_string()),
        right: Some(right.into()),
        exit_status,
        ..ErrorView::default()
    }])
}

fn unwritten(output: &Path, error: &io::Error) -> Fail {
    let status = if is_starved(error) { MISSING } else { USAGE };
    let message = format!("the data set cannot be written: {error}");
    let right = "another --output; no half of a directory was left";
    failed(message, output, right, status)
}
