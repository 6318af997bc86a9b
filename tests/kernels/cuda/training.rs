//! Whole tiny training steps (two layers) of every architecture: the engine on the shipped PTX in the interpreter, beside the
//! engine on the processor in f32.

use super::simulated::Simulated;
use crate::ptx::Mode;
use campaignd::{
    lora::{
        backend::{AdamStep, Adapter, Ask, Backend, Dropout, Heads, Level, Pair, Rope, Use},
        batch::{Batch, Span},
        cpu::Cpu,
        cuda::{Cuda, budget, device::Device},
        decoder::{Decoder, Tensors},
        engine::{Adapters, Engine, Stake},
    },
    training::{
        philox::{philox, unit},
        site::Site,
        words::Module,
    },
};
use half::bf16;
use std::{collections::BTreeMap, rc::Rc};

/// Numbers from -1 to 1, a function of the seed.
fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let quads = 0..len.div_ceil(4) as u32;
    let all = quads.flat_map(|q| philox([q, seed, 0, 0], [7, 7]));
    all.take(len).map(|bits| 2.0 * unit(bits) - 1.0).collect()
}

/// Weights made of their names, as bf16 has them.
pub struct Random<'a>(pub &'a Decoder);

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
                let site = sites(decoder).find(|site| site.to_string() == module);
                let (outputs, inputs) = decoder.shape(site.ok_or(format!("there is no {name}"))?);
                outputs * if kind == "bias" { 1 } else { inputs }
            }
            None => return Err(format!("there is no {name}")),
        };
        let of = |number: f32| match name.contains("norm") {
            true => 1.0 + 0.3 * number,
            false => bf16::from_f32(0.25 * number).to_f32(),
        };
        Ok(numbers(seed, len).into_iter().map(of).collect())
    }
}

fn sites(decoder: &Decoder) -> impl Iterator<Item = Site> + use<> {
    let layers = 0..decoder.layers.len() as u32;
    layers.flat_map(|layer| {
        Module::ALL
            .iter()
            .map(move |&module| Site { layer, module })
    })
}

