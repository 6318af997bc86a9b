//! What the data set is made of: its sets, its rows by kind, its splits.

use super::{
    bars::{Bar, bars, ranked, shares},
    histogram::{Style, histogram},
    html::{count, counted, escape, figure, grid, nothing, numbers, share, unit},
    origin::map,
};
use crate::curation::{
    card::purpose,
    stats::{Counts, NONE, Shares, Summary},
    words::{DataSet, Split},
};
use std::{cmp::Reverse, collections::BTreeMap};

fn split_names() -> Vec<String> {
    Split::ALL.iter().map(|split| split.name().into()).collect()
}

fn in_splits(by: &BTreeMap<Split, u64>) -> Vec<u64> {
    let of = |split: &Split| by.get(split).copied().unwrap_or(0);
    Split::ALL.iter().map(of).collect()
}

/// The data sets and their sizes.
pub(super) fn sets(summary: &Summary) -> (String, String) {
    let rows: u64 = summary.datasets.values().map(|set| set.rows).sum();
    if rows == 0 {
        return (
            "No data set has rows.".into(),
            nothing(
                "Rows by data set",
                "Nothing was kept that makes a training row.",
            ),
        );
    }
    let lead = format!(
        "{} from {}. One kept row can teach several things, so it may be in several data sets, always in the same split.",
        counted(rows, "training row"),
        counted(summary.kept, "kept row")
    );
    let sizes: Vec<Bar> = summary
        .datasets
        .iter()
        .map(|(set, size)| Bar {
            note: purpose(*set).into(),
            ..Bar::new(set.name(), size.rows)
        })
        .collect();
    let body = grid(&[
        figure(
            "Rows by data set",
            "",
            &bars("data set", "rows", &sizes, rows),
        ),
        figure("Each data set by split", "", &by_split(summary)),
    ]);
    (lead, body)
}

fn by_split(summary: &Summary) -> String {
    let rows: Vec<(DataSet, Vec<u64>)> = summary
        .datasets
        .iter()
        .map(|(set, size)| (*set, in_splits(&size.splits)))
        .collect();
    let drawn: Vec<(String, Vec<u64>)> = rows
        .iter()
        .filter(|(_, parts)| parts.iter().sum::<u64>() > 0)
        .map(|(set, parts)| (set.to_string(), parts.clone()))
        .collect();
    let mut heads = vec!["data set"];
    heads.extend(Split::ALL.iter().map(|split| split.name()));
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|(set, parts)| {
            let mut cells = vec![set.to_string()];
            cells.extend(parts.iter().map(|n| count(*n)));
            cells
        })
        .collect();
    shares("data set", &split_names(), &drawn) + &numbers(&heads, &cells)
}

/// Outcomes, kinds, errors.
pub(super) fn contents(summary: &Summary) -> (String, String) {
    let balance = &summary.balance;
    let said = [
        &summary.by_outcome,
        &summary.by_analysis_type,
        &summary.by_complexity,
    ];
    let said: u64 = said.iter().flat_map(|counts| counts.values()).sum();
    let lead = match (balance.effective_sample_size, balance.effective_strata) {
        _ if said == 0 && summary.kept > 0 => {
            "No kept row says its analysis type, outcome or complexity.".into()
        }
        (Some(rows), Some(strata)) => format!(
            "The kept rows lie in {} ({}). If every stratum counted the same, they would be worth {} evenly spread rows; their diversity is that of {strata:.1} strata of one size.",
            match balance.strata {
                1 => "one stratum".into(),
                strata => format!("{} strata", count(strata)),
            },
            escape(&balance.strata_by.join(" × ").replace('_', " ")),
            count(rows.round() as u64)
        ),
        _ => "There is no kept row.".into(),
    };
    let body = grid(&[
        plot(
            "Outcomes",
            "outcome",
            "outcome",
            &summary.by_outcome,
            summary,
        ),
        plot(
            "Complexity",
            "complexity",
            "complexity",
            &summary.by_complexity,
            summary,
        ),
    ]) + &map(summary)
        + &grid(&[
            plot(
                "Analysis types",
                "analysis type",
                "analysis_type",
                &summary.by_analysis_type,
                summary,
            ),
            plot(
                "Organisms",
                "organism",
                "organism",
                &summary.by_organism,
                summary,
            ),
        ])
        + &errors(summary);
    (lead, body)
}

/// Kept rows by one field.
fn plot(title: &str, what: &str, field: &str, counts: &Counts, summary: &Summary) -> String {
    if counts.values().sum::<u64>() == 0 {
        return nothing(title, &format!("No kept row says its {}.", escape(what)));
    }
    let unsaid = summary.without.get(field).copied().unwrap_or(0);
    let note = format!("{} by {}", counted(summary.kept, "kept row"), escape(what));
    figure(
        title,
        &note,
        &bars(what, "rows", &ranked(counts, unsaid), summary.kept),
    )
}

fn errors(summary: &Summary) -> String {
    let title = "Error patterns";
    if summary.error_patterns.is_empty() {
        return nothing(title, "No error and no finding was met in the kept rows.");
    }
    let all: u64 = summary.error_patterns.values().sum();
    let note = format!(
        "Error types (in capitals) and findings of the validator, met {} in the kept rows.",
        counted(all, "time")
    );
    let rows = ranked(&summary.error_patterns, 0);
    figure(title, &note, &bars("error or finding", "times", &rows, all))
}

