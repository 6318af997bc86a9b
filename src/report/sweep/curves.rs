//! The losses of many members in one picture: each line has a colour, and at its end the number of its member in the table.

use super::Member;
use crate::report::{
    page::{
        curves::{Axis, CURVES, Line, label, legend, plot, sign, steps, thin},
        html::{at, count, counted, escape, figure, nothing, numbers},
    },
    training::{look, step},
};
use std::fmt::Write;

/// Colours of the style sheet that are told apart side by side, in the order of ranks; then the same with dashes.
const HUES: [usize; 8] = [1, 2, 3, 4, 6, 8, 9, 10];
/// Members with a colour of their own; the others are grey.
const COLOURED: usize = 2 * HUES.len();
const GREY: usize = 7;
/// Points of a line: between the lines of others more are not seen.
const POINTS: usize = 60;
/// Height of the picture, px: room for the numbers of all coloured lines under each other.
const HEIGHT: u32 = 340;
/// What a number beside the picture needs, in per cent of the curves' height.
const LETTER: f64 = 13.0 / (HEIGHT as f64 * CURVES) * 100.0;
/// Rows of the table of numbers.
const TABLED: usize = 20;

/// What members are compared by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    Holdout,
    Training,
}

impl Measure {
    /// The holdout where anyone looked at it.
    pub(super) fn of(members: &[&Member]) -> Self {
        let mut rows = members.iter().flat_map(|member| member.rows);
        if rows.any(|row| look(row).is_some()) {
            Self::Holdout
        } else {
            Self::Training
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Holdout => "loss on the holdout",
            Self::Training => "training loss of the last step",
        }
    }

    pub(super) fn short(self) -> &'static str {
        match self {
            Self::Holdout => "holdout",
            Self::Training => "training",
        }
    }

    /// (step, loss) of every row that has one.
    fn points(self, member: &Member) -> Vec<(f64, f64)> {
        let point = |row| match self {
            Self::Holdout => look(row).map(|row| (row.step as f64, row.eval_loss)),
            Self::Training => step(row).map(|row| (row.step as f64, row.loss)),
        };
        member.rows.iter().filter_map(point).collect()
    }
}

/// The line of a member by its rank from 1, without its points.
fn styled(name: &str, rank: usize) -> Line<'_> {
    let coloured = rank <= COLOURED;
    Line {
        name,
        hue: if coloured {
            HUES[(rank - 1) % HUES.len()]
        } else {
            GREY
        },
        dashed: coloured && rank > HUES.len(),
        points: Vec::new(),
        dots: false,
    }
}

/// The colour of a member's line.
pub(in crate::report) fn swatch(rank: usize) -> String {
    sign(&styled("", rank))
}

/// The picture, its remarks and its numbers.
pub(super) fn curves(members: &[&Member], measure: Measure) -> String {
    let title = match measure {
        Measure::Holdout => "Loss on the holdout by step",
        Measure::Training => "Training loss by step",
    };
    let all: Vec<Vec<(f64, f64)>> = members.iter().map(|one| measure.points(one)).collect();
    let ranked = members.iter().zip(1..);
    let names: Vec<String> = ranked
        .map(|(one, rank)| format!("{rank} {}", one.name))
        .collect();
    let mut lines = lines(&names, &all);
    let Some(y) = scale(members, &lines) else {
        return nothing(title, "No loss was measured that is a number.");
    };
    let last = all.iter().flatten().map(|point| point.0 as u64).max();
    let x = steps(last.unwrap_or(0));
    let what = format!(
        "{title} of {}, {} to {}",
        counted(members.len() as u64, "member"),
        label(y.from),
        label(y.to)
    );
    let coloured = &lines[..lines.len().min(COLOURED)];
    let (named, ends) = (legend(coloured), ends(coloured, x, y));
    // The best is drawn last, over the others.
    lines.reverse();
    let picture = plot(&lines, (x, y), ("plot ends", HEIGHT, &what), &ends);
    let body = named + &picture + &tabled(members, &all);
    figure(title, &remarks(members, &all, measure), &body)
}

/// What is drawn of each member, by its rank.
fn lines<'a>(names: &'a [String], all: &[Vec<(f64, f64)>]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for ((points, name), rank) in all.iter().zip(names).zip(1..) {
        let finite = points.iter().filter(|point| point.1.is_finite());
        lines.push(Line {
            points: thin(finite.copied().collect(), POINTS),
            ..styled(name, rank)
        });
    }
    lines
}

/// Around the values of members that went to their end: one that diverges would press all others flat.
fn scale(members: &[&Member], lines: &[Line]) -> Option<Axis> {
    let of = |stopped: bool| {
        let lines = members.iter().zip(lines);
        let some = lines.filter(move |(member, _)| stopped || member.stopped.is_none());
        Axis::around(some.flat_map(|(_, line)| &line.points).map(|point| point.1))
    };
    of(false).or_else(|| of(true))
}

