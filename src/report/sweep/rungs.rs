//! The rungs of a sweep that halves: who was compared where, and what it saved.

use super::number;
use crate::report::page::html::{count, escape, figure, section, share};
use std::fmt::Write;

/// What halving came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Halved<'a> {
    /// The rungs that were judged, the first first.
    pub rungs: Vec<Rung<'a>>,
    /// Steps that all members made.
    pub steps: u64,
    /// Steps that they would have made at most, had all gone on.
    pub steps_without: u64,
}

/// A rung that was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung<'a> {
    /// Steps up to it.
    pub step: u64,
    /// Those that were compared, in the order of the request.
    pub runs: Vec<Run<'a>>,
}

/// A member at a rung.
#[derive(Clone, Debug, PartialEq)]
pub struct Run<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its loss on the holdout there, nats.
    pub loss: Option<f64>,
    /// Whether it went on.
    pub went_on: bool,
}

/// The section about them.
pub(super) fn rungs(halved: &Halved<'_>) -> String {
    let (made, without) = (halved.steps, halved.steps_without);
    let lead = format!(
        "All members train up to a rung and are compared on the holdout; the better ones go on. {} of at most {} steps were made, {}.",
        count(made),
        count(without),
        share(made, without)
    );
    let mut text = String::from(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Rungs\"><table class=\"plain\">\n<thead><tr><th scope=\"col\">step</th><th scope=\"col\">members</th><th scope=\"col\">went on</th><th scope=\"col\">left out</th></tr></thead>\n<tbody>\n",
    );
    for rung in &halved.rungs {
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"said\">{}</td><td class=\"said\">{}</td></tr>",
            count(rung.step),
            count(rung.runs.len() as u64),
            those(rung, true),
            those(rung, false)
        );
    }
    text += "</tbody></table></div>\n";
    section("rungs", "Rungs", &lead, &figure("Every rung", "", &text))
}

/// Those that went on, or did not, the best first, each with its loss.
fn those(rung: &Rung<'_>, went_on: bool) -> String {
    let some = rung.runs.iter().filter(|run| run.went_on == went_on);
    let mut some: Vec<&Run> = some.collect();
    let place = |run: &Run| run.loss.unwrap_or(f64::INFINITY);
    some.sort_by(|a, b| place(a).total_cmp(&place(b)));
    let each = some.iter().map(|run| {
        let loss = run
            .loss
            .map_or("no number".into(), |loss| number(Some(loss)));
        format!("{} {loss}", escape(run.name))
    });
    let text = each.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "–".into() } else { text }
}
