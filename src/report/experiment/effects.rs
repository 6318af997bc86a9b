//! The effect of each variable with its interval, and every run's number over the variable's values.

use super::number;
use crate::{
    experiment::analysis::{Analysis, effects::Effect},
    parameters::Value,
    report::page::{
        curves::{Axis, label},
        html::{at, counted, escape, figure, grid, nothing},
    },
};
use std::fmt::Write;

/// Height of a picture, px.
const HEIGHT: u32 = 200;
/// The share of it that the dots have; below them stand the values.
const UPPER: f64 = 0.86;

/// What the numbers are.
pub(super) fn lead(found: &Analysis) -> String {
    let freedom = found.effects.freedom;
    format!(
        "By how much <code>{}</code> changes with each variable, the others being the same: an additive model of all of them on {}, with 95\u{202f}% intervals of Student's t at {}. Each stands for itself: the more variables, the likelier one is shown by chance.",
        escape(&found.metric),
        counted(found.effects.runs as u64, "run"),
        match freedom {
            1 => "1 degree of freedom".into(),
            n => format!("{n} degrees of freedom"),
        }
    )
}

/// The table and the pictures.
pub(super) fn body(found: &Analysis) -> String {
    let effects = &found.effects;
    let remarks: Vec<String> = effects.why.iter().map(|why| escape(why)).collect();
    if effects.effects.is_empty() {
        let why = if remarks.is_empty() {
            "Nothing was varied.".into()
        } else {
            remarks.join("<br/>")
        };
        return nothing("Effects", &why);
    }
    let mut text = String::from(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Effects\"><table class=\"plain\">\n<thead><tr><th scope=\"col\">variable</th><th scope=\"col\">runs</th><th scope=\"col\">mean</th><th scope=\"col\">effect</th><th scope=\"col\">worse 0 better</th><th scope=\"col\"></th></tr></thead>\n<tbody>\n",
    );
    let reach = reach(&effects.effects);
    for effect in &effects.effects {
        text += &row(effect, reach, found.smaller_is_better);
    }
    text += "</tbody></table></div>\n";
    let mut names: Vec<&str> = effects
        .effects
        .iter()
        .map(|one| one.variable.as_str())
        .collect();
    names.dedup();
    let pictures: Vec<String> = names.iter().map(|name| scatter(found, name)).collect();
    figure("Effects", &remarks.join("<br/>"), &text) + &grid(&pictures)
}

/// How far the widest interval goes from 0.
fn reach(effects: &[Effect]) -> f64 {
    let ends = effects.iter().flat_map(|one| {
        let (low, high) = one
            .interval
            .or(one.estimate.map(|at| (at, at)))
            .unwrap_or((0.0, 0.0));
        [low.abs(), high.abs()]
    });
    ends.filter(|end| end.is_finite()).fold(1e-12, f64::max)
}

fn row(effect: &Effect, reach: f64, smaller: bool) -> String {
    let what = match &effect.value {
        Some(value) => format!(
            "{} = {}",
            escape(&effect.variable),
            escape(&value.to_string())
        ),
        None if effect.against == "1" => format!("{} + 1", escape(&effect.variable)),
        None => format!("{} × 10", escape(&effect.variable)),
    };
    let against = match (&effect.value, effect.estimate) {
        (Some(_), Some(_)) => format!("<small>against {}</small>", escape(&effect.against)),
        _ => String::new(),
    };
    let reference = effect
        .value
        .as_ref()
        .is_some_and(|value| value.to_string() == effect.against);
    let said = match (effect.estimate, effect.interval) {
        (Some(at), Some((low, high))) => {
            format!("{} ({} to {})", signed(at), signed(low), signed(high))
        }
        (Some(at), None) => format!("{}, not enough runs for an interval", signed(at)),
        (None, _) if reference => "others are against it".into(),
        (None, _) => "not told apart".into(),
    };
    let word = match effect.interval {
        Some((low, high)) if low > 0.0 || high < 0.0 => {
            let better = (high < 0.0) == smaller;
            if better {
                "<b>better</b>"
            } else {
                "<b>worse</b>"
            }
        }
        _ => "",
    };
    format!(
        "<tr><th scope=\"row\">{what}{against}</th><td>{}</td><td>{}</td><td>{said}</td><td>{}</td><td>{word}</td></tr>\n",
        effect.runs,
        number(effect.mean),
        drawn(effect, reach, smaller)
    )
}

fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "+" };
    format!("{sign}{}", number(Some(value.abs())))
}

