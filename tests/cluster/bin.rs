//! `faulty-slurm`: the faulty cluster behind `sbatch`, `squeue`, `sacct`, `scancel` and `scontrol`, which are links to it, or
//! its first argument.
//!
//! Its state is in the directory that `FAULTY_SLURM` names: `faults.json` (read anew each time), `state.json`, `calls`
//! (one line for each run), `ends/`. Batch scripts really run, each task in a session of its own, until the directory is gone.

#![allow(
    clippy::unwrap_used,
    reason = "a test's program: what it cannot do ends it, and is seen"
)]

#[path = "mod.rs"]
mod cluster;
#[path = "processes.rs"]
mod processes;
#[path = "programs.rs"]
mod programs;
#[path = "site.rs"]
mod site;

use std::{env, path::Path, process::ExitCode};

const PROGRAMS: [&str; 5] = ["sbatch", "squeue", "sacct", "scancel", "scontrol"];

fn main() -> ExitCode {
    let mut words = env::args();
    let own = words.next().unwrap_or_default();
    let own = Path::new(&own).file_name().and_then(|name| name.to_str());
    let own = own.unwrap_or_default().to_owned();
    let arguments: Vec<String> = words.collect();
    let Some(dir) = env::var_os("FAULTY_SLURM") else {
        eprintln!("{own}: FAULTY_SLURM names no directory");
        return ExitCode::FAILURE;
    };
    let dir = Path::new(&dir);
    if PROGRAMS.contains(&own.as_str()) {
        return programs::run(dir, &own, &arguments);
    }
    match arguments.first().map(String::as_str) {
        Some("controller") => site::control(dir),
        Some("step") => processes::step(dir, &arguments[1..]),
        Some(program) if PROGRAMS.contains(&program) => {
            programs::run(dir, program, &arguments[1..])
        }
        _ => {
            eprintln!("{own} is none of sbatch, squeue, sacct, scancel, scontrol");
            ExitCode::FAILURE
        }
    }
}
