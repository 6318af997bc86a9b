//! `config.json`, in both generations of its keys, as the shape of a decoder.
//!
//! A key that is missing means what transformers takes it to mean, which differs by architecture. What would make the model
//! compute something else than is computed here is refused, by name.

use super::{keys::Keys, rope::rope};
use crate::lora::{backend::Heads, decoder::Decoder};

pub use crate::training::architecture::Architecture;

/// Layers that a model may have at most.
const MOST_LAYERS: usize = 1 << 12;
/// Width that a head may have at most.
const MOST_HEAD_DIM: usize = 1 << 16;

/// What transformers takes a missing key to mean.
struct Defaults {
    vocabulary: usize,
    intermediate: usize,
    kv_heads: Option<usize>,
    head_dim: Option<usize>,
    context: usize,
}

impl Architecture {
    fn defaults(self) -> Defaults {
        let (vocabulary, intermediate, kv_heads, head_dim, context) = match self {
            Architecture::Llama => (32_000, 11_008, None, None, 2_048),
            Architecture::Qwen2 => (151_936, 22_016, Some(32), None, 32_768),
            Architecture::Qwen3 => (151_936, 22_016, Some(32), Some(128), 32_768),
            Architecture::Mistral => (32_000, 14_336, Some(8), None, 131_072),
        };
        Defaults {
            vocabulary,
            intermediate,
            kv_heads,
            head_dim,
            context,
        }
    }
}

/// The decoder that a `config.json` describes.
///
/// # Errors
/// A sentence that names the key, or the architecture and the supported ones.
pub fn decoder(keys: &Keys) -> Result<Decoder, String> {
    let architecture = architecture(keys)?;
    refuse_foreign(keys)?;
    let defaults = architecture.defaults();
    let count = |key, default| Ok::<usize, String>(keys.count(key)?.unwrap_or(default));
    let hidden = count("hidden_size", 4_096)?;
    let context = count("max_position_embeddings", defaults.context)?;
    let heads = heads(keys, &defaults, hidden)?;
    let biased = match architecture {
        Architecture::Llama | Architecture::Qwen3 => keys.flag("attention_bias")?.unwrap_or(false),
        Architecture::Qwen2 | Architecture::Mistral => false,
    };
    let layers = count("num_hidden_layers", 32)?;
    if layers > MOST_LAYERS {
        return Err(format!(
            "num_hidden_layers is {layers}, at most {MOST_LAYERS} are supported"
        ));
    }
    let windows = windows(keys, architecture, layers)?;
    Ok(Decoder {
        architecture: architecture.to_string(),
        vocabulary: count("vocab_size", defaults.vocabulary)?,
        hidden,
        intermediate: count("intermediate_size", defaults.intermediate)?,
        layers: windows
            .into_iter()
            .map(|window| Heads { window, ..heads })
            .collect(),
        epsilon: keys.positive("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        rope: rope(keys, heads.head_dim, context)?,
        qkv_bias: biased || architecture == Architecture::Qwen2,
        o_bias: biased,
        mlp_bias: architecture == Architecture::Llama && keys.flag("mlp_bias")?.unwrap_or(false),
        head_norm: architecture == Architecture::Qwen3,
        tied: keys.flag("tie_word_embeddings")?.unwrap_or(false),
        context,
    })
}

fn architecture(keys: &Keys) -> Result<Architecture, String> {
    let names = keys.texts("architectures")?.unwrap_or_default();
    Architecture::of(names.first().map(String::as_str), keys.text("model_type")?)
}

/// Refuses what would have the model compute something else.
fn refuse_foreign(keys: &Keys) -> Result<(), String> {
    if let Some(quantized) = keys.object("quantization_config")? {
        let method = quantized.text("quant_method")?.unwrap_or("unknown");
        return Err(format!(
            "the model is quantised ({method}), supported are weights in f32, f16 and bf16"
        ));
    }
    let act = keys.text("hidden_act")?.unwrap_or("silu");
    if !matches!(act, "silu" | "swish") {
        return Err(format!("hidden_act is {act:?}, supported is silu"));
    }
    let dropout = keys.number("attention_dropout")?.unwrap_or(0.0);
    if dropout != 0.0 {
        return Err(format!("attention_dropout is {dropout}, supported is 0"));
    }
    for key in ["num_experts", "num_local_experts"] {
        if let Some(experts) = keys.value(key) {
            return Err(format!(
                "{key} is {experts}, mixtures of experts are not supported"
            ));
        }
    }
    Ok(())
}

fn heads(keys: &Keys, defaults: &Defaults, hidden: usize) -> Result<Heads, String> {
    let heads = keys.count("num_attention_heads")?.unwrap_or(32);
    // Null means as many as there are heads, whatever a missing key means.
    let told = keys.0.contains_key("num_key_value_heads");
    let default = defaults.kv_heads.filter(|_| !told).unwrap_or(heads);
    let kv_heads = keys.count("num_key_value_heads")?.unwrap_or(default);
    if !heads.is_multiple_of(kv_heads) {
        return Err(format!(
            "num_attention_heads is {heads}, no multiple of num_key_value_heads, which is {kv_heads}"
        ));
    }
    let head_dim = match keys.count("head_dim")?.or(defaults.head_dim) {
        Some(said) => said,
        None if hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            return Err(format!(
                "hidden_size is {hidden}, no multiple of num_attention_heads, which is {heads}"
            ));
        }
    };
    if !head_dim.is_multiple_of(2) || head_dim > MOST_HEAD_DIM {
        return Err(format!(
            "head_dim is {head_dim}, supported are even numbers up to {MOST_HEAD_DIM}"
        ));
    }
    Ok(Heads {
        heads,
        kv_heads,
        head_dim,
        window: None,
        scale: (head_dim as f64).powf(-0.5) as f32,
    })
}

/// The sliding window of each layer.
fn windows(
    keys: &Keys,
    architecture: Architecture,
    layers: usize,
) -> Result<Vec<Option<usize>>, String> {
    // A missing key is a window of 4096, null is none.
    let window = match keys.0.get("sliding_window") {
        None => Some(4_096),
        Some(_) => keys.count("sliding_window")?,
    };
    match architecture {
        Architecture::Llama => Ok(vec![None; layers]),
        Architecture::Mistral => Ok(vec![window; layers]),
        Architecture::Qwen2 | Architecture::Qwen3 => {
            let used = keys.flag("use_sliding_window")?.unwrap_or(false);
            windows_by_layer(keys, window.filter(|_| used), layers)
        }
    }
}

/// Qwen's: what `layer_types` says, else the layers from `max_window_layers` on.
fn windows_by_layer(
    keys: &Keys,
    window: Option<usize>,
    layers: usize,
) -> Result<Vec<Option<usize>>, String> {
    let Some(types) = keys.texts("layer_types")? else {
        let whole = keys.index("max_window_layers")?.unwrap_or(28);
        return Ok((0..layers)
            .map(|layer| window.filter(|_| layer >= whole))
            .collect());
    };
    if types.len() != layers {
        return Err(format!(
            "layer_types has {} entries, num_hidden_layers is {layers}",
            types.len()
        ));
    }
    let by_layer = types.iter().map(|kind| match (kind.as_str(), window) {
        ("full_attention", _) => Ok(None),
        ("sliding_attention", Some(window)) => Ok(Some(window)),
        ("sliding_attention", None) => {
            Err("layer_types has sliding_attention, but sliding_window is off".into())
        }
        (other, _) => Err(format!(
            "layer_types has {other:?}, supported are full_attention and sliding_attention"
        )),
    });
    by_layer.collect()
}
