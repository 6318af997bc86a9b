//! `report.html` of a fine-tune: its few numbers, the loss curve, the learning rate, the settings. In the letters of the data
//! set's page.
//!
//! Curves are lines in a box of per cent, stretched to the width there is; letters are outside the box and keep their size.

use super::page::html::{at, document, escape, figure, nothing, numbers, round_step, section};
use crate::training::metrics::{LookRow, Row, StepRow};
use std::fmt::Write;

/// What the rows do not say.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What the fine-tune is called.
    pub name: &'a str,
    /// The few numbers that matter: what, how much, and what that means.
    pub facts: &'a [(&'static str, String, String)],
    /// Settings with their values, in the order to show them.
    pub settings: &'a [(String, String)],
}

/// Points of one line: more are not seen, and a page stays small.
const POINTS: usize = 400;
/// Rows of the table of numbers.
const TABLED: usize = 50;
/// Lines across, about.
const TICKS: f64 = 4.0;

/// A line: its word, its class, and its points as (step, value), steps ascending.
struct Line {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, f64)>,
    /// Few points, which are each worth a dot.
    dots: bool,
}

/// The page.
pub fn render(about: &About<'_>, rows: &[Row]) -> String {
    let name = escape(about.name);
    let mut text = format!(
        "<header>\n<p class=\"kind\">Fine-tune report</p>\n<h1>{name}</h1>\n<dl class=\"facts\">\n"
    );
    for (what, number, note) in about.facts {
        let _ = writeln!(
            text,
            "<div><dt>{what}</dt><dd><b>{}</b><span>{}</span></dd></div>",
            escape(number),
            escape(note)
        );
    }
    text += "</dl>\n</header>\n";
    let steps: Vec<&StepRow> = rows.iter().filter_map(step).collect();
    let looks: Vec<&LookRow> = rows.iter().filter_map(look).collect();
    text += &section(
        "loss",
        "Loss",
        "Mean over learned tokens (with DPO over pairs), in nats; steps as they were before their update.",
        &loss(&steps, &looks),
    );
    text += &section("rate", "Steps", "", &rate(&steps));
    text += &section("settings", "Settings", "", &settings(about.settings));
    document(&format!("{name}: fine-tune report"), &text)
}

fn step(row: &Row) -> Option<&StepRow> {
    match row {
        Row::Step(row) => Some(row),
        Row::Look(_) => None,
    }
}

fn look(row: &Row) -> Option<&LookRow> {
    match row {
        Row::Look(row) => Some(row),
        Row::Step(_) => None,
    }
}

fn loss(steps: &[&StepRow], looks: &[&LookRow]) -> String {
    let train = Line {
        name: "training",
        class: "c1",
        points: thin(
            steps
                .iter()
                .map(|row| (row.step as f64, row.loss))
                .collect(),
        ),
        dots: steps.len() < 2,
    };
    let eval = Line {
        name: "holdout",
        class: "c6",
        points: looks
            .iter()
            .map(|row| (row.step as f64, row.eval_loss))
            .collect(),
        dots: true,
    };
    let cells: Vec<Vec<String>> = table(steps, looks);
    let body = chart(&[train, eval]) + &numbers(&["step", "training", "holdout"], &cells);
    figure("Loss by step", "", &body)
}

fn rate(steps: &[&StepRow]) -> String {
    let line = |title, class, value: fn(&StepRow) -> f64| {
        let points = steps.iter().map(|row| (row.step as f64, value(row)));
        let line = Line {
            name: title,
            class,
            points: thin(points.collect()),
            dots: steps.len() < 2,
        };
        figure(title, "", &chart(&[line]))
    };
    let figures = [
        line("Learning rate", "c3", |row| row.lr),
        line("Gradient norm before clipping", "c5", |row| row.grad_norm),
    ];
    super::page::html::grid(&figures)
}

/// Looks with the step that each followed; without looks some steps.
fn table(steps: &[&StepRow], looks: &[&LookRow]) -> Vec<Vec<String>> {
    let number = |value: f64| format!("{value:.4}");
    let dash = || "–".to_string();
    if looks.is_empty() {
        let every = steps.len().div_ceil(TABLED).max(1);
        let shown = steps.iter().step_by(every);
        return shown
            .map(|row| vec![row.step.to_string(), number(row.loss), dash()])
            .collect();
    }
    let every = looks.len().div_ceil(TABLED).max(1);
    let row = |look: &&LookRow| {
        let found = steps.binary_search_by_key(&look.step, |row| row.step);
        let trained = found.map_or_else(|_| dash(), |at| number(steps[at].loss));
        vec![look.step.to_string(), trained, number(look.eval_loss)]
    };
    looks.iter().step_by(every).map(row).collect()
}

/// At most [`POINTS`] points: means of so many neighbours.
fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let every = points.len().div_ceil(POINTS).max(1);
    let mean = |some: &[(f64, f64)]| {
        let n = some.len() as f64;
        let (x, y) = some.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
        (x / n, y / n)
    };
    points.chunks(every).map(mean).collect()
}

