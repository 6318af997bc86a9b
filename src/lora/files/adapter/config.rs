//! `adapter_config.json` of any version of PEFT: what is known here, and what is refused since it would be computed otherwise.

use super::pattern::{Patterns, Targets};
use crate::lora::files::keys::Keys;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::fmt;

/// Rank and alpha where a file names none.
const DEFAULT: u32 = 8;
/// Rank that an adapter may have at most.
const MOST_RANK: u64 = 1 << 16;

/// Keys that change what is computed, or which tensors there are, and that this program does not know.
const FOREIGN: &[(&str, &str)] = &[
    ("use_dora", "weight-decomposed adapters (DoRA)"),
    ("lora_bias", "adapters with a bias"),
    ("fan_in_fan_out", "transposed weights"),
    ("modules_to_save", "whole modules beside the adapters"),
    ("trainable_token_indices", "trained rows of the embedding"),
    ("target_parameters", "adapters on parameters"),
    ("layer_replication", "replicated layers"),
    ("alora_invocation_tokens", "activated adapters (aLoRA)"),
    ("use_qalora", "QALoRA"),
    ("use_bdlora", "block-diagonal adapters"),
    ("arrow_config", "Arrow routing"),
    ("kasa_config", "KaSA"),
    ("monteclora_config", "MonteCLoRA"),
    ("megatron_config", "Megatron layers"),
];
/// Ways to begin that leave the model as it is; the others (PiSSA, OLoRA, LoftQ, ...) take something away from its weights.
const HARMLESS_STARTS: &[&str] = &["gaussian", "eva", "orthogonal"];

/// What an adapter says about itself.
#[derive(Clone, Debug)]
pub struct AdapterConfig {
    /// The model that it is for, as whoever wrote it called it.
    pub base: Option<String>,
    /// Rank, where no pattern says otherwise.
    pub r: u32,
    /// Alpha, where no pattern says otherwise.
    pub lora_alpha: f64,
    /// What it was trained with.
    pub lora_dropout: f64,
    /// Whether alpha is over the root of the rank.
    pub use_rslora: bool,
    /// Which modules it is on.
    pub targets: Targets,
    /// Other ranks.
    pub ranks: Patterns<u32>,
    /// Other alphas.
    pub alphas: Patterns<f64>,
}

impl AdapterConfig {
    /// Reads the file's text.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let keys = &Keys::parse(text)?;
        refuse_foreign(keys)?;
        let broken = |error| format!("rank_pattern and alpha_pattern are no objects: {error}");
        let patterns: InOrder = serde_json::from_slice(text).map_err(broken)?;
        let rank = match keys.value("r") {
            None => DEFAULT,
            Some(value) => ranked("r", value)?,
        };
        let ranks = patterns.rank_pattern.unwrap_or_default().0.into_iter();
        let ranks = ranks.map(|(pattern, value)| {
            let rank = ranked(&format!("rank_pattern {pattern:?}"), &value)?;
            Ok((pattern, rank))
        });
        let alphas = patterns.alpha_pattern.unwrap_or_default().0.into_iter();
        let alphas = alphas.map(|(pattern, value)| {
            let wrong = || format!("alpha_pattern {pattern:?} is {value}, not a number");
            let alpha = value
                .as_f64()
                .filter(|alpha| alpha.is_finite())
                .ok_or_else(wrong)?;
            Ok((pattern, alpha))
        });
        Ok(Self {
            base: keys.text("base_model_name_or_path")?.map(String::from),
            r: rank,
            lora_alpha: keys.number("lora_alpha")?.unwrap_or(f64::from(DEFAULT)),
            lora_dropout: keys.number("lora_dropout")?.unwrap_or(0.0),
            use_rslora: keys.flag("use_rslora")?.unwrap_or(false),
            targets: Targets::read(keys)?,
            ranks: Patterns::new("rank_pattern", ranks.collect::<Result<Vec<_>, String>>()?)?,
            alphas: Patterns::new("alpha_pattern", alphas.collect::<Result<Vec<_>, String>>()?)?,
        })
    }

    /// Rank and scale of a module's adapter.
    pub fn of(&self, module: &str) -> (u32, f32) {
        let rank = self.ranks.of(module).unwrap_or(self.r);
        let alpha = self.alphas.of(module).unwrap_or(self.lora_alpha);
        (rank, super::scale(alpha, rank, self.use_rslora))
    }
}

/// The patterns, in the order of the text: the first that matches decides.
#[derive(Deserialize)]
struct InOrder {
    rank_pattern: Option<Pairs>,
    alpha_pattern: Option<Pairs>,
}

/// An object whose order counts.
#[derive(Default)]
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Visitor)
    }
}

fn ranked(key: &str, value: &Value) -> Result<u32, String> {
    let rank = value.as_u64().filter(|rank| (1..=MOST_RANK).contains(rank));
    let wrong = || format!("{key} is {value}, not a rank from 1 to {MOST_RANK}");
    Ok(rank.ok_or_else(wrong)? as u32)
}

fn refuse_foreign(keys: &Keys) -> Result<(), String> {
    let kind = keys.text("peft_type")?.unwrap_or("missing");
    if kind != "LORA" {
        return Err(format!("peft_type is {kind}, supported is LORA"));
    }
    let bias = keys.text("bias")?.unwrap_or("none");
    if bias != "none" {
        return Err(format!("bias is {bias:?}, supported is \"none\""));
    }
    for (key, what) in FOREIGN {
        if let Some(value) = keys.value(key).filter(|value| says_something(value)) {
            return Err(format!("{key} is {value}: {what} are not supported"));
        }
    }
    match keys.value("init_lora_weights") {
        Some(Value::String(start)) if !HARMLESS_STARTS.contains(&start.as_str()) => Err(format!(
            "init_lora_weights is {start:?}, which changes the model's own weights and is not supported"
        )),
        _ => Ok(()),
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Bool(on) => *on,
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
        _ => true,
    }
}
