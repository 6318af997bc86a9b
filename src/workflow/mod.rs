//! Workflows: how they are planned, written, checked and repaired.

pub mod errors;
