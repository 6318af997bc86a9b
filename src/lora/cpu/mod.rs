//! The processor: f32, several threads, vectors as wide as it has them.
//!
//! No result depends on the number of threads: an output's own sum has an order of its own, and threads only share out
//! outputs. All products end in one `kernel`, written for vectors of any width in safe Rust; the processor is asked at
//! run time which it has.

mod adapters;
mod attend;
mod cached;
mod dropout;
mod head;
mod kernel;
mod linear;
mod machine;
mod panels;
mod product;
mod project;
mod rope;
mod rows;
#[cfg(test)]
mod tests;
mod vector;

pub use linear::Linear;
pub use machine::Placed;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Numbers below which work is not worth sharing out.
const SMALL: usize = 1 << 13;

/// Work that is compiled for the vectors of each kind of processor. Closures inside of it need `#[inline(always)]`, or they
/// are compiled for the oldest one.
struct Wide<F>(F);

impl<F: FnMut()> WithSimd for Wide<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        (self.0)();
    }
}

/// A processor with some threads.
pub struct Cpu {
    pool: Option<rayon::ThreadPool>,
    arch: Arch,
}

impl Cpu {
    /// With this many threads; where they cannot be had, the caller's own does it all.
    pub fn new(threads: usize) -> Self {
        let pool = || {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
            builder
                .thread_name(|number| format!("lora-{number}"))
                .build()
        };
        Self {
            pool: (threads > 1).then(pool).and_then(Result::ok),
            arch: Arch::new(),
        }
    }

    fn threads(&self) -> usize {
        self.pool
            .as_ref()
            .map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// Does every job, in whatever order.
    fn each<I: Send>(&self, jobs: Vec<I>, work: impl Fn(I) + Sync + Send) {
        match &self.pool {
            Some(pool) if jobs.len() > 1 => {
                pool.install(|| jobs.into_par_iter().with_max_len(1).for_each(work));
            }
            _ => jobs.into_iter().for_each(work),
        }
    }

    /// The results of all jobs, in their order.
    fn map<I: Send, O: Send>(&self, jobs: Vec<I>, work: impl Fn(I) -> O + Sync + Send) -> Vec<O> {
        match &self.pool {
            Some(pool) if jobs.len() > 1 => {
                pool.install(|| jobs.into_par_iter().with_max_len(1).map(work).collect())
            }
            _ => jobs.into_iter().map(work).collect(),
        }
    }

    /// Rows that a thread takes at a time where a row is `width` numbers and its work small.
    fn handful(&self, m: usize, width: usize) -> usize {
        match m * width < SMALL {
            true => m.max(1),
            false => m.div_ceil(self.threads() * 4),
        }
    }

    /// Calls `work` with each of the first `m` rows of `out`, compiled for this processor's vectors.
    fn rows<F>(&self, out: &mut [f32], width: usize, m: usize, work: F)
    where
        F: Fn(usize, &mut [f32]) + Sync,
    {
        if m * width == 0 {
            return;
        }
        let share = self.handful(m, width);
        let parts = out[..m * width].chunks_mut(share * width).enumerate();
        self.each(parts.collect(), |(part, out)| {
            self.arch.dispatch(Wide(
                #[inline(always)]
                || {
                    for (row, out) in out.chunks_exact_mut(width).enumerate() {
                        work(part * share + row, out);
                    }
                },
            ));
        });
    }

    /// The same with rows of two outputs, of a width each.
    fn both_rows<F>(&self, a: (&mut [f32], usize), b: (&mut [f32], usize), m: usize, work: F)
    where
        F: Fn(usize, &mut [f32], &mut [f32]) + Sync,
    {
        let ((a, wide), (b, narrow)) = (a, b);
        if m * wide * narrow == 0 {
            return;
        }
        let share = self.handful(m, wide.max(narrow));
        let first = a[..m * wide].chunks_mut(share * wide);
        let second = b[..m * narrow].chunks_mut(share * narrow);
        let parts = first.zip(second).enumerate();
        self.each(parts.collect(), |(part, (first, second))| {
            self.arch.dispatch(Wide(
                #[inline(always)]
                || {
                    let both = first
                        .chunks_exact_mut(wide)
                        .zip(second.chunks_exact_mut(narrow));
                    for (row, (first, second)) in both.enumerate() {
                        work(part * share + row, first, second);
                    }
                },
            ));
        });
    }
}
