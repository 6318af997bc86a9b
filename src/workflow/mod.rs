//! Bioinformatics workflows: what an analysis consists of, a plan of its steps, and the Nextflow DSL2 text of a plan.

pub mod catalogue;
pub mod plan;
pub mod repair;
pub mod writer;

#[cfg(test)]
mod tests;
