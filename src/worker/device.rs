//! Which machine computes: the one place where a backend is chosen.

use super::{Undone, exec::SIDE_BY_SIDE, gpu};
pub use crate::lora::cuda::trial::Verdict;
use crate::{
    executor::job_dir::TRY_AGAIN,
    lora::{
        backend::{Backend, Done},
        cpu::Cpu,
        cuda::{
            self, Cuda,
            device::Device as _,
            driver::{
                presence::{Finding, Presence},
                taken::Taken,
            },
        },
    },
    training::words::Device,
};
use std::{cell::Cell, path::Path, rc::Rc, sync::OnceLock, thread};

/// The file that says which algorithms a GPU computes matrix products with.
pub const PLANS: &str = "products.txt";

/// What is to be computed, on whichever machine it will be.
pub trait Task {
    /// What comes of it.
    type Made;

    /// Computes; `machine` gives as many backends as models are loaded, which have `room` bytes of memory, where it is bounded.
    ///
    /// # Errors
    /// Those of the task.
    fn run<B: Backend>(
        self,
        machine: impl Fn() -> B,
        room: Option<u64>,
    ) -> Result<Self::Made, Undone>;
}

/// Computes on the device that was asked for; on a GPU once it passed its trial. What a GPU computes products with is recorded
/// in `plans`, so that whoever goes on computes the same; without a file it is chosen anew and
/// recorded nowhere.
///
/// # Errors
/// A device that is not there, or computes something else than the processor, and what to do; to be tried again where others
/// have it; those of the task.
pub fn on<T: Task>(device: Device, plans: Option<&Path>, task: T) -> Result<T::Made, Undone> {
    match resolved(device) {
        Device::Cuda => {
            let taken = trusted()?;
            let gpu = Rc::new(gpu::open(presence(), &taken, side_by_side(), plans)?);
            let made = task.run(|| Cuda::shared(gpu.clone()), Some(gpu.room()));
            made.map_err(|undone| gpu::undone(undone, gpu.is_lost()))
        }
        Device::Cpu | Device::Auto => task.run(|| Cpu::new(threads()), None),
    }
}

/// The device that is meant: `auto` is what there is and passes its trial. A GPU that cannot be tried for now is meant, too: a
/// job must not change machines because somebody else was at it.
pub fn resolved(device: Device) -> Device {
    match device {
        Device::Auto if unfit().is_none() => Device::Cuda,
        Device::Auto => Device::Cpu,
        named => named,
    }
}

/// Rows that a member's part of a batch is filled up to a multiple of, and every batch has always as many of, where the numbers
/// of a row depend on how many there are; none where they do not.
pub fn grain(device: Device) -> Option<usize> {
    match resolved(device) {
        Device::Cuda => Some(cuda::GRAIN),
        Device::Cpu | Device::Auto => None,
    }
}

/// Why `auto` does not mean a GPU here; none where it does, or where a device is named.
pub fn without_gpu(device: Device) -> Option<String> {
    match device {
        Device::Auto => unfit(),
        _ => None,
    }
}

/// Why `auto` does not mean the GPU that is here: it failed its trial.
pub fn distrusted(device: Device) -> Option<String> {
    match (device, tried()) {
        (Device::Auto, Some(Verdict::Fails(why))) => Some(why.0.clone()),
        _ => None,
    }
}

/// How the GPU's trial ended; none where there is no GPU that can be used. Made once: a process trusts it or does not.
pub fn tried() -> Option<&'static Verdict> {
    static TRIED: OnceLock<Verdict> = OnceLock::new();
    usable().ok()?;
    Some(TRIED.get_or_init(|| {
        let (verdict, taken) = gpu::tried(presence());
        TAKEN.set(taken);
        verdict
    }))
}

thread_local! {
    /// The GPU as its trial left it, for the job behind it: the kernels are compiled once.
    static TAKEN: Cell<Option<Taken>> = const { Cell::new(None) };
}

/// The GPU, if it passes its trial.
fn trusted() -> Result<Taken, Undone> {
    usable()?;
    match tried() {
        Some(Verdict::Fails(why)) => Err(why.clone().into()),
        Some(Verdict::Unavailable(why)) => Err(Undone {
            status: TRY_AGAIN,
            text: why.0.clone(),
        }),
        Some(Verdict::Agrees(_)) | None => match TAKEN.take() {
            Some(taken) => Ok(taken),
            None => gpu::take(presence()),
        },
    }
}

/// Why there is no GPU to compute on.
fn unfit() -> Option<String> {
    match (usable(), tried()) {
        (Err(why), _) => Some(why.0),
        (_, Some(Verdict::Fails(why))) => Some(why.0.clone()),
        _ => None,
    }
}

/// What training on a GPU needs, and whether it is here; asks each GPU for its free memory.
pub fn findings() -> Vec<Finding> {
    Presence::look().measured().findings()
}

fn usable() -> Done {
    presence().card(gpu::ORDINAL).map(drop)
}

/// What there is, looked at once: a job's device does not change while it runs.
fn presence() -> &'static Presence {
    static FOUND: OnceLock<Presence> = OnceLock::new();
    FOUND.get_or_init(Presence::look)
}

/// One for each processor that this process may use, less those of fine-tunes that may run beside it; results do not depend
/// on it.
fn threads() -> usize {
    let all = thread::available_parallelism().map_or(1, usize::from);
    share(all, side_by_side())
}

/// How many fine-tunes may compute at once on this machine, this one among them.
fn side_by_side() -> u32 {
    let told = std::env::var(SIDE_BY_SIDE).ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
}

fn share(all: usize, side_by_side: u32) -> usize {
    (all / side_by_side.max(1) as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn processors_are_divided_and_never_run_out() {
        let all = [(16, 1, 16), (16, 3, 5), (2, 3, 1), (2, 0, 2)];
        for (processors, told, threads) in all {
            assert_eq!(share(processors, told), threads);
        }
    }
}
