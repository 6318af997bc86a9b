//! `campaignctl experiment run`, as a person types it: fine-tunes, then evaluations, through the executors; killed anywhere, the
//! same command goes on.
//!
//! Of torchtune and inspect-ai there are stand-ins on PATH that say in a file when they begin and end, and with which batch.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "../slurm/cluster.rs"]
#[allow(dead_code, reason = "the tests of SLURM use all of it")]
mod cluster;

mod full;
mod gone;
mod kills;
mod local;
mod memory;
mod place;
mod refused;
mod slurm;
mod steering;
mod trained;
