//! `campaignctl export`: all trajectories of a campaign, as an SQLite database or as JSON lines. A file appears only whole:
//! written beside its name, made durable, renamed.

pub mod sink;

use super::{
    args::Shape,
    fail::{Fail, USAGE},
    out, steer,
    style::{Style, thousands},
};
use crate::{
    control::{
        api::{CampaignView, VERSION},
        client::{Client, Target},
        trajectories::Summary,
    },
    report::sqlite::Counts,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use sink::{Sink, Temporary, failed, unwritten};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

/// What is written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A database with the specification's schema
    Sqlite,
    /// A row a line
    Jsonl,
}

/// The flags of `export`.
#[derive(clap::Args, Clone, Debug)]
pub struct ExportArgs {
    /// The campaign
    pub id: Option<String>,
    /// What is written
    #[arg(long)]
    pub format: Format,
    /// The file [default for jsonl: stdout]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace the file
    #[arg(long)]
    pub force: bool,
}

/// `export [CAMPAIGN] --format sqlite|jsonl [--out FILE] [--force]`.
pub async fn export(client: &Client, shape: Shape, args: &ExportArgs) -> Result<u8, Fail> {
    if let Some(file) = args
        .out
        .as_deref()
        .filter(|file| file.exists() && !args.force)
    {
        let message = "the file is there already".into();
        return Err(failed(message, file, "--force, or another --out", USAGE));
    }
    if args.out.is_none() && args.format == Format::Sqlite {
        return Err(Fail::usage(
            "a database needs a file",
            "--out trajectories.db",
        ));
    }
    let view = steer::one(client, args.id.as_deref().unwrap_or("-")).await?;
    let temporary = args.out.as_deref().map(Temporary::beside).transpose()?;
    let file = temporary
        .as_ref()
        .map_or(Path::new("stdout"), |temporary| &temporary.target);
    let sink = Sink::open(args.format, temporary.as_ref())?;
    let Some((summary, counts)) = transfer(client, shape, &view, sink, file).await? else {
        return Ok(0);
    };
    let nothing = |message: String, right: String| Err(Fail::usage(message, right));
    if summary.rows == 0 {
        let message = format!("{} has no trajectories to export", view.id);
        return nothing(message, format!("campaignctl status {}", view.id));
    }
    if let Some(counts) = counts.as_ref().filter(|counts| counts.trajectories == 0) {
        let message = format!(
            "the schema takes none of the {} rows of {}: they have no {}",
            thousands(summary.rows),
            view.id,
            counts
                .left_out
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        );
        return nothing(
            message,
            format!("campaignctl export {} --format jsonl", view.id),
        );
    }
    if let Some(temporary) = &temporary {
        temporary
            .keep(args.force)
            .map_err(|error| unwritten(&temporary.target, &error))?;
    }
    tell(&view, shape, args, summary, counts.as_ref())
}

/// Every row from the daemon into the sink; none when nobody reads stdout any more.
async fn transfer(
    client: &Client,
    shape: Shape,
    view: &CampaignView,
    mut sink: Sink,
    file: &Path,
) -> Result<Option<(Summary, Option<Counts>)>, Fail> {
    let target = Target::new(&["campaigns", &view.id, "trajectories"]).query("summary", 1);
    let bar = bar(view, shape);
    let (mut held, mut rows, mut taken) = (Vec::new(), 0, Ok(true));
    // The last line is not a row: each waits for the next.
    let each = |line: &[u8]| {
        if !held.is_empty() {
            taken = sink.take(&held, file);
            rows += 1;
            bar.set_position(rows);
        }
        held.clear();
        held.extend_from_slice(line);
        taken == Ok(true)
    };
    client.lines(&target, each).await?;
    bar.finish_and_clear();
    if !taken? {
        return Ok(None);
    }
    let summary: Option<Summary> = serde_json::from_slice(&held).ok();
    let whole = summary.filter(|summary| summary.version == VERSION && summary.rows == rows);
    let Some(summary) = whole else {
        let message = format!(
            "campaignd's answer broke off after {} rows",
            thousands(rows)
        );
        return Err(failed(
            message,
            client.socket(),
            "the same command again",
            USAGE,
        ));
    };
    Ok(Some((summary, sink.finish(file)?)))
}

/// On a terminal, how far it is.
fn bar(view: &CampaignView, shape: Shape) -> ProgressBar {
    if !io::stderr().is_terminal() || shape.quiet {
        return ProgressBar::hidden();
    }
    let made = view
        .phases
        .iter()
        .filter(|phase| matches!(phase.phase.as_str(), "pilot" | "generate"));
    let total = made.map(|phase| phase.done).sum();
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
    let style = Style::of(&io::stderr(), shape.color);
    let drawn =
        ProgressStyle::with_template("{msg}  {bar:30}  {human_pos} / {human_len}  {eta} left");
    if let Ok(drawn) = drawn {
        bar.set_style(drawn.progress_chars(style.bar_signs()));
    }
    bar.set_message(format!("exporting {}", view.id));
    bar
}

fn tell(
    view: &CampaignView,
    shape: Shape,
    args: &ExportArgs,
    summary: Summary,
    counts: Option<&Counts>,
) -> Result<u8, Fail> {
    let Some(file) = &args.out else {
        if summary.unreadable > 0 && !shape.quiet {
            out::note(&unreadable(summary.unreadable));
        }
        return Ok(0);
    };
    if shape.json {
        let format = if args.format == Format::Sqlite {
            "sqlite"
        } else {
            "jsonl"
        };
        out::json(&json!({
            "version": VERSION, "campaign": view.id, "format": format, "file": file, "rows": summary.rows,
            "unreadable": summary.unreadable, "counts": counts,
        }))?;
        return Ok(0);
    }
    let rows = counts.map_or(summary.rows, |counts| counts.trajectories);
    let mut text = format!(
        "{} exported: {} trajectories in {}\n",
        view.id,
        thousands(rows),
        file.display()
    );
    if let Some(counts) = counts {
        for (table, rows) in &counts.parts {
            text += &format!("  {table:<18} {:>9}\n", thousands(*rows));
        }
        for (column, rows) in counts.left_out.iter().chain(&counts.parts_left_out) {
            text += &format!(
                "  left out  {} without {column}; --format jsonl has them\n",
                thousands(*rows)
            );
        }
        if counts.repeated > 0 {
            text += &format!(
                "  left out  {} that repeat an id\n",
                thousands(counts.repeated)
            );
        }
    }
    if summary.unreadable > 0 {
        text += &format!("  {}\n", unreadable(summary.unreadable));
    }
    if !shape.quiet {
        out::print(&text)?;
    }
    Ok(0)
}

fn unreadable(lines: u64) -> String {
    format!(
        "left out  {} lines of the shard files that are no samples",
        thousands(lines)
    )
}
