//! The experiments of a history as other programs read them: CSV, Parquet, SQLite; and as a plot.

pub mod csv;
pub mod plot;
pub mod sqlite;
pub mod svg;
pub mod table;
#[cfg(test)]
mod tests;
