//! The best run against the baseline, item by item.

use super::number;
use crate::{
    evaluation::paired::Comparison,
    experiment::analysis::{Analysis, items::Named},
    report::page::html::{at, counted, escape, figure, nothing},
};
use std::fmt::Write;

/// What is compared.
pub(super) fn lead(found: &Analysis) -> String {
    match (&found.best, &found.baseline) {
        (Some(best), Some(base)) if best != base => format!(
            "<code>{}</code> less <code>{}</code> on the same items. A difference is shown where the interval of the bootstrap over components leaves out 0 and the corrected p is below the error that is allowed. The best of several runs was chosen by its number: what it gains is seen too well.",
            escape(best),
            escape(base)
        ),
        _ => String::new(),
    }
}

/// The table.
pub(super) fn body(found: &Analysis) -> String {
    match (&found.best, &found.baseline) {
        (None, _) => return nothing("Differences", "No run has a result."),
        (_, None) => return nothing("Differences", "The baseline has no result."),
        (Some(best), Some(base)) if best == base => {
            return nothing("Differences", "No run is better than the baseline.");
        }
        _ => {}
    }
    if let Some(why) = &found.versus.why {
        return nothing("Differences", &escape(why));
    }
    let mut text = String::from(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Differences\"><table class=\"plain\">\n<thead><tr><th scope=\"col\">metric</th><th scope=\"col\">baseline</th><th scope=\"col\">best</th><th scope=\"col\">difference</th><th scope=\"col\">worse 0 better</th><th scope=\"col\">p</th><th scope=\"col\">verdict</th></tr></thead>\n<tbody>\n",
    );
    for one in &found.versus.comparisons {
        text += &row(one);
    }
    figure("Differences", "", &(text + "</tbody></table></div>\n"))
}

fn row(one: &Named) -> String {
    let found = &one.found;
    let signed = |value: f64| {
        let sign = if value < 0.0 { "−" } else { "+" };
        format!("{sign}{}", number(Some(value.abs())))
    };
    let difference = match (found.difference, found.interval) {
        (Some(value), Some((low, high))) => {
            format!("{} ({} to {})", signed(value), signed(low), signed(high))
        }
        (Some(value), None) => signed(value),
        _ => "–".into(),
    };
    let mut verdict = String::new();
    let _ = match &found.why {
        Some(why) => write!(verdict, "{}<small>{}</small>", found.shown, escape(why)),
        None => write!(verdict, "<b>{}</b>", found.shown),
    };
    let p = match found.corrected_p {
        p if p < 0.001 => "&lt; 0.001".into(),
        p => format!("{p:.3}"),
    };
    format!(
        "<tr><th scope=\"row\">{} <small>{}</small></th><td>{}</td><td>{}</td><td>{difference}</td><td>{}</td><td>{p}</td><td>{verdict}</td></tr>\n",
        crate::report::page::html::name(&one.metric),
        counted(found.items, "item"),
        number(found.base),
        number(found.value),
        drawn(found)
    )
}

/// The interval on a line whose middle is 0, better to the right.
fn drawn(found: &Comparison) -> String {
    let (Some(value), Some((low, high))) = (found.difference, found.interval) else {
        return String::new();
    };
    let turn = if found.metric.higher_is_better() {
        1.0
    } else {
        -1.0
    };
    let reach = low.abs().max(high.abs()).max(value.abs()).max(1e-12);
    let place = |value: f64| at(50.0 + turn * value / reach * 45.0);
    format!(
        "<svg width=\"120\" height=\"14\" role=\"img\" aria-label=\"interval\"><line class=\"base\" x1=\"50%\" x2=\"50%\" y1=\"0\" y2=\"14\"/><line class=\"whisker\" x1=\"{}\" x2=\"{}\" y1=\"7\" y2=\"7\"/><circle class=\"b\" cx=\"{}\" cy=\"7\" r=\"3.5\"/></svg>",
        place(low),
        place(high),
        place(value)
    )
}
