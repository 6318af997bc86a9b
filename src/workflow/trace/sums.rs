//! Exact sums over rows, and the time that they span.

use std::cmp::Ordering;

use super::columns::Values;
use super::value::Milli;

/// Milliseconds of an hour.
const HOUR: u128 = 3_600_000;
const GIB: u128 = 1 << 30;
/// Of a sum of products: both factors are in thousandths.
const MILLIONTHS: u128 = 1_000_000;

/// A sum, and the rows that it rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// In thousandths of its unit; of a product in millionths.
    pub total: u128,
    /// Rows that have the value.
    pub rows: u64,
}

impl Sum {
    pub(super) fn add(&mut self, value: Option<Milli>) {
        self.add_wide(value.map(wide));
    }

    fn add_wide(&mut self, value: Option<u128>) {
        if let Some(value) = value {
            self.total = self.total.saturating_add(value);
            self.rows += 1;
        }
    }

    /// The sum in its unit; none where no row has the value.
    pub fn value(self) -> Option<f64> {
        (self.rows > 0).then(|| self.total as f64 / 1e3)
    }
}

/// The sums over a set of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    cpu: Sum,
    cpus: Sum,
    realtime: Sum,
    duration: Sum,
    peak: Sum,
    requested: Sum,
}

impl Sums {
    /// Sum of `realtime` times `%cpu`: hours, to the millionth; and its rows.
    pub fn cpu_hours(&self) -> (f64, u64) {
        (
            rounded(self.cpu.total, MILLIONTHS * 100 * HOUR),
            self.cpu.rows,
        )
    }

    /// Sum of `realtime` times `cpus`: what was set aside.
    pub fn cpu_hours_requested(&self) -> (f64, u64) {
        (rounded(self.cpus.total, MILLIONTHS * HOUR), self.cpus.rows)
    }

    /// Sum of `realtime`, hours.
    pub fn realtime_hours(&self) -> (f64, u64) {
        (
            rounded(self.realtime.total, 1_000 * HOUR),
            self.realtime.rows,
        )
    }

    /// Sum of `duration`, hours: with the time in queues.
    pub fn duration_hours(&self) -> (f64, u64) {
        (
            rounded(self.duration.total, 1_000 * HOUR),
            self.duration.rows,
        )
    }

    /// Sum of the peak of memory times `realtime`, GiB hours.
    pub fn memory_gib_hours(&self) -> (f64, u64) {
        (
            rounded(self.peak.total, MILLIONTHS * GIB * HOUR),
            self.peak.rows,
        )
    }

    /// Sum of `memory` times `realtime`, GiB hours: what was set aside.
    pub fn memory_gib_hours_requested(&self) -> (f64, u64) {
        (
            rounded(self.requested.total, MILLIONTHS * GIB * HOUR),
            self.requested.rows,
        )
    }

    pub(super) fn add(&mut self, values: &Values) {
        let times = |value: Option<Milli>| Some(wide(values.realtime?) * wide(value?));
        self.cpu.add_wide(times(values.percent));
        self.cpus.add_wide(times(values.cpus));
        self.realtime.add(values.realtime);
        self.duration.add(values.duration);
        self.peak.add_wide(times(values.peak));
        self.requested.add_wide(times(values.memory));
    }
}

/// A fraction to the millionth, exactly; of two that are as near the even one.
fn rounded(numerator: u128, denominator: u128) -> f64 {
    let Some(scaled) = numerator.checked_mul(1_000_000) else {
        return numerator as f64 / denominator as f64;
    };
    let (whole, rest) = (scaled / denominator, scaled % denominator);
    let up = match (rest * 2).cmp(&denominator) {
        Ordering::Less => false,
        Ordering::Equal => whole % 2 == 1,
        Ordering::Greater => true,
    };
    (whole + u128::from(up)) as f64 / 1e6
}

fn wide(value: Milli) -> u128 {
    u128::from(value.0)
}

/// From the first submission to the last end, in milliseconds of whatever clock the trace was written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wall {
    /// The first submission.
    pub first: i64,
    /// The last end.
    pub last: i64,
    /// Rows with both.
    pub rows: u64,
}

impl Wall {
    /// Length in minutes, to the millionth.
    pub fn minutes(self) -> f64 {
        let length = self.last.saturating_sub(self.first);
        rounded(u128::try_from(length).unwrap_or(0), 60_000)
    }

    pub(super) fn add(wall: &mut Option<Wall>, values: &Values) {
        let (Some(begin), Some(end)) = (values.submit, values.end) else {
            return;
        };
        let known = wall.get_or_insert(Wall {
            first: begin,
            last: end,
            rows: 0,
        });
        known.first = known.first.min(begin);
        known.last = known.last.max(end);
        known.rows += 1;
    }
}
