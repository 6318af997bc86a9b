//! campaignd on a real SLURM: 22.05 as Debian packages it, on this machine, thrown away afterwards.
//!
//! The programs that install and run it lie beside the checkout, in `../shared/slurm`; where they do not, or cannot run
//! here, each test says so by name and is skipped. CAMPAIGND_SEED repeats a run.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

#[path = "../house/mod.rs"]
mod house;

mod adoption;
mod cluster;
mod ends;
mod inputs;
mod kills;
mod outages;
mod site;
mod steering;
mod unseen;
mod wrappers;
