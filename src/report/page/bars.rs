//! Bars: tables whose rows have a length, so that the plot and its numbers are one thing.
//!
//! Every bar starts at zero and its number stands beside it. The drawing is in per cent of its width: it fits a telephone
//! and a poster, and the letters stay the same size.

use super::html::{at, count, escape, name, share};
use crate::curation::stats::{Counts, OTHER};
use std::{cmp::Reverse, fmt::Write};

/// The most bars of one plot; the rest are summed up.
pub(super) const MOST_BARS: usize = 20;

/// A bar.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// What it counts.
    pub name: String,
    /// A word of explanation below the name; empty: none.
    pub note: String,
    /// How much.
    pub n: u64,
    /// Not one of a kind with the others: the rest, or what did not say.
    pub muted: bool,
}

impl Bar {
    pub(super) fn new(name: impl Into<String>, n: u64) -> Self {
        Self {
            name: name.into(),
            note: String::new(),
            n,
            muted: false,
        }
    }
}

/// The largest first, at most [`MOST_BARS`], then how many others there are and what did not say.
pub(super) fn ranked(counts: &Counts, unsaid: u64) -> Vec<Bar> {
    let mut named: Vec<(&String, u64)> = counts
        .iter()
        .filter(|(name, _)| *name != OTHER)
        .map(|(name, n)| (name, *n))
        .collect();
    named.sort_by_key(|(name, n)| (Reverse(*n), *name));
    // A single other would take the line that it could have itself.
    let shown = if named.len() == MOST_BARS + 1 {
        named.len()
    } else {
        MOST_BARS.min(named.len())
    };
    let mut bars: Vec<Bar> = named[..shown]
        .iter()
        .map(|(name, n)| Bar::new(*name, *n))
        .collect();
    let muted = |name: String, n| Bar {
        muted: true,
        ..Bar::new(name, n)
    };
    let uncounted = counts.get(OTHER).copied().unwrap_or(0);
    if named.len() > shown || uncounted > 0 {
        let rest = named[shown..].iter().map(|(_, n)| n).sum::<u64>() + uncounted;
        let more = if uncounted > 0 { " and more" } else { "" };
        bars.push(muted(
            format!("others {}{more}", count((named.len() - shown) as u64)),
            rest,
        ));
    }
    if unsaid > 0 {
        bars.push(muted("not said".into(), unsaid));
    }
    bars
}

/// Bars with counts and shares of `of`; the longest fills the width. `what` names the first column, `many` the second.
pub(super) fn bars(what: &str, many: &str, rows: &[Bar], of: u64) -> String {
    let longest = rows.iter().map(|bar| bar.n).max().unwrap_or(0).max(1);
    let mut text = heads(what, &[many, "share"]);
    for bar in rows {
        let part = bar.n as f64 / longest as f64 * 100.0;
        let class = if bar.muted { " class=\"muted\"" } else { "" };
        let _ = writeln!(
            text,
            "<tr{class}>{}<td class=\"bar\">{}</td><td>{}</td><td>{}</td></tr>",
            head(bar),
            length(0.0, part, "b"),
            count(bar.n),
            share(bar.n, of)
        );
    }
    text + "</tbody></table>\n"
}

/// What is left after each step: each bar begins where the one before it ends, so the last is what remains.
pub(super) fn waterfall(all: &Bar, losses: &[Bar], left: &Bar) -> String {
    let of = all.n;
    let mut rest = all.n;
    let part = |n: u64| n as f64 / of.max(1) as f64 * 100.0;
    let mut text = heads("", &["rows", "share"]).replacen("bars ", "bars flow ", 1);
    let mut row = |bar: &Bar, from: u64, class: &str, sign: &str| {
        let _ = writeln!(
            text,
            "<tr class=\"{class}\">{}<td class=\"bar\">{}</td><td>{sign}{}</td><td>{}</td></tr>",
            head(bar),
            length(
                part(from),
                part(bar.n),
                if sign.is_empty() { "b" } else { "loss" }
            ),
            count(bar.n),
            share(bar.n, of)
        );
    };
    row(all, 0, "sum", "");
    for loss in losses {
        rest = rest.saturating_sub(loss.n);
        row(loss, rest, "step", "−");
    }
    row(left, 0, "sum", "");
    text + "</tbody></table>\n"
}

