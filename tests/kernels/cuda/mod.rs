//! The whole backend on a device without a GPU: each operation, and whole steps of training.

mod bench;
mod given;
mod looking;
mod operations;
mod packs;
mod rounded;
mod simulated;
mod sweep;
mod training;
mod trial;
