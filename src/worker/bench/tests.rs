//! Requests that are right and wrong, and a measurement of a shape so small that it takes no time.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use super::*;
use crate::lora::engine::fresh;
use std::{env, fs, path::PathBuf, process};

fn request() -> Request {
    Request {
        shape: "llama-2-7b".into(),
        layers: None,
        targets: vec![Module::Q, Module::Down],
        rank: 4,
        dropout: 0.1,
        length: None,
        tokens: None,
        rounds: 2,
        device: Device::Cpu,
    }
}

/// A `config.json` of two layers, with biases and grouped queries.
fn tiny(name: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("bench-{name}-{}.json", process::id()));
    let text = r#"{
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 97,
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64
    }"#;
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn documents_fill_the_microbatch_or_are_refused() {
    let lengths = |tokens, length, device| {
        let asked = Request {
            tokens,
            length,
            ..request()
        };
        lengths(&asked, device, 4096)
    };
    assert_eq!(lengths(None, None, Device::Cuda), Ok((8192, 2048)));
    assert_eq!(lengths(None, None, Device::Cpu), Ok((512, 512)));
    assert_eq!(lengths(None, Some(4096), Device::Cpu), Ok((4096, 4096)));
    assert_eq!(lengths(Some(96), Some(32), Device::Cpu), Ok((96, 32)));
    for (tokens, length, words) in [
        (Some(100), Some(64), "do not fill a microbatch of 100"),
        (Some(0), Some(64), "do not fill"),
        (Some(64), Some(1), "teaches nothing"),
        (Some(8192), Some(8192), "4096 positions"),
        (Some(1 << 33), Some(2048), "at most"),
    ] {
        let error = lengths(tokens, length, Device::Cpu).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn settings_that_train_nothing_are_refused() {
    type Change = fn(&mut Request);
    let changes: [(&str, Change); 5] = [
        ("r = 0", |asked| asked.rank = 0),
        ("lora_dropout = 1", |asked| asked.dropout = 1.0),
        ("target_modules", |asked| asked.targets.clear()),
        ("target_modules", |asked| asked.targets.push(Module::Q)),
        ("rounds = 0", |asked| asked.rounds = 0),
    ];
    for (words, change) in changes {
        let mut asked = request();
        change(&mut asked);
        let error = settings(&asked).unwrap_err();
        assert!(
            error.contains(words) && error.contains(" is wrong"),
            "{error}"
        );
    }
}

#[test]
fn a_small_shape_is_measured_to_the_end() {
    let path = tiny("whole");
    let mut told = Vec::new();
    for (targets, dropout) in [
        (vec![Module::Q, Module::Down], 0.1),
        (Module::ALL.to_vec(), 0.0),
        (vec![Module::Down], 0.1),
    ] {
        let asked = Request {
            shape: path.to_str().unwrap().into(),
            targets,
            dropout,
            tokens: Some(64),
            length: Some(16),
            ..request()
        };
        let report = measure(&asked, &mut |text| told.push(text)).unwrap();
        let Seconds {
            step,
            frozen,
            products,
        } = report.seconds;
        for seconds in [step, frozen, products] {
            assert!(seconds > 0.0 && seconds < f64::MAX, "{seconds}");
        }
        assert_eq!((report.tokens, report.supervised), (64, 60));
        let bytes = report.bytes;
        assert!(bytes.peak.unwrap() > bytes.weights + bytes.adapters);
        assert_eq!(bytes.weights, 4 * report.shape.parameters());
        assert_eq!(bytes.adapters, 4 * 4 * report.trained);
        assert_eq!(bytes.planned, None, "the processor plans nothing");
        // Knowing nothing costs the logarithm of the vocabulary, and half the variance of random logits, which is 1.
        let ignorance = 97_f64.ln() + 0.5;
        assert!((report.loss - ignorance).abs() < 0.5, "{}", report.loss);
        assert!(report.flops_per_token() > report.product_flops);
        let adapters = report.settings.adapter(crate::training::site::Site {
            layer: 0,
            module: Module::Down,
        });
        assert_eq!(adapters.unwrap().0, 4);
    }
    assert_eq!(told.last().unwrap(), "round 2 of 2");
    fs::remove_file(path).unwrap();
}

/// Numbers as a person would count them: q 32x32 and down 32x48, rank 4, two layers.
#[test]
fn what_is_trained_is_counted() {
    let path = tiny("counted");
    let shape = Shape::read(path.to_str().unwrap(), None).unwrap();
    let settings = settings(&request()).unwrap();
    let count = Count {
        decoder: &shape.decoder,
        settings: &settings,
        length: 16,
    };
    assert_eq!(count.trained(), 2 * 4 * (32 + 32 + 32 + 48));
    let adapters = fresh(&settings, &shape.decoder);
    let numbers = adapters.values().map(|one| one.a.len() + one.b.len());
    assert_eq!(numbers.sum::<usize>() as u64, count.trained());
    fs::remove_file(path).unwrap();
}

#[test]
fn a_model_too_large_for_this_machine_is_refused_at_once() {
    let asked = Request {
        tokens: Some(1 << 31),
        length: Some(2048),
        ..request()
    };
    let mut told = Vec::new();
    let error = measure(&asked, &mut |text| told.push(text)).unwrap_err();
    assert!(error.text.contains(" MB are free"), "{}", error.text);
    assert_eq!(told, Vec::<String>::new(), "nothing was begun");
}
