//! What the tests of the head, the loss and the optimiser share: the optimiser's tables.

pub mod tables;

mod adamw;
mod cross_entropy;
mod logprob;
mod mutations;
mod squares;
