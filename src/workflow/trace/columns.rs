//! Where a trace has its columns, and what a row says in them.

use std::collections::BTreeMap;

use super::table::{Row, Trace};
use super::value::{Milli, count, duration, instant, percent, size};

/// Columns of bytes moved.
pub const MOVED: [&str; 4] = ["rchar", "wchar", "read_bytes", "write_bytes"];

/// Places of the columns of one trace.
pub(super) struct Columns {
    pub task_id: Option<usize>,
    pub name: Option<usize>,
    pub process: Option<usize>,
    pub status: Option<usize>,
    pub exit: Option<usize>,
    pub native_id: Option<usize>,
    pub hash: Option<usize>,
    pub workdir: Option<usize>,
    pub attempt: Option<usize>,
    pub submit: Option<usize>,
    pub complete: Option<usize>,
    pub duration: Option<usize>,
    pub realtime: Option<usize>,
    pub percent: Option<usize>,
    pub cpus: Option<usize>,
    pub memory: Option<usize>,
    pub peak: Option<usize>,
    pub moved: [Option<usize>; 4],
}

impl Columns {
    pub fn of(trace: &Trace<'_>) -> Columns {
        let at = |name: &str| trace.column(name);
        Columns {
            task_id: at("task_id"),
            name: at("name"),
            process: at("process"),
            status: at("status"),
            exit: at("exit"),
            native_id: at("native_id"),
            hash: at("hash"),
            workdir: at("workdir"),
            attempt: at("attempt"),
            submit: at("submit"),
            complete: at("complete"),
            duration: at("duration"),
            realtime: at("realtime"),
            percent: at("%cpu"),
            cpus: at("cpus"),
            memory: at("memory"),
            peak: peak_column(trace).and_then(at),
            moved: MOVED.map(at),
        }
    }
}

pub(super) fn peak_column(trace: &Trace<'_>) -> Option<&'static str> {
    ["peak_rss", "rss"]
        .into_iter()
        .find(|name| trace.column(name).is_some())
}

/// The values of one row.
pub(super) struct Values {
    pub realtime: Option<Milli>,
    pub duration: Option<Milli>,
    pub percent: Option<Milli>,
    pub cpus: Option<Milli>,
    pub memory: Option<Milli>,
    pub peak: Option<Milli>,
    pub submit: Option<i64>,
    pub end: Option<i64>,
    pub attempt: Option<Milli>,
    pub moved: [Option<Milli>; 4],
}

impl Values {
    /// The values of a row; those that cannot be read are counted by column.
    pub fn of(row: Row<'_>, columns: &Columns, unread: &mut BTreeMap<&'static str, u64>) -> Values {
        let lasted = read(row, columns.duration, "duration", duration, unread);
        let submit = read(row, columns.submit, "submit", instant, unread);
        let complete = read(row, columns.complete, "complete", instant, unread);
        let after = || {
            let lasted = i64::try_from(lasted?.0 / 1_000).ok()?;
            submit?.checked_add(lasted)
        };
        let mut moved = [None; 4];
        for ((value, name), place) in moved.iter_mut().zip(MOVED).zip(columns.moved) {
            *value = read(row, place, name, size, unread);
        }
        Values {
            realtime: read(row, columns.realtime, "realtime", duration, unread),
            duration: lasted,
            percent: read(row, columns.percent, "%cpu", percent, unread),
            cpus: read(row, columns.cpus, "cpus", count, unread),
            memory: read(row, columns.memory, "memory", size, unread),
            peak: read(row, columns.peak, "peak_rss", size, unread),
            submit,
            end: complete.or_else(after),
            attempt: read(row, columns.attempt, "attempt", count, unread),
            moved,
        }
    }
}

/// Reads a cell; what is there and cannot be read is counted.
fn read<T>(
    row: Row<'_>,
    column: Option<usize>,
    name: &'static str,
    reader: fn(&str) -> Option<T>,
    unread: &mut BTreeMap<&'static str, u64>,
) -> Option<T> {
    let value = reader(row.get(column)?);
    if value.is_none() {
        *unread.entry(name).or_default() += 1;
    }
    value
}

/// Full name of a row's task; its process, hash or id, where the trace has no names.
pub(super) fn name_of<'t>(row: Row<'t>, columns: &Columns) -> &'t str {
    let places = [
        columns.name,
        columns.process,
        columns.hash,
        columns.task_id,
        columns.native_id,
    ];
    let found = places.into_iter().find_map(|place| row.get(place));
    found.unwrap_or("-")
}
