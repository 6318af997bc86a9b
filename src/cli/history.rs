//! `campaignctl history`: what was tried and what came of it, from the daemon or from a `training_history.json`.

mod screen;
mod taken;
#[cfg(test)]
mod tests;

use super::{
    args::Shape,
    fail::{Fail, USAGE},
    now, out,
    style::Style,
};
use crate::{
    control::{
        api::ErrorView,
        client::{Client, Target},
        history::HistoryView,
    },
    history::{
        Experiment, History,
        query::{Asked, Problem, answer},
        read,
    },
    report::history::{csv, plot},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// How many are shown where nobody said how many.
const SHOWN: usize = 20;

/// For the help.
pub const EXAMPLES: &str = "\
Examples:
  campaignctl history --where 'r >= 16 and eval_loss < 1' --sort -auc
  campaignctl history --metric eval_loss --plot eval_loss
  campaignctl history --where 'status = failed and ended_at > 7d' --csv > failed.csv

In --where: and, or, not, ( ), = != < <= > >=, ~ (has a part), in (a, b), is missing; names of
metrics and parameters (metrics.NAME, config.NAME where both are called so) and id, campaign,
cycle, status, cause, proposal_type, risk_level, verdict, duration_seconds, gpu_hours, ended_at.
A value that is missing makes no condition true.";

/// The flags of `history`.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct HistoryArgs {
    /// Only the experiments for which this holds
    #[arg(long = "where", value_name = "CONDITION")]
    pub filter: Option<String>,
    /// By a metric, parameter or field; with - before it the largest first [default: the latest first]
    #[arg(
        long,
        value_name = "[-]NAME",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub sort: Vec<String>,
    /// Metrics to show [default: those that most have]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub metric: Vec<String>,
    /// At most so many [default: 20 on the screen, else all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Only this campaign's
    #[arg(long, value_name = "CAMPAIGN")]
    pub campaign: Option<String>,
    /// Draw a metric over the experiments
    #[arg(long, value_name = "METRIC")]
    pub plot: Option<String>,
    /// As CSV on stdout
    #[arg(long, conflicts_with = "plot")]
    pub csv: bool,
    /// As a Parquet file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["csv", "plot"])]
    pub parquet: Option<PathBuf>,
    /// As an SQLite database
    #[arg(long, value_name = "FILE", conflicts_with_all = ["csv", "plot", "parquet"])]
    pub sqlite: Option<PathBuf>,
    /// The plot as an SVG file
    #[arg(long, value_name = "FILE", requires = "plot")]
    pub svg: Option<PathBuf>,
    /// Read this training_history.json instead of asking the daemon
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Replace the file
    #[arg(long)]
    pub force: bool,
}

impl HistoryArgs {
    /// The metrics that the answer must have; all where none is asked for.
    fn metrics(&self) -> Vec<String> {
        let mut all = self.metric.clone();
        if !all.is_empty() {
            all.extend(
                self.plot
                    .iter()
                    .filter(|metric| !self.metric.contains(metric))
                    .cloned(),
            );
        }
        all
    }

    /// Whether it goes to the screen, as a table.
    fn is_table(&self, shape: Shape) -> bool {
        let file = self.parquet.is_some() || self.sqlite.is_some();
        !shape.json && !self.csv && !file && self.plot.is_none()
    }

    /// How many are asked for.
    fn limit(&self, shape: Shape) -> Option<usize> {
        self.limit.or_else(|| self.is_table(shape).then_some(SHOWN))
    }
}

/// `history [--where E] [--sort S] ...` of a daemon.
pub async fn history(client: &Client, shape: Shape, args: &HistoryArgs) -> Result<u8, Fail> {
    let list = |all: &[String]| Some(all.join(",")).filter(|all| !all.is_empty());
    let target = Target::new(&["history"])
        .query_some("where", args.filter.as_deref())
        .query_some("sort", list(&args.sort))
        .query_some("metric", list(&args.metrics()))
        .query_some("limit", args.limit(shape))
        .query_some("campaign", args.campaign.as_deref());
    // What is wrong with a condition is told without a daemon.
    asked(shape, args)
        .read(now())
        .map_err(|problem| wrong(&problem))?;
    let view: HistoryView = client.get(&target).await?;
    tell(shape, args, &view)
}

