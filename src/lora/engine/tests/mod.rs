//! Tiny random models of every architecture, on the plain machine, against what mathematics says of them.

mod decoding;
mod gradients;
mod invariance;
mod machines;
mod packs;
mod refusals;

use super::*;
use crate::{
    lora::{
        backend::{Adapter, Dropout, Heads, Pair, Rope},
        plain::Plain,
    },
    training::{
        philox::{philox, unit},
        settings::Settings,
        words::Module,
    },
};

/// Numbers from -1 to 1, a function of the seed.
fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let quads = 0..len.div_ceil(4) as u32;
    let all = quads.flat_map(|q| philox([q, seed, 0, 0], [7, 7]));
    all.take(len).map(|bits| 2.0 * unit(bits) - 1.0).collect()
}

/// Weights made of their names: the same for every model that has them.
struct Random<'a>(&'a Decoder);

impl Tensors for Random<'_> {
    fn tensor(&self, name: &str) -> Result<Vec<f32>, String> {
        let seed = name.bytes().fold(5_u32, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(byte.into())
        });
        let decoder = self.0;
        let len = match name.rsplit_once('.') {
            _ if name.contains("embed_tokens") || name.contains("lm_head") => {
                decoder.vocabulary * decoder.hidden
            }
            _ if name.contains("q_norm") || name.contains("k_norm") => decoder.layers[0].head_dim,
            Some((norm, _)) if norm.ends_with("norm") => decoder.hidden,
            Some((module, kind)) => {
                let site = site(module).ok_or(format!("there is no {name}"))?;
                let (outputs, inputs) = decoder.shape(site);
                outputs * if kind == "bias" { 1 } else { inputs }
            }
            None => return Err(format!("there is no {name}")),
        };
        let gain = name.contains("norm");
        let of = |number: f32| {
            if gain {
                1.0 + 0.3 * number
            } else {
                0.5 * number
            }
        };
        Ok(numbers(seed, len).into_iter().map(of).collect())
    }
}

/// The site that is called so.
fn site(name: &str) -> Option<Site> {
    let sites = (0..9).flat_map(|layer| {
        Module::ALL
            .iter()
            .map(move |&module| Site { layer, module })
    });
    sites.into_iter().find(|site| site.to_string() == name)
}

/// A small Llama: 2 layers, grouped queries.
fn llama() -> Decoder {
    let heads = Heads {
        heads: 4,
        kv_heads: 2,
        head_dim: 4,
        window: None,
        scale: 0.5,
    };
    Decoder {
        architecture: "LlamaForCausalLM".into(),
        vocabulary: 13,
        hidden: 16,
        intermediate: 10,
        layers: vec![heads; 2],
        epsilon: 1e-5,
        rope: Rope {
            frequencies: vec![1.0, 0.1],
            attention_factor: 1.0,
        },
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        head_norm: false,
        tied: false,
        context: 64,
    }
}

/// One model of each kind.
fn models() -> Vec<(&'static str, Decoder)> {
    let mut mistral = llama();
    mistral.layers[0].window = Some(3);
    mistral.layers[1].window = Some(2);
    let mut biased = llama();
    (biased.qkv_bias, biased.o_bias, biased.mlp_bias) = (true, true, true);
    let mut qwen2 = llama();
    (qwen2.qkv_bias, qwen2.tied) = (true, true);
    let mut qwen3 = llama();
    qwen3.head_norm = true;
    for heads in &mut qwen3.layers {
        (heads.heads, heads.kv_heads, heads.head_dim) = (2, 1, 6);
    }
    qwen3.rope.frequencies = vec![1.0, 0.3, 0.05];
    let mut scaled = llama();
    scaled.rope.attention_factor = 1.2;
    vec![
        ("llama", llama()),
        ("mistral", mistral),
        ("biased", biased),
        ("qwen2", qwen2),
        ("qwen3", qwen3),
        ("scaled", scaled),
    ]
}

