//! `report.html`: a data set on one page that a person would look at.
//!
//! One file, which loads nothing and runs nothing: plots are SVG written here, in per cent of their width, so that they fit
//! any screen and paper while letters keep their size. Colour never says what words do not; every plot has its numbers.

mod bars;
mod composition;
pub(in crate::report) mod curves;
mod heat;
mod histogram;
pub(in crate::report) mod html;
mod measures;
mod origin;
mod remarks;
#[cfg(test)]
mod tests;

use crate::curation::{card::About, stats::Summary, words::DataSet};
use html::{compact, count, counted, document, escape, section, share, unit};
use std::fmt::Write;

/// Sections in their order: the word in links, and the title.
const SECTIONS: [(&str, &str); 7] = [
    ("sets", "Data sets"),
    ("removed", "What was removed"),
    ("contents", "What is in it"),
    ("quality", "Quality"),
    ("cost", "Tokens and cost"),
    ("splits", "Splits"),
    ("making", "How it was made"),
];

/// The page.
pub fn render(about: &About<'_>, summary: &Summary) -> String {
    let name = escape(about.name);
    let mut text = header(&name, about, summary);
    text += &remarks::remarks(summary);
    for (id, title) in SECTIONS {
        let (lead, body) = match id {
            "sets" => composition::sets(summary),
            "removed" => origin::removed(summary),
            "contents" => composition::contents(summary),
            "quality" => measures::quality(summary),
            "cost" => measures::cost(summary),
            "splits" => composition::splits(summary),
            _ => origin::making(about, summary),
        };
        text += &section(id, title, &lead, &body);
    }
    document(&format!("{name}: data set report"), &text)
}

fn header(name: &str, about: &About<'_>, summary: &Summary) -> String {
    let mut text = format!("<header>\n<p class=\"kind\">Data set report</p>\n<h1>{name}</h1>\n");
    let from = about.generator.map_or(String::new(), |generator| {
        format!(", made by {}", escape(generator))
    });
    let _ = writeln!(
        text,
        "<p class=\"lead\">{} of {} raw {} kept{from}.</p>",
        count(summary.kept),
        count(summary.rows_in),
        if summary.rows_in == 1 {
            "row is"
        } else {
            "rows are"
        }
    );
    text += "<dl class=\"facts\">\n";
    for (what, number, note) in facts(summary) {
        let _ = writeln!(
            text,
            "<div><dt>{what}</dt><dd><b>{number}</b><span>{note}</span></dd></div>"
        );
    }
    text += "</dl>\n<nav aria-label=\"Sections\"><ul>";
    for (id, title) in SECTIONS {
        let _ = write!(text, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    text + "</ul></nav>\n</header>\n"
}

/// The few numbers that matter: what, how much, and what that means.
fn facts(summary: &Summary) -> Vec<(&'static str, String, String)> {
    let with_rows = summary.datasets.values().filter(|set| set.rows > 0).count();
    let rows: u64 = summary.datasets.values().map(|set| set.rows).sum();
    let success = summary.by_outcome.get("success").copied().unwrap_or(0);
    let answers = summary.tokens.answer.total;
    let ours = !summary.datasets.contains_key(&DataSet::Samples);
    let mut facts = vec![
        ("Kept", count(summary.kept), of_read(summary.kept, summary)),
        (
            "Training rows",
            count(rows),
            format!("in {}", counted(with_rows as u64, "data set")),
        ),
        (
            "Tokens to learn",
            match answers {
                0..10_000 => count(answers),
                _ => compact(answers),
            },
            "in answers, estimated".into(),
        ),
        (
            "Median quality",
            html::or_dash(summary.quality.median, unit),
            match (summary.quality.p5, summary.quality.p95) {
                (Some(low), Some(high)) => format!("5 % to 95 %: {} to {}", unit(low), unit(high)),
                _ => "no row has a score".into(),
            },
        ),
    ];
    if ours {
        facts.push((
            "Success",
            share(success, summary.kept),
            format!("{} of the kept rows", count(success)),
        ));
    }
    facts.push((
        "Duplicates",
        count(summary.duplicates.removed),
        format!("removed, {}", of_read(summary.duplicates.removed, summary)),
    ));
    facts
}

fn of_read(n: u64, summary: &Summary) -> String {
    match summary.rows_in {
        0 => "nothing was read".into(),
        all => format!("{} of what was read", share(n, all)),
    }
}
