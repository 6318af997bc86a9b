//! Where the rows come from: what was removed and why, the models, the settings, the files.

use super::{
    bars::{Bar, bars, waterfall},
    heat,
    histogram::{Style, histogram},
    html::{compact, count, counted, escape, figure, grid, nothing, share, unit},
};
use crate::curation::{
    card::{About, because},
    stats::{DUPLICATES, Distribution, Summary},
    words::Reason,
};
use std::fmt::Write;

/// Removal: each row in one step, and duplicates by likeness.
pub(super) fn removed(summary: &Summary) -> (String, String) {
    let lead = match summary.removed {
        0 => "Nothing was removed.".into(),
        n => format!(
            "{} of {} ({}) went, each for the first reason that held. All are kept in <code>rejected.jsonl</code> with that reason and, for a duplicate, what it repeats and how closely.",
            count(n),
            counted(summary.rows_in, "row"),
            share(n, summary.rows_in)
        ),
    };
    (
        lead,
        steps(summary) + &grid(&[duplicates(summary), likeness(summary)]),
    )
}

fn steps(summary: &Summary) -> String {
    let losses: Vec<Bar> = summary
        .removed_by_reason
        .iter()
        .map(|(reason, n)| Bar {
            note: because(*reason).into(),
            ..Bar::new(reason.name(), *n)
        })
        .collect();
    let table = waterfall(
        &Bar::new("read", summary.rows_in),
        &losses,
        &Bar::new("kept", summary.kept),
    );
    figure(
        "From raw rows to kept rows",
        "Shares are of the rows read.",
        &table,
    )
}

fn duplicates(summary: &Summary) -> String {
    let title = "Duplicates removed";
    if summary.duplicates.removed == 0 {
        return nothing(title, "No row was removed as a duplicate.");
    }
    let rows: Vec<Bar> = DUPLICATES
        .iter()
        .map(|reason| {
            let n = summary.duplicates.by_reason.get(reason).copied();
            Bar {
                note: because(*reason).into(),
                ..Bar::new(reason.name(), n.unwrap_or(0))
            }
        })
        .collect();
    let note = format!("{} in all", counted(summary.duplicates.removed, "row"));
    figure(
        title,
        &note,
        &bars("reason", "rows", &rows, summary.duplicates.removed),
    )
}

fn likeness(summary: &Summary) -> String {
    let empty = Distribution::default();
    let of = summary.duplicates.similarity.get(&Reason::NearDuplicate);
    histogram(
        "How alike near-duplicates were",
        of.unwrap_or(&empty),
        &Style {
            id: "likeness",
            axis: "verified Jaccard similarity to the row that was kept",
            rows: "removed rows",
            format: unit,
            small: false,
            crop: true,
            none: "No near-duplicate was measured.",
        },
    )
}

/// Models, errors, settings and files.
pub(super) fn making(about: &About<'_>, summary: &Summary) -> (String, String) {
    let lead = "The same rows, settings and seed give the same bytes on every machine.".into();
    let body = grid(&[models(summary), notes(summary)]) + &settings(about) + files();
    (lead, body)
}

fn models(summary: &Summary) -> String {
    let title = "Model usage";
    if summary.model_usage.is_empty() {
        return nothing(
            title,
            "No kept row names a model: they were made by rules, or their generator does not say.",
        );
    }
    let calls = summary
        .model_usage
        .iter()
        .map(|(model, used)| (model.clone(), used.calls))
        .collect();
    let mut rows = super::bars::ranked(&calls, 0);
    for bar in &mut rows {
        if let Some(used) = summary.model_usage.get(&bar.name) {
            bar.note = format!("in {}", counted(used.trajectories, "row"));
        }
    }
    let all: u64 = calls.values().sum();
    let note = format!("{} in the kept rows", counted(all, "request"));
    figure(title, &note, &bars("model", "requests", &rows, all))
}

/// Oddities of the input, and what rows did not say.
fn notes(summary: &Summary) -> String {
    let mut rows: Vec<Bar> = Vec::new();
    for (field, n) in &summary.without {
        rows.push(Bar::new(format!("without {field}"), *n));
    }
    for (kind, n) in &summary.input_notes {
        rows.push(Bar::new(kind.clone(), *n));
    }
    let title = "Notes on the input";
    if rows.is_empty() {
        return nothing(
            title,
            "Every kept row says everything that is counted here.",
        );
    }
    figure(
        title,
        "Fields that kept rows lack, and what was odd about the files without costing a row.",
        &bars("what", "number", &rows, summary.rows_in),
    )
}

fn settings(about: &About<'_>) -> String {
    let title = "Settings";
    if about.settings.is_empty() {
        return nothing(title, "All settings were left as they are by default.");
    }
    let mut text = String::from("<table class=\"plain settings\"><tbody>\n");
    for (setting, value) in about.settings {
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td></tr>",
            escape(setting),
            escape(value)
        );
    }
    figure(title, "", &(text + "</tbody></table>\n"))
}

fn files() -> &'static str {
    "<figure>\n<figcaption><h3>Files beside this page</h3></figcaption>\n<ul class=\"files\">\n<li><code>NAME/SPLIT.parquet</code>, <code>NAME/SPLIT.jsonl</code>: the rows, twice</li>\n<li><code>README.md</code>: the card, which the <code>datasets</code> library loads by</li>\n<li><code>stats.json</code>: every number of this page</li>\n<li><code>rejected.jsonl</code>: what was removed, and why</li>\n<li><code>manifest.json</code>: which components are frozen in which split</li>\n<li><code>SHA256SUMS</code>: checksums; <code>sha256sum -c SHA256SUMS</code></li>\n</ul>\n</figure>\n"
}

/// The map of analysis types and organisms.
pub(super) fn map(summary: &Summary) -> String {
    let title = "Analysis types by organism";
    let table = &summary.by_analysis_type_and_organism;
    let said = summary.by_analysis_type.len() + summary.by_organism.len();
    if said == 0 {
        return nothing(title, "No kept row says its analysis type or organism.");
    }
    let (map, most) = heat::heat(table, "analysis type", "organism");
    let mut note = format!(
        "Kept rows. Tints go by the square root of the number; the strongest is {}.",
        compact(most)
    );
    note += " <span class=\"scale\" aria-hidden=\"true\">0 ";
    for tint in 0..=7 {
        let _ = write!(note, "<i class=\"h{tint}\"></i>");
    }
    let _ = write!(note, " {}</span>", compact(most));
    figure(title, &note, &map)
}
