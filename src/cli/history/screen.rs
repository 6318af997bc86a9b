//! The experiments as a table of 80 columns: whose, how it ended, what differs, what was measured, the best marked.

use super::super::{
    screen::fit::{Row, WIDTH, labelled, table as lines, width},
    style::{Style, thousands},
};
use crate::{
    control::history::HistoryView,
    history::{Experiment, Status, patterns::varied},
    parameters::Value,
    report::history::plot::number,
};
use std::collections::BTreeMap;

/// How many metrics are shown where nobody named any.
const METRICS: usize = 3;
/// Metrics that people look at first.
const KNOWN: &[&str] = &[
    "eval_loss",
    "test_loss",
    "ranking_accuracy",
    "accuracy",
    "auc",
    "f1",
    "perplexity",
    "quality",
];
/// What stands behind the best value of a metric.
const BEST: &str = "*";

/// The screen.
pub fn table(view: &HistoryView, all: &[Experiment], asked: &[String], style: Style) -> String {
    if view.total == 0 {
        return "no experiment yet: the first cycle of a campaign brings one\n".into();
    }
    if all.is_empty() {
        return format!("none of {} experiments fits\n", thousands(view.total));
    }
    let mut columns: Vec<Column> = metrics(all, asked)
        .into_iter()
        .map(|name| metric(view, all, &name, style))
        .collect();
    let fixed = columns.len();
    let status = Column {
        head: "STATUS".into(),
        cells: all.iter().map(|one| ended(one, style)).collect(),
        side: '<',
    };
    columns.insert(0, status);
    let mut hidden = Vec::new();
    for name in parameters(all) {
        let column = parameter(all, name);
        let wide = |columns: &[Column]| {
            columns
                .iter()
                .map(|column| column.width() + 2)
                .sum::<usize>()
        };
        let first = all
            .iter()
            .map(|one| one.experiment_id.chars().count())
            .max()
            .unwrap_or(0)
            .min(WIDTH / 3);
        if first + wide(&columns) + column.width() + 2 <= WIDTH {
            let at = columns.len() - fixed;
            columns.insert(at, column);
        } else {
            hidden.push(name);
        }
    }
    drawn(view, all, &columns, &hidden)
}

fn drawn(view: &HistoryView, all: &[Experiment], columns: &[Column], hidden: &[&str]) -> String {
    let head = Row {
        name: "EXPERIMENT".into(),
        cells: columns.iter().map(|column| column.head.clone()).collect(),
    };
    let rows = all.iter().enumerate().map(|(at, one)| Row {
        name: one.experiment_id.clone(),
        cells: columns
            .iter()
            .map(|column| column.cells[at].clone())
            .collect(),
    });
    let rows: Vec<Row> = std::iter::once(head).chain(rows).collect();
    let sides: String = columns.iter().map(|column| column.side).collect();
    let mut text = lines(&rows, &sides).join("\n") + "\n";
    let (shown, matched, total) = (all.len() as u64, view.matched, view.total);
    let mut said = match (shown == matched, matched == total) {
        (true, true) => format!("{} experiments", thousands(total)),
        (true, false) => format!(
            "{} of {} experiments fit",
            thousands(matched),
            thousands(total)
        ),
        (false, true) => format!(
            "{} of {} experiments shown: --limit N",
            thousands(shown),
            thousands(total)
        ),
        (false, false) => format!(
            "{} of {} that fit shown, of {} experiments: --limit N",
            thousands(shown),
            thousands(matched),
            thousands(total)
        ),
    };
    if total == 1 {
        said = "1 experiment".into();
    }
    if columns
        .iter()
        .any(|column| column.cells.iter().any(|cell| cell.contains(BEST)))
    {
        said += &format!("; {BEST} the best of all");
    }
    text += &labelled("", &said);
    if !hidden.is_empty() {
        text += &labelled("they differ in ", &format!("{}, too", hidden.join(", ")));
    }
    text
}

/// A column of the table.
struct Column {
    head: String,
    cells: Vec<String>,
    side: char,
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| width(cell));
        cells.max().unwrap_or(0).max(width(&self.head))
    }
}

/// `completed`, or what it failed of.
fn ended(one: &Experiment, style: Style) -> String {
    match (one.status, &one.failure) {
        (Status::Failed, Some(failure)) => format!("{}: {}", style.word("failed"), failure.cause),
        (status, _) => style.word(status.name()),
    }
}

/// Those asked for, or those that most of the experiments have, the well-known first.
fn metrics(all: &[Experiment], asked: &[String]) -> Vec<String> {
    if !asked.is_empty() {
        let bare = |name: &String| name.strip_prefix("metrics.").unwrap_or(name).to_string();
        return asked.iter().map(bare).collect();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in all.iter().flat_map(|one| one.metrics.keys()) {
        *counts.entry(name).or_default() += 1;
    }
    let mut names: Vec<(&str, usize)> = counts.into_iter().collect();
    let known = |name: &str| {
        KNOWN
            .iter()
            .position(|known| *known == name)
            .unwrap_or(KNOWN.len())
    };
    names.sort_by_key(|(name, count)| (known(name), usize::MAX - count));
    names
        .into_iter()
        .take(METRICS)
        .map(|(name, _)| name.into())
        .collect()
}

fn metric(view: &HistoryView, all: &[Experiment], name: &str, style: Style) -> Column {
    let best = view.best.get(name).map(|best| best.value);
    let cell = |one: &Experiment| match one.metrics.get(name) {
        None => "- ".into(),
        Some(value) if Some(*value) == best && one.status == Status::Completed => {
            format!("{}{BEST}", style.good(&number(*value)))
        }
        Some(value) => format!("{} ", number(*value)),
    };
    Column {
        head: format!("{} ", name.to_uppercase()),
        cells: all.iter().map(cell).collect(),
        side: '>',
    }
}

/// The parameters that differ, those that more of the experiments have first.
fn parameters(all: &[Experiment]) -> Vec<&str> {
    let every: Vec<&Experiment> = all.iter().collect();
    if all.len() < 2 {
        return Vec::new();
    }
    let names = varied(&every).into_iter();
    let mut names: Vec<(usize, &str)> = names
        .map(|name| {
            (
                all.iter()
                    .filter(|one| !one.config.contains_key(name))
                    .count(),
                name,
            )
        })
        .collect();
    names.sort_unstable();
    names.into_iter().map(|(_, name)| name).collect()
}

fn parameter(all: &[Experiment], name: &str) -> Column {
    let cell = |one: &Experiment| {
        let value = one.config.get(name).map(Value::rounded);
        value.map_or("-".into(), |value| value.to_string())
    };
    Column {
        head: name.to_uppercase(),
        cells: all.iter().map(cell).collect(),
        side: '>',
    }
}
