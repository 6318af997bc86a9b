//! Weights and tokens of a model that nobody trained: what is computed costs the same, whatever the numbers are, as long as
//! they are neither zeros nor too large. Nothing is written, and two runs see the same.

use crate::{
    lora::{
        batch::Batch,
        decoder::{Decoder, Tensors},
        files::layout,
    },
    training::philox::{philox, unit},
};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Numbers that one thread draws at a time; a multiple of the four that Philox gives at once.
const BLOCK: usize = 1 << 16;
/// Marks the draws of tokens among those of tensors.
const TOKENS: [u32; 2] = [0x746f_6b65, 0x6e73_2121];

/// A decoder's tensors, each a function of its name.
pub struct Random(BTreeMap<String, Vec<usize>>);

impl Random {
    /// Those of a decoder; nothing is drawn yet.
    pub fn new(decoder: &Decoder) -> Self {
        Self(layout::weights(decoder).into_iter().collect())
    }
}

impl Tensors for Random {
    fn tensor(&self, name: &str) -> Result<Vec<f32>, String> {
        let shape = self.0.get(name);
        let shape = shape.ok_or_else(|| format!("the model has no tensor {name}"))?;
        Ok(match shape[..] {
            [outputs, inputs] => uniform(name, outputs * inputs, 1.0 / inputs as f32),
            // A bias; a norm's gain is 1 and not random, or activations would grow or vanish from layer to layer.
            [len] if name.ends_with(".bias") => uniform(name, len, 1e-2),
            _ => vec![1.0; shape.iter().product()],
        })
    }
}

/// `len` numbers of mean 0 and a variance, a function of the name.
pub fn uniform(name: &str, len: usize, variance: f32) -> Vec<f32> {
    let key = key(name);
    let bound = (3.0 * variance).sqrt();
    let mut numbers = vec![0.0; len];
    let blocks = numbers.par_chunks_mut(BLOCK).enumerate();
    blocks.for_each(|(block, numbers)| {
        let first = (block * BLOCK / 4) as u64;
        for (quad, four) in (first..).zip(numbers.chunks_mut(4)) {
            let drawn = philox([quad as u32, (quad >> 32) as u32, 0, 0], key);
            for (number, bits) in four.iter_mut().zip(drawn) {
                *number = (2.0 * unit(bits) - 1.0) * bound;
            }
        }
    });
    numbers
}

/// FNV-1a of a name, in 64 bits.
fn key(name: &str) -> [u32; 2] {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    [hash as u32, (hash >> 32) as u32]
}

/// Documents of `length` tokens each, `tokens` in all, every token learned but the first of each, which nothing precedes.
pub fn batch(vocabulary: usize, tokens: usize, length: usize) -> Batch {
    let mut batch = Batch::default();
    let learned = vec![true; length];
    for document in 0..(tokens / length) as u32 {
        let id = |at: u32| philox([at, document, 0, 0], TOKENS)[0] % vocabulary as u32;
        let ids: Vec<u32> = (0..length as u32).map(id).collect();
        batch.push(document, &ids, &learned);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_a_function_of_name_and_place() {
        let draw = |name, len| uniform(name, len, 0.25);
        assert_eq!(draw("a", 7), draw("a", 7));
        assert_ne!(draw("a", 7), draw("b", 7));
        let long = draw("a", 3 * BLOCK + 5);
        assert_eq!(draw("a", BLOCK + 1), long[..BLOCK + 1]);
        assert_ne!(long[..64], long[BLOCK..BLOCK + 64], "blocks differ");
    }

    #[test]
    fn numbers_have_the_variance_that_is_asked_for() {
        let numbers = uniform("x", 100_000, 0.25);
        let n = numbers.len() as f64;
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = numbers.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 0.25).abs() < 0.005, "{variance}");
    }

    #[test]
    fn documents_fill_the_microbatch_and_all_tokens_are_learned() {
        let batch = batch(97, 24, 8);
        assert_eq!((batch.tokens(), batch.documents()), (24, 3));
        assert_eq!(batch.supervised.len(), 3 * 7);
        assert!(batch.ids.iter().all(|&id| id < 97));
        assert_ne!(batch.ids[..8], batch.ids[8..16], "documents differ");
    }
}
