//! Queries for the training campaigns: what is asked, of which organism, with which parameters.
//!
//! Pure: a sample is a function of (seed, index), so shards, restarts and extensions agree without talking to each other,
//! and a resumed generator makes none twice. The sentences and the rules of what goes together are data
//! (`config/queries.toml`); the modules here combine, break on purpose, and judge them.
//!
//! - `vocabulary`: the typed data file and its compatibility rules
//! - `stem`: each template with its fillings
//! - `catalogue`: every query there is, numbered
//! - `matrix`: the diversity matrix, counted from the catalogue
//! - `wording`: a query as a sentence with slots
//! - `permutation`: seeded order, stateless draws, shard ranges
//! - `fault`: defects planted on purpose
//! - `score`: the quality of a text, read from the text
//! - `plan`: (seed, index) to sample
//!
//! A pilot, its extensions and the full generation are ranges of indexes of one plan.

pub mod catalogue;
pub mod fault;
pub mod matrix;
pub mod permutation;
pub mod plan;
pub mod progress;
pub mod score;
pub mod stem;
pub mod tally;
pub mod vocabulary;
pub mod wording;

pub use catalogue::{catalogue_size, check_target};
pub use fault::Fault;
pub use matrix::{MatrixRow, matrix};
pub use permutation::shard_range;
pub use plan::{Plan, QuerySample};
pub use score::{ACCEPTANCE, Quality, QualityParts};

#[cfg(test)]
mod tests;
