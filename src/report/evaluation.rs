//! `report.html` of an evaluation: what is shown of every adapter, each number with its interval, and items that only one of
//! the two has right. In the letters of the data set's page.

use super::page::html::{at, count, counted, document, escape, figure, nothing, section};
use crate::evaluation::{
    job::{Arm, Measured, Metric, Scored},
    paired::{Comparison, Shown},
};
use std::fmt::Write;

/// An item that only one of base and adapter has right.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The adapter.
    pub adapter: String,
    /// In what they differ.
    pub metric: Metric,
    /// Whether it is the adapter that is right.
    pub won: bool,
    /// The item's id.
    pub item: String,
    /// What is right.
    pub right: String,
    /// What the base said.
    pub base: String,
    /// What the adapter said.
    pub answer: String,
}

/// Characters of an answer that are shown.
const SHOWN: usize = 400;

/// The page.
pub fn render(measured: &Measured, examples: &[Example]) -> String {
    let name = escape(&measured.name);
    let mut text = header(&name, measured);
    text += &section("verdicts", "Against the base", LEAD, &against(measured));
    text += &section(
        "levels",
        "Every model",
        "Shares with Wilson's interval, widened by what items of one component know of each other; losses and precisions with that of the bootstrap.",
        &levels(measured),
    );
    if let Some(bigram) = &measured.bigram {
        let lead = format!(
            "A model that knows only which token follows which, of {} pairs of the training rows: {:.4} nats a token on the same {} tokens.",
            count(bigram.pairs),
            bigram.loss,
            count(bigram.tokens)
        );
        let body = comparisons("Loss against the bigram model", &bigram.against);
        text += &section("bigram", "Bigram baseline", &lead, &body);
    }
    text += &section("examples", "Won and lost", "", &won_and_lost(examples));
    text += &section("making", "How it was measured", "", &making(measured));
    document(&format!("{name}: evaluation report"), &text)
}

const LEAD: &str = "The adapter's number less the base's, on the same items. A difference is shown where the interval of the \
     bootstrap over components leaves out 0 and the p, corrected over the adapter's metrics, is below the error that is allowed.";

fn header(name: &str, measured: &Measured) -> String {
    let mut text = format!(
        "<header>\n<p class=\"kind\">Evaluation report</p>\n<h1>{name}</h1>\n<dl class=\"facts\">\n"
    );
    let mut fact = |what: &str, number: &str, note: &str| {
        let (what, number, note) = (escape(what), escape(number), escape(note));
        let _ = writeln!(
            text,
            "<div><dt>{what}</dt><dd><b>{number}</b><span>{note}</span></dd></div>"
        );
    };
    let items = &measured.items;
    fact(
        "Items",
        &count(items.measured),
        &format!("of {}", counted(items.read, "row")),
    );
    if items.trained_on > 0 {
        fact(
            "Not held out",
            &count(items.trained_on),
            "measured rows that are training rows too",
        );
    }
    fact(
        "Components",
        &count(items.clusters),
        "drawn whole by the bootstrap",
    );
    for (adapter, shown) in &measured.verdicts {
        let metrics = measured.comparisons.iter();
        let of = |word: Shown| {
            let all = metrics
                .clone()
                .filter(|c| &c.adapter == adapter && c.shown == word);
            all.count()
        };
        let note = format!(
            "better in {}, worse in {} metrics",
            of(Shown::Improved),
            of(Shown::Regressed)
        );
        fact(adapter, shown.name(), &note);
    }
    text + "</dl>\n</header>\n"
}

fn against(measured: &Measured) -> String {
    if measured.comparisons.is_empty() {
        return nothing("Differences", "No adapter was measured.");
    }
    let adapters = measured.arms.iter().skip(1);
    let of = |arm: &Arm| {
        let own = measured
            .comparisons
            .iter()
            .filter(|c| c.adapter == arm.name);
        comparisons(&arm.name, &own.cloned().collect::<Vec<_>>())
    };
    adapters.map(of).collect()
}

/// A table of differences, each drawn with its interval around 0.
fn comparisons(title: &str, all: &[Comparison]) -> String {
    let mut text = String::from(
        "<div class=\"wide\"><table class=\"plain\">\n<thead><tr><th scope=\"col\">metric</th><th scope=\"col\">base</th><th scope=\"col\">adapter</th><th scope=\"col\">difference</th><th scope=\"col\">worse 0 better</th><th scope=\"col\">p</th><th scope=\"col\">could show</th><th scope=\"col\">verdict</th></tr></thead>\n<tbody>\n",
    );
    for found in all {
        let number =
            |value: Option<f64>| value.map_or("–".into(), |value| said(found.metric, value));
        let difference = match (found.difference, found.interval) {
            (Some(value), Some((low, high))) => format!(
                "{} ({} to {})",
                signed(found.metric, value),
                signed(found.metric, low),
                signed(found.metric, high)
            ),
            (Some(value), None) => signed(found.metric, value),
            _ => "–".into(),
        };
        let verdict = match &found.why {
            Some(why) => format!("{}<small>{}</small>", found.shown, escape(why)),
            None => format!("<b>{}</b>", found.shown),
        };
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{} <small>{}</small></th><td>{}</td><td>{}</td><td>{difference}</td><td>{}</td><td>{}</td><td>{}</td><td>{verdict}</td></tr>",
            if title == found.adapter {
                found.metric.name().replace('_', " ")
            } else {
                escape(&found.adapter)
            },
            counted(found.items, "item"),
            number(found.base),
            number(found.value),
            drawn(found),
            p(found.corrected_p),
            number(found.detectable),
        );
    }
    figure(title, "", &(text + "</tbody></table></div>\n"))
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

