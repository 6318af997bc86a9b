//! campaignd runs whole training campaigns with nobody watching.

pub mod ids;
pub mod manifest;
pub mod time;
mod words;

pub mod curation;
pub mod evaluation;
pub mod generation;
pub mod history;

pub mod machines;

pub mod artifacts;

pub mod config;
pub mod control;
pub mod executor;
pub mod report;
pub mod store;

pub mod actors;
pub mod worker;

pub mod daemon;

pub mod cli;
