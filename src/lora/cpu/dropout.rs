//! Which inputs of adapters stay: nothing is kept of it, the mask is made again wherever it is needed.

use crate::{
    lora::{
        backend::{Dropout, Use},
        batch::Batch,
    },
    training::philox::{mask4, step_key},
};

/// The mask of one projection group in one step.
#[derive(Clone, Copy)]
pub(super) struct Mask {
    key: [u32; 2],
    site: u32,
    p: f32,
}

impl Mask {
    /// That of a group, where there is one.
    pub(super) fn of(used: Use, site: u32) -> Option<Self> {
        match used {
            Use::Off | Use::On => None,
            Use::Drop(Dropout { seed, step, p }) => Some(Self {
                key: step_key(seed, step),
                site,
                p,
            }),
        }
    }

    /// What row `row` of a batch is multiplied by: 0 where it is dropped, else 1 / (1 - p).
    #[inline(always)]
    pub(super) fn factors(&self, batch: &Batch, row: usize, factors: &mut [f32]) {
        let (example, position) = (batch.examples[row], batch.positions[row]);
        let Self { key, site, p } = *self;
        let stays = 1.0 / (1.0 - p);
        let factor = |number: f32| if number < p { 0.0 } else { stays };
        let mut quads = factors.chunks_exact_mut(4);
        let mut q = 0;
        for quad in &mut quads {
            let numbers = mask4(key, site, example, position, q);
            for (to, number) in quad.iter_mut().zip(numbers) {
                *to = factor(number);
            }
            q += 1;
        }
        let numbers = mask4(key, site, example, position, q);
        for (to, number) in quads.into_remainder().iter_mut().zip(numbers) {
            *to = factor(number);
        }
    }
}