/// The part of an axis that is drawn.
#[derive(Clone, Copy)]
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// Round ends around values; none without any.
    fn around(values: impl Iterator<Item = f64>) -> Option<Self> {
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

    fn part(self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from) * 100.0
    }

    /// Round values, from one end to the other.
    fn ticks(self) -> Vec<f64> {
        let step = round_step((self.to - self.from) / TICKS);
        let first = (self.from / step - 1e-6).ceil() as i64;
        let last = (self.to / step + 1e-6).floor() as i64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

/// A value beside an axis: as many digits as tell ticks apart.
fn label(value: f64) -> String {
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

fn chart(lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let Some(y) = Axis::around(points().map(|point| point.1)) else {
        return nothing("", "Nothing was measured.");
    };
    let steps = points().map(|point| point.0);
    let last = steps.fold(1.0, f64::max);
    let x = Axis {
        from: 0.0,
        to: last,
    };
    let mut text = String::new();
    let drawn: Vec<&Line> = lines
        .iter()
        .filter(|line| !line.points.is_empty())
        .collect();
    if drawn.len() > 1 {
        text += "<ul class=\"legend\">";
        for line in &drawn {
            let _ = write!(
                text,
                "<li><i class=\"{}\"></i>{}</li>",
                line.class, line.name
            );
        }
        text += "</ul>\n";
    }
    let names: Vec<&str> = drawn.iter().map(|line| line.name).collect();
    let _ = writeln!(
        text,
        "<svg class=\"plot\" width=\"100%\" height=\"240\" role=\"img\" aria-label=\"{} by step, {} to {}\">",
        names.join(" and "),
        label(y.from),
        label(y.to)
    );
    for tick in y.ticks() {
        let height = at((100.0 - y.part(tick)) * 0.88);
        let _ = writeln!(
            text,
            "<line class=\"rule\" x1=\"0\" x2=\"100%\" y1=\"{height}\" y2=\"{height}\"/><text x=\"-8\" y=\"{height}\" dy=\"4\" text-anchor=\"end\">{}</text>",
            label(tick)
        );
    }
    for line in &drawn {
        text += &drawing(line, x, y);
    }
    let _ = writeln!(
        text,
        "<text x=\"0\" y=\"100%\" dy=\"-6\">step 0</text><text x=\"100%\" y=\"100%\" dy=\"-6\" text-anchor=\"end\">{last}</text>\n</svg>"
    );
    text
}

/// The line in a box of 100 by 100 over the upper 88 % of the plot, and its dots.
fn drawing(line: &Line, x: Axis, y: Axis) -> String {
    let place = |point: &(f64, f64)| (x.part(point.0), 100.0 - y.part(point.1));
    let mut text = format!(
        "<svg x=\"0\" y=\"0\" width=\"100%\" height=\"88%\" viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\"><polyline class=\"line l{}\" points=\"",
        &line.class[1..]
    );
    for (left, top) in line.points.iter().map(place) {
        let _ = write!(text, "{left:.2},{top:.2} ");
    }
    text.truncate(text.trim_end().len());
    text += "\"/></svg>\n";
    if line.dots {
        for (left, top) in line.points.iter().map(place) {
            let (left, top) = (at(left), at(top * 0.88));
            let class = line.class;
            let _ = write!(
                text,
                "<circle class=\"{class}\" cx=\"{left}\" cy=\"{top}\" r=\"3\"/>"
            );
        }
        text.push('\n');
    }
    text
}

fn settings(settings: &[(String, String)]) -> String {
    let mut text = String::from("<table class=\"plain settings\"><tbody>\n");
    for (key, value) in settings {
        let (key, value) = (escape(key), escape(value));
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\"><code>{key}</code></th><td><code>{value}</code></td></tr>"
        );
    }
    text + "</tbody></table>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(steps: u64) -> Vec<Row> {
        let step = |step: u64| {
            Row::Step(StepRow {
                step,
                epoch: 0.0,
                loss: 3.0 - step as f64 / steps as f64,
                grad_norm: 1.0,
                lr: 1e-4,
                tokens: 1,
                tokens_per_second: 1.0,
                rewards_chosen: None,
                rewards_rejected: None,
                rewards_accuracies: None,
            })
        };
        let look = |step| {
            Row::Look(LookRow {
                step,
                epoch: 0.0,
                eval_loss: 2.5,
                eval_rewards_accuracies: None,
            })
        };
        (1..=steps)
            .map(step)
            .chain([look(0), look(steps)])
            .collect()
    }

    fn page(rows: &[Row]) -> String {
        let about = About {
            name: "<b>",
            facts: &[("Steps", "3".into(), "of 3".into())],
            settings: &[("learning_rate".into(), "0.0002".into())],
        };
        render(&about, rows)
    }

    #[test]
    fn curves_are_drawn_and_their_numbers_stand_beside_them() {
        let text = page(&rows(3));
        assert_eq!(text.matches("<polyline").count(), 4);
        assert!(
            text.contains("points=\"33.33,16.67 66.67,58.33 100.00,100.00\""),
            "{text}"
        );
        assert!(text.contains("<li><i class=\"c6\"></i>holdout</li>"));
        assert!(text.contains("<td>2.5000</td>"));
        assert!(text.contains("&lt;b&gt;") && !text.contains("<b>:"));
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn long_runs_stay_small_and_empty_ones_say_so() {
        let text = page(&rows(100_000));
        assert!(text.len() < 60_000, "{}", text.len());
        assert!(page(&[]).contains("Nothing was measured"));
        assert!(!page(&rows(1)).contains("NaN"));
    }

    #[test]
    fn an_axis_has_round_ends_around_its_values() {
        let axis = Axis::around([2.13, 2.97].into_iter()).unwrap();
        assert_eq!((axis.from, axis.to), (2.0, 3.0));
        let flat = Axis::around([5.0, 5.0].into_iter()).unwrap();
        assert!(flat.from <= 5.0 && flat.to > flat.from);
        assert!(Axis::around([f64::NAN].into_iter()).is_none());
    }
}
