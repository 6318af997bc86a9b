//! The workers: processes that read only their job directory and compute. None knows the store, the socket or an actor.

pub mod agents;
pub mod base;
pub mod bench;
pub mod curate;
pub mod deliver;
pub mod device;
pub mod evaluate;
pub mod exec;
pub mod execute;
pub mod generate;
mod gpu;
pub mod supervisor;
pub mod train;

use crate::executor::job_dir::{BUDGET_SPENT, REFUSED, TRY_AGAIN};
use agents::Stop;

/// Why work is not done, with the exit status that says so.
#[derive(Debug)]
pub struct Undone {
    /// The status.
    pub status: u8,
    /// One sentence.
    pub text: String,
}

impl From<String> for Undone {
    fn from(text: String) -> Self {
        Self { status: 1, text }
    }
}

impl From<Stop> for Undone {
    fn from(stop: Stop) -> Self {
        let status = match stop {
            Stop::BudgetSpent(_) => BUDGET_SPENT,
            Stop::Unavailable(_) => TRY_AGAIN,
            Stop::Refused(_) => REFUSED,
        };
        Self {
            status,
            text: stop.to_string(),
        }
    }
}
