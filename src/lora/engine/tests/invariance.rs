//! What changes nothing: the layout of a batch, accumulation, who else is in it, merging, adapters that are off.

use super::*;
use crate::lora::backend::{AdamStep, Level, Moments};

/// Gradients of some batches, one after the other.
fn learned(decoder: &Decoder, batches: &[Batch], used: Use) -> (f64, BTreeMap<Site, Pair>) {
    let mut engine = engine(decoder);
    let sums = batches.iter().map(|b| engine.learn(b, 0.1, used).unwrap());
    (sums.sum(), engine.gradients(0).unwrap())
}

#[test]
fn neither_layout_nor_accumulation() {
    for used in [Use::On, dropout()] {
        for (name, decoder) in models() {
            let one = batch(&decoder, 1, &[7, 5, 6]);
            let several = [batch(&decoder, 1, &[7, 5]), batch(&decoder, 3, &[6])];
            let (sum, together) = learned(&decoder, &[one], used);
            let (other, apart) = learned(&decoder, &several, used);
            assert!((sum - other).abs() < 1e-5, "{name}: {sum} and {other}");
            let apart = gradients_apart(&together, &apart);
            assert!(apart < 1e-5, "{name}: {apart}");
        }
    }
}

#[test]
fn what_is_kept_changes_no_byte() {
    for (name, decoder) in models() {
        // All modules; all of layer 1 and one of layer 0; layer 1 alone.
        for lowest in 0..3 {
            let own = adapters(&decoder, |site| match lowest {
                0 => true,
                1 => site.layer == 1 || site.module == Module::Gate,
                _ => site.layer == 1,
            });
            let learned = |level: Level| {
                let mut engine = Engine::new(Plain, &decoder, &Random(&decoder), &own).unwrap();
                engine.keep(level);
                let (rows, pairs) = (batch(&decoder, 1, &[7, 5]), batch(&decoder, 4, &[4, 6]));
                let sum = engine.learn(&rows, 0.1, dropout()).unwrap();
                let found = engine
                    .prefer(&pairs, &STAKE.each(&pairs), &[dropout()])
                    .unwrap();
                (sum, found, engine.gradients(0).unwrap())
            };
            let selective = learned(Level::Selective);
            assert_eq!(selective, learned(Level::Everything), "{name} {lowest}");
            assert_eq!(selective, learned(Level::Layer), "{name} {lowest}");
        }
    }
}

#[test]
fn no_document_sees_another() {
    for (name, decoder) in models() {
        let mut engine = engine(&decoder);
        let alone = engine.logits(&batch(&decoder, 2, &[6]), Use::On).unwrap();
        let packed = batch(&decoder, 1, &[5, 6, 4]);
        let packed = engine.logits(&packed, Use::On).unwrap();
        let wide = decoder.vocabulary;
        let second = &packed[5 * wide..11 * wide];
        assert_eq!(alone, second, "{name}");
    }
}

#[test]
fn dropout_is_a_function_of_place_and_step() {
    let decoder = llama();
    let batch = batch(&decoder, 1, &[9]);
    let losses = |used: Use| engine(&decoder).losses(&batch, used).unwrap();
    let other = |seed, step| {
        Use::Drop(Dropout {
            seed,
            step,
            p: 0.25,
        })
    };
    let first = losses(dropout());
    assert_eq!(first, losses(other(3, 2)));
    for used in [Use::On, other(3, 3), other(4, 2)] {
        assert_ne!(first, losses(used));
    }
    let renamed = Batch {
        examples: vec![8; batch.tokens()],
        ..batch.clone()
    };
    assert_ne!(first, engine(&decoder).losses(&renamed, dropout()).unwrap());
}

#[test]
fn no_two_groups_share_a_mask() {
    let engine = engine(&llama());
    let groups = engine.layers.iter().flat_map(|layer| &layer.groups);
    let mut sites: Vec<u32> = groups.map(|group| group.site()).collect();
    sites.push(engine.head.site());
    assert_eq!(sites, (0..9).collect::<Vec<u32>>());
}

#[test]
fn an_adapter_that_is_off_is_none() {
    for (name, decoder) in models() {
        let batch = batch(&decoder, 1, &[6, 5]);
        let base = Engine::new(Plain, &decoder, &Random(&decoder), &Adapters::new());
        let base = base.unwrap().logits(&batch, Use::On).unwrap();
        let mut engine = engine(&decoder);
        assert_eq!(engine.logits(&batch, Use::Off).unwrap(), base, "{name}");
        let on = engine.logits(&batch, Use::On).unwrap();
        assert!(apart(&on, &base) > 1e-2, "{name}: adapters do nothing");
        engine.learn(&batch, 1.0, Use::Off).unwrap();
        assert_eq!(engine.squares(0).unwrap(), 0.0, "{name}");
    }
}

#[test]
fn merged_weights_are_the_adapter() {
    for (name, decoder) in models() {
        let (batch, adapters) = (batch(&decoder, 1, &[6, 5]), adapters(&decoder, |_| true));
        let weights = merged(&decoder, &adapters, |_| true);
        let whole = Engine::new(Plain, &decoder, &weights, &Adapters::new());
        let whole = whole.unwrap().logits(&batch, Use::On).unwrap();
        let on = engine(&decoder).logits(&batch, Use::On).unwrap();
        assert!(apart(&whole, &on) < 1e-4, "{name}");
    }
}