/// What is not in the picture, or not as it was; escaped.
fn remarks(members: &[&Member], all: &[Vec<(f64, f64)>], measure: Measure) -> String {
    let mut text = String::new();
    if measure == Measure::Training && all.iter().any(|points| points.len() > POINTS) {
        text += "Means over neighbouring steps. ";
    }
    if members.len() > COLOURED {
        let _ = write!(text, "The best {COLOURED} in colour, the others grey. ");
    }
    let ended = members.iter().any(|one| one.stopped.is_none());
    if ended && members.iter().any(|one| one.stopped.is_some()) {
        text += "The scale is that of the members that went to their end. ";
    }
    for (member, points) in members.iter().zip(all) {
        let not = points.iter().filter(|point| !point.1.is_finite()).count() as u64;
        if not > 0 {
            let losses = if not == 1 {
                "loss that is"
            } else {
                "losses that are"
            };
            let _ = write!(
                text,
                "Left out: {} {losses} not finite, of {}. ",
                count(not),
                escape(member.name)
            );
        }
    }
    text.trim_end().into()
}

/// A number beside the end of every line, and what leads there.
fn ends(lines: &[Line], x: Axis, y: Axis) -> String {
    let mut ends: Vec<(f64, f64, &Line, usize)> = lines
        .iter()
        .zip(1..)
        .filter_map(|(line, rank)| {
            let (step, loss) = *line.points.last()?;
            let top = (100.0 - y.part(loss)).clamp(0.0, 100.0);
            Some((x.part(step), top, line, rank))
        })
        .collect();
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    let wanted: Vec<f64> = ends.iter().map(|end| end.1).collect();
    let mut text = String::new();
    for ((left, top, line, rank), beside) in ends.iter().zip(spread(&wanted, LETTER)) {
        let (left, top, beside) = (at(*left), at(top * CURVES), at(beside * CURVES));
        let hue = line.hue;
        let _ = writeln!(
            text,
            "<line class=\"lead l{hue}\" x1=\"{left}\" x2=\"100%\" y1=\"{top}\" y2=\"{top}\"/><circle class=\"c{hue}\" cx=\"{left}\" cy=\"{top}\" r=\"2.5\"/><svg x=\"100%\" y=\"0\" width=\"20\" height=\"100%\"><line class=\"fan l{hue}\" x1=\"0\" x2=\"16\" y1=\"{top}\" y2=\"{beside}\"/><text x=\"19\" y=\"{beside}\" dy=\"4\">{rank}</text></svg>"
        );
    }
    text
}

/// Places from 0 to 100 at least `gap` apart, in the order of those that are wanted (ascending) and near them.
fn spread(wanted: &[f64], gap: f64) -> Vec<f64> {
    let mut places = wanted.to_vec();
    for at in 1..places.len() {
        places[at] = places[at].max(places[at - 1] + gap);
    }
    let mut most = 100.0;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - gap;
    }
    places
}

/// The losses of every member at some steps.
fn tabled(members: &[&Member], all: &[Vec<(f64, f64)>]) -> String {
    let mut steps: Vec<u64> = all.iter().flatten().map(|point| point.0 as u64).collect();
    steps.sort_unstable();
    steps.dedup();
    let every = steps.len().div_ceil(TABLED).max(1);
    let cell = |points: &Vec<(f64, f64)>, step: u64| {
        let found = points.iter().find(|point| point.0 as u64 == step);
        super::number(found.map(|point| point.1))
    };
    let row = |step: &u64| {
        let cells = all.iter().map(|points| cell(points, *step));
        std::iter::once(step.to_string()).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = steps.iter().step_by(every).map(row).collect();
    let names = members.iter().map(|one| one.name);
    let heads: Vec<&str> = std::iter::once("step").chain(names).collect();
    numbers(&heads, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beside_the_picture_keep_their_order_and_their_distance() {
        assert_eq!(spread(&[], 5.0), Vec::<f64>::new());
        assert_eq!(spread(&[10.0, 50.0], 5.0), [10.0, 50.0]);
        assert_eq!(spread(&[10.0, 10.0, 11.0], 5.0), [10.0, 15.0, 20.0]);
        assert_eq!(spread(&[99.0, 100.0], 5.0), [95.0, 100.0]);
        let many = spread(&[50.0; COLOURED], LETTER);
        assert!(
            many.iter().all(|place| (0.0..=100.0).contains(place)),
            "{many:?}"
        );
        assert!(
            many.windows(2).all(|two| two[1] - two[0] >= LETTER - 1e-9),
            "{many:?}"
        );
    }
}
