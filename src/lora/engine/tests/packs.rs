//! A pack: every member learns what it learns alone, to the bit, whoever else is in it and wherever its rows stand.

use super::*;
use crate::lora::{
    backend::AdamStep,
    cpu::Cpu,
    pack::{Layout, pack},
};
use std::ops::Range;

/// Members of a pack, with other ranks, sizes, dropouts and modules.
fn members(decoder: &Decoder) -> Vec<(Adapters, Use)> {
    let drop = |seed, step, p| Use::Drop(Dropout { seed, step, p });
    let mut small = adapters(decoder, |site| site.module != Module::Down);
    for adapter in small.values_mut() {
        adapter.scale = 1.5;
        adapter.a.iter_mut().for_each(|a| *a *= -0.5);
    }
    let upper = adapters(decoder, |site| site.layer == 1);
    vec![
        (adapters(decoder, |_| true), drop(3, 1, 0.25)),
        (small, Use::On),
        (upper, drop(9, 1, 0.5)),
    ]
}

/// What a member has after two steps.
#[derive(Debug, PartialEq)]
struct Learned {
    losses: Vec<Vec<u64>>,
    squares: Vec<u64>,
    adapters: Adapters,
    moments: AllMoments,
}

fn step(number: u64, member: usize) -> AdamStep {
    AdamStep {
        step: number,
        learning_rate: 1e-2 * (member + 1) as f64,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-3,
        weight_decay: 0.1,
        gradient_scale: 0.7,
    }
}

/// The batch of a member in a step: pairs, of which the first answer is preferred where it is about that.
fn rows(decoder: &Decoder, member: usize, number: u64) -> Batch {
    let lengths: [&[usize]; 3] = [&[7, 5], &[9, 6, 4, 8], &[3, 11]];
    batch(decoder, 10 * member as u32 + number as u32, lengths[member])
}

/// Two steps of the members that are `there`, as members number `of` of the engine.
fn learn<B: Backend>(
    machine: B,
    decoder: &Decoder,
    all: &[(Adapters, Use)],
    there: &[usize],
    layout: &Layout,
    pairs: bool,
) -> Vec<Learned> {
    let own: Vec<Adapters> = all.iter().map(|(adapters, _)| adapters.clone()).collect();
    let mut engine = Engine::packed(machine, decoder, &Random(decoder), &own).unwrap();
    let mut losses = vec![Vec::new(); there.len()];
    let mut squares = vec![Vec::new(); there.len()];
    for number in 1..3 {
        let batches: Vec<Batch> = there.iter().map(|&m| rows(decoder, m, number)).collect();
        let parts: Vec<(usize, &Batch)> = there.iter().copied().zip(&batches).collect();
        let packed = pack(&parts, layout);
        let used: Vec<Use> = all.iter().map(|(_, used)| again(*used, number)).collect();
        let found: Vec<Vec<u64>> = match pairs {
            false => {
                let weights = packed.supervised.iter().zip(there);
                let weights = weights.flat_map(|(rows, &m)| rows.clone().map(move |_| weight(m)));
                let weights: Vec<f32> = weights.collect();
                let losses = engine.learn_packed(&packed.batch, &weights, &used).unwrap();
                let bits = |x: &f32| u64::from(x.to_bits());
                let part = |rows: &Range<usize>| losses[rows.clone()].iter().map(bits).collect();
                packed.supervised.iter().map(part).collect()
            }
            true => {
                let mut stakes = Stake::NONE.each(&packed.batch);
                for (documents, &member) in packed.documents.iter().zip(there) {
                    let beta = 0.3 + 0.1 * member as f64;
                    let weight = f64::from(weight(member));
                    stakes[documents.start / 2..documents.end / 2].fill(Stake { beta, weight });
                }
                let found = engine.prefer(&packed.batch, &stakes, &used).unwrap();
                let part = |rows: &Range<usize>| {
                    let pairs = &found[rows.start / 2..rows.end / 2];
                    pairs.iter().map(|pair| pair.loss.to_bits()).collect()
                };
                packed.documents.iter().map(part).collect()
            }
        };
        for (at, (&member, found)) in there.iter().zip(found).enumerate() {
            assert!(!found.is_empty());
            losses[at].push(found);
            let sum = engine.squares(member).unwrap();
            assert!(sum > 0.0);
            squares[at].push(sum.to_bits());
            engine.update(member, &step(number, member)).unwrap();
            engine.clear(member).unwrap();
        }
    }
    let each = there.iter().zip(losses).zip(squares);
    each.map(|((&member, losses), squares)| Learned {
        losses: losses.concat().chunks(1).map(<[u64]>::to_vec).collect(),
        squares,
        adapters: engine.adapters(member).unwrap(),
        moments: engine.moments(member).unwrap(),
    })
    .collect()
}

