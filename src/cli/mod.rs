//! The command line: what is typed, and what comes of it. stdout is the answer; everything else goes to stderr.
#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where a stream takes nothing: `out` does not"
)]

use crate::time::Timestamp;
use std::time::SystemTime;

mod args;
mod base;
mod bench_train;
mod budget;
mod check;
mod collect;
mod constraints;
mod ctl;
mod curate;
mod dataset;
mod doctor;
mod errors;
mod evaluate;
mod experiment;
mod export;
mod fail;
mod follow;
mod history;
mod lint;
mod look;
mod out;
mod proposals;
mod rehearse;
mod review;
mod run;
mod scorecard;
mod screen;
mod scripts;
mod serve;
mod simulate;
mod steer;
mod style;
mod train;
mod trajectory;

pub use ctl::campaignctl;
pub use serve::campaignd;

/// The only look at the clock that a screen is drawn by.
fn now() -> Timestamp {
    SystemTime::now().into()
}
