//! `report.html` of an experiment: its runs in a table, the best first, their curves, the effect of each variable, the best run
//! against the baseline. In the letters of the data set's page.

mod effects;
mod versus;

use super::{
    page::html::{counted, document, escape, figure, nothing, section},
    sweep::{Member, loss_curves, swatch},
};
use crate::{
    experiment::analysis::{Analysis, RunResult},
    parameters::Value,
};
use std::fmt::Write;

/// Sections in their order: the word in links, and the title.
const SECTIONS: [(&str, &str); 5] = [
    ("runs", "Runs"),
    ("curves", "Learning curves"),
    ("effects", "What each variable does"),
    ("best", "The best against the baseline"),
    ("without", "Runs without a result"),
];

/// The page.
pub fn render(found: &Analysis) -> String {
    let name = escape(&found.name);
    let mut text = header(&name, found);
    for (id, title) in SECTIONS {
        let (lead, body) = match id {
            "runs" => (runs_lead(found), runs(found)),
            "curves" => (
                "The colours and numbers are those of the table above.".into(),
                curves(found),
            ),
            "effects" => (effects::lead(found), effects::body(found)),
            "best" => (versus::lead(found), versus::body(found)),
            _ => (String::new(), without(found)),
        };
        text += &section(id, title, &lead, &body);
    }
    document(&format!("{name}: experiment report"), &text)
}

fn header(name: &str, found: &Analysis) -> String {
    let mut text = format!(
        "<header>\n<p class=\"kind\">Experiment report</p>\n<h1>{name}</h1>\n<p class=\"lead\">{}</p>\n<dl class=\"facts\">\n",
        escape(&found.question)
    );
    for (what, number, note) in facts(found) {
        let _ = writeln!(
            text,
            "<div><dt>{what}</dt><dd><b>{}</b><span>{}</span></dd></div>",
            escape(&number),
            escape(&note)
        );
    }
    text += "</dl>\n<nav aria-label=\"Sections\"><ul>";
    for (id, title) in SECTIONS {
        let _ = write!(text, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    text + "</ul></nav>\n</header>\n"
}

fn facts(found: &Analysis) -> Vec<(&'static str, String, String)> {
    let all = (found.ranked.len() + found.without.len()) as u64;
    let lost = match found.without.len() as u64 {
        0 => "all have a result".into(),
        some => format!("{} without a result", counted(some, "run")),
    };
    let mut facts = vec![("Runs", counted(all, "run"), lost)];
    let of = |name: &Option<String>| {
        let name = name.as_ref()?;
        found.ranked.iter().find(|one| one.name == *name)
    };
    for (what, one) in [("Best", of(&found.best)), ("Baseline", of(&found.baseline))] {
        let Some(one) = one else {
            facts.push((what, "–".into(), "it has no result".into()));
            continue;
        };
        facts.push((
            what,
            number(one.score(&found.metric)),
            format!("{}: {}", one.name, found.metric),
        ));
    }
    let shown = found
        .effects
        .effects
        .iter()
        .filter(|one| one.shown())
        .count();
    facts.push((
        "Effects shown",
        shown.to_string(),
        format!("on {}", counted(found.effects.runs as u64, "run")),
    ));
    facts
}

/// A number with as many digits as say something.
pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(0.0) => "0".into(),
        Some(value) if (1e-3..1e5).contains(&value.abs()) => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').into()
        }
        Some(value) => format!("{value:.2e}"),
    }
}

fn runs_lead(found: &Analysis) -> String {
    let less = if found.smaller_is_better {
        "less"
    } else {
        "more"
    };
    format!(
        "The best first, by <code>{}</code>: {less} is better.",
        escape(&found.metric)
    )
}

/// Other metrics that the table shows beside the one that runs are ranked by.
const OTHERS: usize = 6;

/// Columns of the table: the metric, then others that some run has.
fn columns(found: &Analysis) -> Vec<&str> {
    let mut all: Vec<&str> = vec![&found.metric];
    let others = crate::experiment::analysis::metrics(&found.ranked);
    all.extend(
        others
            .into_iter()
            .filter(|name| *name != found.metric && !name.contains("stderr"))
            .take(OTHERS),
    );
    all
}

fn runs(found: &Analysis) -> String {
    if found.ranked.is_empty() {
        return nothing("Every run", "No run has a result.");
    }
    let columns = columns(found);
    let mut keys: Vec<&str> = Vec::new();
    for key in found.ranked.iter().flat_map(|one| one.varied.keys()) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let mut text = String::from(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Runs\"><table class=\"plain members\">\n<thead><tr><td></td><th scope=\"col\">run</th>",
    );
    for column in &columns {
        let _ = write!(
            text,
            "<th scope=\"col\">{}</th>",
            super::page::html::name(column)
        );
    }
    for key in &keys {
        let _ = write!(text, "<th scope=\"col\"><code>{}</code></th>", escape(key));
    }
    text += "</tr></thead>\n<tbody>\n";
    for (one, rank) in found.ranked.iter().zip(1..) {
        text += &row(one, rank, &columns, &keys);
    }
    figure("Every run", "", &(text + "</tbody></table></div>\n"))
}

fn row(one: &RunResult, rank: usize, columns: &[&str], keys: &[&str]) -> String {
    let mark = if one.baseline {
        "<small>baseline</small>"
    } else {
        ""
    };
    let mut text = format!(
        "<tr><td>{}{rank}</td><th scope=\"row\">{}{mark}</th>",
        swatch(rank),
        escape(&one.name)
    );
    for (column, at) in columns.iter().zip(0..) {
        let value = number(one.metrics.get(*column).copied());
        let _ = match at {
            0 => write!(text, "<td><b>{value}</b></td>"),
            _ => write!(text, "<td>{value}</td>"),
        };
    }
    for key in keys {
        let value = one.varied.get(*key).map_or("–".into(), Value::to_string);
        let _ = write!(text, "<td>{}</td>", escape(&value));
    }
    text + "</tr>\n"
}

fn curves(found: &Analysis) -> String {
    let member = |one: &RunResult| -> String { one.name.clone() };
    let names: Vec<String> = found.ranked.iter().map(member).collect();
    let members: Vec<Member> = found
        .ranked
        .iter()
        .zip(&names)
        .map(|(one, name)| Member {
            name,
            varied: Vec::new(),
            rows: &one.rows,
            result: one.score(&found.metric),
            base: None,
            finished: true,
            stopped: None,
            left_out: None,
            steps: 0,
        })
        .collect();
    match members.iter().all(|one| one.rows.is_empty()) {
        true => nothing("Loss by step", "No run says its loss by step."),
        false => loss_curves(&members),
    }
}

fn without(found: &Analysis) -> String {
    if found.without.is_empty() {
        return nothing("Why", "Every run has a result.");
    }
    let mut text = String::from(
        "<table class=\"plain settings\">\n<thead><tr><th scope=\"col\">run</th><th scope=\"col\">why</th></tr></thead>\n<tbody>\n",
    );
    for one in &found.without {
        let why: Vec<String> = one.why.iter().map(|why| escape(why)).collect();
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td class=\"said\">{}</td></tr>",
            escape(&one.name),
            why.join("<br/>")
        );
    }
    figure("Why", "", &(text + "</tbody></table>\n"))
}

#[cfg(test)]
mod tests;
