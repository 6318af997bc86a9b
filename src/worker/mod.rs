//! The workers: processes that read only their job directory and compute. None knows the store, the socket or an actor.

pub mod agents;
pub mod curate;
pub mod exec;
pub mod generate;
pub mod supervisor;
