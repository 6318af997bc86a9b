//! The faulty cluster itself: that it is a cluster where it has no faults, and has the faults that it is told.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod bench;
#[path = "mod.rs"]
mod cluster;
mod front;
mod model;
#[cfg(feature = "failpoints")]
mod programs_tests;
mod real;
mod same;
