//! `scorecard ID`: every success metric with its target, what was seen, on how much, how surely; what was not measured says so.

use super::{
    args::Shape,
    fail::Fail,
    out,
    style::{Style, thousands},
};
use crate::{
    control::{
        client::{Client, Target},
        scorecard::ScorecardView,
    },
    evaluation::scorecard::{Line, Standing, Unit},
};

/// Gets it and shows it.
pub async fn scorecard(client: &Client, shape: Shape, id: &str) -> Result<u8, Fail> {
    let target = Target::new(&["campaigns", id, "scorecard"]);
    let view: ScorecardView = client.get(&target).await?;
    if shape.json {
        out::json(&view)?;
    } else {
        let style = Style::of(&std::io::stdout(), shape.color);
        out::print(&screen(&view, style))?;
    }
    Ok(0)
}

fn screen(view: &ScorecardView, style: Style) -> String {
    let of = |word: Standing| {
        let all = view.metrics.iter().filter(|line| line.standing == word);
        all.count()
    };
    let mut text = format!(
        "{}   {} met, {} missed, {} undecided, {} not measured\n\n",
        style.word(&view.campaign),
        of(Standing::Met),
        of(Standing::Missed),
        of(Standing::Undecided),
        of(Standing::NotMeasured)
    );
    text += &format!(
        "  {:<40} {:>9} {:>9} {:>8}  {:<19} STANDING\n",
        "METRIC", "TARGET", "OBSERVED", "N", "95 % INTERVAL"
    );
    for line in &view.metrics {
        text += &row(line);
    }
    text
}

fn row(line: &Line) -> String {
    let observed = line
        .observed
        .map_or("-".into(), |value| number(line.unit, value));
    let interval = match (line.interval, line.unit, line.observed) {
        (Some((low, high)), unit, _) => format!("{} to {}", number(unit, low), number(unit, high)),
        (None, Unit::Count, Some(_)) => "exact".into(),
        _ => "-".into(),
    };
    let standing = line.standing.name().replace('_', " ");
    format!(
        "  {:<40} {:>9} {observed:>9} {:>8}  {interval:<19} {standing}\n    {}\n",
        line.title,
        number(line.unit, line.target),
        thousands(line.n),
        line.note
    )
}

fn number(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count => thousands(value as u64),
        Unit::Share => format!("{:.1}%", value * 100.0),
        Unit::Points => format!("{:+.1}", value * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::scorecard::{Rows, scorecard};

    #[test]
    fn every_metric_has_its_line_and_what_is_not_measured_says_why() {
        let mut rows = Rows::default();
        for n in 0..30 {
            let row = serde_json::json!({ "id": n, "query": n.to_string(), "final_validation_passed": true, "generated_code": "x" });
            rows.add(row.to_string().as_bytes());
        }
        let view = ScorecardView {
            campaign: "alttp".into(),
            metrics: scorecard(&rows, &[]),
            ..ScorecardView::default()
        };
        let text = screen(
            &view,
            Style::of(&std::io::stdout(), super::super::args::Color::Never),
        );
        assert_eq!(text.lines().count(), 3 + 2 * 13, "{text}");
        assert!(text.contains("1,000"), "{text}");
        assert!(
            text.contains("100.0%") && text.contains("88.6% to 100.0%"),
            "{text}"
        );
        assert!(
            text.contains("not measured: no workflow was executed"),
            "{text}"
        );
        assert!(
            text.contains("1 met, 3 missed, 0 undecided, 9 not measured"),
            "{text}"
        );
    }
}
