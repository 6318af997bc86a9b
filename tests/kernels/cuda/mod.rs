//! The whole backend on a device without a GPU: each operation, and whole steps of training.

mod operations;
mod rounded;
mod simulated;
mod training;
