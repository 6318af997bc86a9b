//! Faults made on purpose, counted. `tests/run --torture` makes them in full and writes the README's table from the rows
//! that they leave; every test run makes a share. CAMPAIGND_SEED and CAMPAIGND_COUNT repeat and resize a run.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "../house/mod.rs"]
mod house;

mod clock;
mod damage;
mod kills;
mod mounts;
mod panics;
mod pids;
mod points;
mod power;
mod privacy;
mod socket;
mod starve;
mod trials;