fn p(p: f64) -> String {
    match p {
        p if p < 0.001 => "&lt; 0.001".into(),
        p => format!("{p:.3}"),
    }
}

/// A number of a metric: nats, or a share in per cent.
fn said(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Loss => format!("{value:.4}"),
        _ => format!("{:.1}\u{202f}%", value * 100.0),
    }
}

fn signed(metric: Metric, value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "+" };
    let text = said(metric, value.abs());
    match metric {
        Metric::Loss => format!("{sign}{text}"),
        _ => format!("{sign}{}", text.replace('%', "points")),
    }
}

fn levels(measured: &Measured) -> String {
    let heads = measured.arms.iter();
    let heads: String = heads
        .map(|arm| format!("<th scope=\"col\">{}</th>", escape(&arm.name)))
        .collect();
    let mut text = format!(
        "<div class=\"wide\"><table class=\"plain\">\n<thead><tr><th scope=\"col\">metric</th>{heads}</tr></thead>\n<tbody>\n"
    );
    let seen = |metric: &&Metric| {
        measured
            .arms
            .iter()
            .any(|arm| arm.metrics.contains_key(*metric))
    };
    for metric in Metric::ALL.iter().filter(seen) {
        let cell = |scored: Option<&Scored>| match scored {
            None => "<td>–</td>".to_owned(),
            Some(scored) => {
                let interval = scored.interval.map_or(String::new(), |(low, high)| {
                    format!(" ({} to {})", said(*metric, low), said(*metric, high))
                });
                let items = counted(scored.items, "item");
                let value = said(*metric, scored.value);
                format!("<td>{value}{interval}<small>{items}</small></td>")
            }
        };
        let cells: String = measured
            .arms
            .iter()
            .map(|arm| cell(arm.metrics.get(metric)))
            .collect();
        let name = metric.name().replace('_', " ");
        let _ = writeln!(text, "<tr><th scope=\"row\">{name}</th>{cells}</tr>");
    }
    figure("Levels", "", &(text + "</tbody></table></div>\n"))
}

fn won_and_lost(examples: &[Example]) -> String {
    if examples.is_empty() {
        return nothing(
            "Examples",
            "No decoded item was answered right by only one of the two.",
        );
    }
    let mut text = String::new();
    for example in examples {
        let word = if example.won { "won" } else { "lost" };
        let title = format!("{}: {word} {}", example.adapter, example.item);
        let mut body = String::from("<table class=\"plain settings\"><tbody>\n");
        let rows = [
            ("right", &example.right),
            ("base", &example.base),
            ("adapter", &example.answer),
        ];
        for (who, said) in rows {
            let shown: String = said.chars().take(SHOWN).collect();
            let more = if shown.len() < said.len() { " …" } else { "" };
            let _ = writeln!(
                body,
                "<tr><th scope=\"row\">{who}</th><td>{}{more}</td></tr>",
                escape(&shown)
            );
        }
        body += "</tbody></table>\n";
        text += &figure(&title, example.metric.name(), &body);
    }
    text
}

fn making(measured: &Measured) -> String {
    let items = &measured.items;
    let mut rows = vec![
        ("model".to_owned(), measured.model.clone()),
        ("rows too long".into(), count(items.too_long)),
        ("rows without an answer".into(), count(items.unanswered)),
        ("rows left out".into(), count(items.left_out)),
        (
            "measured rows that are training rows too".into(),
            count(items.trained_on),
        ),
    ];
    for arm in &measured.arms {
        rows.extend(
            arm.directory
                .clone()
                .map(|dir| (format!("adapter {}", arm.name), dir)),
        );
    }
    for file in &measured.data {
        rows.push((
            "data".into(),
            format!("{} (sha256 {})", file.path, file.sha256),
        ));
    }
    if let Ok(serde_json::Value::Object(settings)) = serde_json::to_value(&measured.settings) {
        rows.extend(
            settings
                .into_iter()
                .map(|(key, value)| (key, value.to_string())),
        );
    }
    let mut text = String::from("<table class=\"plain settings\"><tbody>\n");
    for (key, value) in rows {
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
            escape(&key),
            escape(&value)
        );
    }
    figure("Input and settings", "", &(text + "</tbody></table>\n"))
}
