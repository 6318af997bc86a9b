//! Histograms and ranges, in per cent of their width and pixels of their height.

use super::{
    bars::heads,
    html::{at, compact, count, counted, escape, figure, nothing, numbers, or_dash, round_step},
};
use crate::curation::stats::{Distribution, Percentiles};
use std::fmt::Write;

/// Height of the bars, of the space above them for the median, and of the axis below them, in pixels.
const HEIGHT: f64 = 150.0;
const ABOVE: f64 = 20.0;
const BELOW: f64 = 40.0;

/// How a histogram is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// A word that no other plot of the page has.
    pub id: &'static str,
    /// What is measured, with its unit: the label of the axis.
    pub axis: &'static str,
    /// What is counted, in the plural.
    pub rows: &'static str,
    /// How values are written.
    pub format: fn(f64) -> String,
    /// A small one: no label of the axis, half as high.
    pub small: bool,
    /// Begin where the values do, at a tenth: for values between 0 and 1 that crowd at one end.
    pub crop: bool,
    /// Why there may be nothing to see.
    pub none: &'static str,
}

/// The part of the horizontal axis that is drawn.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn part(&self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from) * 100.0
    }

    /// Round values, about five.
    fn ticks(&self) -> Vec<f64> {
        let step = round_step((self.to - self.from) / 5.0);
        let first = (self.from / step - 1e-9).ceil() as i64;
        let last = (self.to / step + 1e-9).floor() as i64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

/// A distribution with its numbers.
pub(super) fn histogram(title: &str, of: &Distribution, style: &Style) -> String {
    let (Some(median), Some(first), Some(last)) = (
        of.median,
        of.histogram.edges.first(),
        of.histogram.edges.last(),
    ) else {
        return nothing(title, style.none);
    };
    let from = match of.min {
        Some(min) if style.crop => ((min * 10.0).floor() / 10.0).clamp(*first, 0.9),
        _ => *first,
    };
    let axis = Axis { from, to: *last };
    let write = style.format;
    let mut note = format!(
        "5 % to 95 %: {} to {}",
        or_dash(of.p5, write),
        or_dash(of.p95, write)
    );
    if !style.small {
        let _ = write!(
            note,
            " · mean {} · {} {}",
            or_dash(of.mean, write),
            count(of.n),
            style.rows
        );
    }
    if of.histogram.above > 0 {
        let _ = write!(
            note,
            " · {} beyond {}, up to {}",
            counted(of.histogram.above, "row"),
            write(*last),
            or_dash(of.max, write)
        );
    }
    let body = drawing(title, of, style, &axis, median) + &bins(of, style);
    figure(title, &note, &body)
}

fn drawing(title: &str, of: &Distribution, style: &Style, axis: &Axis, median: f64) -> String {
    let height = if style.small { HEIGHT / 2.0 } else { HEIGHT };
    let below = if style.small { BELOW / 2.0 } else { BELOW };
    let id = style.id;
    let mut text = format!(
        "<svg class=\"plot\" width=\"100%\" height=\"{0}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{1}</title><desc id=\"{id}-d\">Histogram of {2} {3}, {4} from {5} to {6}; median {7}.</desc>\n",
        ABOVE + height + below,
        escape(title),
        count(of.n),
        style.rows,
        escape(style.axis),
        (style.format)(axis.from),
        (style.format)(axis.to),
        (style.format)(median)
    );
    let (most, lines) = upright(of, height, style);
    text += &lines;
    text += &columns(of, style, axis, (height, most));
    text += &across(axis, style, height);
    // The label goes where there is room for it.
    let part = axis.part(median);
    let anchor = match part {
        ..20.0 => "start",
        20.0..80.0 => "middle",
        _ => "end",
    };
    let _ = writeln!(
        text,
        "<line class=\"mid\" x1=\"{0}\" x2=\"{0}\" y1=\"{1}\" y2=\"{2}\"/><text class=\"mid\" x=\"{0}\" y=\"{3}\" text-anchor=\"{anchor}\">median {4}</text>",
        at(part),
        ABOVE - 4.0,
        ABOVE + height,
        ABOVE - 8.0,
        (style.format)(median)
    );
    text + "</svg>\n"
}

/// The vertical axis from zero: its greatest value, and its lines and labels.
fn upright(of: &Distribution, height: f64, style: &Style) -> (f64, String) {
    let tallest = of
        .histogram
        .counts
        .iter()
        .max()
        .copied()
        .unwrap_or(0)
        .max(1) as f64;
    let ticks = if style.small { 2.5 } else { 4.5 };
    // Counts are whole: so are their ticks.
    let step = round_step(tallest / ticks).ceil();
    let mut text = String::new();
    for tick in 1..=(tallest / step).floor() as u64 {
        let value = tick * step as u64;
        let y = ABOVE + height * (1.0 - value as f64 / tallest);
        text += &level(y, "rule", value);
    }
    (tallest, text)
}

fn level(y: f64, class: &str, value: u64) -> String {
    format!(
        "<line class=\"{class}\" x1=\"0\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"tick\" x=\"-8\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
        y + 4.0,
        compact(value)
    )
}

fn columns(of: &Distribution, style: &Style, axis: &Axis, (height, most): (f64, f64)) -> String {
    let mut text = String::new();
    for (edges, n) in of.histogram.edges.windows(2).zip(&of.histogram.counts) {
        if *n == 0 {
            continue;
        }
        // A bin that has something can be seen.
        let tall = (height * *n as f64 / most).max(1.0);
        let _ = writeln!(
            text,
            "<rect class=\"b col\" x=\"{}\" y=\"{:.1}\" width=\"{}\" height=\"{tall:.1}\"><title>{} to {}: {} {}</title></rect>",
            at(axis.part(edges[0])),
            ABOVE + height - tall,
            at(axis.part(edges[1]) - axis.part(edges[0])),
            (style.format)(edges[0]),
            (style.format)(edges[1]),
            count(*n),
            style.rows
        );
    }
    text
}

/// The horizontal axis: ticks, values and what is measured.
fn across(axis: &Axis, style: &Style, height: f64) -> String {
    let base = ABOVE + height;
    // After the columns, or they would cut it.
    let mut text = level(base, "base", 0);
    for tick in axis.ticks() {
        let _ = writeln!(
            text,
            "<line class=\"base\" x1=\"{0}\" x2=\"{0}\" y1=\"{base}\" y2=\"{1}\"/><text class=\"tick\" x=\"{0}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>",
            at(axis.part(tick)),
            base + 4.0,
            base + 17.0,
            (style.format)(tick)
        );
    }
    if !style.small {
        let _ = writeln!(
            text,
            "<text class=\"axis\" x=\"100%\" y=\"{}\" text-anchor=\"end\">{}</text>",
            base + 35.0,
            escape(style.axis)
        );
    }
    text
}

fn bins(of: &Distribution, style: &Style) -> String {
    let some = |(edges, n): (&[f64], &u64)| {
        let (from, to) = ((style.format)(edges[0]), (style.format)(edges[1]));
        (*n > 0).then(|| vec![format!("{from} to {to}"), count(*n)])
    };
    let mut rows: Vec<Vec<String>> = of
        .histogram
        .edges
        .windows(2)
        .zip(&of.histogram.counts)
        .filter_map(some)
        .collect();
    if of.histogram.above > 0 {
        rows.push(vec!["beyond".into(), count(of.histogram.above)]);
    }
    numbers(&[style.axis, style.rows], &rows)
}

/// Lengths of several kinds of rows on one axis from zero: 5th to 95th percentile as a bar, the median as a line in it,
/// the 99th percentile as a thin line.
pub(super) fn ranges(what: &str, rows: &[(String, &Percentiles)]) -> String {
    let most = rows.iter().filter_map(|(_, of)| of.p99).max().unwrap_or(0);
    let axis = Axis {
        from: 0.0,
        to: most.max(1) as f64,
    };
    let mut text = heads(what, &["p5", "p50", "p95", "p99", "max"]);
    for (name, of) in rows {
        let number = |n: Option<u64>| n.map_or("–".into(), count);
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td class=\"bar\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            range(of, &axis),
            number(of.p5),
            number(of.p50),
            number(of.p95),
            number(of.p99),
            number(of.max)
        );
    }
    text + "</tbody></table>\n"
}

fn range(of: &Percentiles, axis: &Axis) -> String {
    let mut text = String::from(
        "<svg class=\"len\" width=\"100%\" height=\"16\" aria-hidden=\"true\" focusable=\"false\"><line class=\"rule\" x1=\"0\" x2=\"100%\" y1=\"8\" y2=\"8\"/>",
    );
    if let (Some(p5), Some(p50), Some(p95), Some(p99)) = (of.p5, of.p50, of.p95, of.p99) {
        let part = |n: u64| axis.part(n as f64);
        let _ = write!(
            text,
            "<line class=\"whisker\" x1=\"{}\" x2=\"{}\" y1=\"8\" y2=\"8\"/><rect class=\"b\" x=\"{}\" width=\"{}\" y=\"2\" height=\"12\" rx=\"1.5\"/><line class=\"half\" x1=\"{4}\" x2=\"{4}\" y1=\"0\" y2=\"16\"/>",
            at(part(p95)),
            at(part(p99)),
            at(part(p5)),
            at((part(p95) - part(p5)).max(0.4)),
            at(part(p50))
        );
    }
    text + "</svg>"
}
