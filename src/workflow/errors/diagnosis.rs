//! Reads the output of a run and says what went wrong.

use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, Category, Entry, Level, catalogue, entry};
use super::matcher::Hit;
use super::scan::Walk;
use super::text::{between, pieces, window};

/// Longest key line of a diagnosis, in characters.
const LONGEST: usize = 400;
/// How sure an exit status alone makes a kind.
const BY_EXIT: f64 = 0.6;
/// What is left to say of a task that failed without a word.
const WORDLESS: &str = "task_failed";

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The kind of error, such as `out_of_memory`: a name of the catalogue.
    pub kind: String,
    /// What part of a run it belongs to.
    pub category: Category,
    /// The line that says so, without colours and control characters.
    pub message: String,
    /// Number of that line, from 1.
    pub line: u32,
    /// The process whose task failed, with its scope and without the task's tag.
    pub process: Option<String>,
    /// Exit status of the task.
    pub exit_status: Option<i32>,
    /// How sure this is, 0 to 1.
    pub confidence: f64,
    /// Other kinds found, mostly consequences, the most telling first.
    pub also: Vec<String>,
}

/// Whether an error brought the run down or came of what did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nothing else that was found explains it.
    Cause,
    /// It follows from a cause, or tells less of the failure than that does.
    Consequence,
}

/// One kind of error in a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The kind, with its line and the others beside it.
    pub diagnosis: Diagnosis,
    /// What it is to the run.
    pub role: Role,
    /// Lines that say it.
    pub lines: u32,
}

/// Says what went wrong in a run, or that nothing did. Never panics; linear in the length of the log.
///
/// A run that ended well has no error, whatever its tasks met before they were tried again.
pub fn diagnose(log: &str) -> Option<Diagnosis> {
    let catalogue = catalogue();
    let reading = Reading::of(log, catalogue);
    if reading.ended_well() {
        return None;
    }
    reading.diagnosis(&catalogue.entries)
}

/// Everything that went wrong in a run: what [`diagnose`] names first, and then the others, the most telling first. Empty
/// where that finds nothing.
pub fn findings(log: &str) -> Vec<Finding> {
    let catalogue = catalogue();
    let reading = Reading::of(log, catalogue);
    if reading.ended_well() {
        return Vec::new();
    }
    let Some(first) = reading.diagnosis(&catalogue.entries) else {
        return Vec::new();
    };
    reading.findings(first, &catalogue.entries)
}

/// The first line that shows an error.
#[derive(Debug)]
struct Find {
    error: usize,
    line: u32,
    echo: bool,
    message: String,
    /// Lines that show it.
    lines: u32,
}

/// A value from a line about the failed task, or else from one about some other attempt.
#[derive(Debug)]
struct Told<T> {
    sure: Option<T>,
    perhaps: Option<T>,
}

impl<T> Default for Told<T> {
    fn default() -> Told<T> {
        Told {
            sure: None,
            perhaps: None,
        }
    }
}

impl<T: Clone> Told<T> {
    fn take(&mut self, value: Option<T>, sure: bool) {
        let place = if sure {
            &mut self.sure
        } else {
            &mut self.perhaps
        };
        if place.is_none() {
            *place = value;
        }
    }

    fn best(&self) -> Option<T> {
        self.sure.clone().or_else(|| self.perhaps.clone())
    }
}

/// Where in Nextflow's report of a task a line stands.
#[derive(Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Open,
    /// In the script of the task, which may speak of errors without meeting them.
    Script,
    /// Below "Command exit status:".
    Exit,
}

#[derive(Debug, Default)]
struct Reading {
    part: Part,
    finds: Vec<Find>,
    process: Told<String>,
    exit: Told<i32>,
    /// The line that tells of a failed task.
    failure: Option<(u32, String)>,
    aborted: bool,
    /// Tasks that failed for good, from the summary at the end.
    lost: Option<i64>,
}

impl Reading {
    fn of(log: &str, catalogue: &Catalogue) -> Reading {
        let (mut reading, mut walk) = (Reading::default(), Walk::new(log));
        loop {
            // Within a block each line counts, because any may end it.
            let scanner = (reading.part == Part::Open).then_some(&catalogue.scanner);
            let Some((number, line)) = walk.next(scanner) else {
                return reading;
            };
            for piece in pieces(line) {
                reading.take(number, &piece, catalogue);
            }
        }
    }

    fn take(&mut self, line: u32, text: &str, catalogue: &Catalogue) {
        if self.in_script(text) {
            return;
        }
        self.aborted |= text.contains("Session aborted");
        if let Some((_, counts)) = text.split_once("WorkflowStats[") {
            self.lost = lost(counts);
        }
        self.read_task(line, text);
        for hit in catalogue.matcher.hits(text, &catalogue.entries) {
            self.keep(line, text, hit);
        }
    }

    /// Nextflow indents the script it quotes: the first line at the margin ends it.
    fn in_script(&mut self, text: &str) -> bool {
        match text.trim() {
            "Command executed:" | "Source block:" => self.part = Part::Script,
            "Command exit status:" => self.part = Part::Exit,
            "" => {}
            status if self.part == Part::Exit => {
                self.exit.take(status.parse().ok(), true);
                self.part = Part::Open;
            }
            _ if self.part == Part::Script && !text.starts_with([' ', '\t']) => {
                self.part = Part::Open;
            }
            _ => {}
        }
        self.part == Part::Script
    }