/// The splits: sizes, components, likeness.
pub(super) fn splits(summary: &Summary) -> (String, String) {
    let lead = "Related rows (same template and slots, near-duplicate texts, same source) form a component, and a component lies in one split whole: nothing that is tested on was trained on in other words. <code>test_unseen_template</code> holds templates that no other split has.".into();
    if summary.kept == 0 {
        return (lead, nothing("Rows by split", "There is no kept row."));
    }
    let body = grid(&[sizes(summary), components(summary)])
        + &grid(&[group_sizes(summary), relatives(summary)])
        + &grid(&[
            alike("Outcomes in each split", summary, |shares| &shares.outcome),
            alike("Complexity in each split", summary, |shares| {
                &shares.complexity
            }),
        ]);
    (lead, body)
}

fn sizes(summary: &Summary) -> String {
    let rows: Vec<Bar> = Split::ALL
        .iter()
        .map(|split| {
            Bar::new(
                split.name(),
                summary.splits.get(split).copied().unwrap_or(0),
            )
        })
        .collect();
    figure(
        "Rows by split",
        &counted(summary.kept, "kept row"),
        &bars("split", "rows", &rows, summary.kept),
    )
}

fn components(summary: &Summary) -> String {
    let by = &summary.components.by_split;
    let all: u64 = by.values().map(|count| count.components).sum();
    if all == 0 {
        return nothing("Components by split", "No components were counted.");
    }
    let rows: Vec<Bar> = by
        .iter()
        .map(|(split, of)| Bar {
            note: match of.components {
                0 => String::new(),
                _ => format!("largest: {}", counted(of.largest, "row")),
            },
            ..Bar::new(split.name(), of.components)
        })
        .collect();
    figure(
        "Components by split",
        &counted(all, "component"),
        &bars("split", "components", &rows, all),
    )
}

fn group_sizes(summary: &Summary) -> String {
    let sizes = &summary.components.sizes;
    let title = "Size of components";
    if sizes.is_empty() {
        return nothing(title, "No components were counted.");
    }
    let all: u64 = sizes.iter().map(|(_, n)| n).sum();
    let largest = summary.components.largest;
    let note = format!(
        "Each class is twice as wide as the one before. The largest has {}, {} of what was kept.",
        counted(largest, "row"),
        share(largest, summary.kept)
    );
    let rows: Vec<Bar> = sizes
        .iter()
        .map(|(least, n)| {
            let name = match least {
                1 => "1 row".into(),
                least => format!("{} to {} rows", count(*least), count(2 * least - 1)),
            };
            Bar::new(name, *n)
        })
        .collect();
    figure(title, &note, &bars("size", "components", &rows, all))
}

/// How close the kept rows still are: what was compared and found different enough.
fn relatives(summary: &Summary) -> String {
    histogram(
        "How alike kept rows are",
        &summary.duplicates.kept_similarity,
        &Style {
            id: "relatives",
            axis: "verified Jaccard similarity to the nearest kept row",
            rows: "kept rows",
            format: unit,
            small: false,
            crop: false,
            none: "No two kept rows were alike enough to be compared.",
        },
    )
}

/// How rows are shared out in each split, one below the other: the splits are alike where the cuts are.
fn alike(title: &str, summary: &Summary, of: fn(&Shares) -> &Counts) -> String {
    let mut names: Counts = Counts::new();
    for (name, n) in summary.by_split.values().flat_map(of) {
        *names.entry(name.clone()).or_default() += n;
    }
    if names.keys().all(|name| name == NONE) {
        return nothing(title, "No kept row says it.");
    }
    let mut legend: Vec<(&String, u64)> = names.iter().map(|(name, n)| (name, *n)).collect();
    legend.sort_by_key(|(name, n)| (Reverse(*n), *name));
    let (shown, rest) = legend.split_at(legend.len().min(6));
    let mut words: Vec<String> = shown
        .iter()
        .map(|(name, _)| {
            if *name == NONE {
                "not said".into()
            } else {
                (*name).clone()
            }
        })
        .collect();
    if !rest.is_empty() {
        words.push(format!("others {}", rest.len()));
    }
    let rows: Vec<(String, Vec<u64>)> = summary
        .by_split
        .iter()
        .map(|(split, shares)| {
            let n = |name: &String| of(shares).get(name).copied().unwrap_or(0);
            let mut parts: Vec<u64> = shown.iter().map(|(name, _)| n(name)).collect();
            if !rest.is_empty() {
                parts.push(rest.iter().map(|(name, _)| n(name)).sum());
            }
            (split.to_string(), parts)
        })
        .collect();
    let mut heads = vec!["split"];
    heads.extend(words.iter().map(String::as_str));
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|(split, parts)| {
            let mut cells = vec![split.clone()];
            cells.extend(parts.iter().map(|n| count(*n)));
            cells
        })
        .collect();
    figure(
        title,
        "Splits are alike where the cuts lie below each other.",
        &(shares("split", &words, &rows) + &numbers(&heads, &cells)),
    )
}
