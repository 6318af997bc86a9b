//! A base model made on the spot: a tokenizer trained on texts, and a small decoder of random weights, as a Hugging Face directory.
//!
//! Nothing is fetched and nothing is shipped: every byte is a function of the texts, the size and the seed. The weights are
//! random features (see `weights`): the model knows nothing, but an adapter can learn from what it computes.

mod texts;
mod weights;

use super::Undone;
use crate::{
    artifacts::{create_dir_private, is_starved, making::Making, sums::Hash, write_atomic},
    executor::job_dir::TRY_AGAIN,
    lora::{
        files::{ModelDir, config, keys::Keys, layout, write_tensors},
        tokens::{Tokens, made},
    },
    training::base::{BaseJob, Shape},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Who is told what is done now.
pub type Tell<'a> = &'a mut dyn FnMut(&'static str);

/// What there is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The model's directory.
    pub output: PathBuf,
    /// Whether it was there already.
    pub found: bool,
    /// Tokens that its tokenizer knows.
    pub vocabulary: usize,
    /// Numbers that it consists of.
    pub parameters: u64,
    /// Bytes of text that its tokenizer was trained on.
    pub text_bytes: u64,
}

/// What a directory says that was made here: of what, and how.
const RECORD: &str = "base.json";
const CONFIG: &str = "config.json";

/// Makes the model. A directory that was made of the same texts in the same way is left as it is: a job that is started again
/// finds its work done.
///
/// # Errors
/// A sentence: texts that cannot be read, or an output that holds something else. To be tried again where the machine lacks
/// something.
pub fn make(job: &BaseJob, tell: Tell<'_>) -> Result<Made, Undone> {
    let output = Path::new(&job.output);
    tell("read");
    let texts = texts::read(&job.data)?;
    let record = record(job, &texts);
    let found = fs::symlink_metadata(output).is_ok();
    if found {
        same(output, &record)?;
    } else {
        create(job, output, &texts, &record, tell)?;
    }
    let model = ModelDir::open(output)?;
    Ok(Made {
        output: output.into(),
        found,
        vocabulary: model.decoder.vocabulary,
        parameters: layout::weights(&model.decoder)
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>() as u64)
            .sum(),
        text_bytes: texts.iter().map(|text| text.len() as u64).sum(),
    })
}

fn create(
    job: &BaseJob,
    output: &Path,
    texts: &[String],
    record: &Value,
    tell: Tell<'_>,
) -> Result<(), Undone> {
    if let Some(parent) = output.parent().filter(|parent| *parent != Path::new("")) {
        create_dir_private(parent).map_err(undone)?;
    }
    let making = Making::beside(output).map_err(undone)?;
    let shape = job.settings.size.shape();
    tell("tokenizer");
    let vocabulary = tokenizer(texts, shape, making.path())?;
    tell("weights");
    write_weights(job.settings.seed, shape, vocabulary, making.path())?;
    write_json(making.path(), RECORD, record)?;
    making.complete(false).map_err(undone)
}

/// Writes the tokenizer's files; how many tokens it has.
fn tokenizer(texts: &[String], shape: Shape, dir: &Path) -> Result<usize, Undone> {
    let texts = texts.iter().map(String::as_str);
    let made = made::make(texts, shape.vocab_size, shape.max_position_embeddings)?;
    for (name, text) in [
        ("tokenizer.json", &made.tokenizer),
        ("tokenizer_config.json", &made.config),
    ] {
        write_atomic(&dir.join(name), text.as_bytes()).map_err(undone)?;
    }
    Ok(made.tokens)
}

/// What identifies a model: everything that its bytes are a function of.
fn record(job: &BaseJob, texts: &[String]) -> Value {
    let mut sum = Hash::default();
    for text in texts {
        sum.update(&(text.len() as u64).to_le_bytes());
        sum.update(text.as_bytes());
    }
    json!({
        "version": 1,
        "size": job.settings.size,
        "seed": job.settings.seed,
        "texts_sha256": sum.finish(),
    })
}

/// Refuses a directory that was not made in this way of these texts.
fn same(output: &Path, record: &Value) -> Result<(), String> {
    let bytes = fs::read(output.join(RECORD));
    let there = bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    match there {
        Some(there) if there == *record => Ok(()),
        Some(there) => {
            let keys = ["version", "size", "seed", "texts_sha256"];
            let other: Vec<&str> = keys
                .into_iter()
                .filter(|key| there[key] != record[key])
                .collect();
            let (path, other) = (output.display(), other.join(", "));
            Err(format!(
                "{path} is there, made with another {other} than is asked for"
            ))
        }
        None => {
            let path = output.display();
            Err(format!(
                "{path} is there, and is no model that was made here"
            ))
        }
    }
}

/// `config.json`.
fn config_of(shape: Shape, vocabulary: usize, tokens: &Tokens) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.num_hidden_layers,
        "num_attention_heads": shape.num_attention_heads,
        "num_key_value_heads": shape.num_key_value_heads,
        "max_position_embeddings": shape.max_position_embeddings,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": false,
        "bos_token_id": tokens.bos,
        "eos_token_id": tokens.eos,
        "pad_token_id": tokens.pad,
        "torch_dtype": "float32",
    })
}

fn write_weights(seed: u64, shape: Shape, vocabulary: usize, dir: &Path) -> Result<(), Undone> {
    let tokens = Tokens::open(dir, vocabulary)?;
    write_json(dir, CONFIG, &config_of(shape, vocabulary, &tokens))?;
    let keys = Keys::read(&dir.join(CONFIG)).map_err(undone)?;
    let decoder = config::decoder(&keys)?;
    let drawn: Vec<(String, Vec<usize>, Vec<f32>)> = layout::weights(&decoder)
        .into_iter()
        .zip(0..)
        .map(|((name, shape), index)| {
            let numbers = weights::weight(seed, index, &name, &shape);
            (name, shape, numbers)
        })
        .collect();
    let given: Vec<_> = drawn
        .iter()
        .map(|(name, shape, numbers)| (name.clone(), shape.clone(), &numbers[..]))
        .collect();
    // Without the format some readers refuse the file.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write_tensors(&dir.join("model.safetensors"), &given, metadata).map_err(undone)
}

fn write_json(dir: &Path, name: &str, value: &Value) -> Result<(), Undone> {
    let mut text = serde_json::to_string_pretty(value).expect("keys are texts");
    text.push('\n');
    write_atomic(&dir.join(name), text.as_bytes()).map_err(undone)
}

/// To be tried again where the machine lacks something; else final.
fn undone(error: io::Error) -> Undone {
    Undone {
        status: if is_starved(&error) { TRY_AGAIN } else { 1 },
        text: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
