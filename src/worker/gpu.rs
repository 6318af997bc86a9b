//! Takes a GPU for a job: the kernels that ship, tried on it once, and the matrix products that were chosen when the job began.

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
                taken::{Taken, Untaken},
            },
            kernels,
            trial::{self, Verdict},
        },
    },
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
};

/// The first of those that `CUDA_VISIBLE_DEVICES` leaves: SLURM and people say with it which one a job has.
pub const ORDINAL: usize = 0;

/// Takes the GPU, and compiles the kernels for it.
///
/// # Errors
/// What is missing, and what to do; to be tried again where somebody else has it.
pub fn take(presence: &Presence) -> Result<Taken, Undone> {
    Taken::open(presence, ORDINAL, kernels::ALL).map_err(Undone::from)
}

/// Whether the GPU computes what the processor does, and the GPU where it does.
pub fn tried(presence: &Presence) -> (Verdict, Option<Taken>) {
    let untaken = |untaken: Untaken| match untaken.passes {
        true => (Verdict::Unavailable(untaken.trouble), None),
        false => (Verdict::Fails(untaken.trouble), None),
    };
    let taken = match Taken::open(presence, ORDINAL, kernels::ALL) {
        Ok(taken) => taken,
        Err(why) => return untaken(why),
    };
    let gpu = presence
        .machine(ORDINAL)
        .map_err(Untaken::from)
        .and_then(|machine| {
            taken.gpu(Options {
                memory: Some(trial::MEMORY),
                side_by_side: 1,
                plans: Plans::new(machine),
                // A job chooses its own.
                record: Box::new(|_| Ok(())),
            })
        });
    match gpu.map(Rc::new) {
        Ok(gpu) => match Verdict::of(trial::run(&gpu), gpu.passes()) {
            agrees @ Verdict::Agrees(_) => (agrees, Some(taken)),
            other => (other, None),
        },
        Err(why) => untaken(why),
    }
}

/// Takes the GPU's memory for a job, as one of so many that compute on it side by side. Without a file of plans every product's
/// algorithm is chosen anew, and forgotten.
///
/// # Errors
/// Too little memory, to be tried again where others have it; plans that cannot be read.
pub fn open(
    presence: &Presence,
    taken: &Taken,
    side_by_side: u32,
    plans: Option<&Path>,
) -> Result<Gpu, Undone> {
    let machine = presence.machine(ORDINAL)?;
    let known = match plans {
        Some(path) => known(path, &machine).map_err(|error| unreadable(path, &error))?,
        None => Plans::new(machine),
    };
    let to: Option<PathBuf> = plans.map(PathBuf::from);
    let options = Options {
        memory: None,
        side_by_side,
        plans: known,
        record: Box::new(move |plans| match &to {
            Some(to) => write_atomic(to, plans.text().as_bytes())
                .map_err(|error| Trouble(format!("{} cannot be written: {error}", to.display()))),
            None => Ok(()),
        }),
    };
    Ok(taken.gpu(options)?)
}

impl From<Untaken> for Undone {
    fn from(untaken: Untaken) -> Self {
        Self {
            status: if untaken.passes { TRY_AGAIN } else { 1 },
            text: untaken.trouble.0,
        }
    }
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