#[test]
fn fresh_adapters_change_nothing_and_are_drawn_by_site() {
    let decoder = llama();
    let settings = |modules: &[Module], seed| Settings {
        target_modules: modules.to_vec(),
        r: 4,
        seed,
        ..Settings::default()
    };
    let all = fresh(&settings(Module::ALL, 1), &decoder);
    let batch = batch(&decoder, 1, &[6]);
    let mut engine = Engine::new(Plain, &decoder, &Random(&decoder), &all).unwrap();
    let on = engine.logits(&batch, Use::On).unwrap();
    assert_eq!(on, engine.logits(&batch, Use::Off).unwrap());
    let few = fresh(&settings(&[Module::V, Module::Down], 1), &decoder);
    assert_eq!(few.len(), 4);
    assert!(few.iter().all(|(site, adapter)| all[site] == *adapter));
    assert_ne!(all, fresh(&settings(Module::ALL, 2), &decoder));
    let mut drawn = std::collections::BTreeSet::new();
    for (site, adapter) in &all {
        let bound = 1.0 / (decoder.shape(*site).1 as f32).sqrt();
        let highest = adapter.a.iter().fold(0.0_f32, |m, a| m.max(a.abs()));
        assert!(
            highest <= bound && highest > 0.8 * bound,
            "{site}: {highest}"
        );
        let mean = adapter.a.iter().sum::<f32>() / adapter.a.len() as f32;
        assert!(mean.abs() < 0.3 * bound, "{site}: {mean}");
        assert!(
            drawn.insert(adapter.a[0].to_bits()),
            "{site} is drawn twice"
        );
    }
}

fn step(step: u64) -> AdamStep {
    AdamStep {
        step,
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.1,
        gradient_scale: 0.5,
    }
}

/// Some steps from where an engine stands.
fn steps(engine: &mut Engine<Plain>, decoder: &Decoder, numbers: std::ops::Range<u64>) {
    for number in numbers {
        engine.clear(0).unwrap();
        let batch = batch(decoder, number as u32, &[8, 5]);
        engine.learn(&batch, 0.1, Use::On).unwrap();
        engine.update(0, &step(number)).unwrap();
    }
}

#[test]
fn a_run_goes_on_from_what_it_gave_away() {
    let decoder = llama();
    let (mut whole, mut first) = (engine(&decoder), engine(&decoder));
    steps(&mut whole, &decoder, 1..5);
    steps(&mut first, &decoder, 1..3);
    let (adapters, moments) = (first.adapters(0).unwrap(), first.moments(0).unwrap());
    let none = Engine::new(Plain, &decoder, &Random(&decoder), &Adapters::new());
    let mut second = none.unwrap();
    second.equip(&adapters, Some(&moments)).unwrap();
    assert_eq!(second.moments(0).unwrap(), moments);
    steps(&mut second, &decoder, 3..5);
    assert_eq!(second.adapters(0).unwrap(), whole.adapters(0).unwrap());
    assert_eq!(second.moments(0).unwrap(), whole.moments(0).unwrap());
    assert_ne!(whole.adapters(0).unwrap(), adapters);
    second.equip(&adapters, None).unwrap();
    let still = |m: &Moments| m.first.a.iter().chain(&m.second.b).all(|&x| x == 0.0);
    assert!(second.moments(0).unwrap().values().all(still));
    assert_eq!(second.squares(0).unwrap(), 0.0);
}

#[test]
fn buffers_of_a_larger_batch_change_nothing() {
    let decoder = models()[4].1.clone();
    let (small, large) = (batch(&decoder, 1, &[5]), batch(&decoder, 2, &[12, 9]));
    let mut used = engine(&decoder);
    used.learn(&large, 0.1, Use::On).unwrap();
    used.losses(&large, Use::Off).unwrap();
    used.clear(0).unwrap();
    used.learn(&small, 0.1, Use::On).unwrap();
    let (_, alone) = learned(&decoder, &[small], Use::On);
    assert_eq!(used.gradients(0).unwrap(), alone);
}

#[test]
fn squares_are_those_of_the_gradients() {
    let (_, gradients) = learned(&llama(), &[batch(&llama(), 1, &[9])], Use::On);
    let mut engine = engine(&llama());
    engine
        .learn(&batch(&llama(), 1, &[9]), 0.1, Use::On)
        .unwrap();
    let numbers = gradients
        .values()
        .flat_map(|pair| pair.a.iter().chain(&pair.b));
    let expected: f64 = numbers.map(|&g| f64::from(g).powi(2)).sum();
    let found = engine.squares(0).unwrap();
    assert!(
        (found - expected).abs() < 1e-12 * expected,
        "{found}, not {expected}"
    );
}

#[test]
fn a_pass_without_adapters_goes_back_as_far_and_teaches_nothing() {
    for (name, decoder) in models() {
        let batch = batch(&decoder, 1, &[7, 5]);
        let mut silent = adapters(&decoder, |_| true);
        silent.values_mut().for_each(|adapter| adapter.b.fill(0.0));
        let new = || Engine::new(Plain, &decoder, &Random(&decoder), &silent).unwrap();
        let arrived = |engine: &Engine<Plain>| engine.memory.work.d.clone();
        let (mut taught, mut passed) = (new(), new());
        let learned = taught.learn(&batch, 0.1, Use::On).unwrap();
        let sum = passed.pass_through(&batch, 0.1).unwrap();
        passed.finish().unwrap();
        assert_eq!(sum, learned, "{name}");
        assert!(apart(&arrived(&taught), &arrived(&passed)) < 1e-6, "{name}");
        assert!(arrived(&passed).iter().any(|&d| d != 0.0), "{name}");
        assert_eq!(passed.squares(0).unwrap(), 0.0, "{name}");
        assert!(taught.squares(0).unwrap() > 0.0, "{name}");
    }
}
