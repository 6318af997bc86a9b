//! Nextflow workflows: planned, written, read, judged, mended and spoilt on purpose; and what their failures say.
//!
//! Pure: the same question has the same answer, so that a sample is a function of its seed and its place.

pub mod catalogue;
pub mod defect;
pub mod dsl;
pub mod errors;
pub mod expectation;
pub mod fix;
pub mod lint;
pub mod plan;
pub mod repair;
pub mod trace;
pub mod writer;

#[cfg(test)]
mod tests;
