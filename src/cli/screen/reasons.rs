//! Why: the gate's verdict, and why a campaign is where it is.

use super::{
    super::style::{Style, ago, seconds},
    fit::{choices, labelled},
    lines::clock,
};
use crate::{
    control::api::{CheckView, ExplainView, VerdictView},
    time::Timestamp,
};

/// The gate's verdict.
pub fn verdict(verdict: &VerdictView, style: Style, now: Timestamp) -> String {
    let head = format!(
        "{}  {}  look {} of {}, gate \"{}\"   {} ago",
        verdict.campaign,
        style.word(&verdict.decision),
        verdict.look,
        verdict.max_looks,
        verdict.gate,
        ago(verdict.judged_at.as_deref(), now)
    );
    let mut text = labelled("", &head);
    text += &format!(
        "{:<12} {:>9}  {:>24} {:>6}  PASSED\n",
        "CHECK", "REQUIRED", "OBSERVED", "N"
    );
    for view in &verdict.checks {
        text += &check(view, style);
    }
    text += &labelled("why    ", &verdict.reason);
    text + &labelled("next   ", &verdict.recommendation)
}

fn check(check: &CheckView, style: Style) -> String {
    let observed = match (check.observed, check.low, check.high) {
        (Some(mean), Some(low), Some(high)) => format!("{mean:.3} ({low:.3} to {high:.3})"),
        (Some(number), _, _) if check.check == "quality" => format!("{number:.3}"),
        (Some(number), _, _) => format!("{number}"),
        _ => "-".into(),
    };
    let passed = match check.passed {
        Some(true) => "yes",
        Some(false) => "no",
        None => "open",
    };
    format!(
        "{:<12} {:>9}  {observed:>24} {:>6}  {}\n",
        check.check,
        check.required,
        check.n,
        style.word(passed)
    )
}

/// Why a campaign is where it is.
pub fn explain(view: &ExplainView, utc: bool) -> String {
    let mut text = labelled("", &view.headline);
    for (at, why) in view.why.iter().enumerate() {
        let source = why.source.as_ref();
        let source = source.map_or(String::new(), |source| format!("  [{source}]"));
        let label = format!("{}{}  ", named("why", at), clock(&why.at, 5, utc));
        text += &labelled(&label, &format!("{}{source}", why.text));
    }
    for (at, seen) in view.seen.iter().enumerate() {
        text += &labelled(&named("seen", at), &seen.observed);
    }
    text += &labelled(&named("waits", 0), &waits(view));
    for (at, said) in view.scheduler.iter().enumerate() {
        text += &labelled(&named("slurm", at), said);
    }
    for (at, next) in view.next.iter().enumerate() {
        let way = format!("{} -> {}", next.when, next.go);
        text += &labelled(&named("next", at), &way);
    }
    text + &choices(&named("you", 0), &view.you, " | ")
}

/// A label stands at the first of its lines.
fn named(label: &str, at: usize) -> String {
    format!("{:<6} ", if at == 0 { label } else { "" })
}

fn waits(view: &ExplainView) -> String {
    let waits = &view.waits;
    let left = waits.left_seconds;
    let left = left.map_or(String::new(), |left| format!(": {} left", seconds(left)));
    let deadline = waits.deadline_at.as_ref();
    let deadline = deadline.map_or(String::new(), |at| format!("; deadline {at}"));
    format!("{}{left}{deadline}", waits.what)
}
