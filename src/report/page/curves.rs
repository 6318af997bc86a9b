//! Curves by step: lines in a box of per cent, stretched to the width there is; letters are outside the box and keep their size.

use super::html::{at, escape, nothing, round_step};
use std::fmt::Write;

/// Points of one line: more are not seen, and a page stays small.
pub(in crate::report) const POINTS: usize = 400;
/// Lines across, about.
const TICKS: f64 = 4.0;
/// The share of a plot's height that the curves have; below them stand the steps.
pub(in crate::report) const CURVES: f64 = 0.88;

/// A line: its word, its colour, and its points as (step, value), steps ascending.
pub(in crate::report) struct Line<'a> {
    pub(in crate::report) name: &'a str,
    /// The number of a colour of the style sheet.
    pub(in crate::report) hue: usize,
    pub(in crate::report) dashed: bool,
    pub(in crate::report) points: Vec<(f64, f64)>,
    /// Few points, which are each worth a dot.
    pub(in crate::report) dots: bool,
}

/// At most so many points: means of neighbours.
pub(in crate::report) fn thin(points: Vec<(f64, f64)>, most: usize) -> Vec<(f64, f64)> {
    let every = points.len().div_ceil(most).max(1);
    let mean = |some: &[(f64, f64)]| {
        let n = some.len() as f64;
        let (x, y) = some.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
        (x / n, y / n)
    };
    points.chunks(every).map(mean).collect()
}

/// The part of an axis that is drawn.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Axis {
    pub(in crate::report) from: f64,
    pub(in crate::report) to: f64,
}

impl Axis {
    /// Round ends around values; none without any.
    pub(in crate::report) fn around(values: impl Iterator<Item = f64>) -> Option<Self> {
        let finite = values.filter(|value| value.is_finite());
        let (from, to) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        });
        if from > to {
            return None;
        }
        let room = if to > from {
            to - from
        } else {
            to.abs().max(1e-9)
        };
        let step = round_step(room / TICKS);
        let (low, high) = ((from / step).floor() * step, (to / step).ceil() * step);
        Some(Self {
            from: low,
            to: if high > low { high } else { low + step },
        })
    }

    /// Where a value is, in per cent of the axis.
    pub(in crate::report) fn part(self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from) * 100.0
    }

    /// Round values, from one end to the other.
    pub(in crate::report) fn ticks(self) -> Vec<f64> {
        let step = round_step((self.to - self.from) / TICKS);
        let first = (self.from / step - 1e-6).ceil() as i64;
        let last = (self.to / step + 1e-6).floor() as i64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

/// A value beside an axis: as many digits as tell ticks apart.
pub(in crate::report) fn label(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".into()
    } else if (1e-3..1e5).contains(&size) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        format!("{value:.1e}")
    }
}

/// Steps from 0 to the last.
pub(in crate::report) fn steps(last: u64) -> Axis {
    Axis {
        from: 0.0,
        to: last.max(1) as f64,
    }
}

/// Lines around all their values up to the last step, named above where there are several.
pub(in crate::report) fn chart(lines: &[Line], last: u64) -> String {
    let values = lines.iter().flat_map(|line| &line.points);
    let Some(y) = Axis::around(values.map(|point| point.1)) else {
        return nothing("", "Nothing was measured.");
    };
    let drawn = lines.iter().filter(|line| !line.points.is_empty());
    let names: Vec<&str> = drawn.map(|line| line.name).collect();
    let legend = if names.len() > 1 {
        legend(lines)
    } else {
        String::new()
    };
    let what = format!(
        "{} by step, {} to {}",
        names.join(" and "),
        label(y.from),
        label(y.to)
    );
    legend + &plot(lines, (steps(last), y), ("plot", 240, &what), "")
}

/// The lines' colours and names.
pub(in crate::report) fn legend(lines: &[Line]) -> String {
    let mut text = String::from("<ul class=\"legend\">");
    for line in lines.iter().filter(|line| !line.points.is_empty()) {
        let _ = write!(text, "<li>{}{}</li>", sign(line), escape(line.name));
    }
    text + "</ul>\n"
}

/// A patch of a line's colour.
pub(in crate::report) fn sign(line: &Line) -> String {
    let dashed = if line.dashed { " dashed" } else { "" };
    format!("<i class=\"c{}{dashed}\"></i>", line.hue)
}

/// Lines over axes of steps and values, in a picture of a class and a height (px) that is said to show something; `over` is
/// drawn over them.
pub(in crate::report) fn plot(
    lines: &[Line],
    (x, y): (Axis, Axis),
    (class, height, what): (&str, u32, &str),
    over: &str,
) -> String {
    let mut text = format!(
        "<svg class=\"{class}\" width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n",
        escape(what)
    );
    for tick in y.ticks() {
        let height = at((100.0 - y.part(tick)) * CURVES);
        let _ = writeln!(
            text,
            "<line class=\"rule\" x1=\"0\" x2=\"100%\" y1=\"{height}\" y2=\"{height}\"/><text x=\"-8\" y=\"{height}\" dy=\"4\" text-anchor=\"end\">{}</text>",
            label(tick)
        );
    }
    for line in lines.iter().filter(|line| !line.points.is_empty()) {
        text += &drawing(line, x, y);
    }
    let _ = writeln!(
        text,
        "{over}<text x=\"0\" y=\"100%\" dy=\"-6\">step 0</text><text x=\"100%\" y=\"100%\" dy=\"-6\" text-anchor=\"end\">{}</text>\n</svg>",
        x.to
    );
    text
}

/// The line in a box of 100 by 100 over the upper part of the plot, and its dots. What is beyond the axis is cut off.
fn drawing(line: &Line, x: Axis, y: Axis) -> String {
    let place = |point: &(f64, f64)| (x.part(point.0), 100.0 - y.part(point.1));
    let beyond = line
        .points
        .iter()
        .any(|point| point.1 < y.from || point.1 > y.to);
    let clip = if beyond { " class=\"clip\"" } else { "" };
    let dashed = if line.dashed { " dashed" } else { "" };
    let hue = line.hue;
    let mut text = format!(
        "<svg{clip} x=\"0\" y=\"0\" width=\"100%\" height=\"{:.0}%\" viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\"><polyline class=\"line l{hue}{dashed}\" points=\"",
        CURVES * 100.0
    );
    for (left, top) in line.points.iter().map(place) {
        let _ = write!(text, "{left:.2},{top:.2} ");
    }
    text.truncate(text.trim_end().len());
    text += "\"/></svg>\n";
    if line.dots {
        for (left, top) in line.points.iter().map(place) {
            let (left, top) = (at(left), at(top * CURVES));
            let _ = write!(
                text,
                "<circle class=\"c{hue}\" cx=\"{left}\" cy=\"{top}\" r=\"3\"/>"
            );
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_ends_around_its_values() {
        let axis = Axis::around([2.13, 2.97].into_iter()).unwrap();
        assert_eq!((axis.from, axis.to), (2.0, 3.0));
        let flat = Axis::around([5.0, 5.0].into_iter()).unwrap();
        assert!(flat.from <= 5.0 && flat.to > flat.from);
        assert!(Axis::around([f64::NAN].into_iter()).is_none());
    }
}
