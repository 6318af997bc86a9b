//! Trajectories as an SQLite database with the specification's schema, for people who ask in SQL.
//!
//! Rows come one by one and go into one transaction; what does not fit into SQLite's page cache goes to the file, so the
//! memory is the same for any number of rows. The file is another program's only once it is whole: whoever writes it gives
//! it its name afterwards, so a journal on disk would be written for nothing.

mod parts;
#[cfg(test)]
mod tests;

use parts::{Field, PARTS, id, same, whole};
use rusqlite::{Connection, ErrorCode, params_from_iter, types::Value as Sql};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// The specification's tables and indexes.
const SCHEMA: &str = include_str!("sqlite/schema.sql");

/// Why nothing can be written: what SQLite says, a full disk for one.
pub type Error = rusqlite::Error;

/// Whether an error says that there is no room, which passes.
pub fn is_starved(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory)
    )
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows of `trajectories`.
    pub trajectories: u64,
    /// Rows whose id was there already: the first of them stays.
    pub repeated: u64,
    /// Rows that the schema refuses, by the column that they have nothing for.
    pub left_out: BTreeMap<String, u64>,
    /// Rows of each other table.
    pub parts: BTreeMap<&'static str, u64>,
    /// Steps and decisions that the schema refuses, by the column that they have nothing for.
    pub parts_left_out: BTreeMap<String, u64>,
}

/// A database that is being written.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    counts: Counts,
}

/// The columns of `trajectories`.
const COLUMNS: &[Field] = &[
    id(),
    same("query").needed(),
    same("analysis_type").needed(),
    same("organism"),
    same("complexity"),
    same("outcome"),
    same("total_tokens").or_zero(),
    same("total_cost_usd").or_zero(),
    same("total_latency_ms").or_zero(),
    same("validation_iterations").or_zero(),
    same("final_validation_passed").or_zero(),
    same("execution_exit_code"),
    same("user_feedback"),
    same("created_at").needed(),
    same("completed_at"),
    whole("data_json"),
];

impl Database {
    /// Makes a database in a file that is empty or not there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch("BEGIN")?;
        Ok(Self {
            connection,
            counts: Counts::default(),
        })
    }

    /// Adds a row with all its parts, or counts why not.
    ///
    /// # Errors
    /// What SQLite says; the database is of no use then.
    pub fn add(&mut self, row: &Value) -> Result<(), Error> {
        let id = match self.insert("trajectories", COLUMNS, row, row, None)? {
            Inserted::Yes(id) => id,
            Inserted::Lacks(column) => {
                *self.counts.left_out.entry(column.into()).or_default() += 1;
                return Ok(());
            }
            Inserted::Repeats => {
                self.counts.repeated += 1;
                return Ok(());
            }
        };
        self.counts.trajectories += 1;
        for part in PARTS {
            let listed = row.get(part.key).and_then(Value::as_array);
            for one in listed.into_iter().flatten() {
                let lacks = match self.insert(part.table, part.fields, one, row, Some(&id))? {
                    Inserted::Yes(_) => {
                        *self.counts.parts.entry(part.table).or_default() += 1;
                        continue;
                    }
                    Inserted::Lacks(column) => column,
                    // No key of a part can repeat: its number is SQLite's own.
                    Inserted::Repeats => "id",
                };
                let name = format!("{}.{lacks}", part.table);
                *self.counts.parts_left_out.entry(name).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Inserts `one` of the trajectory `row`.
    fn insert(
        &self,
        table: &str,
        fields: &'static [Field],
        one: &Value,
        row: &Value,
        id: Option<&str>,
    ) -> Result<Inserted, Error> {
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            let value = field.value(one, row, id);
            if field.is_needed() && value == Sql::Null {
                return Ok(Inserted::Lacks(field.column()));
            }
            values.push(value);
        }
        let columns: Vec<&str> = fields.iter().map(Field::column).collect();
        let marks = vec!["?"; fields.len()].join(", ");
        let insert = format!(
            "INSERT OR IGNORE INTO {table} ({}) VALUES ({marks})",
            columns.join(", ")
        );
        let first = match &values[0] {
            Sql::Text(text) => text.clone(),
            _ => String::new(),
        };
        // Kept from one row to the next.
        let mut insert = self.connection.prepare_cached(&insert)?;
        Ok(match insert.execute(params_from_iter(values))? {
            0 => Inserted::Repeats,
            _ => Inserted::Yes(first),
        })
    }

    /// Ends the transaction, and closes the file; what became of the rows.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn finish(self) -> Result<Counts, Error> {
        self.connection.execute_batch("COMMIT")?;
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(self.counts)
    }
}

/// What became of a row of a table.
enum Inserted {
    /// It is there; the first of its values.
    Yes(String),
    /// The schema asks for a value that it has not.
    Lacks(&'static str),
    /// Its key is there already.
    Repeats,
}
