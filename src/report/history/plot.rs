//! A metric over the experiments, for a terminal: a dot an experiment, and the best so far as a line.

use crate::history::{Direction, Experiment, Status};

/// Columns of the whole plot.
const WIDTH: usize = 80;
/// Columns of the numbers on the left.
const LABELS: usize = 10;
/// Lines of the plot itself.
const HEIGHT: usize = 16;

/// One experiment in a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its id.
    pub id: String,
    /// The metric.
    pub value: f64,
    /// The best value of those that completed until then, if any had.
    pub best: Option<f64>,
}

/// The experiments that have a metric, in the order in which they ended.
pub fn points(experiments: &[Experiment], metric: &str) -> Vec<Point> {
    let direction = Direction::of(metric);
    let mut ordered: Vec<&Experiment> = experiments.iter().collect();
    ordered.sort_by_key(|one| (one.ended_at, &one.experiment_id));
    let mut best: Option<f64> = None;
    let mut all = Vec::new();
    for one in ordered {
        let Some(value) = one.metrics.get(metric).copied() else {
            continue;
        };
        let better = best.is_none_or(|best| direction.better(value, best));
        if one.status == Status::Completed && better {
            best = Some(value);
        }
        all.push(Point {
            id: one.experiment_id.clone(),
            value,
            best,
        });
    }
    all
}

/// The least and the greatest value, a little apart where they are the same.
pub fn span(points: &[Point]) -> (f64, f64) {
    let values = || points.iter().map(|point| point.value);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    if high > low {
        (low, high)
    } else {
        let some = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
        (low - some, high + some)
    }
}

/// The plot as text of 80 columns; with signs of Unicode, or of ASCII alone. Without points a sentence.
pub fn plot(points: &[Point], metric: &str, unicode: bool) -> String {
    let Some(last) = points.last() else {
        return format!("no experiment has {metric}\n");
    };
    let canvas = if unicode {
        Canvas::braille()
    } else {
        Canvas::ascii()
    };
    let (low, high) = span(points);
    let lines = canvas.drawn(points, low, high);
    let which = match Direction::of(metric) {
        Direction::Smaller => "smaller is better",
        Direction::Larger => "larger is better",
    };
    let best = last
        .best
        .map_or(String::new(), |best| format!(", best {}", number(best)));
    let mut text = format!("{metric} of {} experiments, {which}{best}\n", points.len());
    for (at, line) in lines.iter().enumerate() {
        let share = 1.0 - at as f64 / (HEIGHT - 1) as f64;
        let label = if at % 5 == 0 {
            number(low + (high - low) * share)
        } else {
            String::new()
        };
        let bar = if unicode { '│' } else { '|' };
        text += format!("{label:>width$} {bar}{line}", width = LABELS - 2).trim_end();
        text += "\n";
    }
    let (corner, dash) = if unicode { ('└', "─") } else { ('+', "-") };
    text += &format!(
        "{:>width$}{corner}{}\n",
        "",
        dash.repeat(WIDTH - LABELS),
        width = LABELS - 1
    );
    let (first, last) = (&points[0].id, &last.id);
    let room = WIDTH - LABELS;
    let gap = room.saturating_sub(first.chars().count() + last.chars().count());
    let below = if points.len() > 1 && gap > 1 {
        format!("{first}{}{last}", " ".repeat(gap))
    } else {
        first.clone()
    };
    text + &format!("{:LABELS$}{below}\n", "")
}

/// Four digits that count.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let digits = (3 - size.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// Cells of several dots each.
struct Canvas {
    across: usize,
    down: usize,
    braille: bool,
}

impl Canvas {
    fn braille() -> Self {
        Self {
            across: 2,
            down: 4,
            braille: true,
        }
    }

    fn ascii() -> Self {
        Self {
            across: 1,
            down: 1,
            braille: false,
        }
    }

    fn drawn(&self, points: &[Point], low: f64, high: f64) -> Vec<String> {
        let (width, height) = ((WIDTH - LABELS) * self.across, HEIGHT * self.down);
        let mut dots = vec![vec![b' '; width]; height];
        let most = points.len().saturating_sub(1).max(1) as f64;
        let column = |at: usize| (at as f64 / most * (width - 1) as f64).round() as usize;
        let row = |value: f64| {
            let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
            ((1.0 - share) * (height - 1) as f64).round() as usize
        };
        for (at, point) in points.iter().enumerate() {
            let end = if at + 1 < points.len() {
                column(at + 1)
            } else {
                column(at)
            };
            if let Some(best) = point.best {
                dots[row(best)][column(at)..=end].fill(b'-');
            }
        }
        for (at, point) in points.iter().enumerate() {
            dots[row(point.value)][column(at)] = b'*';
        }
        if !self.braille {
            return dots
                .into_iter()
                .map(|line| String::from_utf8_lossy(&line).into_owned())
                .collect();
        }
        let cell = |line: usize, cell: usize| {
            // The bits of a sign, line by line (Unicode, block "Braille Patterns").
            let bits = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
            let mut sign = 0;
            for (y, bits) in bits.iter().enumerate() {
                for (x, bit) in bits.iter().enumerate() {
                    if dots[line * 4 + y][cell * 2 + x] != b' ' {
                        sign |= bit;
                    }
                }
            }
            if sign == 0 {
                ' '
            } else {
                char::from_u32(0x2800 + sign).unwrap_or(' ')
            }
        };
        (0..HEIGHT)
            .map(|line| (0..WIDTH - LABELS).map(|at| cell(line, at)).collect())
            .collect()
    }
}
