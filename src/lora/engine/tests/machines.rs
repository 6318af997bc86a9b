//! Every machine says what the plain one says, of every architecture.

use super::*;
use crate::lora::{
    backend::{AdamStep, Backend},
    cpu::Cpu,
};

/// What an engine says of one model, from logits to the second step.
struct Said {
    numbers: Vec<f32>,
    gradients: Vec<BTreeMap<Site, Pair>>,
    adapters: Adapters,
    tokens: Vec<Vec<u32>>,
}

fn say<B: Backend>(machine: B, decoder: &Decoder, used: Use) -> Said {
    let adapters = adapters(decoder, |site| site.layer == 1 || site.module == Module::Up);
    let mut engine = Engine::new(machine, decoder, &Random(decoder), &adapters).unwrap();
    let (rows, pairs) = (
        batch(decoder, 1, &[9, 30, 6]),
        batch(decoder, 5, &[7, 8, 5, 9]),
    );
    let mut numbers = engine.logits(&rows, used).unwrap();
    numbers.extend(engine.losses(&rows, used).unwrap());
    let mut gradients = Vec::new();
    for step in 1..3 {
        engine.clear(0).unwrap();
        numbers.push(engine.learn(&rows, 0.05, used).unwrap() as f32);
        numbers.push(engine.squares(0).unwrap() as f32);
        gradients.push(engine.gradients(0).unwrap());
        let found = engine.prefer(&pairs, &STAKE.each(&pairs), &[used]).unwrap();
        numbers.extend(
            found
                .iter()
                .flat_map(|pair| [pair.chosen, pair.reference_rejected])
                .map(|x| x as f32),
        );
        gradients.push(engine.gradients(0).unwrap());
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
    let prompts = [5, 1, 9].map(|len| document(decoder, len as u32, len).0);
    Said {
        numbers,
        gradients,
        adapters: engine.adapters(0).unwrap(),
        tokens: engine.generate(&prompts, 9, &[], Use::On).unwrap(),
    }
}

#[test]
fn they_agree() {
    for used in [Use::On, dropout()] {
        for (name, decoder) in models() {
            let plain = say(Plain, &decoder, used);
            for threads in [1, 3] {
                let cpu = say(Cpu::new(threads), &decoder, used);
                let far = apart(&plain.numbers, &cpu.numbers);
                assert!(far < 1e-4, "{name}: {far}");
                for (plain, cpu) in plain.gradients.iter().zip(&cpu.gradients) {
                    let far = gradients_apart(plain, cpu);
                    assert!(far < 1e-4, "{name}: gradients {far}");
                }
                for (site, adapter) in &plain.adapters {
                    let far = apart(&adapter.a, &cpu.adapters[site].a);
                    assert!(far < 1e-4, "{name} {site}: {far}");
                }
                assert_eq!(plain.tokens, cpu.tokens, "{name}");
            }
        }
    }
}

#[test]
fn threads_change_no_byte() {
    for (name, decoder) in models() {
        let one = say(Cpu::new(1), &decoder, dropout());
        for threads in [2, 3] {
            let other = say(Cpu::new(threads), &decoder, dropout());
            assert_eq!(one.numbers, other.numbers, "{name} on {threads}");
            assert_eq!(one.gradients, other.gradients, "{name} on {threads}");
            assert_eq!(one.adapters, other.adapters, "{name} on {threads}");
        }
    }
}
