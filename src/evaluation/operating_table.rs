//! The gate's operating characteristics as a printed table: how often it approves and rejects, by shape and true quality.

use std::fmt::Write;

use super::Criteria;
use super::score_shape::ScoreShape;
use super::simulate::{Rates, simulate};

/// The true qualities of the table. Around the default threshold: clearly bad, nearly good, at it, and good.
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

/// The table as text of at most 80 columns: rates in percent with their 95 % intervals, mean looks and pilots per row.
pub fn render_table(rows: &[Row]) -> String {
    let mut text = String::from(
        "SCORES     TRUE  APPROVE %  (95 % INTERVAL)  REJECT %  (95 % INTERVAL)  LOOKS      N\n",
    );
    for row in rows {
        let rates = &row.rates;
        let approve = rate(rates.approve(), rates.approve_interval());
        let reject = rate(rates.reject(), rates.reject_interval());
        let looks = rates.mean_looks().map_or("-".to_owned(), |looks| format!("{looks:.2}"));
        let line = format!(
            "{:<10} {:.2}  {approve}  {reject}  {looks:>5}  {:>7}",
            row.shape.name(),
            row.true_quality,
            rates.trials
        );
        writeln!(text, "{line}").expect("writing to a string cannot fail");
    }
    text
}

/// `  97.45  ( 96.66 to  98.06)`, or dashes for no trials.
fn rate(share: Option<f64>, interval: Option<(f64, f64)>) -> String {
    match (share, interval) {
        (Some(share), Some((low, high))) => {
            format!("{:>8.2}  ({:>6.2} to {:>6.2})", 100.0 * share, 100.0 * low, 100.0 * high)
        }
        _ => format!("{:>8}  {:>18}", "-", "-"),
    }
}
