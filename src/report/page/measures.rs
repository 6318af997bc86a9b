//! What was measured of rows: quality and its parts, tokens, cost.

use super::{
    histogram::{Style, histogram, ranges},
    html::{counted, escape, figure, grid, nothing, or_dash, unit, usd, whole},
};
use crate::curation::stats::{Lengths, Summary};

/// Words of the small plots, one each; a part of the quality beyond them is in `stats.json` only.
const IDS: [&str; 12] = [
    "part-1", "part-2", "part-3", "part-4", "part-5", "part-6", "part-7", "part-8", "part-9",
    "part-10", "part-11", "part-12",
];

/// A histogram of values between 0 and 1.
fn unit_style(id: &'static str, axis: &'static str, none: &'static str) -> Style {
    Style {
        id,
        axis,
        rows: "rows",
        format: unit,
        small: false,
        crop: false,
        none,
    }
}

/// Quality, its parts, and what rows are worth.
pub(super) fn quality(summary: &Summary) -> (String, String) {
    let lead = "Scores lie between 0 and 1 and are made by rules. Quality says how sound a row is; training value says how much there is to learn from it.".into();
    let main = grid(&[
        histogram(
            "Quality",
            &summary.quality,
            &unit_style(
                "quality-all",
                "quality score",
                "No kept row has a quality score.",
            ),
        ),
        histogram(
            "Training value",
            &summary.training_value,
            &unit_style(
                "value-all",
                "training value",
                "No kept row has a training value.",
            ),
        ),
    ]);
    (lead, main + &parts(summary))
}

fn parts(summary: &Summary) -> String {
    let title = "Parts of the quality";
    if summary.quality_parts.is_empty() {
        return nothing(title, "No kept row says what its quality is made of.");
    }
    let plots: Vec<String> = summary
        .quality_parts
        .iter()
        .zip(IDS)
        .map(|((part, of), id)| {
            let style = Style {
                small: true,
                ..unit_style(id, "score", "No row has it.")
            };
            histogram(&part.replace('_', " "), of, &style)
        })
        .collect();
    let more = summary.quality_parts.len().saturating_sub(IDS.len());
    let rest = match more {
        0 => String::new(),
        n => format!(
            "<p class=\"note\">{} more in <code>stats.json</code>.</p>\n",
            counted(n as u64, "part")
        ),
    };
    format!(
        "<h3 class=\"over\">{title}</h3>\n<div class=\"small\">\n{}</div>\n{rest}",
        plots.concat()
    )
}

/// What making the rows took, and how long they are.
pub(super) fn cost(summary: &Summary) -> (String, String) {
    let spent = &summary.cost_distribution;
    let all = spent.mean.map(|mean| mean * spent.n as f64);
    let lead = match all {
        Some(all) if all > 0.0 => format!(
            "Making the kept rows cost about {}; {} a row in the median.",
            usd(all),
            or_dash(spent.median, usd)
        ),
        Some(_) => "Making the kept rows cost nothing.".into(),
        None => "No kept row says what it cost.".into(),
    };
    let tokens = Style {
        id: "tokens-made",
        axis: "total tokens of a trajectory",
        rows: "rows",
        format: whole,
        small: false,
        crop: false,
        none: "No kept row says how many tokens it took.",
    };
    let dollars = Style {
        id: "cost-made",
        axis: "USD of a trajectory",
        format: usd,
        none: "No kept row says what it cost.",
        ..tokens
    };
    let made = grid(&[
        histogram("Tokens spent", &summary.token_distribution, &tokens),
        histogram("Cost", spent, &dollars),
    ]);
    (lead, made + &lengths(summary))
}

fn lengths(summary: &Summary) -> String {
    let title = "Length of training rows";
    if summary.tokens.prompt.n == 0 {
        return nothing(title, "There are no training rows.");
    }
    let mut prompts = vec![("all".to_owned(), &summary.tokens.prompt)];
    let mut answers = vec![("all".to_owned(), &summary.tokens.answer)];
    for (set, size) in summary.datasets.iter().filter(|(_, size)| size.rows > 0) {
        let Lengths { prompt, answer, .. } = &size.tokens;
        prompts.push((set.to_string(), prompt));
        answers.push((set.to_string(), answer));
    }
    let note = format!(
        "Tokens, estimated as {}. Bar: 5th to 95th percentile; cut: median; thin line: up to the 99th. Each table has its own axis, from zero to its greatest 99th percentile.",
        escape(&summary.tokens.tokens_by)
    );
    let body = ranges("prompt of", &prompts) + &ranges("answer of", &answers);
    figure(title, &note, &body)
}
