//! What the tests of the low-rank kernels share: batches of documents, and dropout.

use crate::ptx::Arg;
use crate::support::{Chance, Matrix};
use campaignd::{
    lora::batch::Batch,
    training::philox::{mask4, step_key},
};
use half::bf16;

/// Threads of a block of every kernel of the family.
pub const THREADS: u32 = 256;

/// A batch of documents of random lengths, `m` tokens in all.
pub fn batch(chance: &mut Chance, m: usize) -> Batch {
    let mut batch = Batch::default();
    while batch.tokens() < m {
        let len = chance.between(1, 90).min(m - batch.tokens());
        batch.push(chance.bits() as u32, &vec![0; len], &vec![false; len]);
    }
    batch
}

/// Dropout as kernels are told of it.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    /// The step's key.
    pub key: [u32; 2],
    /// The group's site.
    pub site: u32,
    /// Share that is dropped; 0: none.
    pub p: f32,
}

impl Mask {
    /// With a key of chance.
    pub fn random(chance: &mut Chance, p: f32) -> Self {
        Self {
            key: step_key(chance.bits(), chance.bits() % 1000),
            site: chance.bits() as u32,
            p,
        }
    }

    /// What stays is multiplied by it.
    pub fn keep(&self) -> f32 {
        1.0 / (1.0 - self.p)
    }

    /// What a number of row `row` is multiplied by.
    pub fn factor(&self, batch: &Batch, row: usize, column: usize) -> f32 {
        if self.p == 0.0 {
            return 1.0;
        }
        let (example, position) = (batch.examples[row], batch.positions[row]);
        let numbers = mask4(self.key, self.site, example, position, column as u32 / 4);
        match numbers[column % 4] < self.p {
            true => 0.0,
            false => self.keep(),
        }
    }

    /// x with the factors applied, rounded to bf16.
    pub fn apply(&self, batch: &Batch, x: &Matrix) -> Matrix {
        let mut dropped = x.clone();
        for row in 0..x.rows {
            for column in 0..x.columns {
                let number = &mut dropped.numbers[row * x.ld + column];
                *number = bf16::from_f32(number.to_f32() * self.factor(batch, row, column));
            }
        }
        dropped
    }

    /// The three ints.
    pub fn ints(&self) -> [Arg; 3] {
        [self.key[0].into(), self.key[1].into(), self.site.into()]
    }

    /// The two floats.
    pub fn floats(&self) -> [Arg; 2] {
        [self.p.into(), self.keep().into()]
    }
}

pub mod down;
pub mod gradient;
mod groups;
mod mutations;
pub mod preload;
pub mod reduce;
pub mod up;
