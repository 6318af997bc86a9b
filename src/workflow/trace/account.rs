//! What the rows of a run's traces add up to.
//!
//! Sums are exact: of whole thousandths, as displayed or raw. A row that lacks a value adds nothing to its sum, and each sum
//! says how many rows it rests on. Rows that are CACHED were made by an earlier run, with that run's times and metrics;
//! so every sum is had with them and without them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::columns::{Columns, MOVED, Values, name_of, peak_column};
use super::execution::ProcessMetrics;
use super::sums::{Sum, Sums, Wall};
use super::table::{Row, Trace};
use super::value::Milli;

const CACHED: &str = "CACHED";

/// Whether a status says that the task's result is there.
pub fn succeeded(status: &str) -> bool {
    matches!(status, "COMPLETED" | CACHED)
}

/// Whether a status says that this attempt came to nothing.
pub fn failed(status: &str) -> bool {
    matches!(status, "FAILED" | "ABORTED")
}

/// An attempt that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Its id in the trace.
    pub task_id: Option<String>,
    /// Full name of the task, with its tag; its process, id or hash, where the trace has no names.
    pub name: String,
    /// Exit status as it stands; none for `-`.
    pub exit: Option<String>,
    /// What the executor calls it: a process, a job.
    pub native_id: Option<String>,
    /// Beginning of its directory's name: `8d/61af4f`.
    pub hash: Option<String>,
    /// Its directory, where the trace says it.
    pub workdir: Option<String>,
    /// Whether a row of the same name succeeded: its own next attempt, or where names are not unique another task's.
    pub recovered: bool,
}

/// What the rows of a run add up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// Rows: attempts, each counted.
    pub rows: u64,
    /// Rows by the word of their status; `-` where it has none.
    pub by_status: BTreeMap<String, u64>,
    /// Rows by status and exit status: `FAILED/137`, `FAILED/-`.
    pub by_status_exit: BTreeMap<String, u64>,
    /// Attempts that failed, in the order of their ends.
    pub failures: Vec<Failure>,
    /// Whether no two rows that succeeded have one name, so that a name is a task.
    pub unique_names: bool,
    /// Highest attempt; none where no row says.
    pub most_attempts: Option<u64>,
    /// Over all rows.
    pub all: Sums,
    /// Over the rows that are not CACHED.
    pub fresh: Sums,
    /// Names of the columns that any of the traces has.
    pub columns: BTreeSet<String>,
    /// The column of peaks: `peak_rss`, or in older traces `rss`.
    pub peak_column: Option<&'static str>,
    /// Highest peak, bytes.
    pub peak: Option<Milli>,
    /// Names of the tasks that reached it.
    pub peak_names: BTreeSet<String>,
    /// Sum of peaks, bytes.
    pub peaks: Sum,
    /// Sums of `rchar`, `wchar`, `read_bytes`, `write_bytes`, bytes; none without the column.
    pub moved: BTreeMap<&'static str, Sum>,
    /// Over all rows.
    pub wall: Option<Wall>,
    /// Over the rows that are not CACHED.
    pub wall_fresh: Option<Wall>,
    /// Per process.
    pub processes: BTreeMap<String, ProcessMetrics>,
    /// Values that could not be read, by column.
    pub unread: BTreeMap<&'static str, u64>,
}

impl Account {
    /// Adds up the rows of a run; of several traces, as if they were one.
    pub fn of(traces: &[Trace<'_>]) -> Account {
        let mut adding = Adding::default();
        for trace in traces {
            adding.open(trace);
            let columns = Columns::of(trace);
            for row in trace.rows() {
                adding.add(row, &columns);
            }
        }
        adding.close()
    }

    /// Names of the tasks that failed and never succeeded, each once, by name.
    pub fn lost(&self) -> Vec<String> {
        let lost = self.failures.iter().filter(|failure| !failure.recovered);
        let names: BTreeSet<&String> = lost.map(|failure| &failure.name).collect();
        names.into_iter().cloned().collect()
    }

    /// Failed attempts whose task succeeded after all.
    pub fn recovered(&self) -> u64 {
        let recovered = self.failures.iter().filter(|failure| failure.recovered);
        recovered.count() as u64
    }
}

#[derive(Default)]
struct Process {
    rows: u64,
    by_status: BTreeMap<String, u64>,
    all: Sums,
    fresh: Sums,
    peak: Option<Milli>,
}

#[derive(Default)]
struct Adding<'t> {
    account: Account,
    processes: BTreeMap<&'t str, Process>,
    /// Rows that succeeded, by name.
    done: HashMap<&'t str, u64>,
    /// Status and exit status of a row, as they are counted together.
    both: String,
}

