//! A metric over the experiments as an SVG picture: a dot an experiment, which says its name, and the best so far.

use super::plot::{Point, number, span};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 80.0;
const EDGE: f64 = 40.0;

/// The picture. Without points it has its frame and its title.
pub fn svg(points: &[Point], metric: &str) -> String {
    let (low, high) = if points.is_empty() {
        (0.0, 1.0)
    } else {
        span(points)
    };
    let most = points.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| LEFT + at as f64 / most * (WIDTH - LEFT - EDGE);
    let y = |value: f64| EDGE + (high - value) / (high - low) * (HEIGHT - 2.0 * EDGE);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{}</text>\n",
        escaped(metric)
    );
    // Writing to a string cannot fail.
    for k in 0..=4 {
        let value = low + (high - low) * f64::from(k) / 4.0;
        let (at, right) = (y(value), WIDTH - EDGE);
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            number(value)
        );
    }
    let mut line = String::new();
    for (at, point) in points.iter().enumerate() {
        if let Some(best) = point.best {
            let (x, y) = (x(at), y(best));
            let _ = match line.as_str() {
                "" => write!(line, "M{x:.1} {y:.1}"),
                _ => write!(line, "H{x:.1}V{y:.1}"),
            };
        }
    }
    let _ = writeln!(
        text,
        "<path d=\"{line}\" fill=\"none\" stroke=\"#c60\" stroke-width=\"2\"/>"
    );
    for (at, point) in points.iter().enumerate() {
        let _ = writeln!(
            text,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"#246\"><title>{} {}</title></circle>",
            x(at),
            y(point.value),
            escaped(&point.id),
            number(point.value)
        );
    }
    text + "</svg>\n"
}

/// What stands for itself in a document.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace(char::is_control, " ")
}
