//! Experiments of several runs: designed, scaffolded for a back end, followed, analysed (specification 2). All of it is pure;
//! the command line reads and writes the files.
//!
//! A [`plan::Plan`] is the truth of an experiment (`experiment.json`); `experiment_summary.md` is drawn from it for people and
//! never read, only compared ([`diff`]).

pub mod analysis;
pub mod asked;
pub mod attempts;
pub mod config;
pub mod diff;
pub mod estimate;
pub mod log;
pub mod names;
pub mod plan;
pub mod retry;
pub mod scaffold;
pub mod space;
pub mod status;
pub mod summary;
pub mod vocabulary;
pub mod yaml;

pub use vocabulary::{BackEnd, KnownModel, Vocabulary};

#[cfg(test)]
mod tests;
