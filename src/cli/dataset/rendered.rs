//! Rows said in another format, as they come: none waits for another in memory.

use super::{Fail, Part, Plan, failed, taken::fetch, unwritten};
use crate::{
    artifacts::table::TableWriter,
    chat::Template,
    control::{
        client::Client,
        dataset::{FileView, SplitView},
    },
    curation::format::{self, Format},
};
use indicatif::ProgressBar;
use serde_json::{Map, Value};
use std::{fs, io, path::Path};

/// The rows of every split of the plan, as tables in the directory. A split of which nothing can be said has no file.
pub async fn render(
    client: &Client,
    plan: &Plan,
    how: (Format, Option<&Template>),
    dir: &Path,
    bar: &ProgressBar,
) -> Result<Part, Fail> {
    let mut made = Part::default();
    for split in &plan.splits {
        let path = format!("{}/{}.jsonl", split.name, split.split);
        let Some(file) = plan.files.iter().find(|file| file.path == path) else {
            continue;
        };
        one(client, plan, (split, file), how, dir, bar, &mut made).await?;
    }
    if made.rows.is_empty() {
        let message = format!("no row can be said as {}", how.0);
        let mut fail = Fail::usage(message, "another --format, or another --name");
        fail.0[0].at = Some(made.reasons().join("; "));
        return Err(fail);
    }
    Ok(made)
}

/// A split's rows.
async fn one(
    client: &Client,
    plan: &Plan,
    (split, file): (&SplitView, &FileView),
    (format, template): (Format, Option<&Template>),
    dir: &Path,
    bar: &ProgressBar,
    made: &mut Part,
) -> Result<(), Fail> {
    let dir = dir.join(&split.name);
    let (mut lines, mut table) = (Lines::default(), None);
    let mut rows = 0;
    let line = |line: &[u8]| -> Result<(), Fail> {
        let row: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
            let message = format!("a line of {} is no row: {error}", file.path);
            let right = "--format messages takes the files as they are";
            failed(message, client.socket(), right, super::USAGE)
        })?;
        match format::render(format, &row, template) {
            Ok(said) => {
                write(&mut table, &dir, &split.split, format, &row, said)
                    .map_err(|error| unwritten(&dir, &error))?;
                rows += 1;
            }
            Err(reason) => {
                made.leave_out(&split.name, reason);
            }
        }
        Ok(())
    };
    let mut line = line;
    fetch(client, plan, file, bar, |bytes| {
        lines.take(bytes, &mut line)
    })
    .await?;
    lines.end(&mut line)?;
    if let Some((table, _)) = table {
        table.finish().map_err(|error| unwritten(&dir, &error))?;
        made.add(&split.name, &split.split, rows);
    }
    Ok(())
}

/// A table and the columns that its rows have.
type Table = (TableWriter, crate::curation::schema::Schema);

/// Appends a row; the first decides the columns, for every row of a split has every key.
fn write(
    table: &mut Option<Table>,
    dir: &Path,
    split: &str,
    format: Format,
    row: &Map<String, Value>,
    said: Map<String, Value>,
) -> io::Result<()> {
    if table.is_none() {
        fs::create_dir_all(dir)?;
        let schema = format::schema(format, &format::shared(row));
        *table = Some((TableWriter::create(dir, split, &schema)?, schema));
    }
    match table {
        Some((table, schema)) => table.push(&schema.conform(said)),
        None => Ok(()),
    }
}

/// Lines out of pieces.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn take(
        &mut self,
        bytes: &[u8],
        line: &mut impl FnMut(&[u8]) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end(line)?;
            }
        }
        Ok(())
    }

    /// What is begun is a line.
    fn end(&mut self, line: &mut impl FnMut(&[u8]) -> Result<(), Fail>) -> Result<(), Fail> {
        let text = self.begun.trim_ascii();
        let done = if text.is_empty() { Ok(()) } else { line(text) };
        self.begun.clear();
        done
    }
}
