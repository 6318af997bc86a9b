//! What a machine is asked in a trial: losses, gradients by losses and by preference, AdamW, losses and answers after it. And how far two machines' answers are apart.

use super::made::{self, Model};
use crate::{
    lora::{
        backend::{AdamStep, Backend, Done, Dropout, Pair, Shape, Use},
        batch::Batch,
        engine::{Adapters, Engine, Stake},
    },
    training::site::Site,
};
use std::collections::BTreeMap;

/// How pairs are learned from.
const STAKE: Stake = Stake {
    beta: 0.2,
    weight: 0.5,
};

/// What a machine says.
pub struct Said {
    /// What of, and it, in nats.
    pub losses: Vec<(String, f32)>,
    /// Of all gradients.
    pub norm: f64,
    /// Before the step.
    pub gradients: BTreeMap<Site, Pair>,
    /// After it.
    pub adapters: Adapters,
    /// Attention over a cache, for the next token of some sequences: tokens alone would hide what is off by little.
    pub cached: Vec<f32>,
    /// What it answers to each prompt after it.
    pub tokens: Vec<Vec<u32>>,
}

impl Said {
    /// The first thing that is another number when it is said again, and both numbers.
    pub fn differs(&self, again: &Said) -> Option<(String, f64, f64)> {
        let (first, second) = (self.numbers(), again.numbers());
        if first.len() != second.len() {
            let (first, second) = (first.len() as f64, second.len() as f64);
            return Some(("the count of its numbers".into(), first, second));
        }
        let mut both = first.into_iter().zip(second);
        let other = both.find(|((_, one), (_, other))| one.to_bits() != other.to_bits());
        other.map(|((what, one), (_, other))| (what, one, other))
    }

    fn numbers(&self) -> Vec<(String, f64)> {
        let losses = self.losses.iter();
        let losses = losses.map(|(what, loss)| (format!("the loss of {what}"), f64::from(*loss)));
        let norm = ("the norm of all gradients".into(), self.norm);
        let of = |what: &'static str, site: &Site, all: [&[f32]; 2]| {
            let what = format!("a number of {what} of {site}");
            let all = all.concat().into_iter().map(f64::from);
            all.map(move |number| (what.clone(), number))
                .collect::<Vec<_>>()
        };
        let gradients = self.gradients.iter();
        let gradients = gradients.flat_map(|(site, p)| of("the gradient", site, [&p.a, &p.b]));
        let adapters = self.adapters.iter();
        let adapters = adapters.flat_map(|(site, a)| of("the adapter", site, [&a.a, &a.b]));
        let cached = self.cached.iter().map(|x| f64::from(*x));
        let cached = cached.map(|x| ("a number of attention over a cache".to_owned(), x));
        let tokens = self.tokens.iter().flatten();
        let tokens = tokens.map(|token| ("a decoded token".to_owned(), f64::from(*token)));
        losses
            .chain([norm])
            .chain(gradients)
            .chain(adapters)
            .chain(cached)
            .chain(tokens)
            .collect()
    }
}

/// Asks a machine everything.
///
/// # Errors
/// The machine's own.
pub fn say<B: Backend>(machine: B, model: &Model, own: &Adapters) -> Done<Said> {
    // The last one is longer than a tile of attention.
    let rows = made::batch(model, 1, &[1, 5, 131]);
    let pairs = made::batch(model, 9, &[7, 9]);
    let dropped = Use::Drop(Dropout {
        seed: 3,
        step: 1,
        p: 0.25,
    });
    let cached = cached(&machine, model)?;
    let mut engine = Engine::new(machine, &model.decoder, model, own)?;
    let weight = 1.0 / rows.supervised.len() as f32;
    let sum = engine.learn(&rows, weight, dropped)?;
    let preference = engine.prefer(&pairs, &STAKE.each(&pairs), &[dropped])?;
    let (gradients, norm) = (engine.gradients(0)?, engine.squares(0)?.sqrt());
    // The second one finds moments.
    for step in 1..3 {
        engine.update(0, &adam(step))?;
    }
    let after = engine.losses(&rows, Use::On)?;
    let each = after.into_iter().enumerate();
    let each = each.map(|(at, loss)| (format!("token {at} after the step"), loss));
    let mut losses: Vec<(String, f32)> = each.collect();
    losses.push(("a token in the mean".into(), sum as f32 * weight));
    losses.extend(preference.iter().flat_map(|pair| {
        [
            ("a chosen answer".into(), pair.chosen as f32),
            ("a rejected answer".into(), pair.rejected as f32),
            (
                "a rejected answer without adapters".into(),
                pair.reference_rejected as f32,
            ),
        ]
    }));
    Ok(Said {
        losses,
        norm,
        gradients,
        adapters: engine.adapters(0)?,
        cached,
        tokens: engine.generate(&made::prompts(model), made::ANSWER, &[], Use::On)?,
    })
}

