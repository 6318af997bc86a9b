//! Nextflow workflows: what an analysis consists of, a plan of its steps, and the text of a plan - written, read, judged,
//! mended and spoilt on purpose.
//!
//! Pure: the same question always has the same answer.

pub mod catalogue;
pub mod defect;
pub mod dsl;
pub mod fix;
pub mod lint;
pub mod plan;
pub mod repair;
pub mod writer;

#[cfg(test)]
mod tests;
