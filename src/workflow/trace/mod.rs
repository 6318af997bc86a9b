//! What a run of Nextflow did, from its trace file.

mod execution;

pub use execution::{ExecutionMetrics, Observations, ProcessMetrics};
