//! Every parser that reads what others wrote, against bytes that nobody meant to write: a value or a sentence, never a
//! panic, and nothing lost in silence.
//!
//! `CAMPAIGND_SEED` chooses the numbers (printed with each property), `CAMPAIGND_COUNT` how many cases an ordinary
//! property has. A failure prints the smallest input that shows it and the command that finds it again.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod config;
#[path = "../common/journal.rs"]
mod frames;
mod ids;
mod job_dir;
mod journal;
mod lines;
mod mutation;
mod progress;
mod property;
mod records;
mod requests;
mod workflow;
