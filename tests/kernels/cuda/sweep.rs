//! Steps of a whole model (two layers) with several members: each to the bit what it is alone.

use super::packs::pack::cut;
use super::simulated::Simulated;
use super::training::{Random, adapters_of, batch, document, llama, simulated};
use crate::ptx::Mode;
use campaignd::{
    lora::{
        backend::{AdamStep, Backend, Dropout, Level, Pair, Use},
        batch::{Batch, Span},
        cuda::{Cuda, device::Arg},
        decoder::Decoder,
        engine::{Adapters, Engine},
    },
    training::words::Module,
};

/// What one member is in a run.
#[derive(Clone)]
struct Member {
    own: Adapters,
    used: Use,
    rate: f64,
}

/// One everywhere, one above the lowest layer only, one of large rank in a few places.
fn members(decoder: &Decoder) -> Vec<Member> {
    let drop = |seed, p| Use::Drop(Dropout { seed, step: 2, p });
    let few = [Module::Q, Module::V, Module::Up];
    let all = [
        (adapters_of(decoder, 1, |_| 3), drop(3, 0.1), 0.01),
        (
            adapters_of(decoder, 2, |site| 16 * site.layer as usize),
            Use::On,
            0.02,
        ),
        (
            adapters_of(decoder, 3, |site| {
                40 * usize::from(few.contains(&site.module))
            }),
            drop(4, 0.3),
            0.005,
        ),
    ];
    let member = |(own, used, rate)| Member { own, used, rate };
    all.map(member).into()
}

/// Documents one after the other: of the last member, the first, nobody, the second.
fn rows(decoder: &Decoder) -> Batch {
    let mut batch = batch(decoder, 1, &[9, 21, 4, 6]);
    let owners = [(0, 2), (1, 0), (3, 1)];
    batch.spans = owners
        .map(|(number, member)| document(&batch, number, member))
        .into();
    batch
}

/// The losses of each member's rows, and the bits of all it learned in two steps.
fn learn<B: Backend>(
    machine: B,
    decoder: &Decoder,
    members: &[Member],
    rows: &Batch,
    level: Level,
) -> Vec<Vec<u32>> {
    let own: Vec<_> = members.iter().map(|member| member.own.clone()).collect();
    let used: Vec<_> = members.iter().map(|member| member.used).collect();
    let mut engine = Engine::packed(machine, decoder, &Random(decoder), &own).unwrap();
    engine.keep(level);
    let weights: Vec<f32> = rows.supervised.iter().map(|_| 0.05).collect();
    let mut said = vec![Vec::new(); members.len()];
    for step in 1..3 {
        for member in 0..members.len() {
            engine.clear(member).unwrap();
        }
        let losses = engine.learn_packed(rows, &weights, &used).unwrap();
        for (&row, loss) in rows.supervised.iter().zip(losses) {
            let has = |span: &Span| (span.first..span.first + span.rows).contains(&(row as usize));
            if let Some(span) = rows.spans().into_iter().find(has) {
                said[span.member].push(loss.to_bits());
            }
        }
        for (member, said) in said.iter_mut().enumerate() {
            let gradients = engine.gradients(member).unwrap().into_values();
            said.extend(gradients.flat_map(bits));
            let squares = engine.squares(member).unwrap().to_bits();
            said.extend([squares as u32, (squares >> 32) as u32]);
            let rule = AdamStep {
                step,
                learning_rate: members[member].rate,
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-3,
                weight_decay: 0.1,
                gradient_scale: 0.7,
            };
            engine.update(member, &rule).unwrap();
        }
    }
    for (member, said) in said.iter_mut().enumerate() {
        let adapters = engine.adapters(member).unwrap().into_values();
        said.extend(adapters.flat_map(|one| bits(Pair { a: one.a, b: one.b })));
        for moments in engine.moments(member).unwrap().into_values() {
            said.extend([moments.first, moments.second].into_iter().flat_map(bits));
        }
    }
    said
}

fn bits(pair: Pair) -> impl Iterator<Item = u32> {
    pair.a.into_iter().chain(pair.b).map(f32::to_bits)
}

/// What each member learns alone.
fn alone(mode: usize, decoder: &Decoder) -> Vec<Vec<u32>> {
    let (members, rows) = (members(decoder), rows(decoder));
    let one = |number: usize| {
        let span = rows
            .spans
            .iter()
            .find(|span| span.member == number)
            .unwrap();
        let member = std::slice::from_ref(&members[number]);
        let rows = cut(&rows, *span);
        learn(simulated(mode), decoder, member, &rows, Level::Selective).remove(0)
    };
    (0..members.len()).map(one).collect()
}

#[test]
fn each_member_learns_what_it_learns_alone() {
    let decoder = llama();
    let (members, rows) = (members(&decoder), rows(&decoder));
    for (mode, level) in [
        Level::Selective,
        Level::Everything,
        Level::Layer,
        Level::Selective,
    ]
    .into_iter()
    .enumerate()
    {
        let together = learn(simulated(mode), &decoder, &members, &rows, level);
        for (number, (found, alone)) in together.iter().zip(alone(mode, &decoder)).enumerate() {
            assert_eq!(found.len(), alone.len());
            assert!(
                *found == alone,
                "member {number}: {:?} {level:?}",
                Mode::ALL[mode]
            );
        }
    }
}

#[test]
fn gradients_that_go_to_another_are_found() {
    let decoder = llama();
    let (members, rows) = (members(&decoder), rows(&decoder));
    // The sums of a member that has 6 rows begin at a row that is not its own.
    let change = |kernel: &str, mut args: Vec<Arg>| {
        if kernel == "lora_dy_16" && args[6] == Arg::I32(6) {
            let (Arg::Pointer(dy), Arg::I32(ld)) = (args[0], args[9]) else {
                panic!("{args:?}")
            };
            args[0] = campaignd::lora::cuda::device::Address(dy.0 - 2 * ld as u64).into();
        }
        Some(args)
    };
    let cuda = Cuda::new(Simulated::planted(Mode::ALL[0], change));
    let together = learn(cuda, &decoder, &members, &rows, Level::Selective);
    let same = together
        .iter()
        .zip(alone(0, &decoder))
        .map(|(a, b)| *a == b);
    assert_eq!(same.collect::<Vec<_>>(), [true, false, true]);
}
