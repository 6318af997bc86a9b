//! campaignd runs whole training campaigns with nobody watching.
//!
//! Read in this order: `state-machines/campaign.toml` (the whole life of a campaign on one page), [`machines::effect`]
//! (everything the program can do to the world), [`machines::step`] (how it decides), [`actors::coordinator`] (how a
//! decision becomes durable and then real), [`executor::job_dir`] (the only interface between the daemon and work), [`worker::supervisor`] (how a sample is made).
//!
//! **Decide, commit, act.** A pure function decides; one checksummed, fdatasynced append to the journal is the commit;
//! only then does any actor act, and only then is a client answered. An effect stays owed until the event that discharges
//! it is committed, so recovery is one sentence: load the records, perform the outbox again.
//!
//! The house has floors, and a module imports only lower ones; `tests/architecture.rs` holds it to that.

// floor 0: words, pure
pub mod digits;
pub mod ids;
pub mod manifest;
pub mod time;
mod words;

// floor 1: domain, pure
pub mod chat;
pub mod curation;
pub mod evaluation;
pub mod experiment;
pub mod generation;
pub mod history;
pub mod parameters;
pub mod planning;
pub mod training;
pub mod trajectory;
pub mod workflow;

// floor 2: machines, pure
pub mod machines;

// floor 3, pure: the machines in a made-up world
pub mod rehearsal;

// floor 3: files, and where tests cut in
pub mod artifacts;
pub mod points;

// floor 4: edges, never each other
pub mod collect;
pub mod config;
pub mod control;
pub mod executor;
pub mod llm;
pub mod lora;
pub mod report;
pub mod store;

// floor 5: three shells, never each other
pub mod actors;
pub mod runner;
pub mod worker;

// floor 6: assembly
pub mod cli;
pub mod daemon;
