//! The command line: what is typed, and what comes of it. stdout is the answer; everything else goes to stderr.

mod args;
mod check;
mod ctl;
mod doctor;
mod fail;
mod follow;
mod look;
mod run;
mod screen;
mod serve;
mod simulate;
mod steer;
mod style;

pub use ctl::campaignctl;
pub use serve::campaignd;
