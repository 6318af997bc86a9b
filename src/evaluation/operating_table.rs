//! The gate's operating characteristics as a printed table: how often it approves and rejects, by
//! shape and true quality.

use std::fmt::Write;

use super::Criteria;
use super::score_shape::ScoreShape;
use super::simulate::{Rates, simulate};

/// The true qualities of the table. Around the default threshold: clearly bad, nearly good, at it,
/// and good.
pub const TRUE_QUALITIES: [f64; 8] = [0.60, 0.65, 0.70, 0.72, 0.75, 0.80, 0.85, 0.90];

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The distribution of the scores.
    pub shape: ScoreShape,
    /// Their mean.
    pub true_quality: f64,
    /// How the pilots ended.
    pub rates: Rates,
}

/// Simulates every shape at every true quality, `trials` pilots each.
pub fn table(criteria: &Criteria, trials: u64, seed: u64) -> Vec<Row> {
    let row = |shape, true_quality| Row {
        shape,
        true_quality,
        rates: simulate(criteria, shape, true_quality, trials, seed),
    };
    ScoreShape::ALL
        .into_iter()
        .flat_map(|shape| TRUE_QUALITIES.map(|true_quality| row(shape, true_quality)))
        .collect()
}

/// The table as text of at most 80 columns: rates in percent, their 95 % intervals, looks per
/// pilot, and pilots per row.
pub fn render_table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<10} {:>4}  {:>6} {:>16}  {:>6} {:>16} {:>5} {:>8}\n",
        "SCORES", "TRUE", "APPR %", "95 % INTERVAL", "REJ %", "95 % INTERVAL", "LOOKS", "PILOTS"
    );
    for row in rows {
        let rates = &row.rates;
        let approve = rate(rates.approve(), rates.approve_interval());
        let reject = rate(rates.reject(), rates.reject_interval());
        let looks = rates
            .mean_looks()
            .map_or("-".to_owned(), |looks| format!("{looks:.2}"));
        let (scores, quality, pilots) = (row.shape.name(), row.true_quality, rates.trials);
        writeln!(
            text,
            "{scores:<10} {quality:.2}  {approve}  {reject} {looks:>5} {pilots:>8}"
        )
        .expect("writing to a string cannot fail");
    }
    text
}

/// ` 97.45  96.66 to  98.06`, or dashes for no trials.
fn rate(share: Option<f64>, interval: Option<(f64, f64)>) -> String {
    match (share, interval) {
        (Some(share), Some((low, high))) => {
            format!(
                "{:>6.2} {:>6.2} to {:>6.2}",
                100.0 * share,
                100.0 * low,
                100.0 * high
            )
        }
        _ => format!("{:>6} {:>16}", "-", "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::GateKind;

    fn rows(trials: u64) -> Vec<Row> {
        let criteria = Criteria {
            gate: GateKind::Confidence,
            quality_threshold: 0.75,
            min_pilot_samples: 150,
            pilot_target: 190,
            max_pilot_samples: 570,
        };
        table(&criteria, trials, 5)
    }

    #[test]
    fn the_table_fits_eighty_columns_and_names_its_counts() {
        let text = render_table(&rows(20));
        println!("{text}");
        assert_eq!(
            text.lines().count(),
            1 + ScoreShape::ALL.len() * TRUE_QUALITIES.len()
        );
        for line in text.lines() {
            assert_eq!(line.chars().count(), 80, "{line}");
        }
        assert!(
            text.lines().skip(1).all(|line| line.ends_with("      20")),
            "{text}"
        );
    }

    #[test]
    fn no_trials_are_dashes_not_zeros() {
        let text = render_table(&rows(0)[..1]);
        let row = text.lines().nth(1).unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>(),
            ["binary", "0.60", "-", "-", "-", "-", "-", "0"]
        );
    }

    #[test]
    fn better_pilots_are_approved_more_often() {
        let rows = rows(100);
        for rows in rows.chunks(TRUE_QUALITIES.len()) {
            let approved: Vec<u64> = rows.iter().map(|row| row.rates.approved).collect();
            assert!(
                approved.is_sorted(),
                "{}: {approved:?}",
                rows[0].shape.name()
            );
            assert!(
                approved[0] == 0 && approved[TRUE_QUALITIES.len() - 1] == 100,
                "{approved:?}"
            );
        }
    }
}
