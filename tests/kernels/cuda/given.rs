//! What the tests of the backend are given, and what they hold a machine to.

use super::rounded::round;
use super::simulated::Simulated;
use crate::ptx::Mode;
use campaignd::{
    lora::{
        backend::{AdamStep, Adapter, Pair, Projection},
        batch::Batch,
        cuda::Cuda,
    },
    training::philox::{philox, unit},
};

/// What a machine made, by name, and numbers of a row of it.
pub type Made = Vec<(String, usize, Vec<f32>)>;

/// Numbers from -1 to 1 that bf16 has, a function of the seed.
pub fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let quads = 0..len.div_ceil(4) as u32;
    let all = quads.flat_map(|q| philox([q, seed, 0, 0], [7, 7]));
    all.take(len)
        .map(|bits| round(2.0 * unit(bits) - 1.0))
        .collect()
}

/// Documents of these lengths, every third token learned.
pub fn batch(lengths: &[usize], vocabulary: usize) -> Batch {
    let mut batch = Batch::default();
    for (document, &length) in lengths.iter().enumerate() {
        let ids = numbers(90 + document as u32, length);
        let ids = ids
            .iter()
            .map(|x| ((x + 1.0) / 2.0 * vocabulary as f32) as u32);
        let ids: Vec<u32> = ids.map(|id| id.min(vocabulary as u32 - 1)).collect();
        let learned: Vec<bool> = (0..length).map(|at| at % 3 == 1).collect();
        batch.push(7 * document as u32, &ids, &learned);
    }
    batch
}

/// That what was made is what is expected.
pub fn near(name: &str, made: &Made, expected: &Made) {
    assert_eq!(made.len(), expected.len(), "{name}");
    for ((what, wide, found), (_, _, expected)) in made.iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "{name}: {what}");
        let rows = found.chunks(*wide).zip(expected.chunks(*wide)).enumerate();
        for (row, (found, expected)) in rows {
            let largest = expected.iter().fold(1e-6_f32, |most, x| most.max(x.abs()));
            for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
                let bound = (expected.abs() + largest) / 128.0;
                let place = format!("{name}: {what} [{row}, {column}]");
                let apart = (found - expected).abs();
                assert!(apart <= bound, "{place}: {found}, not {expected}");
            }
        }
    }
}

/// What the backend makes in every order of the interpreter, all the same bytes, and what the rounding machine makes.
pub fn agree(name: &str, expected: &Made, make: impl Fn(Cuda<Simulated>) -> Made) {
    let first = make(Cuda::new(Simulated::new(Mode::ALL[0])));
    near(name, &first, expected);
    for mode in &Mode::ALL[1..] {
        let made = make(Cuda::new(Simulated::new(*mode)));
        assert_eq!(first, made, "{name}: {mode:?}");
    }
}

/// A step of AdamW.
pub const STEP: AdamStep = AdamStep {
    step: 3,
    learning_rate: 0.01,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-3,
    weight_decay: 0.1,
    gradient_scale: 0.5,
};

/// A projection of a group; rank 0: without an adapter.
pub fn projection(seed: u32, inputs: usize, outputs: usize, rank: usize, bias: bool) -> Projection {
    Projection {
        outputs,
        inputs,
        weight: numbers(seed, outputs * inputs),
        bias: bias.then(|| numbers(seed + 1, outputs)),
        adapters: vec![(rank > 0).then(|| adapter(seed + 2, inputs, outputs, rank))],
    }
}

/// An adapter whose A and B are other than 0.
pub fn adapter(seed: u32, inputs: usize, outputs: usize, rank: usize) -> Adapter {
    let third = |x: f32| x / 3.0;
    Adapter {
        rank,
        scale: 0.75,
        a: numbers(seed, rank * inputs)
            .into_iter()
            .map(third)
            .collect(),
        b: numbers(seed + 1, outputs * rank)
            .into_iter()
            .map(third)
            .collect(),
    }
}

/// Pairs, under the names of their projections.
pub fn pairs(made: &mut Made, what: &str, wide: usize, pairs: Vec<Option<Pair>>) {
    for (number, pair) in pairs.into_iter().enumerate() {
        let Some(Pair { a, b }) = pair else { continue };
        let rank = a.len() / wide;
        made.push((format!("{what} a {number}"), wide, a));
        made.push((format!("{what} b {number}"), rank, b));
    }
}
