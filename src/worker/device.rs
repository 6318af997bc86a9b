//! Which machine computes: the one place where a backend is chosen.

use super::{Undone, exec::SIDE_BY_SIDE};
use crate::{
    lora::{backend::Backend, cpu::Cpu},
    training::words::Device,
};
use std::thread;

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

/// Computes on the device that was asked for.
///
/// # Errors
/// A device that this build has no backend for; those of the task.
pub fn on<T: Task>(device: Device, task: T) -> Result<T::Made, Undone> {
    match device {
        Device::Cpu | Device::Auto => task.run(|| Cpu::new(threads())),
        Device::Cuda => {
            let why = "this build has no CUDA trainer yet: device = \"cpu\" computes on the processor, \"auto\" on what there is";
            Err(why.to_string().into())
        }
    }
}

/// The device that is meant: `auto` is what there is.
pub fn resolved(device: Device) -> Device {
    match device {
        Device::Auto | Device::Cpu => Device::Cpu,
        Device::Cuda => Device::Cuda,
    }
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
