//! A model of a few thousand numbers with a byte-level tokenizer, rows for it, and the command that trains it: what tests of
//! the trainer need, made on the spot.
#![allow(dead_code, reason = "not every test needs everything")]

use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

pub const HIDDEN: usize = 32;
pub const INTERMEDIATE: usize = 48;
pub const LAYERS: usize = 2;
pub const VOCABULARY: usize = 264;
/// `<|endoftext|>`, `<|im_start|>`, `<|im_end|>` follow the bytes.
pub const END_OF_TURN: u32 = 258;
pub const CONTEXT: usize = 128;

/// A number from -1 to 1: the same for the same place.
fn number(seed: u64, at: usize) -> f32 {
    let mut x = (seed << 32) ^ (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 40) as f32 / f32::from(1_u16 << 12) / f32::from(1_u16 << 11) - 1.0
}

/// The tensors of the model, by name, with their shapes.
pub fn tensors() -> Vec<(String, Vec<usize>)> {
    tensors_of(HIDDEN)
}

/// The same of a model of another width.
fn tensors_of(h: usize) -> Vec<(String, Vec<usize>)> {
    let f = INTERMEDIATE;
    let mut all = vec![("model.embed_tokens.weight".into(), vec![VOCABULARY, h])];
    for layer in 0..LAYERS {
        for (name, shape) in [
            ("self_attn.q_proj", vec![h, h]),
            ("self_attn.k_proj", vec![h / 2, h]),
            ("self_attn.v_proj", vec![h / 2, h]),
            ("self_attn.o_proj", vec![h, h]),
            ("mlp.gate_proj", vec![f, h]),
            ("mlp.up_proj", vec![f, h]),
            ("mlp.down_proj", vec![h, f]),
            ("input_layernorm", vec![h]),
            ("post_attention_layernorm", vec![h]),
        ] {
            all.push((format!("model.layers.{layer}.{name}.weight"), shape));
        }
    }
    all.push(("model.norm.weight".into(), vec![h]));
    all.push(("lm_head.weight".into(), vec![VOCABULARY, h]));
    all
}

/// Writes a safetensors file; `change` may change a tensor's numbers.
pub fn weights(path: &Path, change: impl Fn(&str, &mut Vec<f32>)) {
    these_weights(path, tensors(), change);
}

/// The same of other tensors.
pub fn these_weights(
    path: &Path,
    tensors: Vec<(String, Vec<usize>)>,
    change: impl Fn(&str, &mut Vec<f32>),
) {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (seed, (name, shape)) in (1..).zip(tensors) {
        let count: usize = shape.iter().product();
        let norm = shape.len() == 1;
        let scale = if name.contains("proj") { 0.25 } else { 0.5 };
        let mut numbers: Vec<f32> = (0..count)
            .map(|at| if norm { 1.0 } else { scale * number(seed, at) })
            .collect();
        change(&name, &mut numbers);
        let start = data.len();
        data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let offsets = [start, data.len()];
        header.insert(
            name,
            json!({ "dtype": "F32", "shape": shape, "data_offsets": offsets }),
        );
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    fs::write(path, bytes).unwrap();
}

/// The letter that stands for a byte in byte-level tokenizers.
fn letter(byte: u8) -> char {
    let plain =
        |byte: u32| (33..=126).contains(&byte) || (161..=172).contains(&byte) || byte >= 174;
    if plain(byte.into()) {
        return byte.into();
    }
    let before = (0..u32::from(byte)).filter(|byte| !plain(*byte)).count();
    char::from_u32(256 + before as u32).unwrap()
}

fn tokenizer() -> Value {
    let vocabulary: Map<String, Value> = (0..=255_u8)
        .map(|byte| (letter(byte).to_string(), json!(byte)))
        .collect();
    let added: Vec<Value> = (256..)
        .zip(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
        .map(|(id, content)| {
            json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true })
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        "post_processor": null,
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
            "vocab": vocabulary, "merges": [] }
    })
}

const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Writes the model's directory.
pub fn model(dir: &Path) {
    model_of(dir, HIDDEN);
}

/// The same of another width.
pub fn model_of(dir: &Path, hidden: usize) {
    fs::create_dir_all(dir).unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
        "intermediate_size": INTERMEDIATE, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false, "attention_bias": false,
        "mlp_bias": false, "torch_dtype": "float32", "eos_token_id": END_OF_TURN,
    });
    let chat = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "chat_template": TEMPLATE, "model_max_length": CONTEXT,
    });
    for (name, value) in [
        ("config.json", config),
        ("tokenizer.json", tokenizer()),
        ("tokenizer_config.json", chat),
    ] {
        fs::write(dir.join(name), value.to_string()).unwrap();
    }
    these_weights(
        &dir.join("model.safetensors"),
        tensors_of(hidden),
        |_, _| (),
    );
}

/// Pre-tokenised rows with a rule to learn: the next byte is the last one and one more.
pub fn rows(path: &Path, n: usize, seed: u64) {
    rows_by(path, n, seed, 1);
}

/// The same with another rule: so many more.
pub fn rows_by(path: &Path, n: usize, seed: u64, step: u32) {
    let row = |row: usize| {
        let start = (number(seed, row) * 60.0 + 64.0) as u32;
        let length = 10 + (number(seed + 7, row).abs() * 14.0) as u32;
        let mut ids: Vec<u32> = (0..length)
            .map(|at| 40 + (start + step * at) % 60)
            .collect();
        ids.push(END_OF_TURN);
        let labels: Vec<i64> = ids
            .iter()
            .enumerate()
            .map(|(at, id)| if at < 4 { -100 } else { i64::from(*id) })
            .collect();
        json!({ "input_ids": ids, "labels": labels }).to_string() + "\n"
    };
    fs::write(path, (0..n).map(row).collect::<String>()).unwrap();
}

/// Settings under which the tiny model learns in seconds.
pub const SETTINGS: &str = "r = 4\nlora_alpha = 8.0\nlora_dropout = 0.1\nlearning_rate = 0.01\nweight_decay = 0.01\n\
    num_train_epochs = 4.0\nper_device_train_batch_size = 2\ngradient_accumulation_steps = 2\nmax_seq_length = 64\n\
    eval_steps = 3\nsave_steps = 2\n";

/// A directory with a model, rows and settings.
pub struct Bench {
    pub dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        model(&dir.path().join("model"));
        rows(&dir.path().join("train.jsonl"), 24, 1);
        rows(&dir.path().join("holdout.jsonl"), 6, 2);
        fs::write(dir.path().join("train.toml"), SETTINGS).unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `campaignd train` with what is there, into `output`.
    pub fn command(&self, output: &str, more: &[&str]) -> Command {
        let mut command = self.bare(&[
            "--model",
            "model",
            "--data",
            "train.jsonl",
            "--holdout",
            "holdout.jsonl",
            "--config",
            "train.toml",
            "--name",
            "tiny",
            "--output",
            output,
        ]);
        command.args(more);
        command
    }

    /// `campaignd train` with these words.
    pub fn bare(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_campaignd"));
        command
            .current_dir(self.dir.path())
            .arg("train")
            .args(words);
        command
    }

    pub fn train(&self, output: &str, more: &[&str]) -> Output {
        self.command(output, more).output().unwrap()
    }

    /// What a training that must succeed says.
    pub fn trained(&self, output: &str, more: &[&str]) -> Value {
        let words: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
        let done = self.train(output, &words);
        assert!(done.status.success(), "{}", said(&done));
        serde_json::from_slice(&done.stdout).unwrap()
    }
}

/// stderr.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
