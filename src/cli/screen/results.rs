//! What training came to, and what its adapters are worth: lines of the summary.

use super::{
    super::style::{Style, thousands},
    fit::labelled,
};
use crate::control::{
    api::CampaignView,
    training::{ComparisonView, RunView},
};

/// `rank 16, step 280 of 300 kept (best on the holdout)`, a line a run of the latest cycle that is done.
pub fn adapters(view: &CampaignView) -> String {
    let mut text = String::new();
    for run in latest(view) {
        let Some(trained) = &run.trained else {
            continue;
        };
        let (best, steps) = (thousands(trained.best_step), thousands(trained.steps));
        let held_out = if trained.eval_loss.is_some() {
            " (best on the holdout)"
        } else {
            ""
        };
        let early = if trained.steps < trained.planned_steps {
            format!(", stopped early of {}", thousands(trained.planned_steps))
        } else {
            String::new()
        };
        let line = format!(
            "{}rank {}, step {best} of {steps} kept{held_out}{early}",
            whose(view, run),
            run.rank
        );
        text += &labelled("       adapter    ", &line);
    }
    text
}

/// What a verdict is to whoever reads: `good`, `bad`, or `open` where too little was seen to tell.
fn label(verdict: &str) -> &'static str {
    match verdict {
        "improved" => "good",
        "regressed" => "bad",
        _ => "open",
    }
}

/// The adapters by what their verdicts are, the good first; `good` was said by the pilot's verdict where there is one.
/// `improved: 41.3 % -> 68.5 % right, +27.3 points (21.6 to 33.0, n = 400 held-out items, p < 0.001)`.
pub fn verdicts(view: &CampaignView, style: Style) -> String {
    let mut text = String::new();
    let mut said = if view.verdict.is_some() { "good" } else { "" };
    for word in ["good", "bad", "open"] {
        let of_word = |run: &&RunView| run.verdict.as_deref().map(label) == Some(word);
        for run in latest(view).filter(of_word) {
            let shown = if said == word { "" } else { word };
            said = word;
            let line = worth(view, run, style);
            text += &labelled(&format!("{shown:<7}adapter    "), &line);
        }
    }
    text
}

fn worth(view: &CampaignView, run: &RunView, style: Style) -> String {
    let shown = run
        .comparisons
        .iter()
        .filter(|one| one.difference.is_some());
    // The ranking of answers has the most items of those that are right or wrong.
    let right = shown.clone().find(|one| one.metric == "ranking_accuracy");
    let right = right.or_else(|| shown.clone().find(|one| one.share));
    let loss = shown.clone().find(|one| one.metric == "loss");
    let parts: Vec<String> = right.into_iter().chain(loss).map(compared).collect();
    let verdict = style.word(run.verdict.as_deref().unwrap_or_default());
    format!("{}{verdict}: {}", whose(view, run), parts.join("; "))
}

fn latest(view: &CampaignView) -> impl Iterator<Item = &RunView> {
    let cycle = view.runs.iter().map(|run| run.cycle).max();
    view.runs.iter().filter(move |run| Some(run.cycle) == cycle)
}

/// The run's name where there are several.
fn whose(view: &CampaignView, run: &RunView) -> String {
    match latest(view).count() {
        0 | 1 => String::new(),
        _ => format!("{}: ", run.name),
    }
}

fn compared(one: &ComparisonView) -> String {
    let scale = if one.share { 100.0 } else { 1.0 };
    let digits = if one.share { 1 } else { 3 };
    let number = |value: Option<f64>| {
        value.map_or("-".into(), |value| format!("{:.digits$}", value * scale))
    };
    let (unit, what) = if one.share {
        (" %", "right".to_string())
    } else {
        ("", one.metric.clone())
    };
    let difference = one.difference.map_or("-".into(), |difference| {
        format!("{:+.digits$}", difference * scale)
    });
    let points = if one.share { " points" } else { "" };
    let p = if one.p < 0.001 {
        "p < 0.001".into()
    } else {
        format!("p = {:.3}", one.p)
    };
    format!(
        "{}{unit} -> {}{unit} {what}, {difference}{points} ({} to {}, n = {} held-out items, {p})",
        number(one.base),
        number(one.adapter),
        number(one.low),
        number(one.high),
        thousands(one.n),
    )
}

#[cfg(test)]
mod tests;
