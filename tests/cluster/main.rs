//! The faulty cluster itself: that it is a cluster where it has no faults, and has the faults that it is told.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "mod.rs"]
mod cluster;
#[cfg(feature = "failpoints")]
mod front;
mod model;
#[cfg(feature = "failpoints")]
mod programs_tests;
