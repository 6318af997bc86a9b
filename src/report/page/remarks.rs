//! What someone who knows data sets would point at first, with the numbers that say so.

use super::html::{compact, count, counted, escape, share};
use crate::curation::{
    stats::Summary,
    words::{DataSet, Reason, Split},
};
use std::fmt::Write;

/// A component above this share of the rows makes the splits lopsided.
const LARGE_COMPONENT: f64 = 0.05;
/// Splits whose shares of an outcome are farther apart than this are not alike.
const UNLIKE: f64 = 0.05;
/// Rows below which a split's numbers are noise.
const FEW_ROWS: u64 = 100;
/// Answers longer than this do not fit the sequence length that most trainers begin with.
const LONG: u64 = 4096;

/// The remarks; says so where there is none.
pub(super) fn remarks(summary: &Summary) -> String {
    let found: Vec<String> = [
        nothing_kept(summary),
        unreadable(summary),
        empty_splits(summary),
        few_to_test(summary),
        large_component(summary),
        unlike(summary),
        no_failures(summary),
        empty_sets(summary),
        in_no_set(summary),
        long_answers(summary),
        contaminated(summary),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut text = String::from(
        "<section id=\"remarks\" aria-labelledby=\"remarks-title\">\n<h2 id=\"remarks-title\">Worth a look</h2>\n",
    );
    if found.is_empty() {
        return text
            + "<p>Nothing stands out: every line could be read, the splits are alike, and no group of related rows is large.</p>\n</section>\n";
    }
    text += "<ul class=\"remarks\">\n";
    for remark in found {
        let _ = writeln!(text, "<li>{remark}</li>");
    }
    text + "</ul>\n</section>\n"
}

fn nothing_kept(summary: &Summary) -> Option<String> {
    (summary.kept == 0).then(|| {
        format!(
            "<b>Nothing was kept</b> of {}.",
            counted(summary.rows_in, "row")
        )
    })
}

fn unreadable(summary: &Summary) -> Option<String> {
    let lines: u64 = summary.unreadable.values().sum();
    let kinds: Vec<String> = summary
        .unreadable
        .iter()
        .map(|(reason, n)| format!("{reason} {}", count(*n)))
        .collect();
    (lines > 0).then(|| {
        format!(
            "<b>{} could not be read</b> as rows: {}. They are in <code>rejected.jsonl</code>.",
            counted(lines, "line"),
            kinds.join(", ")
        )
    })
}

fn empty_splits(summary: &Summary) -> Option<String> {
    let empty: Vec<&str> = [Split::Train, Split::Validation, Split::Test]
        .into_iter()
        .filter(|split| summary.splits.get(split).copied().unwrap_or(0) == 0)
        .map(Split::name)
        .collect();
    (summary.kept > 0 && !empty.is_empty())
        .then(|| format!("<b>No rows in {}.</b>", empty.join(" and ")))
}

fn few_to_test(summary: &Summary) -> Option<String> {
    let rows = summary.splits.get(&Split::Test).copied().unwrap_or(0);
    (0 < rows && rows < FEW_ROWS).then(|| {
        format!(
            "<b>Only {} to test on</b>: a difference of a few points between two models will be noise.",
            counted(rows, "row")
        )
    })
}

fn large_component(summary: &Summary) -> Option<String> {
    let share_of = summary.components.largest_share?;
    (share_of > LARGE_COMPONENT && summary.components.largest > 1).then(|| {
        format!(
            "<b>One group of related rows holds {}</b> of what was kept ({}); it lies in one split whole.",
            share(summary.components.largest, summary.kept),
            counted(summary.components.largest, "row")
        )
    })
}

/// The outcome whose share differs most between a split and the whole. The unseen templates differ by intent.
fn unlike(summary: &Summary) -> Option<String> {
    let whole = summary.kept.max(1) as f64;
    let mut worst: Option<(f64, Split, &str, u64, u64)> = None;
    for (split, shares) in &summary.by_split {
        let rows: u64 = shares.outcome.values().sum();
        if *split == Split::TestUnseenTemplate || rows < FEW_ROWS {
            continue;
        }
        for (outcome, n) in &summary.by_outcome {
            let here = shares.outcome.get(outcome).copied().unwrap_or(0);
            let apart = (here as f64 / rows as f64 - *n as f64 / whole).abs();
            if apart > worst.map_or(UNLIKE, |worst| worst.0) {
                worst = Some((apart, *split, outcome, here, rows));
            }
        }
    }
    let (_, split, outcome, here, rows) = worst?;
    let all = summary.by_outcome.get(outcome).copied().unwrap_or(0);
    Some(format!(
        "<b>{split} is not like the whole</b>: {} of its rows ended as {}, and {} of all.",
        share(here, rows),
        escape(outcome),
        share(all, summary.kept)
    ))
}

fn no_failures(summary: &Summary) -> Option<String> {
    let ended: u64 = summary.by_outcome.values().sum();
    let success = summary.by_outcome.get("success").copied().unwrap_or(0);
    match success {
        _ if ended == 0 => None,
        0 => Some("<b>No row is a success</b>: there is nothing to write code by.".into()),
        n if n == ended => Some(
            "<b>Every row is a success</b>: nothing here teaches what to do about a failure."
                .into(),
        ),
        _ => None,
    }
}

fn empty_sets(summary: &Summary) -> Option<String> {
    let empty: Vec<&str> = summary
        .datasets
        .iter()
        .filter(|(_, set)| set.rows == 0)
        .map(|(set, _)| set.name())
        .collect();
    let why = if empty.contains(&DataSet::Routing.name()) && summary.model_usage.is_empty() {
        " Routing decisions are only there where models were asked."
    } else {
        ""
    };
    (!empty.is_empty())
        .then(|| format!("<b>Data sets without rows:</b> {}.{why}", empty.join(", ")))
}

fn in_no_set(summary: &Summary) -> Option<String> {
    (summary.in_no_set > 0).then(|| {
        format!(
            "<b>{} in no data set</b> ({} of what was kept): what {} is of none of the shapes, asked in another split or said by another row.",
            if summary.in_no_set == 1 {
                "One kept row is".into()
            } else {
                format!("{} kept rows are", count(summary.in_no_set))
            },
            share(summary.in_no_set, summary.kept),
            if summary.in_no_set == 1 {
                "it teaches"
            } else {
                "they teach"
            }
        )
    })
}

fn long_answers(summary: &Summary) -> Option<String> {
    let long: Vec<String> = summary
        .datasets
        .iter()
        .filter_map(|(set, size)| {
            let both = size.tokens.prompt.p99? + size.tokens.answer.p99?;
            (both > LONG).then(|| format!("{set} ({} tokens)", compact(both)))
        })
        .collect();
    (!long.is_empty()).then(|| {
        format!(
            "<b>Long rows:</b> the 99th percentiles of prompt and answer together exceed {} in {}; set the sequence length accordingly.",
            count(LONG),
            long.join(", ")
        )
    })
}

fn contaminated(summary: &Summary) -> Option<String> {
    let rows = summary.removed_by_reason.get(&Reason::Contaminated)?;
    Some(format!(
        "<b>{} overlapped with evaluation files</b> and {} removed.",
        counted(*rows, "row"),
        if *rows == 1 { "was" } else { "were" }
    ))
}
