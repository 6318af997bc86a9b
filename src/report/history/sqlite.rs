//! Experiments as an SQLite database: `experiments`, and their `parameters` and `metrics` by name.

use crate::{history::Experiment, parameters::Value, report::sqlite::Error};
use rusqlite::{Connection, params, types::Value as Sql};
use std::path::Path;

const SCHEMA: &str = "
CREATE TABLE experiments (
    experiment_id TEXT PRIMARY KEY, campaign TEXT NOT NULL, cycle_id INTEGER NOT NULL, status TEXT NOT NULL,
    cause TEXT, failure TEXT, proposal_type TEXT NOT NULL, risk_level TEXT NOT NULL, proposal TEXT, adapter TEXT,
    verdict TEXT, duration_seconds REAL NOT NULL, gpu_hours REAL NOT NULL, ended_at TEXT NOT NULL
);
CREATE TABLE parameters (
    experiment_id TEXT NOT NULL REFERENCES experiments, name TEXT NOT NULL, value, PRIMARY KEY (experiment_id, name)
) WITHOUT ROWID;
CREATE TABLE metrics (
    experiment_id TEXT NOT NULL REFERENCES experiments, name TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (experiment_id, name)
) WITHOUT ROWID;
CREATE INDEX parameters_by_value ON parameters (name, value);
CREATE INDEX metrics_by_value ON metrics (name, value);
";

/// Writes them to a file that is empty or not there; how many. Of several with one id the last stays.
///
/// # Errors
/// What SQLite says.
pub fn write(path: &Path, experiments: &[Experiment]) -> Result<u64, Error> {
    let mut connection = Connection::open(path)?;
    // The file has no name yet: a journal on disk would be written for nothing.
    connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")?;
    connection.execute_batch(SCHEMA)?;
    let all = connection.transaction()?;
    for one in experiments {
        insert(&all, one)?;
    }
    all.commit()?;
    let count = "SELECT count(*) FROM experiments";
    let count: i64 = connection.query_row(count, [], |row| row.get(0))?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn insert(all: &Connection, one: &Experiment) -> Result<(), Error> {
    let failure = one.failure.as_ref();
    all.prepare_cached("INSERT OR REPLACE INTO experiments VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)")?
        .execute(params![
            one.experiment_id,
            one.campaign,
            one.cycle_id,
            one.status.name(),
            failure.map(|failure| failure.cause.name()),
            failure.map(|failure| &failure.text),
            one.proposal_type,
            one.risk_level,
            one.proposal,
            one.adapter,
            one.verdict,
            one.duration_seconds,
            one.gpu_hours,
            one.ended_at.to_string(),
        ])?;
    let mut set = all.prepare_cached("INSERT OR REPLACE INTO parameters VALUES (?,?,?)")?;
    for (name, value) in &one.config {
        let value = match value {
            Value::Flag(flag) => Sql::Integer((*flag).into()),
            Value::Whole(whole) => Sql::Integer(*whole),
            Value::Number(number) => Sql::Real(*number),
            Value::Text(text) => Sql::Text(text.clone()),
        };
        set.execute(params![one.experiment_id, name, value])?;
    }
    let mut measured = all.prepare_cached("INSERT OR REPLACE INTO metrics VALUES (?,?,?)")?;
    for (name, value) in &one.metrics {
        measured.execute(params![one.experiment_id, name, value])?;
    }
    Ok(())
}
