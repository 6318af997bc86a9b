//! A trace file as a table: columns found by name, in any order; cells as they stand.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;

use super::record::{Delimiter, End, Records};

/// Columns that tell of a task, one of which every trace has.
const TELLING: &[&str] = &["name", "process", "status", "task_id", "hash", "native_id"];

/// The other columns that Nextflow writes.
const FIELDS: &[&str] = &[
    "tag",
    "exit",
    "module",
    "container",
    "cpus",
    "time",
    "disk",
    "memory",
    "attempt",
    "submit",
    "start",
    "complete",
    "duration",
    "realtime",
    "queue",
    "%cpu",
    "%mem",
    "rss",
    "vmem",
    "peak_rss",
    "peak_vmem",
    "rchar",
    "wchar",
    "syscr",
    "syscw",
    "read_bytes",
    "write_bytes",
    "vol_ctxt",
    "inv_ctxt",
    "env",
    "workdir",
    "script",
    "scratch",
    "error_action",
    "hostname",
    "cpu_model",
];

/// A trace file: one row for each attempt at a task, in the order in which they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace<'a> {
    /// What stands between its fields.
    pub delimiter: Delimiter,
    /// What was odd about it.
    pub defects: Defects,
    columns: Vec<String>,
    /// All rows, one after the other, each as wide as the header.
    cells: Vec<Cow<'a, str>>,
    /// Whether the text has NUL bytes at all, so that they are seldom looked for.
    nul: bool,
}

/// What was odd about a trace: nothing of it is passed over in silence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defects {
    /// The last line was cut in the middle and is left out: the run was still being written.
    pub torn: bool,
    /// Rows with too few fields, which count with those they have.
    pub short: u64,
    /// Rows with too many fields because of tabs in the name, which was put together again.
    pub mended: u64,
    /// Rows with too many fields, left out.
    pub long: u64,
    /// Lines in which NUL bytes were dropped.
    pub nul: u64,
    /// Headers between the rows, left out.
    pub headers: u64,
    /// Columns that come a second time and are not looked at.
    pub duplicates: Vec<String>,
}

/// A text that is no trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotATrace {
    /// The line that should have been a header, cut; empty where there is none.
    pub header: String,
}

impl fmt::Display for NotATrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = "a trace begins with the names of its columns, such as task_id, name, status, exit, realtime, %cpu";
        if self.header.is_empty() {
            return write!(f, "no trace, for it is empty: {right}");
        }
        write!(f, "no trace, for it begins with {:?}: {right}", self.header)
    }
}

impl std::error::Error for NotATrace {}

/// Reads a trace of any field set, displayed or raw, by tabs or commas.
///
/// # Errors
/// A text whose first line has no names of a trace's columns.
pub fn parse(text: &str) -> Result<Trace<'_>, NotATrace> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.trim_start_matches(['\n', '\r', '\0']);
    let line = text.lines().next().unwrap_or("");
    let delimiter = Delimiter::of(line);
    let mut records = Records::new(text, delimiter);
    let mut fields = Vec::new();
    records.next(&mut fields);
    let columns: Vec<String> = fields.iter().map(|name| heading(name)).collect();
    if !is_header(&columns) {
        let header = line.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(NotATrace { header });
    }
    let mut trace = Trace {
        delimiter,
        defects: Defects {
            duplicates: duplicates(&columns),
            ..Defects::default()
        },
        cells: Vec::new(),
        columns,
        nul: memchr(0, text.as_bytes()).is_some(),
    };
    while let Some(end) = records.next(&mut fields) {
        trace.take(&mut fields, end);
    }
    Ok(trace)
}

fn heading(name: &str) -> String {
    let bare = name.trim().trim_matches('"');
    bare.replace('\0', "").to_ascii_lowercase()
}

fn is_header(columns: &[String]) -> bool {
    let telling = |name: &String| TELLING.contains(&name.as_str());
    let known = |name: &&String| telling(name) || FIELDS.contains(&name.as_str());
    let count = columns.iter().filter(known).count();
    columns.iter().any(telling) && (count >= 3 || count == columns.len())
}

fn duplicates(columns: &[String]) -> Vec<String> {
    let again = |at: usize| columns[..at].contains(&columns[at]) && !columns[at].is_empty();
    let found = (0..columns.len()).filter(|at| again(*at));
    found.map(|at| columns[at].clone()).collect()
}

impl<'a> Trace<'a> {
    /// Names of the columns, as they stand but for case.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Place of a column by its name: the first, where there are several.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.cells.len() / self.columns.len().max(1)
    }

    /// Whether no task is in it: a header alone is a run in which nothing ran.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The rows, in the file's order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let rows = self.cells.chunks_exact(self.columns.len().max(1));
        rows.map(|cells| Row { cells })
    }

    fn take(&mut self, fields: &mut Vec<Cow<'a, str>>, end: End) {
        if self.nul && fields.iter().any(|field| field.contains('\0')) {
            self.defects.nul += 1;
            for field in fields.iter_mut().filter(|field| field.contains('\0')) {
                *field = Cow::Owned(field.replace('\0', ""));
            }
        }
        if fields.iter().all(|field| field.is_empty()) {
            return;
        }
        let width = self.columns.len();
        if fields.len() < width && end == End::Text {
            self.defects.torn = true;
            return;
        }
        if self.is_header_again(fields) {
            self.defects.headers += 1;
            return;
        }
        match fields.len() {
            short if short < width => {
                self.defects.short += 1;
                fields.resize(width, Cow::Borrowed(""));
            }
            long if long > width && self.mend(fields) => self.defects.mended += 1,
            long if long > width => {
                self.defects.long += 1;
                return;
            }
            _ => {}
        }
        self.cells.append(fields);
    }

    /// Traces that were put one behind the other.
    fn is_header_again(&self, fields: &[Cow<'_, str>]) -> bool {
        let same = |(field, name): (&Cow<'_, str>, &String)| field.eq_ignore_ascii_case(name);
        fields.len() == self.columns.len() && fields.iter().zip(&self.columns).all(same)
    }

    /// Puts a name with tabs in it together again; whether what then stands in the place of the status looks like one.
    fn mend(&self, fields: &mut Vec<Cow<'a, str>>) -> bool {
        let (Some(name), Some(status)) = (self.column("name"), self.column("status")) else {
            return false;
        };
        let more = fields.len() - self.columns.len();
        let shifted = if status > name { status + more } else { status };
        let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase());
        if self.delimiter != Delimiter::Tab || !word(&fields[shifted]) {
            return false;
        }
        let parts: Vec<Cow<'a, str>> = fields.drain(name..=name + more).collect();
        fields.insert(name, Cow::Owned(parts.join("\t")));
        true
    }
}

/// One attempt at a task.
#[derive(Debug, Clone, Copy)]
pub struct Row<'t> {
    cells: &'t [Cow<'t, str>],
}

impl<'t> Row<'t> {
    /// The value in a column, as it stands; none for `-`, for nothing, and without the column. `0` is a value.
    pub fn get(self, column: Option<usize>) -> Option<&'t str> {
        let cell: &'t str = self.cells.get(column?)?;
        let bare = cell.trim();
        (!bare.is_empty() && bare != "-").then_some(cell)
    }

    /// All cells, as they stand.
    pub fn cells(self) -> &'t [Cow<'t, str>] {
        self.cells
    }
}
