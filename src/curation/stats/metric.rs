//! One measured quantity of many rows, summed up exactly.
//!
//! Floating-point sums depend on the order of their terms, and the order of rows must decide nothing. So values are kept
//! as whole multiples of a unit: the sum is one of integers, and the percentiles are read from the sorted values.

use serde::{Deserialize, Serialize, Serializer};

/// Values between 0 and 1 are kept in millionths.
pub(super) const MILLIONTHS: f64 = 1e6;
/// Tokens are whole.
pub(super) const WHOLE: f64 = 1.0;
/// USD are kept in tenths of a millionth: one token of a cheap model costs about that. The most is 429 USD a row.
pub(super) const COST: f64 = 1e7;

/// The values of one quantity, 4 bytes each.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    /// Units in 1.
    scale: f64,
    values: Vec<u32>,
    /// Of the values before they are cut to 32 bits.
    sum: u128,
}

impl Metric {
    pub(super) fn new(scale: f64) -> Self {
        Self {
            scale,
            values: Vec::new(),
            sum: 0,
        }
    }

    /// Adds a value; gives whether it was one. NaN, infinities and negative numbers are none.
    pub(super) fn add(&mut self, value: f64) -> bool {
        if !value.is_finite() || value < 0.0 {
            return false;
        }
        let units = (value * self.scale).round() as u64;
        self.sum += u128::from(units);
        self.values.push(u32::try_from(units).unwrap_or(u32::MAX));
        true
    }

    /// All values of both.
    pub(super) fn absorb(&mut self, other: &Metric) {
        self.sum += other.sum;
        self.values.extend_from_slice(&other.values);
    }

    /// The smallest value that at least `permille` thousandths of the sorted values do not exceed: the nearest rank.
    fn rank(&self, permille: usize) -> Option<u32> {
        let at = (self.values.len() * permille).div_ceil(1000);
        self.values.get(at.saturating_sub(1)).copied()
    }

    fn of(&self, units: u32) -> f64 {
        f64::from(units) / self.scale
    }

    fn mean(&self) -> Option<f64> {
        let n = self.values.len();
        // A hundred times finer than the values: more digits say nothing.
        let fine = self.scale * 100.0;
        (n > 0).then(|| (self.sum as f64 / n as f64 * 100.0).round() / fine)
    }

    /// The distribution over bins of one width, `bins` or a few more; the last ends at 1 where `unit` says that values lie
    /// between 0 and 1.
    pub(super) fn distribution(mut self, unit: bool) -> Distribution {
        self.values.sort_unstable();
        let at = |permille| self.rank(permille).map(|units| self.of(units));
        Distribution {
            n: self.values.len() as u64,
            mean: self.mean(),
            min: self.values.first().map(|units| self.of(*units)),
            p5: at(50),
            p25: at(250),
            median: at(500),
            p75: at(750),
            p95: at(950),
            p99: at(990),
            max: self.values.last().map(|units| self.of(*units)),
            histogram: if unit {
                self.histogram(20_000, 50)
            } else {
                self.fitted()
            },
        }
    }

    /// The percentiles that matter for sequence lengths.
    pub(super) fn percentiles(mut self) -> Percentiles {
        self.values.sort_unstable();
        let at = |permille| self.rank(permille).map(u64::from);
        Percentiles {
            n: self.values.len() as u64,
            total: u64::try_from(self.sum).unwrap_or(u64::MAX),
            mean: self.mean(),
            p5: at(50),
            p50: at(500),
            p95: at(950),
            p99: at(990),
            max: self.values.last().map(|units| u64::from(*units)),
        }
    }

    /// A histogram from zero to the 99th percentile, with what lies beyond in `above`: one giant must not flatten the rest.
    fn fitted(&self) -> Histogram {
        let (Some(most), Some(last)) = (self.rank(990), self.values.last()) else {
            return Histogram::default();
        };
        // A tail of no length needs no cutting.
        let end = if *last / 2 <= most { *last } else { most };
        let width = round_width(u64::from(end).div_ceil(MOST_BINS).max(1));
        // The last bin is closed: a value at the very end is inside.
        let bins = u64::from(end).div_ceil(width).max(1);
        self.histogram(width, bins)
    }

    /// `bins` bins of `width` units from zero. Each holds its lower edge, the last one its upper edge too.
    fn histogram(&self, width: u64, bins: u64) -> Histogram {
        let mut counts = vec![0; bins as usize];
        let mut above = 0;
        for units in &self.values {
            let units = u64::from(*units);
            if units > width * bins {
                above += 1;
            } else {
                counts[(units / width).min(bins - 1) as usize] += 1;
            }
        }
        Histogram {
            edges: (0..=bins)
                .map(|bin| (bin * width) as f64 / self.scale)
                .collect(),
            counts,
            above,
        }
    }
}

/// The most bins of a histogram that fits itself to its values.
const MOST_BINS: u64 = 40;

/// The next of 1, 2, 5, 10, 20, 50, ...: an axis that people can read.
fn round_width(least: u64) -> u64 {
    let mut power = 1;
    loop {
        for step in [1, 2, 5] {
            if power * step >= least {
                return power * step;
            }
        }
        power *= 10;
    }
}

/// How a quantity is distributed over rows. All but `n` are null where there is no row. Percentiles are nearest ranks:
/// values that were observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Rows that have it.
    pub n: u64,
    /// Mean.
    #[serde(serialize_with = "short")]
    pub mean: Option<f64>,
    /// 50th percentile.
    #[serde(serialize_with = "short")]
    pub median: Option<f64>,
    /// Least.
    #[serde(serialize_with = "short")]
    pub min: Option<f64>,
    /// Greatest.
    #[serde(serialize_with = "short")]
    pub max: Option<f64>,
    /// 5th percentile.
    #[serde(serialize_with = "short")]
    pub p5: Option<f64>,
    /// 25th percentile.
    #[serde(serialize_with = "short")]
    pub p25: Option<f64>,
    /// 75th percentile.
    #[serde(serialize_with = "short")]
    pub p75: Option<f64>,
    /// 95th percentile.
    #[serde(serialize_with = "short")]
    pub p95: Option<f64>,
    /// 99th percentile.
    #[serde(serialize_with = "short")]
    pub p99: Option<f64>,
    /// Rows by bins of one width from zero.
    pub histogram: Histogram,
}

/// Rows by bins. Empty where there is no row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Edges of the bins, one more than there are bins. A bin holds its lower edge, the last one both.
    pub edges: Vec<f64>,
    /// Rows in each.
    pub counts: Vec<u64>,
    /// Rows beyond the last edge.
    pub above: u64,
}

/// Estimated lengths in tokens. All but `n` and `total` are null where there is no row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Rows.
    pub n: u64,
    /// Sum.
    pub total: u64,
    /// Mean.
    #[serde(serialize_with = "short")]
    pub mean: Option<f64>,
    /// 5th percentile.
    pub p5: Option<u64>,
    /// 50th percentile.
    pub p50: Option<u64>,
    /// 95th percentile.
    pub p95: Option<u64>,
    /// 99th percentile.
    pub p99: Option<u64>,
    /// Greatest.
    pub max: Option<u64>,
}

/// Whole numbers without `.0`: 812 tokens, not 812.0.
fn short<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        None => to.serialize_none(),
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
            to.serialize_i64(*value as i64)
        }
        Some(value) => to.serialize_f64(*value),
    }
}
