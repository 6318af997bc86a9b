//! Merged models: numbers against the same sum in f64, everything else untouched, and nothing left behind when it fails.

use super::made::{self, adapters, config, llama};
use crate::{
    lora::{
        decoder::Tensors,
        files::{Dtype, ModelDir, layout, tensor_file::TensorFile, write_merged},
    },
    training::{site::Site, words::Module},
};
use serde_json::json;
use std::{collections::BTreeMap, fs, io, path::Path};

fn opened(dir: &Path) -> ModelDir {
    ModelDir::open(dir).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn adapted_weights_get_their_sum_and_the_others_stay() {
    for (at, dtype) in Dtype::ALL.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("base"), dir.path().join("merged"));
        let config = config("Qwen2ForCausalLM", json!({"tie_word_embeddings": true}));
        if at == 1 {
            made::sharded(&from, &config, *dtype)
        } else {
            made::model(&from, &config, *dtype)
        }
        let base = opened(&from);
        let on = |site: &Site| site.layer != 1 && site.module != Module::K;
        let all = adapters(&base.decoder, 3, 1.75, on);
        let mut told = Vec::new();
        write_merged(&base, &all, &to, &mut |done, of| told.push((done, of))).unwrap();
        let n = layout::weights(&base.decoder).len();
        assert_eq!(told, (1..=n).map(|done| (done, n)).collect::<Vec<_>>());
        let merged = opened(&to);
        assert_eq!((merged.dtype, &merged.decoder), (*dtype, &base.decoder));
        let adapted: BTreeMap<String, Site> = all
            .keys()
            .map(|site| (format!("{site}.weight"), *site))
            .collect();
        for (name, shape) in layout::weights(&base.decoder) {
            let (old, new) = (base.tensor(&name).unwrap(), merged.tensor(&name).unwrap());
            let Some(site) = adapted.get(&name) else {
                assert_eq!(old, new, "{name}");
                continue;
            };
            let adapter = &all[site];
            let right = old.iter().enumerate().map(|(at, &weight)| {
                let (row, column) = (at / shape[1], at % shape[1]);
                let sum = (0..3).map(|k| {
                    f64::from(adapter.b[row * 3 + k]) * f64::from(adapter.a[k * shape[1] + column])
                });
                f64::from(weight) + 1.75 * sum.sum::<f64>()
            });
            let step = [1e-6, 1.0 / 2048.0, 1.0 / 256.0][at];
            for (new, right) in new.iter().zip(right) {
                assert!(
                    (f64::from(*new) - right).abs() <= step * right.abs().max(0.5),
                    "{name}: {new} is not {right}"
                );
            }
            assert_ne!(old, new, "{name}");
        }
    }
}

#[test]
fn the_files_are_those_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("base"), dir.path().join("merged"));
    made::sharded(&from, &llama(), Dtype::Bf16);
    let companions = [
        "generation_config.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "special_tokens_map.json",
        "chat_template.jinja",
        "merges.txt",
        "vocab.json",
    ];
    for name in companions {
        fs::write(from.join(name), name).unwrap();
    }
    for name in [
        "README.md",
        "pytorch_model.bin",
        "old.safetensors",
        "optimizer.pt",
    ] {
        fs::write(from.join(name), name).unwrap();
    }
    let base = opened(&from);
    let all = adapters(&base.decoder, 2, 1.0, |_| true);
    write_merged(&base, &all, &to, &mut |_, _| ()).unwrap();
    let mut right: Vec<String> = companions.map(String::from).into();
    right.extend(
        [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
        ]
        .map(String::from),
    );
    right.sort();
    assert_eq!(names(&to), right);
    for name in companions {
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), name);
    }
    for file in [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ] {
        let [old, new] = [&from, &to].map(|dir| fs::read(dir.join(file)).unwrap());
        let header = 8 + u64::from_le_bytes(old[..8].try_into().unwrap()) as usize;
        assert!(old[..header] == new[..header] && old != new && old.len() == new.len());
    }
    assert_eq!(names(dir.path()), ["base", "merged"]);
}