/// The interval on a line whose middle is 0, better to the right; all on one scale.
fn drawn(effect: &Effect, reach: f64, smaller: bool) -> String {
    let Some(value) = effect.estimate else {
        return String::new();
    };
    let turn = if smaller { -1.0 } else { 1.0 };
    let place = |value: f64| at(50.0 + turn * value / reach * 45.0);
    let (low, high) = effect.interval.unwrap_or((value, value));
    format!(
        "<svg width=\"120\" height=\"14\" role=\"img\" aria-label=\"interval\"><line class=\"base\" x1=\"50%\" x2=\"50%\" y1=\"0\" y2=\"14\"/><line class=\"whisker\" x1=\"{}\" x2=\"{}\" y1=\"7\" y2=\"7\"/><circle class=\"b\" cx=\"{}\" cy=\"7\" r=\"3.5\"/></svg>",
        place(low),
        place(high),
        place(value)
    )
}

/// Every run's number over its value of a variable.
fn scatter(found: &Analysis, variable: &str) -> String {
    let points: Vec<(&Value, f64, bool)> = found
        .ranked
        .iter()
        .filter_map(|one| {
            Some((
                one.varied.get(variable)?,
                one.score(&found.metric)?,
                one.baseline,
            ))
        })
        .collect();
    let slope = found
        .effects
        .effects
        .iter()
        .any(|one| one.variable == variable && one.value.is_none());
    let log = found
        .effects
        .effects
        .iter()
        .any(|one| one.variable == variable && one.against == "factor 10");
    let places = places(&points, slope, log);
    let Some(y) = Axis::around(points.iter().map(|point| point.1)) else {
        return nothing(variable, "No run has a result.");
    };
    let what = format!(
        "{} by {variable}, {} to {}",
        found.metric,
        label(y.from),
        label(y.to)
    );
    let mut text = format!(
        "<svg class=\"plot\" width=\"100%\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        escape(&what)
    );
    for tick in y.ticks() {
        let height = at((100.0 - y.part(tick)) * UPPER);
        let _ = writeln!(
            text,
            "<line class=\"rule\" x1=\"0\" x2=\"100%\" y1=\"{height}\" y2=\"{height}\"/><text x=\"-8\" y=\"{height}\" dy=\"4\" text-anchor=\"end\">{}</text>",
            label(tick)
        );
    }
    for ((_, score, baseline), left) in points.iter().zip(&places.dots) {
        let (left, top) = (at(*left), at((100.0 - y.part(*score)) * UPPER));
        let hue = if *baseline { "c6" } else { "c1" };
        let _ = writeln!(
            text,
            "<circle class=\"{hue}\" cx=\"{left}\" cy=\"{top}\" r=\"4\"/>"
        );
    }
    for (left, word) in &places.words {
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"100%\" dy=\"-6\" text-anchor=\"middle\">{}</text>",
            at(*left),
            escape(word)
        );
    }
    let note = "Each dot a run, the baseline's in the other colour.";
    figure(
        &format!("{} by {variable}", found.metric),
        note,
        &(text + "</svg>\n"),
    )
}

/// Where dots and words are, in per cent of the width.
struct Places {
    dots: Vec<f64>,
    words: Vec<(f64, String)>,
}

fn places(points: &[(&Value, f64, bool)], slope: bool, log: bool) -> Places {
    let number = |value: &Value| {
        let number = value.number().unwrap_or(0.0);
        if log { number.log10() } else { number }
    };
    if slope {
        let all = points.iter().map(|point| number(point.0));
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        });
        let part = |value: &Value| 8.0 + (number(value) - low) / (high - low).max(1e-300) * 84.0;
        let end = |found: Option<&(&Value, f64, bool)>| {
            found.map(|point| (part(point.0), point.0.to_string()))
        };
        let least = points
            .iter()
            .min_by(|a, b| number(a.0).total_cmp(&number(b.0)));
        let most = points
            .iter()
            .max_by(|a, b| number(a.0).total_cmp(&number(b.0)));
        return Places {
            dots: points.iter().map(|point| part(point.0)).collect(),
            words: [end(least), end(most)].into_iter().flatten().collect(),
        };
    }
    let mut values: Vec<&Value> = Vec::new();
    for (value, _, _) in points {
        if !values.iter().any(|other| other.same(value)) {
            values.push(value);
        }
    }
    values.sort_by(|a, b| {
        let place = |value: &Value| value.number().unwrap_or(f64::INFINITY);
        place(a)
            .total_cmp(&place(b))
            .then_with(|| a.to_string().cmp(&b.to_string()))
    });
    let width = 100.0 / values.len().max(1) as f64;
    let part = |value: &Value| {
        let at = values
            .iter()
            .position(|other| other.same(value))
            .unwrap_or(0);
        (at as f64 + 0.5) * width
    };
    Places {
        dots: points.iter().map(|point| part(point.0)).collect(),
        words: values
            .iter()
            .map(|value| (part(value), value.to_string()))
            .collect(),
    }
}
