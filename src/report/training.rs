//! `report.html` of a fine-tune: its few numbers, the loss curve, the learning rate, the settings. In the letters of the data
//! set's page.

use super::page::{
    curves::{Line, POINTS, chart, thin},
    html::{document, escape, figure, numbers, section},
};
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

/// Rows of the table of numbers.
const TABLED: usize = 50;

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

pub(super) fn step(row: &Row) -> Option<&StepRow> {
    match row {
        Row::Step(row) => Some(row),
        Row::Look(_) => None,
    }
}

pub(super) fn look(row: &Row) -> Option<&LookRow> {
    match row {
        Row::Look(row) => Some(row),
        Row::Step(_) => None,
    }
}

fn loss(steps: &[&StepRow], looks: &[&LookRow]) -> String {
    let train = Line {
        name: "training",
        hue: 1,
        points: thin(
            steps
                .iter()
                .map(|row| (row.step as f64, row.loss))
                .collect(),
            POINTS,
        ),
        dashed: false,
        dots: steps.len() < 2,
    };
    let eval = Line {
        name: "holdout",
        hue: 6,
        points: looks
            .iter()
            .map(|row| (row.step as f64, row.eval_loss))
            .collect(),
        dashed: false,
        dots: true,
    };
    let last = steps.iter().map(|row| row.step);
    let last = last
        .chain(looks.iter().map(|row| row.step))
        .max()
        .unwrap_or(0);
    let cells: Vec<Vec<String>> = table(steps, looks);
    let body = chart(&[train, eval], last) + &numbers(&["step", "training", "holdout"], &cells);
    figure("Loss by step", "", &body)
}

fn rate(steps: &[&StepRow]) -> String {
    let last = steps.last().map_or(0, |row| row.step);
    let line = |title, hue, value: fn(&StepRow) -> f64| {
        let points = steps.iter().map(|row| (row.step as f64, value(row)));
        let line = Line {
            name: title,
            hue,
            points: thin(points.collect(), POINTS),
            dashed: false,
            dots: steps.len() < 2,
        };
        figure(title, "", &chart(&[line], last))
    };
    let figures = [
        line("Learning rate", 3, |row| row.lr),
        line("Gradient norm before clipping", 5, |row| row.grad_norm),
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
        assert!(text.contains(">100000</text>"), "the last step, not a mean");
        assert!(page(&[]).contains("Nothing was measured"));
        assert!(!page(&rows(1)).contains("NaN"));
    }
}