/// Adapters of different ranks, A and B other than 0.
fn adapters(decoder: &Decoder, of: impl Fn(Site) -> bool) -> Adapters {
    let layers = 0..decoder.layers.len() as u32;
    let sites = layers.flat_map(|layer| {
        Module::ALL
            .iter()
            .map(move |&module| Site { layer, module })
    });
    let sites = sites.filter(|site| of(*site));
    let adapter = |site: Site| {
        let (outputs, inputs) = decoder.shape(site);
        let (rank, seed) = (
            2 + site.module as usize % 2,
            100 * site.layer + site.module as u32,
        );
        let scaled =
            |seed: u32, len: usize| numbers(seed, len).into_iter().map(|x| 0.4 * x).collect();
        Adapter {
            rank,
            scale: 0.75,
            a: scaled(2 * seed, rank * inputs),
            b: scaled(2 * seed + 1, outputs * rank),
        }
    };
    sites.map(|site| (site, adapter(site))).collect()
}

/// A model with an adapter on every module.
fn engine(decoder: &Decoder) -> Engine<Plain> {
    let adapters = adapters(decoder, |_| true);
    Engine::new(Plain, decoder, &Random(decoder), &adapters).unwrap()
}

/// A document of so many tokens, the later half of it learned.
fn document(decoder: &Decoder, seed: u32, len: usize) -> (Vec<u32>, Vec<bool>) {
    let ids = numbers(seed, len);
    let ids = ids
        .iter()
        .map(|x| ((x + 1.0) / 2.0 * decoder.vocabulary as f32) as u32);
    (ids.collect(), (0..len).map(|at| at * 2 >= len).collect())
}

/// Documents of these lengths, numbered from `first`.
fn batch(decoder: &Decoder, first: u32, lengths: &[usize]) -> Batch {
    let mut batch = Batch::default();
    for (number, &len) in (first..).zip(lengths) {
        let (ids, learned) = document(decoder, number, len);
        batch.push(number, &ids, &learned);
    }
    batch
}

fn dropout() -> Use {
    Use::Drop(Dropout {
        seed: 3,
        step: 2,
        p: 0.25,
    })
}

/// How pairs are learned from.
const STAKE: Stake = Stake {
    beta: 0.3,
    weight: 0.5,
};

/// The larger number; a NaN is larger than any.
fn larger(a: f32, b: f32) -> f32 {
    if b.is_nan() || b > a { b } else { a }
}

/// The largest difference.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, larger)
}

/// The largest difference of two sets of gradients, against the largest number of a tensor.
fn gradients_apart(a: &BTreeMap<Site, Pair>, b: &BTreeMap<Site, Pair>) -> f32 {
    assert!(a.keys().eq(b.keys()) && !a.is_empty());
    let tensors = a
        .values()
        .zip(b.values())
        .flat_map(|(a, b)| [(&a.a, &b.a), (&a.b, &b.b)]);
    let highest = |x: &[f32]| x.iter().map(|x| x.abs()).fold(0.0, larger);
    tensors
        .map(|(a, b)| apart(a, b) / highest(a).max(1e-9))
        .fold(0.0, larger)
}

/// A base with some adapters merged into its weights.
struct Merged(BTreeMap<String, Vec<f32>>, Decoder);

impl Tensors for Merged {
    fn tensor(&self, name: &str) -> Result<Vec<f32>, String> {
        let own = self.0.get(name).cloned();
        own.map_or_else(|| Random(&self.1).tensor(name), Ok)
    }
}

fn merged(decoder: &Decoder, adapters: &Adapters, of: impl Fn(Site) -> bool) -> Merged {
    let mut weights = BTreeMap::new();
    for (site, adapter) in adapters.iter().filter(|(site, _)| of(**site)) {
        let name = format!("{site}.weight");
        let (_, inputs) = decoder.shape(*site);
        let mut weight = Random(decoder).tensor(&name).unwrap();
        for (at, w) in weight.iter_mut().enumerate() {
            let (row, column) = (at / inputs, at % inputs);
            let ranks = 0..adapter.rank;
            let sum: f32 = ranks
                .map(|r| adapter.b[row * adapter.rank + r] * adapter.a[r * inputs + column])
                .sum();
            *w += adapter.scale * sum;
        }
        weights.insert(name, weight);
    }
    Merged(weights, decoder.clone())
}
