//! `campaignctl experiment analyze`.

use super::{
    files::{log, put},
    read, results,
};
use crate::{
    cli::{
        args::Shape,
        fail::{Fail, MISSING},
        out,
    },
    control::api::ErrorView,
    experiment::{
        analysis::{self, Analysis, RunResult, effects::Effect, items::versus},
        log::{Block, Event, LogFile},
    },
    report::experiment::render,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The page.
const REPORT: &str = "report.html";

/// The flags of `analyze`.
#[derive(clap::Args, Debug)]
pub struct AnalyzeArgs {
    /// The experiment's directory
    pub dir: PathBuf,
    /// What runs are compared by [default: the loss on the holdout, else an evaluation's accuracy, else the loss in training]
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// Say what there is; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Analyses it; 1 where no run has results.
///
/// # Errors
/// There is no such experiment; no run has the metric.
pub fn run(args: &AnalyzeArgs, shape: Shape) -> Result<u8, Fail> {
    let open = read::open(&args.dir)?;
    let all: Vec<RunResult> = open
        .plan
        .runs
        .iter()
        .map(|run| results::of(&open, run))
        .collect();
    let metric = analysis::choose(&all, args.metric.as_deref());
    let metric = metric.map_err(|(message, right)| unanalysed(&all, &open.dir, message, &right))?;
    let mut found = analysis::analyse(&open.plan, all, &metric);
    if let (Some(best), Some(base)) = (&found.best, &found.baseline)
        && best != base
    {
        found.versus = versus(&results::items(&open, base), &results::items(&open, best));
    }
    let report = open.dir.join(REPORT);
    if !args.dry_run {
        put(&report, render(&found).as_bytes())?;
        log(&open.dir, LogFile::Analyze, &blocks(&found))?;
    }
    if shape.json {
        let written = (!args.dry_run).then_some(&report);
        out::json(
            &json!({ "version": 1, "directory": open.dir, "summary_edited": open.edited.is_some(), "report": written, "analysis": found }),
        )?;
    } else {
        out::print(&text(&found, (!args.dry_run).then_some(report.as_path())))?;
    }
    Ok(if found.ranked.is_empty() { MISSING } else { 0 })
}

fn unanalysed(all: &[RunResult], dir: &Path, message: String, right: &str) -> Fail {
    let none = all.iter().all(|one| one.metrics.is_empty());
    let why = |one: &RunResult| {
        let mut why = one.why.clone();
        if !one.not_finite.is_empty() {
            why.push(format!("no number: {}", one.not_finite.join(", ")));
        }
        format!("         {}: {}", one.name, why.join("; "))
    };
    let lines: Vec<String> = all.iter().filter(|_| none).map(why).collect();
    let at = std::iter::once(dir.display().to_string())
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n");
    Fail(vec![ErrorView {
        kind: "experiment".into(),
        message,
        at: Some(at),
        right: Some(right.into()),
        exit_status: if none {
            MISSING
        } else {
            crate::cli::fail::USAGE
        },
        ..ErrorView::default()
    }])
}

fn blocks(found: &Analysis) -> Vec<Block> {
    let read = |one: &RunResult| {
        let block = Block::done(
            Event::ReadResults,
            &one.name,
            match one.sources.as_slice() {
                [] => "nothing".into(),
                sources => sources.join(", "),
            },
        );
        match found.ranked.iter().any(|ranked| ranked.name == one.name) {
            true => block,
            false => block.with_result(format!("no result: {}", one.why.join("; "))),
        }
    };
    let mut all: Vec<Block> = found
        .ranked
        .iter()
        .chain(&found.without)
        .map(read)
        .collect();
    let details = format!(
        "{} runs by {}, {} without a result; best {}",
        found.ranked.len(),
        found.metric,
        found.without.len(),
        found.best.as_deref().unwrap_or("none")
    );
    all.push(Block::done(Event::WriteReport, REPORT, details));
    all
}

fn text(found: &Analysis, report: Option<&Path>) -> String {
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
    let less = if found.smaller_is_better {
        "less"
    } else {
        "more"
    };
    let mut text = format!(
        "{}: {} runs by {}, {less} is better\n",
        found.name,
        found.ranked.len(),
        found.metric
    );
    let width = found
        .ranked
        .iter()
        .map(|one| one.name.len())
        .max()
        .unwrap_or(0);
    for (one, rank) in found.ranked.iter().zip(1..) {
        let mark = if one.baseline { "  baseline" } else { "" };
        text += &format!(
            "  {rank:>3}  {:<width$}  {:>10}{mark}\n",
            one.name,
            number(one.score(&found.metric))
        );
    }
    if !found.effects.effects.is_empty() {
        text += &format!("\neffects, 95 % intervals, {} runs\n", found.effects.runs);
        for effect in found
            .effects
            .effects
            .iter()
            .filter(|one| one.estimate.is_some())
        {
            text += &line(effect);
        }
    }
    for why in &found.effects.why {
        text += &format!("  {why}\n");
    }
    text += &against(found);
    if !found.without.is_empty() {
        text += "\nwithout a result\n";
        for one in &found.without {
            text += &format!("  {:<width$}  {}\n", one.name, one.why.join("; "));
        }
    }
    match report {
        Some(report) => text + &format!("\n  look     {}\n", report.display()),
        None => text,
    }
}

fn line(effect: &Effect) -> String {
    let what = match &effect.value {
        Some(value) => format!("{} = {value} against {}", effect.variable, effect.against),
        None if effect.against == "1" => format!("{} + 1", effect.variable),
        None => format!("{} x 10", effect.variable),
    };
    let estimate = effect.estimate.unwrap_or(f64::NAN);
    let interval = match effect.interval {
        Some((low, high)) => format!("({low:+.4} to {high:+.4})"),
        None => "(no interval)".into(),
    };
    format!(
        "  {what:<40}  {estimate:+.4} {interval}  n {}{}\n",
        effect.runs,
        if effect.shown() { "  shown" } else { "" }
    )
}

fn against(found: &Analysis) -> String {
    let (Some(best), Some(base)) = (&found.best, &found.baseline) else {
        return match found.best {
            Some(_) => "\nthe baseline has no result: nothing is compared with it\n".into(),
            None => String::new(),
        };
    };
    if best == base {
        return format!("\nno run is better than the baseline, {base}\n");
    }
    let mut text = format!("\n{best} against the baseline {base}\n");
    if let Some(why) = &found.versus.why {
        text += &format!("  {why}\n");
    }
    for one in &found.versus.comparisons {
        let said = &one.found;
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
        let interval = said.interval.map_or(String::new(), |(low, high)| {
            format!(" ({low:+.4} to {high:+.4})")
        });
        let change = said
            .difference
            .map_or("-".into(), |value| format!("{value:+.4}{interval}"));
        text += &format!(
            "  {:<32} {:>8} -> {:<8} {change:<30} n {:<5} p {:.4}  {}\n",
            one.metric,
            number(said.base),
            number(said.value),
            said.items,
            said.corrected_p,
            said.shown
        );
    }
    text
}
