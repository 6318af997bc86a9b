//! What happens to a campaign: four tables, four records, and one pure function that decides.
//!
//! Read `state-machines/campaign.toml` first, then [`effect`] (everything the program can do to the world), then [`step`]
//! (how it decides). Nothing here does anything: [`step::step`] takes a tree, an event and the time, and gives the next
//! tree or a refusal. What the tree then owes to the world stands in its outbox.

pub mod admission;
#[cfg(test)]
mod bare;
pub mod budget;
pub mod campaign;
pub mod effect;
pub mod event;
pub mod job;
pub mod lesson;
pub mod plan;
pub mod proposal;
pub mod resolution;
pub mod spec;
pub mod step;
pub mod table;
pub mod training_run;
pub mod trajectory;
pub mod tree;
