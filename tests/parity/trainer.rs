//! The trainer as people run it: rows from a file, checkpoints, metrics, an adapter's directory and merged weights, beside what
//! the reference stack computed in its own loop.

use super::{FIXTURES, fixture::*, learning, numbers, skipped};
use campaignd::{
    lora::{
        backend::Use,
        cpu::Cpu,
        engine::{Adapters, Engine},
        files::{ModelDir, read_adapter},
    },
    training::{job::FineTune, settings::Settings, words::Device},
    worker::train,
};
use serde_json::Value;
use std::{fs, path::Path};

pub fn compare_all(name: &str) {
    for fixture in FIXTURES {
        let Some(fixture) = Fixture::open(fixture) else {
            skipped(name, fixture);
            continue;
        };
        let steps = fixture.expected["steps"].as_u64().unwrap() as usize;
        let logits = fixture.fixed().tokens() * fixture.model.decoder.vocabulary;
        let expected = 3 * steps + fixture.trainable() + logits;
        assert_eq!(compare(&fixture), expected, "{name} of {}", fixture.name);
    }
}

/// The fixture's rows as a file of rows, in the order used.
fn rows(fixture: &Fixture, to: &Path) {
    let batches = fixture.data["train"].as_array().unwrap().iter();
    let rows = batches.flat_map(|batch| batch.as_array().unwrap());
    let text: String = rows.map(|row| format!("{row}\n")).collect();
    fs::write(to, text).unwrap();
}

fn settings(fixture: &Fixture) -> Settings {
    let (case, lora) = (&fixture.expected, &fixture.expected["case"]["lora"]);
    let small = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    Settings {
        r: small(&lora["r"]),
        lora_alpha: number(&lora["lora_alpha"]),
        lora_dropout: 0.0,
        per_device_train_batch_size: 2,
        gradient_accumulation_steps: small(&case["accumulation"]),
        num_train_epochs: 1.0,
        max_seq_length: 0,
        shuffle: false,
        save_steps: 7,
        ..learning::settings(fixture)
    }
}

fn compare(fixture: &Fixture) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let (data, output) = (dir.path().join("rows.jsonl"), dir.path().join("out"));
    rows(fixture, &data);
    let job = FineTune {
        name: fixture.name.into(),
        model: text(&fixture.root.join("model")),
        make: None,
        data: vec![text(&data)],
        holdout: Vec::new(),
        output: text(&output),
        adapter_init: Some(text(&fixture.root.join("adapter_init"))),
        merge: true,
        stage: None,
        minimum: 0,
        settings: settings(fixture),
        device: Device::Cpu,
    };
    train::train(&job, &mut |_| ()).unwrap_or_else(|undone| panic!("{}", undone.text));
    metrics(fixture, &output) + adapter(fixture, &output) + merged(fixture, &output)
}

/// Loss, norm and rate of each step.
fn metrics(fixture: &Fixture, output: &Path) -> usize {
    let text = fs::read_to_string(output.join("metrics.jsonl")).unwrap();
    let mut compared = 0;
    for (key, tolerance) in [("loss", 3e-6), ("grad_norm", 1e-5), ("lr", 1e-6)] {
        let expected = list(&fixture.expected["train"][key]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), expected.len());
        for (line, expected) in lines.into_iter().zip(expected) {
            let row: Value = serde_json::from_str(line).unwrap();
            let what = format!("{key} of step {}", row["step"]);
            compared += relative(&what, number(&row[key]), expected, tolerance);
        }
    }
    compared
}

/// The adapter's numbers.
fn adapter(fixture: &Fixture, output: &Path) -> usize {
    let found = read_adapter(output, &fixture.model.decoder)
        .unwrap()
        .adapters;
    let expected = fixture.adapters("adapter_final");
    assert!(found.keys().eq(expected.keys()));
    let compare = |(site, adapter): (&_, &campaignd::lora::backend::Adapter)| {
        let expected = &expected[site];
        near(&tensor_name(*site, 'A'), &adapter.a, &expected.a, 1e-5)
            + near(&tensor_name(*site, 'B'), &adapter.b, &expected.b, 1e-5)
    };
    found.iter().map(compare).sum()
}

/// Logits of the merged weights as they were written.
fn merged(fixture: &Fixture, output: &Path) -> usize {
    let weights = ModelDir::open(&output.join("merged")).unwrap();
    let none = Adapters::new();
    let mut engine = Engine::new(Cpu::new(2), &weights.decoder, &weights, &none).unwrap();
    let batch = fixture.fixed();
    let found = engine.logits(&batch, Use::Off).unwrap();
    numbers::logits("merged.logits", fixture, &batch, &found, 1e-4)
}
