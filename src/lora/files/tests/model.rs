//! Model directories: what is read is what was written, and what is wrong is named with its file.

use super::made::{self, Raw, config, llama, raw};
use crate::lora::{
    decoder::Tensors,
    files::{Dtype, ModelDir, layout},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn refused(dir: &Path) -> String {
    let error = ModelDir::open(dir).unwrap_err();
    assert!(error.contains(&dir.display().to_string()), "{error}");
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn every_tensor_is_read_whatever_it_is_stored_as() {
    for name in ["Llama", "Qwen2", "Qwen3", "Mistral"] {
        for dtype in Dtype::ALL {
            let config = config(
                &format!("{name}ForCausalLM"),
                json!({"mlp_bias": true, "attention_bias": true}),
            );
            let dir = tempfile::tempdir().unwrap();
            made::model(dir.path(), &config, *dtype);
            let model = ModelDir::open(dir.path()).unwrap();
            assert_eq!(
                (model.dtype, &model.decoder),
                (*dtype, &made::decoder(&config))
            );
            let step = if *dtype == Dtype::F32 {
                0.0
            } else {
                1.0 / 512.0
            };
            for (seed, (name, shape)) in layout::weights(&model.decoder).iter().enumerate() {
                let right = made::values(seed as u64, shape.iter().product());
                let found = model.tensor(name).unwrap();
                assert_eq!(found.len(), right.len(), "{name}");
                let near = found.iter().zip(&right).all(|(a, b)| (a - b).abs() <= step);
                assert!(near, "{name} as {dtype}");
            }
            assert!(
                model
                    .tensor("model.layers.9.x")
                    .unwrap_err()
                    .contains("model.layers.9.x")
            );
        }
    }
}

#[test]
fn shards_are_one_model() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    made::model(&one, &llama(), Dtype::Bf16);
    made::sharded(&two, &llama(), Dtype::Bf16);
    let [one, two] = [one, two].map(|dir| ModelDir::open(&dir).unwrap());
    for (name, _) in layout::weights(&one.decoder) {
        assert_eq!(one.tensor(&name), two.tensor(&name), "{name}");
    }
}

#[test]
fn an_index_that_lies_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    made::sharded(dir.path(), &llama(), Dtype::F32);
    let path = dir.path().join("model.safetensors.index.json");
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let with = |tensor: &str, file: Value| {
        let mut index = good.clone();
        index["weight_map"][tensor] = file;
        fs::write(&path, index.to_string()).unwrap();
        refused(dir.path())
    };
    let second = "model-00002-of-00002.safetensors";
    let error = with("model.embed_tokens.weight", json!(second));
    assert!(
        error.contains(second) && error.contains("model.embed_tokens.weight is missing"),
        "{error}"
    );
    for bad in [
        json!("../x.safetensors"),
        json!("/etc/passwd"),
        json!(""),
        json!(".."),
        json!("a/b"),
        json!(1),
    ] {
        let error = with("model.norm.weight", bad.clone());
        assert!(error.contains("no file's name"), "{bad}: {error}");
    }
    assert!(with("model.norm.weight", json!("none.safetensors")).contains("none.safetensors"));
    fs::write(&path, "{}").unwrap();
    assert!(refused(dir.path()).contains("no weight_map"));
}

#[test]
fn a_tensor_that_is_wrong_is_named_with_both_shapes() {
    let changed = |change: &dyn Fn(&mut Vec<Raw>)| {
        let dir = tempfile::tempdir().unwrap();
        let mut tensors = made::tensors(&llama(), Dtype::F32);
        change(&mut tensors);
        made::model_of(dir.path(), &llama(), &tensors);
        refused(dir.path())
    };
    let q = "model.layers.1.self_attn.q_proj.weight";
    let error = changed(&|all| all.retain(|raw| raw.name != q));
    assert!(
        error.contains(&format!("the tensor {q} is missing")),
        "{error}"
    );
    let find = |all: &mut Vec<Raw>| all.iter().position(|raw| raw.name == q).unwrap();
    let error = changed(&|all| {
        let at = find(all);
        all[at] = raw(q, &[4, 16], Dtype::F32, &made::values(0, 64));
    });
    assert!(
        error.contains("has the shape [4, 16], config.json asks for [8, 8]"),
        "{error}"
    );
    let error = changed(&|all| {
        let at = find(all);
        all[at].dtype = safetensors::Dtype::I32;
    });
    assert!(
        error.contains("stored as I32, supported are F32, F16, BF16"),
        "{error}"
    );
    let error = changed(&|all| {
        all.push(raw(
            "model.layers.1.self_attn.q_proj.bias",
            &[8],
            Dtype::F32,
            &[0.0; 8],
        ))
    });
    assert!(
        error.contains("q_proj.bias is a tensor that LlamaForCausalLM"),
        "{error}"
    );
    let error = changed(&|all| {
        all.push(raw(
            "model.layers.3.input_layernorm.weight",
            &[8],
            Dtype::F32,
            &[0.0; 8],
        ))
    });
    assert!(error.contains("model.layers.3"), "{error}");
    let error = changed(&|all| all.retain(|raw| raw.name != "lm_head.weight"));
    assert!(error.contains("lm_head.weight is missing"), "{error}");
}