    fn read_task(&mut self, line: u32, text: &str) {
        let again = ["-- Execution is retried", "-- Error is ignored", "error ["];
        let sure = !again.iter().any(|words| text.contains(words));
        let named = between(text, "Error executing process > '", "'")
            .or_else(|| between(text, "process `", "`"))
            .or_else(|| between(text, "Process `", "`"));
        let name = named.map(|name| name.split(" (").next().unwrap_or(name));
        let name = name.filter(|name| *name != "null" && !name.is_empty());
        self.process.take(name.map(str::to_owned), sure);
        if let Some(status) = between(text, "terminated with an error exit status (", ")") {
            self.exit.take(status.parse().ok(), sure);
            if sure && self.failure.is_none() {
                self.failure = Some((line, window(text, 0, LONGEST)));
            }
        } else if let Some(status) = text.trim().strip_prefix("status : ") {
            self.exit.take(status.parse().ok(), false);
        }
    }

    /// Keeps the first line of each kind; the engine's echo of an error gives way to the error itself.
    fn keep(&mut self, line: u32, text: &str, hit: Hit) {
        let find = Find {
            error: hit.error,
            line,
            echo: text.contains("Session aborted -- Cause:"),
            message: window(text, hit.at, LONGEST),
            lines: 1,
        };
        match (self.finds.iter_mut()).find(|known| known.error == hit.error) {
            None => self.finds.push(find),
            Some(known) => {
                let lines = known.lines.saturating_add(1);
                if known.echo && !find.echo {
                    *known = find;
                }
                known.lines = lines;
            }
        }
    }

    /// The engine's own summary says that every task which failed was tried again or let go.
    fn ended_well(&self) -> bool {
        !self.aborted && self.lost.is_some_and(|lost| lost <= 0) && self.failure.is_none()
    }

    fn diagnosis(&self, entries: &[Entry]) -> Option<Diagnosis> {
        let level = |find: &Find| entries[find.error].level;
        let top = self.finds.iter().map(level).max();
        if top.is_none_or(|top| top == Level::Note)
            && let Some(wordless) = self.wordless(entries)
        {
            return Some(wordless);
        }
        let top = top?;
        let found = |kind: &String| {
            let named = |find: &Find| entries[find.error].name == *kind;
            self.finds.iter().any(named)
        };
        let causes = || self.finds.iter().filter(|find| level(find) == top);
        let first = causes().find(|find| !entries[find.error].caused_by.iter().any(found));
        let cause = first.or_else(|| causes().next())?;
        let entry = &entries[cause.error];
        let mut diagnosis = self.named(entry, cause.line, &cause.message);
        diagnosis.also = self.others(&entry.name, entries);
        Some(diagnosis)
    }

    /// The kinds found beside one, the most telling first.
    fn others(&self, kind: &str, entries: &[Entry]) -> Vec<String> {
        let others = self.by_weight(entries).into_iter();
        let names = others.map(|find| entries[find.error].name.clone());
        names.filter(|name| name != kind).collect()
    }

    fn by_weight(&self, entries: &[Entry]) -> Vec<&Find> {
        let mut finds: Vec<&Find> = self.finds.iter().collect();
        finds.sort_by_key(|find| std::cmp::Reverse(entries[find.error].level));
        finds
    }

    /// The first, then what else was found.
    fn findings(&self, first: Diagnosis, entries: &[Entry]) -> Vec<Finding> {
        let find_of = |kind: &str| {
            self.finds
                .iter()
                .find(|find| entries[find.error].name == kind)
        };
        let top = entry(&first.kind).map(|entry| entry.level);
        let mut found = vec![Finding {
            lines: find_of(&first.kind).map_or(1, |find| find.lines),
            role: Role::Cause,
            diagnosis: first,
        }];
        for find in self.by_weight(entries) {
            let entry = &entries[find.error];
            if entry.name == found[0].diagnosis.kind {
                continue;
            }
            let explained = entry.caused_by.iter().any(|kind| find_of(kind).is_some());
            let mut diagnosis = self.named(entry, find.line, &find.message);
            diagnosis.also = self.others(&entry.name, entries);
            let cause = Some(entry.level) == top && !explained;
            found.push(Finding {
                role: if cause {
                    Role::Cause
                } else {
                    Role::Consequence
                },
                lines: find.lines,
                diagnosis,
            });
        }
        found
    }

    /// A task failed and nothing says why: its exit status is all there is.
    fn wordless(&self, entries: &[Entry]) -> Option<Diagnosis> {
        let (line, message) = self.failure.as_ref()?;
        let status = self.exit.sure?;
        let entry = (entries.iter().find(|entry| entry.exits.contains(&status)))
            .or_else(|| entries.iter().find(|entry| entry.name == WORDLESS))?;
        let mut diagnosis = self.named(entry, *line, message);
        diagnosis.confidence = diagnosis.confidence.min(BY_EXIT);
        Some(diagnosis)
    }

    fn named(&self, entry: &Entry, line: u32, message: &str) -> Diagnosis {
        Diagnosis {
            kind: entry.name.clone(),
            category: entry.category,
            message: message.to_owned(),
            line,
            process: self.process.best(),
            exit_status: self.exit.best(),
            confidence: entry.confidence,
            also: Vec::new(),
        }
    }
}

/// Tasks that failed and were neither tried again nor let go, and those aborted; `None` where the counts are not all there.
fn lost(counts: &str) -> Option<i64> {
    let count = |name: &str| -> Option<i64> { between(counts, name, ";")?.trim().parse().ok() };
    let failed = count("failedCount=")?.saturating_add(count("abortedCount=").unwrap_or(0));
    let spared = count("ignoredCount=").unwrap_or(0);
    let again = count("retriesCount=").unwrap_or(0);
    Some(failed.saturating_sub(spared).saturating_sub(again))
}
