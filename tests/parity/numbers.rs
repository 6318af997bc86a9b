//! One batch at a time: logits, losses, gradients, preferences, greedy tokens.

use super::{Comparison, fixture::*};
use campaignd::{
    lora::{
        backend::{Backend, Pair, Use},
        batch::Batch,
        engine::{Adapters, Engine, Stake},
        files::{ModelDir, write_merged},
    },
    training::site::Site,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The engine of a fixture with one of its adapters.
pub fn engine<B: Backend>(fixture: &Fixture, machine: fn() -> B, adapter: &str) -> Engine<B> {
    let adapters = fixture.adapters(adapter);
    Engine::new(machine(), &fixture.model.decoder, &fixture.model, &adapters).unwrap()
}

/// Logits without padding against those with it: [B, T, V], rows of a document first.
pub fn logits(
    name: &str,
    fixture: &Fixture,
    batch: &Batch,
    found: &[f32],
    tolerance: f64,
) -> usize {
    let vocabulary = fixture.model.decoder.vocabulary;
    let padded = fixture.data["pad_to"]["fixed"].as_u64().unwrap() as usize;
    let expected = fixture.tensors.get(name);
    let documents = batch.starts.windows(2).enumerate();
    let compare = |(row, document): (usize, &[u32])| {
        let (start, end) = (document[0] as usize, document[1] as usize);
        let expected = &expected[row * padded * vocabulary..][..(end - start) * vocabulary];
        let found = &found[start * vocabulary..end * vocabulary];
        near(name, found, expected, tolerance)
    };
    documents.map(compare).sum()
}

/// Logits of the base and of the first adapter, the loss of the fixed batch.
pub struct Forward;

impl Comparison for Forward {
    fn compare<B: Backend>(&self, fixture: &Fixture, machine: fn() -> B) -> usize {
        let mut engine = engine(fixture, machine, "adapter_init");
        let batch = fixture.fixed();
        let first = fixture.batch(&[&fixture.data["fixed"][0]]);
        let base = engine.logits(&first, Use::Off).unwrap();
        let on = engine.logits(&batch, Use::On).unwrap();
        let losses = engine.losses(&batch, Use::On).unwrap();
        let sum: f64 = losses.iter().copied().map(f64::from).sum();
        let expected = &fixture.expected["fixed"];
        assert_eq!(expected["label_tokens"], losses.len());
        let loss = number(&expected["loss"]);
        logits("base.logits", fixture, &first, &base, 5e-5)
            + logits("fixed.logits", fixture, &batch, &on, 5e-5)
            + one("loss", sum / losses.len() as f64, loss, 1e-5)
    }

    fn expected(&self, fixture: &Fixture) -> usize {
        let rows = fixture.data["fixed"].as_array().unwrap();
        let tokens = |row: &Value| row["input_ids"].as_array().unwrap().len();
        let all: usize = tokens(&rows[0]) + rows.iter().map(tokens).sum::<usize>();
        all * fixture.model.decoder.vocabulary + 1
    }
}

/// Gradients of the fixed batch's mean loss, and their norms.
pub struct Gradients;

/// L2 norms by tensor, and of all.
fn norms(expected: &Value, found: &BTreeMap<Site, Pair>, squares: f64) -> usize {
    let mut compared = relative("norm", squares.sqrt(), number(&expected["grad_norm"]), 1e-5);
    for (&site, pair) in found {
        for (matrix, numbers) in [('A', &pair.a), ('B', &pair.b)] {
            let name = tensor_name(site, matrix);
            let expected = number(&expected["grad_norms"][&name]);
            compared += relative(&name, norm(numbers), expected, 3e-5);
        }
    }
    compared
}

impl Comparison for Gradients {
    fn compare<B: Backend>(&self, fixture: &Fixture, machine: fn() -> B) -> usize {
        let mut engine = engine(fixture, machine, "adapter_init");
        let batch = fixture.fixed();
        let weight = 1.0 / batch.targets.len() as f32;
        let sum = engine.learn(&batch, weight, Use::On).unwrap();
        let expected = &fixture.expected["fixed"];
        let found = engine.gradients(0).unwrap();
        let loss = sum / batch.targets.len() as f64;
        gradients(fixture, "grad.", &found)
            + norms(expected, &found, engine.squares(0).unwrap())
            + one("loss", loss, number(&expected["loss"]), 1e-5)
    }

    fn expected(&self, fixture: &Fixture) -> usize {
        fixture.trainable() + 2 * fixture.sites().count() + 2
    }
}

/// One batch of preferences: loss, log-probabilities, rewards, gradients.
pub struct Preferences;

impl Comparison for Preferences {
    fn compare<B: Backend>(&self, fixture: &Fixture, machine: fn() -> B) -> usize {
        let mut engine = engine(fixture, machine, "adapter_init");
        let (data, expected) = (&fixture.data["dpo"], &fixture.expected["dpo"]);
        let rows = |key: &str| data[key].as_array().unwrap();
        let both = rows("chosen").iter().zip(rows("rejected"));
        let rows: Vec<&Value> = both
            .flat_map(|(chosen, rejected)| [chosen, rejected])
            .collect();
        let (pairs, beta) = (fixture.batch(&rows), number(&expected["beta"]));
        let count = pairs.documents() as f64 / 2.0;
        let stake = Stake {
            beta,
            weight: 1.0 / count,
        };
        let found = engine
            .prefer(&pairs, &stake.each(&pairs), &[Use::On])
            .unwrap();
        assert_eq!(engine.preferences(&pairs, beta).unwrap(), found);
        let loss = found.iter().map(|pair| pair.loss).sum::<f64>() / count;
        let mut compared = one("loss", loss, number(&expected["loss"]), 5e-6);
        let lists = [
            "policy_chosen_logps",
            "policy_rejected_logps",
            "ref_chosen_logps",
            "ref_rejected_logps",
            "chosen_rewards",
            "rejected_rewards",
        ];
        let lists = lists.map(|key| list(&expected[key]));
        for (at, pair) in found.iter().enumerate() {
            let logs = [
                pair.chosen,
                pair.rejected,
                pair.reference_chosen,
                pair.reference_rejected,
            ];
            let rewards = [beta * (logs[0] - logs[2]), beta * (logs[1] - logs[3])];
            for (found, list) in logs.iter().zip(&lists) {
                compared += one("log-probability", *found, list[at], 5e-5);
            }
            for (found, list) in rewards.iter().zip(&lists[4..]) {
                compared += one("reward", *found, list[at], 5e-6);
            }
        }
        let found = engine.gradients(0).unwrap();
        compared
            + gradients(fixture, "dpo.grad.", &found)
            + norms(expected, &found, engine.squares(0).unwrap())
    }

    fn expected(&self, fixture: &Fixture) -> usize {
        let pairs = fixture.data["dpo"]["chosen"].as_array().unwrap().len();
        2 + 6 * pairs + fixture.trainable() + 2 * fixture.sites().count()
    }
}

/// Logits and greedy tokens of the last adapter, merged and on.
pub struct Merged;

impl Comparison for Merged {
    fn compare<B: Backend>(&self, fixture: &Fixture, machine: fn() -> B) -> usize {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("merged");
        let adapters = fixture.adapters("adapter_final");
        write_merged(&fixture.model, &adapters, &path, &mut |_, _| {}).unwrap();
        let weights = ModelDir::open(&path).unwrap();
        let none = Adapters::new();
        let merged = Engine::new(machine(), &weights.decoder, &weights, &none).unwrap();
        let on = engine(fixture, machine, "adapter_final");
        let cases = fixture.expected["generate"].as_array().unwrap();
        let prompts: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["prompt"])).collect();
        let batch = fixture.fixed();
        let mut compared = 0;
        for mut engine in [merged, on] {
            let found = engine.logits(&batch, Use::On).unwrap();
            compared += logits("merged.logits", fixture, &batch, &found, 1e-4);
            let answers = engine.generate(&prompts, 16, &[], Use::On).unwrap();
            for (answer, case) in answers.iter().zip(cases) {
                assert_eq!(*answer, ids(&case["tokens"]));
                compared += answer.len();
            }
        }
        compared
    }

    fn expected(&self, fixture: &Fixture) -> usize {
        let prompts = fixture.data["prompts"].as_array().unwrap().len();
        2 * (fixture.fixed().tokens() * fixture.model.decoder.vocabulary + 16 * prompts)
    }
}