impl<'t> Adding<'t> {
    fn open(&mut self, trace: &Trace<'_>) {
        let account = &mut self.account;
        account.columns.extend(trace.columns().iter().cloned());
        account.peak_column = account.peak_column.or(peak_column(trace));
        for name in MOVED
            .into_iter()
            .filter(|name| trace.column(name).is_some())
        {
            account.moved.entry(name).or_default();
        }
    }

    fn add(&mut self, row: Row<'t>, columns: &Columns) {
        let status = row.get(columns.status).map_or("-", str::trim);
        let name = name_of(row, columns);
        let account = &mut self.account;
        let values = Values::of(row, columns, &mut account.unread);
        let fresh = status != CACHED;
        account.rows += 1;
        counted(&mut account.by_status, status);
        let exit = row.get(columns.exit).unwrap_or("-");
        self.both.clear();
        self.both.extend([status, "/", exit]);
        counted(&mut account.by_status_exit, &self.both);
        account.all.add(&values);
        Wall::add(&mut account.wall, &values);
        account.see(&values, name);
        if fresh {
            account.fresh.add(&values);
            Wall::add(&mut account.wall_fresh, &values);
        }
        if succeeded(status) {
            *self.done.entry(name).or_default() += 1;
        } else if failed(status) {
            account.failures.push(failure(row, columns, name));
        }
        let process = self.processes.entry(process_of(name)).or_default();
        process.add(status, &values, fresh);
    }

    fn close(self) -> Account {
        let mut account = self.account;
        account.unique_names = self.done.values().all(|times| *times < 2);
        for failure in &mut account.failures {
            failure.recovered = self.done.contains_key(failure.name.as_str());
        }
        let processes = self.processes.into_iter();
        account.processes = processes
            .map(|(name, process)| (name.to_owned(), process.metrics()))
            .collect();
        account
    }
}

impl Account {
    /// What is told of all rows alone: attempts, bytes moved, the highest peak and whose.
    fn see(&mut self, values: &Values, name: &str) {
        let attempt = values.attempt.map(|attempt| attempt.0 / 1_000);
        self.most_attempts = self.most_attempts.max(attempt);
        for (column, bytes) in MOVED.into_iter().zip(values.moved) {
            if let Some(sum) = self.moved.get_mut(column) {
                sum.add(bytes);
            }
        }
        let Some(peak) = values.peak else { return };
        self.peaks.add(Some(peak));
        if self.peak.is_none_or(|most| peak > most) {
            self.peak = Some(peak);
            self.peak_names.clear();
        }
        if self.peak == Some(peak) {
            self.peak_names.insert(name.to_owned());
        }
    }
}

impl Process {
    fn add(&mut self, status: &str, values: &Values, fresh: bool) {
        self.rows += 1;
        counted(&mut self.by_status, status);
        self.all.add(values);
        if fresh {
            self.fresh.add(values);
        }
        self.peak = self.peak.max(values.peak);
    }

    fn metrics(self) -> ProcessMetrics {
        ProcessMetrics {
            rows: self.rows,
            by_status: self.by_status,
            realtime_hours: self.all.realtime_hours().0,
            cpu_hours: self.fresh.cpu_hours().0,
            memory_gb_hours: self.fresh.memory_gib_hours().0,
            max_peak_bytes: self.peak.map(Milli::as_f64),
        }
    }
}

fn counted(counts: &mut BTreeMap<String, u64>, word: &str) {
    match counts.get_mut(word) {
        Some(count) => *count += 1,
        None => {
            counts.insert(word.to_owned(), 1);
        }
    }
}

/// Name of a task without its tag.
pub fn process_of(name: &str) -> &str {
    name.split(" (").next().unwrap_or(name)
}

fn failure(row: Row<'_>, columns: &Columns, name: &str) -> Failure {
    let own = |place: Option<usize>| row.get(place).map(str::to_owned);
    Failure {
        task_id: own(columns.task_id),
        name: name.to_owned(),
        exit: own(columns.exit),
        native_id: own(columns.native_id),
        hash: own(columns.hash),
        workdir: own(columns.workdir),
        recovered: false,
    }
}
