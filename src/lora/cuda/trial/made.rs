//! The models, adapters and rows of a trial: functions of nothing. Odd lengths, odd widths and ranks, so that every edge of a
//! tile is met.

use crate::{
    lora::{
        backend::{Adapter, Heads, Rope},
        batch::Batch,
        decoder::{Decoder, Tensors},
        engine::Adapters,
    },
    training::{
        philox::{philox, unit},
        site::Site,
        words::Module,
    },
};
use half::bf16;

/// Tokens of each answer.
pub const ANSWER: usize = 3;

/// A model that is made up.
pub struct Model {
    /// Its shape.
    pub decoder: Decoder,
    /// Ranks of its adapters, by turns.
    ranks: [usize; 3],
}

/// One with heads of 64, biases, grouped queries; one with heads of 128 that are normalised, a window, the embedding for a
/// loss head.
pub fn models() -> [Model; 2] {
    let heads = |heads, head_dim, window| Heads {
        heads,
        kv_heads: 2,
        head_dim,
        window,
        scale: 1.0 / (head_dim as f32).sqrt(),
    };
    let rope = |head_dim: i32, base: f32| Rope {
        frequencies: (0..head_dim / 2).map(|i| base.powi(i)).collect(),
        attention_factor: 1.0,
    };
    let plain = Decoder {
        architecture: "LlamaForCausalLM".into(),
        vocabulary: 131,
        hidden: 72,
        intermediate: 88,
        layers: vec![heads(4, 64, None); 2],
        epsilon: 1e-5,
        rope: rope(64, 0.8),
        qkv_bias: true,
        o_bias: false,
        mlp_bias: false,
        head_norm: false,
        tied: false,
        context: 256,
    };
    let normed = Decoder {
        layers: vec![heads(2, 128, None), heads(2, 128, Some(5))],
        rope: rope(128, 0.9),
        qkv_bias: false,
        head_norm: true,
        tied: true,
        ..plain.clone()
    };
    // More ranks of a group than one block takes, too.
    [(plain, [8, 3, 17]), (normed, [33, 5, 32])].map(|(decoder, ranks)| Model { decoder, ranks })
}

impl Model {
    /// All sites of it.
    fn sites(&self) -> impl Iterator<Item = Site> + use<> {
        let layers = 0..self.decoder.layers.len() as u32;
        let site = |layer| move |&module: &Module| Site { layer, module };
        layers.flat_map(move |layer| Module::ALL.iter().map(site(layer)))
    }
}

/// Numbers from -1 to 1, a function of the seed.
fn numbers(seed: u32, len: usize) -> impl Iterator<Item = f32> {
    let quads = 0..len.div_ceil(4) as u32;
    let all = quads.flat_map(move |quad| philox([quad, seed, 0, 0], [20, 26]));
    all.take(len).map(|bits| 2.0 * unit(bits) - 1.0)
}

/// Numbers of at most this size that bf16 has.
pub fn rounded(seed: u32, len: usize, size: f32) -> Vec<f32> {
    let all = numbers(seed, len).map(|x| bf16::from_f32(size * x).to_f32());
    all.collect()
}

/// Weights made of their names, as bf16 has them: both machines are given the same.
impl Tensors for Model {
    fn tensor(&self, name: &str) -> Result<Vec<f32>, String> {
        let seed = name.bytes().fold(5_u32, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        let decoder = &self.decoder;
        let gain = |len| Ok(numbers(seed, len).map(|x| 1.0 + 0.3 * x).collect());
        let weight = |len| Ok(rounded(seed, len, 0.25));
        if name.contains("embed_tokens") || name.contains("lm_head") {
            return weight(decoder.vocabulary * decoder.hidden);
        }
        if name.contains("q_norm") || name.contains("k_norm") {
            return gain(decoder.layers.first().map_or(0, |heads| heads.head_dim));
        }
        let missing = || format!("there is no {name}");
        let (module, kind) = name.rsplit_once('.').ok_or_else(missing)?;
        if module.ends_with("norm") {
            return gain(decoder.hidden);
        }
        let site = self.sites().find(|site| site.to_string() == module);
        let (outputs, inputs) = decoder.shape(site.ok_or_else(missing)?);
        weight(outputs * if kind == "bias" { 1 } else { inputs })
    }
}

/// An adapter at every site, of ranks that no tile divides.
pub fn adapters(model: &Model) -> Adapters {
    let adapter = |site: Site| {
        let (outputs, inputs) = model.decoder.shape(site);
        let rank = model.ranks[site.module as usize % 3];
        let seed = 2 * (100 * site.layer + site.module as u32);
        let some = |seed, len| numbers(seed, len).map(|x| 0.3 * x).collect();
        let adapter = Adapter {
            rank,
            scale: 0.75,
            a: some(seed, rank * inputs),
            b: some(seed + 1, outputs * rank),
        };
        (site, adapter)
    };
    model.sites().map(adapter).collect()
}

fn document(model: &Model, seed: u32, len: usize) -> Vec<u32> {
    let vocabulary = model.decoder.vocabulary as f32;
    let id = |x: f32| ((x + 1.0) / 2.0 * vocabulary) as u32;
    let last = model.decoder.vocabulary as u32 - 1;
    numbers(seed, len).map(|x| id(x).min(last)).collect()
}

/// Documents of these lengths one after the other, the later half of each learned.
pub fn batch(model: &Model, first: u32, lengths: &[usize]) -> Batch {
    let mut batch = Batch::default();
    for (number, &len) in (first..).zip(lengths) {
        let learned: Vec<bool> = (0..len).map(|at| at * 2 >= len).collect();
        batch.push(number, &document(model, number, len), &learned);
    }
    batch
}

/// What is to be answered.
pub fn prompts(model: &Model) -> [Vec<u32>; 3] {
    [5, 1, 66].map(|len| document(model, len as u32, len))
}