/// The same of a `training_history.json`.
pub fn of_file(shape: Shape, args: &HistoryArgs) -> Result<u8, Fail> {
    let path = args
        .file
        .as_deref()
        .unwrap_or(Path::new("training_history.json"));
    let broken = |message: String, right: &str| {
        Fail(vec![ErrorView {
            kind: "usage".into(),
            message,
            at: Some(path.display().to_string()),
            right: Some(right.into()),
            exit_status: USAGE,
            ..ErrorView::default()
        }])
    };
    let bytes = fs::read(path).map_err(|error| {
        broken(
            format!("the history cannot be read: {error}"),
            "a training_history.json",
        )
    })?;
    let history = History::read(&bytes).map_err(|error| {
        broken(
            format!("this is no history: {error}"),
            "a training_history.json as campaignd writes it",
        )
    })?;
    let query = asked(shape, args)
        .read(now())
        .map_err(|problem| wrong(&problem))?;
    let said = answer(&history, &query).map_err(|problem| wrong(&problem))?;
    let view: HistoryView = serde_json::from_value(said)
        .map_err(|error| broken(format!("the answer is no answer: {error}"), "report this"))?;
    tell(shape, args, &view)
}

fn asked(shape: Shape, args: &HistoryArgs) -> Asked {
    Asked {
        filter: args.filter.clone(),
        sort: args.sort.clone(),
        metrics: args.metrics(),
        limit: args.limit(shape).map(|limit| limit.to_string()),
        campaign: args.campaign.clone(),
    }
}

/// What is wrong with a question, on its way to a person.
pub fn wrong(problem: &Problem) -> Fail {
    Fail(vec![ErrorView {
        kind: "usage".into(),
        message: problem.message.clone(),
        at: Some(format!("--{}", problem.place())),
        right: Some(problem.right.clone()).filter(|right| !right.is_empty()),
        exit_status: USAGE,
        ..ErrorView::default()
    }])
}

fn tell(shape: Shape, args: &HistoryArgs, view: &HistoryView) -> Result<u8, Fail> {
    if args.is_table(shape) || args.csv || args.plot.is_some() || taken::is_asked(args) {
        let all = experiments(view)?;
        return tell_experiments(shape, args, view, &all);
    }
    out::json(view)?;
    Ok(0)
}

/// The experiments of an answer.
fn experiments(view: &HistoryView) -> Result<Vec<Experiment>, Fail> {
    let read = |(at, one)| {
        read::experiment(one).map_err(|error| {
            let message = format!("the answer is not campaignd's: experiments[{at}]: {error}");
            Fail::usage(message, "campaignctl of the same release")
        })
    };
    view.experiments.iter().enumerate().map(read).collect()
}

fn tell_experiments(
    shape: Shape,
    args: &HistoryArgs,
    view: &HistoryView,
    all: &[Experiment],
) -> Result<u8, Fail> {
    let style = Style::of(&std::io::stdout(), shape.color);
    if taken::is_asked(args) {
        return taken::take(shape, args, all);
    }
    if args.csv {
        out::print(&csv::csv(all))?;
        return Ok(0);
    }
    let Some(metric) = &args.plot else {
        out::print(&screen::table(view, all, &args.metric, style))?;
        return Ok(0);
    };
    let metric = metric.strip_prefix("metrics.").unwrap_or(metric);
    let points = plot::points(all, metric);
    if points.is_empty() && view.total > 0 {
        let known: Vec<&str> = view.best.keys().map(String::as_str).collect();
        let message = format!(
            "none of {} experiments that fit has a metric \"{metric}\"",
            view.matched
        );
        return Err(Fail::usage(message, known.join(", ")));
    }
    if let Some(file) = &args.svg {
        taken::svg(file, &points, metric, args.force)?;
    }
    if shape.json {
        out::json(view)?;
    } else {
        out::print(&plot::plot(&points, metric, style.is_unicode()))?;
    }
    Ok(0)
}
