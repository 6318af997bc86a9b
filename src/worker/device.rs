//! Which machine computes: the one place where a backend is chosen.

use super::{Undone, exec::SIDE_BY_SIDE, gpu};
use crate::{
    lora::{
        backend::{Backend, Done},
        cpu::Cpu,
        cuda::{
            Cuda,
            driver::presence::{Finding, Presence},
        },
    },
    training::words::Device,
};
use std::{path::Path, rc::Rc, sync::OnceLock, thread};

/// The file that says which algorithms a GPU computes matrix products with.
pub const PLANS: &str = "products.txt";

/// What is to be computed, on whichever machine it will be.
pub trait Task {
    /// What comes of it.
    type Made;

    /// Computes; `machine` gives as many backends as models are loaded.
    ///
    /// # Errors
    /// Those of the task.
    fn run<B: Backend>(self, machine: impl Fn() -> B) -> Result<Self::Made, Undone>;
}

/// Computes on the device that was asked for. What a GPU computes products with is recorded in `plans`, so that whoever goes
/// on computes the same.
///
/// # Errors
/// A device that is not there, and what to do; those of the task.
pub fn on<T: Task>(device: Device, plans: &Path, task: T) -> Result<T::Made, Undone> {
    match resolved(device) {
        Device::Cuda => {
            let gpu = Rc::new(gpu::open(presence(), plans)?);
            let made = task.run(|| Cuda::shared(gpu.clone()));
            made.map_err(|undone| gpu::undone(undone, gpu.is_lost()))
        }
        Device::Cpu | Device::Auto => task.run(|| Cpu::new(threads())),
    }
}

/// The device that is meant: `auto` is what there is.
pub fn resolved(device: Device) -> Device {
    match device {
        Device::Auto if usable().is_ok() => Device::Cuda,
        Device::Auto => Device::Cpu,
        named => named,
    }
}

/// Why `auto` does not mean a GPU here; none where it does, or where a device is named.
pub fn without_gpu(device: Device) -> Option<String> {
    match (device, usable()) {
        (Device::Auto, Err(why)) => Some(why.0),
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
    let told = std::env::var(SIDE_BY_SIDE).ok();
    share(all, told.and_then(|text| text.parse().ok()))
}

fn share(all: usize, side_by_side: Option<usize>) -> usize {
    (all / side_by_side.unwrap_or(1).max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn processors_are_divided_and_never_run_out() {
        let all = [
            (16, None, 16),
            (16, Some(3), 5),
            (2, Some(3), 1),
            (2, Some(0), 2),
        ];
        for (processors, told, threads) in all {
            assert_eq!(share(processors, told), threads);
        }
    }
}