#[test]
fn a_merge_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("base"), dir.path().join("merged"));
    made::model(&from, &llama(), Dtype::F16);
    let base = opened(&from);
    let refused = |all: &_| {
        let error = write_merged(&base, all, &to, &mut |_, _| ()).unwrap_err();
        assert_eq!(names(dir.path()), ["base"], "{error}");
        error.to_string()
    };
    assert!(refused(&Default::default()).contains("no adapter to merge"));
    // Beyond what half precision holds, though not beyond f32.
    let error = refused(&adapters(&base.decoder, 2, 1e6, |_| true));
    assert!(
        error.contains("is not finite after merging")
            && error.contains("model.layers.0.mlp.down_proj.weight["),
        "{error}"
    );
    let taller = made::decoder(&config("LlamaForCausalLM", json!({"num_hidden_layers": 4})));
    assert!(
        refused(&adapters(&taller, 2, 1.0, |_| true))
            .contains("layers.3.self_attn.q_proj does not fit")
    );
    let wider = made::decoder(&config(
        "LlamaForCausalLM",
        json!({"intermediate_size": 16}),
    ));
    assert!(refused(&adapters(&wider, 2, 1.0, |_| true)).contains("gate_proj does not fit"));
}

#[test]
fn what_is_there_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("base"), dir.path().join("merged"));
    made::model(&from, &llama(), Dtype::F32);
    let base = opened(&from);
    let all = adapters(&base.decoder, 2, 1.0, |_| true);
    fs::create_dir(&to).unwrap();
    fs::write(to.join("thesis.tex"), "x").unwrap();
    let error = write_merged(&base, &all, &to, &mut |_, _| ()).unwrap_err();
    assert_eq!(
        (error.kind(), names(&to)),
        (io::ErrorKind::AlreadyExists, vec!["thesis.tex".to_string()])
    );
    fs::remove_file(to.join("thesis.tex")).unwrap();
    write_merged(&base, &all, &to, &mut |_, _| ()).unwrap();
    opened(&to);
}

/// More than is read or merged at a time: no block may be taken for another.
#[test]
fn tensors_of_several_blocks_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("base"), dir.path().join("merged"));
    let wide = json!({"hidden_size": 128, "intermediate_size": 600, "vocab_size": 3000, "num_hidden_layers": 1});
    made::model(&from, &config("LlamaForCausalLM", wide), Dtype::F32);
    let base = opened(&from);
    let all = adapters(&base.decoder, 2, 1.5, |_| true);
    write_merged(&base, &all, &to, &mut |_, _| ()).unwrap();
    let merged = opened(&to);
    for (seed, (name, shape)) in layout::weights(&base.decoder).iter().enumerate() {
        let right = made::values(seed as u64, shape.iter().product());
        assert!(base.tensor(name).unwrap() == right, "{name}");
        let site = all.keys().find(|site| format!("{site}.weight") == *name);
        let Some(adapter) = site.map(|site| &all[site]) else {
            continue;
        };
        let found = merged.tensor(name).unwrap();
        for (at, weight) in right.iter().enumerate() {
            let (row, column) = (at / shape[1], at % shape[1]);
            let sum = |k: usize| adapter.b[row * 2 + k] * adapter.a[k * shape[1] + column];
            let right = weight + 1.5 * (sum(0) + sum(1));
            assert!((found[at] - right).abs() < 1e-6, "{name}[{row}, {column}]");
        }
    }
    let mut values = made::values(0, 3000 * 128);
    values[2999 * 128 + 127] = f32::NAN;
    let path = dir.path().join("x.safetensors");
    made::save(&path, &[made::raw("w", &[3000, 128], Dtype::F32, &values)]);
    let file = TensorFile::open(&path).unwrap();
    let error = file.read(file.entry("w").unwrap()).unwrap_err().to_string();
    assert!(error.contains("w[2999, 127] is NaN"), "{error}");
}
