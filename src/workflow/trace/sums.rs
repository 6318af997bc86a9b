//! Exact sums over rows, and the time that they span.

use super::columns::Values;
use super::value::Milli;

/// Milliseconds of an hour.
const HOUR: f64 = 3_600_000.0;
const GIB: f64 = (1_u64 << 30) as f64;

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
            rounded(self.cpu.total as f64 / 1e6 / 100.0 / HOUR),
            self.cpu.rows,
        )
    }

    /// Sum of `realtime` times `cpus`: what was set aside.
    pub fn cpu_hours_requested(&self) -> (f64, u64) {
        (
            rounded(self.cpus.total as f64 / 1e6 / HOUR),
            self.cpus.rows,
        )
    }

    /// Sum of `realtime`, hours.
    pub fn realtime_hours(&self) -> (f64, u64) {
        (
            rounded(self.realtime.total as f64 / 1e3 / HOUR),
            self.realtime.rows,
        )
    }

    /// Sum of `duration`, hours: with the time in queues.
    pub fn duration_hours(&self) -> (f64, u64) {
        (
            rounded(self.duration.total as f64 / 1e3 / HOUR),
            self.duration.rows,
        )
    }

    /// Sum of the peak of memory times `realtime`, GiB hours.
    pub fn memory_gib_hours(&self) -> (f64, u64) {
        (
            rounded(self.peak.total as f64 / 1e6 / GIB / HOUR),
            self.peak.rows,
        )
    }

    /// Sum of `memory` times `realtime`, GiB hours: what was set aside.
    pub fn memory_gib_hours_requested(&self) -> (f64, u64) {
        (
            rounded(self.requested.total as f64 / 1e6 / GIB / HOUR),
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

/// To the millionth, as hours are told.
fn rounded(hours: f64) -> f64 {
    (hours * 1e6).round() / 1e6
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
        rounded(self.last.saturating_sub(self.first) as f64 / 60_000.0)
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