#[test]
fn a_number_that_is_none_is_found_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut tensors = made::tensors(&llama(), Dtype::Bf16);
    let mut values = made::values(0, 8);
    values[5] = f32::NAN;
    let at = tensors
        .iter()
        .position(|raw| raw.name == "model.norm.weight")
        .unwrap();
    tensors[at] = raw("model.norm.weight", &[8], Dtype::Bf16, &values);
    made::model_of(dir.path(), &llama(), &tensors);
    let error = ModelDir::open(dir.path())
        .unwrap()
        .tensor("model.norm.weight")
        .unwrap_err();
    assert!(error.contains("model.norm.weight[5] is NaN"), "{error}");
}

#[test]
fn what_belongs_to_no_sum_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut tensors = made::tensors(&llama(), Dtype::F16);
    let frequencies = "model.layers.0.self_attn.rotary_emb.inv_freq";
    tensors.push(raw(frequencies, &[2], Dtype::F32, &[1.0, 0.01]));
    tensors.push(raw("value_head.weight", &[1], Dtype::F32, &[1.0]));
    made::model_of(dir.path(), &llama(), &tensors);
    ModelDir::open(dir.path()).unwrap();
}

#[test]
fn a_tied_head_may_be_there_but_not_another() {
    let tied = config("Qwen2ForCausalLM", json!({"tie_word_embeddings": true}));
    let with = |head: Option<Raw>| {
        let dir = tempfile::tempdir().unwrap();
        let mut tensors = made::tensors(&tied, Dtype::F32);
        tensors.extend(head);
        made::model_of(dir.path(), &tied, &tensors);
        ModelDir::open(dir.path()).map(|model| model.decoder.tied)
    };
    // The embedding is the first tensor.
    let same = made::values(0, 16 * 8);
    assert_eq!(with(None), Ok(true));
    assert_eq!(
        with(Some(raw("lm_head.weight", &[16, 8], Dtype::F32, &same))),
        Ok(true)
    );
    let mut other = same.clone();
    other[127] += 1.0;
    for head in [
        raw("lm_head.weight", &[16, 8], Dtype::F32, &other),
        raw("lm_head.weight", &[16, 8], Dtype::F16, &same),
    ] {
        assert!(
            with(Some(head))
                .unwrap_err()
                .contains("tie_word_embeddings is true")
        );
    }
}

#[test]
fn directories_without_usable_files_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refused(dir.path()).contains("config.json"));
    fs::write(dir.path().join("config.json"), "{").unwrap();
    assert!(refused(dir.path()).contains("no JSON object"));
    fs::write(
        dir.path().join("config.json"),
        r#"{"architectures": ["BertModel"]}"#,
    )
    .unwrap();
    let error = refused(dir.path());
    assert!(
        error.contains("config.json: the architecture is BertModel"),
        "{error}"
    );
    fs::write(dir.path().join("config.json"), llama().to_string()).unwrap();
    assert!(refused(dir.path()).contains("neither model.safetensors nor"));
    fs::write(dir.path().join("pytorch_model.bin"), "").unwrap();
    assert!(refused(dir.path()).contains("convert"));
    fs::write(dir.path().join("model.safetensors"), "").unwrap();
    assert!(refused(dir.path()).contains("model.safetensors: it has 0 bytes"));
}

#[test]
fn a_model_file_cut_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    made::model(dir.path(), &llama(), Dtype::F32);
    let path = dir.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for end in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..end]).unwrap();
        assert!(
            refused(dir.path()).contains("model.safetensors"),
            "cut at {end}"
        );
    }
}

#[test]
fn the_hash_is_that_of_everything_computed_with() {
    let dir = tempfile::tempdir().unwrap();
    made::sharded(dir.path(), &llama(), Dtype::F32);
    let hash = || ModelDir::open(dir.path()).unwrap().hash().unwrap();
    let before = hash();
    assert_eq!((before.len(), hash()), (64, before.clone()));
    fs::write(dir.path().join("README.md"), "x").unwrap();
    assert_eq!(hash(), before);
    for name in [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ] {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        let mut other = good.clone();
        if name.ends_with(".json") {
            other.push(b'\n');
        } else {
            // The lowest bit of the last number.
            let at = other.len() - 4;
            other[at] ^= 1;
        }
        fs::write(&path, &other).unwrap();
        assert_ne!(hash(), before, "{name}");
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(hash(), before);
}
