//! What other programs and people read of a campaign: built here, written by the actors.

pub mod evaluation;
pub mod experiment;
pub mod history;
pub mod inspect;
pub mod mirror;
pub mod page;
pub mod sqlite;
pub mod sweep;
pub mod training;
