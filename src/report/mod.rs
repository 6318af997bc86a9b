//! What other programs and people read of a campaign: built here, written by the actors.

pub mod mirror;
pub mod page;
pub mod sqlite;