/// A small Llama: two layers, grouped queries.
pub fn llama() -> Decoder {
    let heads = Heads {
        heads: 2,
        kv_heads: 1,
        head_dim: 64,
        window: None,
        scale: 0.125,
    };
    Decoder {
        architecture: "LlamaForCausalLM".into(),
        vocabulary: 51,
        hidden: 48,
        intermediate: 40,
        layers: vec![heads; 2],
        epsilon: 1e-5,
        rope: Rope {
            frequencies: (0..32).map(|i| 0.8_f32.powi(i)).collect(),
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
    (mistral.layers[0].window, mistral.layers[1].window) = (Some(3), Some(9));
    let mut qwen2 = llama();
    (qwen2.qkv_bias, qwen2.tied) = (true, true);
    let mut qwen3 = llama();
    qwen3.head_norm = true;
    for heads in &mut qwen3.layers {
        (heads.heads, heads.head_dim) = (3, 128);
    }
    qwen3.rope.frequencies = (0..64).map(|i| 0.9_f32.powi(i)).collect();
    qwen3.rope.attention_factor = 1.1;
    vec![
        ("llama", llama()),
        ("mistral", mistral),
        ("qwen2", qwen2),
        ("qwen3", qwen3),
    ]
}

/// Adapters of different ranks, A and B other than 0.
fn adapters(decoder: &Decoder, of: impl Fn(Site) -> bool) -> Adapters {
    let rank = |site: Site| 2 + site.module as usize % 3;
    adapters_of(decoder, 0, |site| if of(site) { rank(site) } else { 0 })
}

/// Adapters of these ranks, those of another seed others; 0: none.
pub fn adapters_of(decoder: &Decoder, seed: u32, rank: impl Fn(Site) -> usize) -> Adapters {
    let chosen = sites(decoder).filter(|site| rank(*site) > 0);
    let adapter = |site: Site| {
        let (outputs, inputs) = decoder.shape(site);
        let rank = rank(site);
        let seed = 1000 * seed + 100 * site.layer + site.module as u32;
        let scaled = |seed: u32, len: usize| numbers(seed, len).into_iter().map(|x| 0.3 * x);
        let adapter = Adapter {
            rank,
            scale: 0.75,
            a: scaled(2 * seed, rank * inputs).collect(),
            b: scaled(2 * seed + 1, outputs * rank).collect(),
        };
        (site, adapter)
    };
    chosen.map(adapter).collect()
}

/// Documents of these lengths, the later half of each learned.
pub fn batch(decoder: &Decoder, first: u32, lengths: &[usize]) -> Batch {
    let mut batch = Batch::default();
    for (number, &len) in (first..).zip(lengths) {
        let ids = numbers(number, len);
        let ids = ids
            .iter()
            .map(|x| ((x + 1.0) / 2.0 * decoder.vocabulary as f32) as u32);
        let learned: Vec<bool> = (0..len).map(|at| at * 2 >= len).collect();
        batch.push(number, &ids.collect::<Vec<_>>(), &learned);
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

/// What an engine says of one model over two steps.
#[derive(Debug, PartialEq)]
struct Said {
    losses: Vec<f32>,
    gradients: Vec<BTreeMap<Site, Pair>>,
    adapters: Adapters,
    tokens: Vec<Vec<u32>>,
}

fn say<B: Backend>(machine: B, decoder: &Decoder, own: &Adapters, used: Use, level: Level) -> Said {
    let mut engine = Engine::new(machine, decoder, &Random(decoder), own).unwrap();
    engine.keep(level);
    let rows = batch(decoder, 1, &[9, 21, 1, 6]);
    let pairs = batch(decoder, 5, &[7, 8, 5, 9]);
    let stake = Stake {
        beta: 0.2,
        weight: 0.5,
    };
    let stakes = stake.each(&pairs);
    let (mut losses, mut gradients) = (Vec::new(), Vec::new());
    for step in 1..3 {
        engine.clear(0).unwrap();
        losses.extend(engine.losses(&rows, used).unwrap());
        losses.push(engine.learn(&rows, 0.05, used).unwrap() as f32);
        gradients.push(engine.gradients(0).unwrap());
        let found = engine.prefer(&pairs, &stakes, &[used]).unwrap();
        losses.extend(
            found
                .iter()
                .flat_map(|pair| [pair.chosen as f32, pair.reference_rejected as f32]),
        );
        gradients.push(engine.gradients(0).unwrap());
        losses.push(engine.squares(0).unwrap().sqrt() as f32);
        let step = AdamStep {
            step,
            learning_rate: 1e-2,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-3,
            weight_decay: 0.1,
            gradient_scale: 0.7,
        };
        engine.update(0, &step).unwrap();
    }
    let prompts = [5, 1, 9].map(|len| batch(decoder, len as u32, &[len]).ids);
    Said {
        losses,
        gradients,
        adapters: engine.adapters(0).unwrap(),
        tokens: engine.generate(&prompts, 6, &[], Use::On).unwrap(),
    }
}

pub fn simulated(mode: usize) -> Cuda<Simulated> {
    Cuda::new(Simulated::new(Mode::ALL[mode]))
}

/// 1 - cosine, and the relative difference of lengths, of all numbers of two sets of gradients.
fn apart(a: &BTreeMap<Site, Pair>, b: &BTreeMap<Site, Pair>) -> (f64, f64) {
    assert!(a.keys().eq(b.keys()) && !a.is_empty());
    let flat = |x: &BTreeMap<Site, Pair>| -> Vec<f64> {
        let all = x.values().flat_map(|p| p.a.iter().chain(&p.b));
        all.copied().map(f64::from).collect()
    };
    let (a, b) = (flat(a), flat(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (aa, bb) = (dot(&a, &a).sqrt(), dot(&b, &b).sqrt());
    (1.0 - dot(&a, &b) / (aa * bb), (aa / bb - 1.0).abs())
}

/// Numbers of bf16 have a relative error of 2^-9, and a loss comes of some twenty roundings one after the other that do not
/// cancel: it is right to about 2^-9 * sqrt(20) = 0.9 %, the mean of many losses to a fraction of it. The direction of all
/// gradients is right to an angle of about as much, 1 - cos = 0.009^2 / 2 = 4e-5 for each of the steps that led there.
fn agree(name: &str, found: &Said, expected: &Said) {
    assert_eq!(found.losses.len(), expected.losses.len());
    let both = found.losses.iter().zip(&expected.losses);
    let far = both.map(|(found, expected)| (found - expected).abs() / (1.0 + expected.abs()));
    let far: Vec<f32> = far.collect();
    let mean = far.iter().sum::<f32>() / far.len() as f32;
    assert!(
        far.iter().all(|&far| far < 0.01) && mean < 0.003,
        "{name}: losses {mean}: {far:?}"
    );
    for (found, expected) in found.gradients.iter().zip(&expected.gradients) {
        let (angle, length) = apart(found, expected);
        assert!(
            angle < 5e-4 && length < 0.01,
            "{name}: gradients {angle:.1e} {length:.1e}"
        );
    }
    let tokens = |said: &Said| said.tokens.concat();
    let (found, expected) = (tokens(found), tokens(expected));
    assert_eq!(found.len(), expected.len(), "{name}");
    let same = found.iter().zip(&expected).filter(|(a, b)| a == b).count();
    // After one token that was as likely as another, all others are others.
    assert!(
        3 * same >= 2 * found.len(),
        "{name}: {found:?}, not {expected:?}"
    );
}

#[test]
fn two_steps_of_every_architecture() {
    for used in [Use::On, dropout()] {
        for (name, decoder) in models() {
            let own = adapters(&decoder, |_| true);
            let expected = say(Cpu::new(1), &decoder, &own, used, Level::Selective);
            let found = say(simulated(0), &decoder, &own, used, Level::Selective);
            agree(&format!("{name}, {used:?}"), &found, &expected);
        }
    }
}

#[test]
fn the_same_bytes_again_and_in_every_order() {
    let decoder = llama();
    let own = adapters(&decoder, |_| true);
    let first = say(simulated(0), &decoder, &own, dropout(), Level::Selective);
    for mode in 0..4 {
        let again = say(simulated(mode), &decoder, &own, dropout(), Level::Selective);
        assert_eq!(first, again, "{:?}", Mode::ALL[mode]);
    }
}

#[test]
fn what_is_kept_changes_no_byte() {
    // One without the norms of heads, one with.
    for (name, decoder) in [models().remove(0), models().remove(3)] {
        // Nothing below layer 1 but for one module.
        let some = adapters(&decoder, |site| {
            site.layer == 1 || site.module == Module::Up
        });
        let upper = adapters(&decoder, |site| site.layer == 1);
        for own in [adapters(&decoder, |_| true), some, upper] {
            let selective = say(simulated(0), &decoder, &own, dropout(), Level::Selective);
            for level in [Level::Everything, Level::Layer] {
                let other = say(simulated(3), &decoder, &own, dropout(), level);
                assert_eq!(selective, other, "{name}: {level:?}");
            }
        }
    }
}

/// Bytes at their highest over two training steps of a batch, those that were planned for it, and those of them that only large
/// models need, whose adapters are small beside their weights.
fn peak_and_plan(
    decoder: &Decoder,
    own: &[Adapters],
    rows: &Batch,
    level: Level,
) -> (u64, u64, u64) {
    let cuda = Rc::new(Simulated::new(Mode::ALL[0]));
    let rank = |own: &Adapters, site| own.get(&site).map_or(0, |adapter| adapter.rank);
    let ask = Ask {
        decoder,
        ranks: &|site| own.iter().map(|own| rank(own, site)).collect(),
        tokens: rows.tokens(),
        supervised: rows.supervised.len(),
    };
    let plan = budget::at(&ask, level);
    let machine = Cuda::shared(cuda.clone());
    machine.reserve(plan.workspace).unwrap();
    let mut engine = Engine::packed(machine, decoder, &Random(decoder), own).unwrap();
    engine.keep(level);
    engine.reserve(ask.tokens, ask.supervised).unwrap();
    let before = cuda.peak();
    for _ in 0..2 {
        engine.losses(rows, Use::Off).unwrap();
        engine.learn(rows, 0.1, dropout()).unwrap();
        for member in 0..own.len() {
            engine.squares(member).unwrap();
        }
    }
    // But for the batch, its angles and the optimiser's tables all was there before the first step.
    let lists = 1 << 16;
    assert!(cuda.peak() < before + lists);
    // What was learned is compared with one member's adapters alone.
    engine.equip(&own[0], None).unwrap();
    (cuda.peak(), plan.total(), plan.again)
}

#[test]
fn a_run_takes_what_was_planned() {
    for (name, decoder) in [models().remove(0), models().remove(3)] {
        let all = adapters(&decoder, |_| true);
        let some = adapters(&decoder, |site| site.layer == 1 && site.module != Module::Q);
        let wide = adapters_of(&decoder, 1, |site| 70 * (site.layer as usize));
        for own in [vec![all.clone()], vec![some.clone()], vec![some, wide, all]] {
            for lengths in [&[9, 30, 6][..], &[60, 60, 60]] {
                let mut rows = batch(&decoder, 1, lengths);
                if own.len() > 1 {
                    rows.spans = (1..3).map(|i| document(&rows, i, i)).collect();
                }
                for level in [Level::Everything, Level::Selective, Level::Layer] {
                    let (peak, plan, again) = peak_and_plan(&decoder, &own, &rows, level);
                    let name = format!("{name} {level:?} of {}", own.len());
                    eprintln!("{name}: {peak} bytes of {plan}");
                    assert!(peak <= plan, "{name}: {peak} bytes, {plan} planned");
                    assert!(
                        plan - again < peak + peak / 10 + (1 << 15),
                        "{name}: {peak}, {plan}"
                    );
                }
            }
        }
    }
}

/// A document as a member's rows.
pub fn document(batch: &Batch, number: usize, member: usize) -> Span {
    let [first, end] = [0, 1].map(|more| batch.starts[number + more] as usize);
    Span {
        member,
        first,
        rows: end - first,
    }
}