/// The head of a table of bars: what is counted, the drawing, and the numbers.
pub(super) fn heads(what: &str, numbers: &[&str]) -> String {
    let mut text = format!(
        "<table class=\"bars n{}\">\n<thead><tr><th scope=\"col\">{}</th><td class=\"bar\"></td>",
        numbers.len(),
        match what {
            "" => "<span class=\"hidden\">What</span>".into(),
            what => escape(what),
        }
    );
    for number in numbers {
        let _ = write!(text, "<th scope=\"col\">{}</th>", escape(number));
    }
    text + "</tr></thead>\n<tbody>\n"
}

fn head(bar: &Bar) -> String {
    let note = match bar.note.as_str() {
        "" => String::new(),
        note => format!(" <small>{}</small>", escape(note)),
    };
    format!("<th scope=\"row\">{}{note}</th>", name(&bar.name))
}

/// One bar from `from` per cent on, `part` per cent long. The numbers beside it say the same: it is not read aloud.
fn length(from: f64, part: f64, class: &str) -> String {
    // What is there has a width that can be seen.
    let least = if part > 0.0 { "min" } else { "zero" };
    format!(
        "<svg class=\"len {least}\" width=\"100%\" height=\"14\" aria-hidden=\"true\" focusable=\"false\"><rect class=\"{class}\" x=\"{}\" width=\"{}\" height=\"14\" rx=\"1.5\"/></svg>",
        at(from.min(99.7)),
        at(if part > 0.0 { part.max(0.3) } else { 0.0 })
    )
}

/// Parts of wholes, each whole as long as the others: rows are (name, parts in the order of `legend`).
pub(super) fn shares(what: &str, legend: &[String], rows: &[(String, Vec<u64>)]) -> String {
    let mut text = String::from("<ul class=\"legend\">");
    for (at, name) in legend.iter().enumerate() {
        let _ = write!(
            text,
            "<li><i class=\"c{}\"></i>{}</li>",
            at % COLOURS + 1,
            escape(name)
        );
    }
    text += "</ul>\n";
    text += &heads(what, &["rows"]);
    for (name, parts) in rows {
        let sum: u64 = parts.iter().sum();
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td class=\"bar\">{}</td><td>{}</td></tr>",
            escape(name),
            stack(legend, parts, sum),
            count(sum)
        );
    }
    text + "</tbody></table>\n"
}

/// Colours that parts of a whole have; more parts begin again, and their order and labels tell them apart.
const COLOURS: usize = 7;

/// A segment wide enough has its share written on it.
fn stack(legend: &[String], parts: &[u64], sum: u64) -> String {
    let mut text = String::from(
        "<svg class=\"stack\" width=\"100%\" height=\"22\" aria-hidden=\"true\" focusable=\"false\">",
    );
    let mut from = 0.0;
    for (place, (name, n)) in legend.iter().zip(parts).enumerate() {
        let part = *n as f64 / sum.max(1) as f64 * 100.0;
        if *n > 0 {
            let _ = write!(
                text,
                "<rect class=\"c{0}\" x=\"{1}\" width=\"{2}\" height=\"22\"><title>{3}: {4}</title></rect>",
                place % COLOURS + 1,
                at(from),
                at(part),
                escape(name),
                share(*n, sum)
            );
            if part >= 14.0 {
                let _ = write!(
                    text,
                    "<text class=\"on c{}\" x=\"{}\" y=\"15.5\" text-anchor=\"middle\">{part:.0}\u{202f}%</text>",
                    place % COLOURS + 1,
                    at(from + part / 2.0)
                );
            }
        }
        from += part;
    }
    text + "</svg>"
}