/// What attention over a cache makes of each layer's kind of heads, for sequences of one tile, of many, and without a past.
fn cached<B: Backend>(machine: &B, model: &Model) -> Done<Vec<f32>> {
    let (lengths, capacity) = ([0, 133, 64], 135);
    let mut all = Vec::new();
    for heads in &model.decoder.layers {
        let put = |seed, rows, columns, size| {
            let numbers = made::rounded(seed, rows * columns, size);
            machine.put(Shape::of(rows, columns), &numbers)
        };
        // Large enough that some keys are liked much more than others.
        let qkv = put(1, lengths.len(), heads.columns(), 4.0)?;
        let mut cache = put(2, lengths.len() * capacity, 2 * heads.keys(), 1.0)?;
        let mut out = machine.zeros(Shape::of(lengths.len(), heads.queries()))?;
        machine.attend_cached(heads, &qkv, &lengths, capacity, &mut cache, &mut out)?;
        all.extend(machine.get(&out, lengths.len() * heads.queries())?);
    }
    Ok(all)
}

/// epsilon is as large as a gradient's number, so that one that is nearly 0 does not take a whole step this way or that.
fn adam(step: u64) -> AdamStep {
    AdamStep {
        step,
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-2,
        weight_decay: 0.1,
        gradient_scale: 0.7,
    }
}

/// The logits of every token of a row, with these adapters.
///
/// # Errors
/// The machine's own.
pub fn logits<B: Backend>(
    machine: B,
    model: &Model,
    own: &Adapters,
    row: &[u32],
) -> Done<Vec<f32>> {
    let mut batch = Batch::default();
    batch.push(0, row, &vec![false; row.len()]);
    Engine::new(machine, &model.decoder, model, own)?.logits(&batch, Use::On)
}

/// What a step added to each adapter.
pub fn moved(before: &Adapters, after: &Adapters) -> BTreeMap<Site, Pair> {
    let less = |after: &[f32], before: &[f32]| {
        let both = after.iter().zip(before);
        both.map(|(after, before)| after - before).collect()
    };
    let sites = after.iter().filter_map(|(site, after)| {
        let before = before.get(site)?;
        let pair = Pair {
            a: less(&after.a, &before.a),
            b: less(&after.b, &before.b),
        };
        Some((*site, pair))
    });
    sites.collect()
}

/// How far a module's numbers are from those that are expected.
pub struct Distance {
    /// Whose.
    pub site: Site,
    /// Their length.
    pub found: f64,
    /// The length that is expected.
    pub expected: f64,
    /// The length of the difference, as a share of that.
    pub far: f64,
}

/// The distance of each module that is expected.
pub fn distances(found: &BTreeMap<Site, Pair>, expected: &BTreeMap<Site, Pair>) -> Vec<Distance> {
    let flat = |pair: &Pair| [&pair.a[..], &pair.b].concat();
    let distance = |(site, expected): (&Site, &Pair)| {
        let found = found.get(site).map_or(Vec::new(), flat);
        let [found, expected, far] = apart(&found, &flat(expected));
        Distance {
            site: *site,
            found,
            expected,
            far,
        }
    };
    expected.iter().map(distance).collect()
}

/// The lengths of two lists of numbers, and of their difference as a share of the second; NaN where they are of different
/// counts.
pub fn apart(found: &[f32], expected: &[f32]) -> [f64; 3] {
    let length =
        |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
    let of = |numbers: &[f32]| length(&mut numbers.iter().copied().map(f64::from));
    let both = found.iter().zip(expected);
    let difference = length(&mut both.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let far = match found.len() == expected.len() {
        true => difference / of(expected),
        false => f64::NAN,
    };
    [of(found), of(expected), far]
}