/// The same use in another step.
fn again(used: Use, step: u64) -> Use {
    match used {
        Use::Drop(dropout) => Use::Drop(Dropout { step, ..dropout }),
        used => used,
    }
}

fn weight(member: usize) -> f32 {
    0.1 / (member + 1) as f32
}

/// Alone, with no other member's columns and no filled rows at all.
fn alone<B: Backend>(
    machine: B,
    decoder: &Decoder,
    all: &[(Adapters, Use)],
    member: usize,
    pairs: bool,
) -> Learned {
    let (adapters, used) = &all[member];
    let mut engine = Engine::new(machine, decoder, &Random(decoder), adapters).unwrap();
    let (mut losses, mut squares) = (Vec::new(), Vec::new());
    for number in 1..3 {
        let batch = rows(decoder, member, number);
        let used = [again(*used, number)];
        let found: Vec<u64> = match pairs {
            false => {
                let weights = vec![weight(member); batch.supervised.len()];
                let found = engine.learn_packed(&batch, &weights, &used).unwrap();
                found.iter().map(|x| u64::from(x.to_bits())).collect()
            }
            true => {
                let beta = 0.3 + 0.1 * member as f64;
                let weight = f64::from(weight(member));
                let stakes = Stake { beta, weight }.each(&batch);
                let found = engine.prefer(&batch, &stakes, &used).unwrap();
                found.iter().map(|pair| pair.loss.to_bits()).collect()
            }
        };
        losses.extend(found.chunks(1).map(<[u64]>::to_vec));
        squares.push(engine.squares(0).unwrap().to_bits());
        engine.update(0, &step(number, member)).unwrap();
        engine.clear(0).unwrap();
    }
    Learned {
        losses,
        squares,
        adapters: engine.adapters(0).unwrap(),
        moments: engine.moments(0).unwrap(),
    }
}

fn every_member_is_as_alone<B: Backend>(machine: &dyn Fn() -> B, models: &[(&str, Decoder)]) {
    for (name, decoder) in models {
        let all = members(decoder);
        let slots = Layout::slots(16, &[12, 27, 14], decoder.context);
        for pairs in [false, true] {
            let solo = |member| alone(machine(), decoder, &all, member, pairs);
            let solo: Vec<Learned> = (0..3).map(solo).collect();
            assert_ne!(solo[0].adapters, all[0].0, "something was learned");
            for layout in [Layout::Dense, slots.clone()] {
                for there in [&[0, 1, 2][..], &[0, 2], &[1]] {
                    let found = learn(machine(), decoder, &all, there, &layout, pairs);
                    for (&member, found) in there.iter().zip(&found) {
                        let text = format!("{name}, {layout:?}, {there:?}, member {member}");
                        assert!(*found == solo[member], "{text}, pairs: {pairs}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_member_is_as_alone_on_the_plain_machine() {
    every_member_is_as_alone(&|| Plain, &models()[..1]);
}

#[test]
fn every_member_is_as_alone_on_the_processor() {
    for threads in [1, 3] {
        every_member_is_as_alone(&|| Cpu::new(threads), &models());
    }
}

#[test]
fn a_member_without_rows_learns_nothing() {
    let decoder = llama();
    let all = members(&decoder);
    let own: Vec<Adapters> = all.iter().map(|(adapters, _)| adapters.clone()).collect();
    let mut engine = Engine::packed(Plain, &decoder, &Random(&decoder), &own).unwrap();
    let batch = rows(&decoder, 0, 1);
    let packed = pack(&[(0, &batch)], &Layout::Dense);
    let weights = vec![1.0; batch.supervised.len()];
    engine
        .learn_packed(&packed.batch, &weights, &[Use::On; 3])
        .unwrap();
    assert!(engine.squares(0).unwrap() > 0.0);
    for member in [1, 2] {
        assert_eq!(engine.squares(member).unwrap(), 0.0);
    }
    engine.clear(1).unwrap();
    assert!(engine.squares(0).unwrap() > 0.0, "others' gradients stay");
}
