//! Files of rows as a data set in memory: every line is learned from or counted with the reason why it is not.

use super::{Row, Tokens, row::row};
use crate::{
    artifacts::jsonl::{JsonlReader, Line},
    training::{settings::Settings, words::Loss},
};
use serde_json::{Map, Value};
use std::{
    fs::File,
    io::{self, BufReader, Read as _},
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
};

/// Reasons that are told apart; more are one.
const MOST_REASONS: usize = 40;

/// Lines that are held as JSON at a time.
const AT_ONCE: usize = 512;

/// A data set.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// What is learned from, in the order of the files.
    pub rows: Vec<Row>,
    /// Where each of them stands: which of the files, from 0, and the line.
    pub places: Vec<(u32, u64)>,
    /// Rows that are longer than a sequence and were left out: pairs, and such of which nothing learned would be left.
    pub too_long: u64,
    /// Rows whose end was cut off.
    pub truncated: u64,
    /// Rows that came as tokens, and whose last learned one ends no turn: what they teach has no end.
    pub unended: u64,
    /// Lines that nothing can be learned from, by reason, in the order of their first.
    pub refused: Vec<Refused>,
}

/// Lines that nothing can be learned from, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub why: String,
    /// How many lines.
    pub rows: u64,
    /// The first of them, `file:line`.
    pub first: String,
}

/// The rows of JSONL files, of any format that curation writes, or tokens; see `row`. A row of more tokens than
/// `max_seq_length` and `context` allow loses its end, and what of an answer is left without its own end is not learned; where
/// nothing learned is left, and with a pair, the row is left out.
///
/// # Errors
/// A file cannot be read, or no row can be learned from: then with all reasons and how often each was met.
pub fn read_rows(
    files: &[PathBuf],
    tokens: &Tokens,
    settings: &Settings,
    context: usize,
) -> Result<Read, String> {
    let most = match settings.max_seq_length as usize {
        0 => context,
        most => most.min(context),
    };
    let mut read = Read::default();
    for (file_no, path) in (0..).zip(files) {
        let trouble = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let file = File::open(path).map_err(trouble)?;
        // A last line without its end is a line here: nobody is writing any more.
        let mut lines = JsonlReader::new(BufReader::new(file).chain(&b"\n"[..]));
        loop {
            let some: io::Result<Vec<_>> = lines.by_ref().take(AT_ONCE).collect();
            let some = some.map_err(trouble)?;
            if some.is_empty() {
                break;
            }
            for (line, made) in made(&some, tokens, settings.loss) {
                match made {
                    Ok((row, told)) => {
                        read.unended += u64::from(told && !is_ended(&row, &tokens.eos));
                        read.take(row, most, &tokens.eos);
                        read.places.resize(read.rows.len(), (file_no, line));
                    }
                    Err((why, detail)) => read.refuse(&why, path, line, &detail),
                }
            }
        }
    }
    if read.rows.is_empty() {
        return Err(read.nothing(files, most));
    }
    read.rows.shrink_to_fit();
    Ok(read)
}

/// What a line's row became, and whether it came as tokens; or why nothing can be learned from it, with what is particular to the line.
type Made = (u64, Result<(Row, bool), (String, String)>);

/// Some lines' rows, in their order: cut into tokens by all processors, for that takes most of the time.
fn made(lines: &[Line<Map<String, Value>>], tokens: &Tokens, loss: Loss) -> Vec<Made> {
    let make = |line: &Line<Map<String, Value>>| match line {
        Line::Row { line_no, value } => {
            let row = row(tokens, value, loss).map(|row| (row, is_told(value)));
            (*line_no, row.map_err(|why| (why, String::new())))
        }
        Line::Invalid { line_no, why } => {
            let none = "the line is no JSON object".to_owned();
            (*line_no, Err((none, why.clone())))
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = lines.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let parts: Vec<_> = lines
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(make).collect::<Vec<Made>>()))
            .collect();
        let join = |part: thread::ScopedJoinHandle<'_, Vec<Made>>| {
            part.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        parts.into_iter().flat_map(join).collect()
    })
}

/// Whether a row came as tokens that somebody else made.
fn is_told(row: &Map<String, Value>) -> bool {
    let chosen = || row.get("chosen").and_then(|chosen| chosen.get("input_ids"));
    row.get("input_ids").or_else(chosen).is_some()
}

/// Whether all that is learned ends with a token that ends a turn.
fn is_ended(row: &Row, eos: &[u32]) -> bool {
    row.documents().all(|document| {
        let last = document.learned.iter().rposition(|learned| *learned);
        last.is_some_and(|last| eos.contains(&document.ids[last]))
    })
}

impl Read {
    /// Lines that nothing can be learned from.
    pub fn refusals(&self) -> u64 {
        self.refused.iter().map(|refused| refused.rows).sum()
    }

    /// Tokens of all rows.
    pub fn tokens(&self) -> u64 {
        self.rows.iter().map(|row| u64::from(row.tokens())).sum()
    }

    /// Tokens of each row, for a [`Plan`](crate::training::plan::Plan).
    pub fn lengths(&self) -> Vec<u32> {
        self.rows.iter().map(Row::tokens).collect()
    }

    /// Takes a row of at most `most` tokens a document.
    fn take(&mut self, row: Row, most: usize, eos: &[u32]) {
        match row {
            row if row.documents().all(|document| document.len() <= most) => self.rows.push(row),
            Row::Sft(mut example) => {
                example.cut(most, eos);
                if example.supervised() == 0 {
                    self.too_long += 1;
                } else {
                    self.truncated += 1;
                    self.rows.push(Row::Sft(example.shrunk()));
                }
            }
            Row::Pair { .. } => self.too_long += 1,
        }
    }

    fn refuse(&mut self, why: &str, path: &Path, line: u64, detail: &str) {
        let known = self.refused.iter().position(|refused| refused.why == why);
        let full = self.refused.len() >= MOST_REASONS;
        let at = known.or_else(|| full.then(|| self.refused.len() - 1));
        match at {
            Some(at) => {
                let refused = &mut self.refused[at];
                refused.rows += 1;
                if refused.why != why {
                    refused.why = "other reasons".into();
                }
            }
            None => {
                let detail = if detail.is_empty() {
                    String::new()
                } else {
                    format!(", {detail}")
                };
                self.refused.push(Refused {
                    why: why.to_owned(),
                    rows: 1,
                    first: format!("{}:{line}{detail}", path.display()),
                });
            }
        }
    }

    /// Why there is nothing to learn from.
    fn nothing(&self, files: &[PathBuf], most: usize) -> String {
        let names: Vec<String> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let mut reasons: Vec<String> = self.refused.iter().map(Refused::to_string).collect();
        if self.too_long > 0 {
            let rows = self.too_long;
            reasons.push(format!("{rows} rows are longer than {most} tokens"));
        }
        if reasons.is_empty() {
            reasons.push("there are no rows".into());
        }
        format!(
            "nothing can be learned from {}: {}",
            names.join(", "),
            reasons.join("; ")
        )
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { why, rows, first } = self;
        let lines = if *rows == 1 { "line" } else { "lines" };
        write!(f, "{rows} {lines}: {why} (first {first})")
    }
}
