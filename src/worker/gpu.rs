//! Takes a GPU for a job: the kernels that ship, and the matrix products that were chosen when the job began.

use super::Undone;
use crate::{
    artifacts::write_atomic,
    executor::job_dir::TRY_AGAIN,
    lora::{
        backend::Trouble,
        cuda::{
            driver::{
                gpu::{Gpu, Options},
                plan::{Machine, Plans},
                presence::Presence,
            },
            kernels,
        },
    },
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The first of those that `CUDA_VISIBLE_DEVICES` leaves: SLURM and people say with it which one a job has.
pub const ORDINAL: usize = 0;

/// Takes the GPU.
///
/// # Errors
/// What is missing, and what to do; too little memory; plans that cannot be read.
pub fn open(presence: &Presence, plans: &Path) -> Result<Gpu, Undone> {
    let machine = presence.machine(ORDINAL)?;
    let known = known(plans, &machine).map_err(|error| unreadable(plans, &error))?;
    let to: PathBuf = plans.into();
    let options = Options {
        ordinal: ORDINAL,
        memory: None,
        kernels: kernels::ALL,
        plans: known,
        record: Box::new(move |plans| {
            write_atomic(&to, plans.text().as_bytes())
                .map_err(|error| Trouble(format!("{} cannot be written: {error}", to.display())))
        }),
    };
    Ok(Gpu::open(presence, options)?)
}

/// What a task on a GPU ended with: one that is lost may be there for the next attempt, or on another node.
pub fn undone(undone: Undone, lost: bool) -> Undone {
    match lost {
        true => Undone {
            status: TRY_AGAIN,
            ..undone
        },
        false => undone,
    }
}

/// The plans of an earlier attempt; those of another machine are put aside and said so.
fn known(path: &Path, machine: &Machine) -> io::Result<Plans> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Plans::new(machine.clone()));
        }
        Err(error) => return Err(error),
    };
    Ok(Plans::parse(&text, machine).unwrap_or_else(|why| {
        eprintln!("{}: {why}; products are chosen anew", path.display());
        Plans::new(machine.clone())
    }))
}

fn unreadable(path: &Path, error: &io::Error) -> Undone {
    format!("{} cannot be read: {error}", path.display()).into()
}
