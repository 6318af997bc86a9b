//! What the tests of the head, the loss and the optimiser share: the optimiser's tables.

pub mod tables;

pub mod adamw;
pub mod cross_entropy;
pub mod logprob;
mod mutations;
pub mod squares;
