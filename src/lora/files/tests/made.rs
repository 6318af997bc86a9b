//! Small models and adapters, made of a seed. Tensor files are written by the format's own library, not by the code under test.

use crate::{
    lora::{
        backend::Adapter,
        decoder::Decoder,
        files::{Adapters, Dtype, config, keys::Keys, layout},
    },
    training::{settings::Settings, site::Site},
};
use safetensors::{Dtype as Stored, tensor::TensorView};
use serde_json::{Value, json};
use std::{collections::HashMap, fs, path::Path};

/// Numbers between -0.5 and 0.5, a function of the seed.
pub fn values(seed: u64, n: usize) -> Vec<f32> {
    let mix = |at: u64| {
        let mut z = (seed << 32 ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 40
    };
    let number = |at| mix(at) as f32 / (1 << 24) as f32 - 0.5;
    (1..=n as u64).map(number).collect()
}

/// A `config.json` of three layers, with some keys set or, by null, taken away.
pub fn config(architecture: &str, change: Value) -> Value {
    let kind = architecture.trim_end_matches("ForCausalLM").to_lowercase();
    let mut config = json!({
        "architectures": [architecture], "model_type": kind, "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 16,
        "max_position_embeddings": 64, "torch_dtype": "float32",
    });
    for (key, value) in change.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

pub fn llama() -> Value {
    config("LlamaForCausalLM", json!({}))
}

pub fn decoder(config: &Value) -> Decoder {
    config::decoder(&Keys::parse(config.to_string().as_bytes()).unwrap()).unwrap()
}

/// A tensor as a file has it.
pub struct Raw {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: Stored,
    pub bytes: Vec<u8>,
}

pub fn raw(name: &str, shape: &[usize], dtype: Dtype, values: &[f32]) -> Raw {
    let mut bytes = Vec::new();
    dtype.encode(values, &mut bytes);
    let dtype = match dtype {
        Dtype::F32 => Stored::F32,
        Dtype::F16 => Stored::F16,
        Dtype::Bf16 => Stored::BF16,
    };
    let (name, shape) = (name.into(), shape.into());
    Raw {
        name,
        shape,
        dtype,
        bytes,
    }
}

pub fn save(path: &Path, tensors: &[Raw]) {
    let views = tensors.iter().map(|raw| {
        let view = TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes).unwrap();
        (raw.name.clone(), view)
    });
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize_to_file(views, Some(format), path).unwrap();
}

/// The tensors that a model needs; the n-th has the numbers of seed n.
pub fn tensors(config: &Value, dtype: Dtype) -> Vec<Raw> {
    let weights = layout::weights(&decoder(config));
    let made = weights.iter().enumerate().map(|(seed, (name, shape))| {
        let n = shape.iter().product();
        raw(name, shape, dtype, &values(seed as u64, n))
    });
    made.collect()
}

pub fn model_of(dir: &Path, config: &Value, tensors: &[Raw]) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    fs::write(dir.join("tokenizer.json"), "{}").unwrap();
    save(&dir.join("model.safetensors"), tensors);
}

pub fn model(dir: &Path, config: &Value, dtype: Dtype) {
    model_of(dir, config, &tensors(config, dtype));
}

/// The same in two files and an index.
pub fn sharded(dir: &Path, config: &Value, dtype: Dtype) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut first = tensors(config, dtype);
    let second = first.split_off(first.len() / 2);
    let mut map = serde_json::Map::new();
    for (at, part) in [first, second].iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", at + 1);
        save(&dir.join(&name), part);
        map.extend(
            part.iter()
                .map(|raw| (raw.name.clone(), name.clone().into())),
        );
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

/// An adapter on each of some sites, all of one rank and scale.
pub fn adapters(
    decoder: &Decoder,
    rank: usize,
    scale: f32,
    on: impl Fn(&Site) -> bool,
) -> Adapters {
    let sites = layout::sites(decoder)
        .enumerate()
        .filter(|(_, site)| on(site));
    let made = sites.map(|(seed, site)| {
        let (outputs, inputs) = decoder.shape(site);
        let adapter = Adapter {
            rank,
            scale,
            a: values(1000 + seed as u64, rank * inputs),
            b: values(2000 + seed as u64, outputs * rank),
        };
        (site, adapter)
    });
    made.collect()
}

pub fn settings(r: u32, lora_alpha: f64) -> Settings {
    Settings {
        r,
        lora_alpha,
        ..Settings::default()
    }
}
