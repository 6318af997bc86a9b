//! A table of a data set: the same rows as Parquet, which states its types, and as JSON Lines, which people read.
//!
//! Both files are written row by row in memory that does not grow with them, and their bytes depend on nothing but schema and
//! rows.

mod columns;
mod lines;
mod shape;

use super::{PRIVATE_FILE, named};
use crate::curation::schema::Schema;
use columns::{Columns, GROUP};
use serde_json::{Map, Value};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Writes `SPLIT.parquet` and `SPLIT.jsonl` side by side.
///
/// After an error both files are torn and are to be made anew: a caller who waits for room starts with an empty directory.
pub struct TableWriter {
    schema: Schema,
    columns: Columns<File>,
    lines: BufWriter<File>,
    parquet: PathBuf,
    jsonl: PathBuf,
    rows: u64,
}

impl TableWriter {
    /// Creates the two files, private to the user.
    ///
    /// # Errors
    /// Names the file; one that exists; `InvalidInput` for a schema that is no table: without columns, with a struct without
    /// fields, or with the same name twice.
    pub fn create(dir: &Path, split: &str, schema: &Schema) -> io::Result<TableWriter> {
        let parquet = dir.join(format!("{split}.parquet"));
        let jsonl = dir.join(format!("{split}.jsonl"));
        let shape = shape::shape(schema).map_err(|error| named(error, "write", &parquet))?;
        let lines = create_new(&jsonl).map_err(|error| named(error, "create", &jsonl))?;
        let columns = create_new(&parquet)
            .and_then(|file| Columns::new(file, schema, shape, GROUP))
            .map_err(|error| named(error, "create", &parquet))?;
        Ok(TableWriter {
            schema: schema.clone(),
            columns,
            lines: BufWriter::with_capacity(1 << 16, lines),
            parquet,
            jsonl,
            rows: 0,
        })
    }

    /// Appends a row as [`Schema::conform`] gives it.
    ///
    /// # Errors
    /// Names the file; `InvalidData` names the key whose value is of another type than its column, and nothing is written.
    pub fn push(&mut self, row: &Map<String, Value>) -> io::Result<()> {
        let other = |said: String| io::Error::new(io::ErrorKind::InvalidData, said);
        let fits = self.schema.fits(row).map_err(other);
        fits.and_then(|()| self.columns.push(&self.schema, row))
            .map_err(|error| named(error, "write", &self.parquet))?;
        lines::write(&mut self.lines, &self.schema, row)
            .map_err(|error| named(error, "write", &self.jsonl))?;
        self.rows += 1;
        Ok(())
    }

    /// Completes both files and makes their contents durable; the number of rows. Without it there is no table: Parquet
    /// is read from its end.
    ///
    /// # Errors
    /// Names the file.
    pub fn finish(self) -> io::Result<u64> {
        self.columns
            .finish()
            .and_then(|file| file.sync_data())
            .map_err(|error| named(error, "write", &self.parquet))?;
        let lines = self.lines.into_inner();
        lines
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_data())
            .map_err(|error| named(error, "write", &self.jsonl))?;
        Ok(self.rows)
    }
}

/// Writes rows as one Parquet file of a name that is free, private to the user; the number of rows. After an error the file
/// is torn.
///
/// # Errors
/// Those of [`TableWriter`].
pub fn write_parquet(
    path: &Path,
    schema: &Schema,
    rows: impl IntoIterator<Item = Map<String, Value>>,
) -> io::Result<u64> {
    let write = || {
        let shape = shape::shape(schema)?;
        let mut columns = Columns::new(create_new(path)?, schema, shape, GROUP)?;
        let mut count = 0;
        for row in rows {
            let other = |said: String| io::Error::new(io::ErrorKind::InvalidData, said);
            schema.fits(&row).map_err(other)?;
            columns.push(schema, &row)?;
            count += 1;
        }
        columns.finish()?.sync_data()?;
        Ok(count)
    };
    write().map_err(|error| named(error, "write", path))
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path)
}

#[cfg(test)]
mod tests;
