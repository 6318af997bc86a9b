//! What a run of Nextflow did, from its trace file.
//!
//! A trace has one row for each attempt at a task. Its columns are whatever `trace.fields` says, in any order, and its values
//! are rounded for people unless `trace.raw` is set. `-` is a value that nobody took, and `0` is one that somebody did.

mod account;
mod columns;
mod execution;
mod record;
mod sums;
mod table;
mod value;

pub use account::{Account, Failure, failed, process_of, succeeded};
pub use columns::MOVED;
pub use execution::{ExecutionMetrics, Observations, ProcessMetrics};
pub use record::Delimiter;
pub use sums::{Sum, Sums, Wall};
pub use table::{Defects, NotATrace, Row, Trace, parse};
pub use value::{Milli, duration, instant, percent, shown, size};

#[cfg(test)]
mod tests;
