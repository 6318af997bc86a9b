//! The keys of `[evaluation]`.

use super::{
    keys::{Key, Kind, key},
    layers::Layers,
};
use crate::machines::spec::EvaluationSettings;

const MOST: u64 = u32::MAX as u64;

/// The keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key(
        "evaluation.items",
        Kind::Whole(0, 1_000_000_000),
        "400",
        "rows",
        "held-out rows looked at, at most; 0: all",
    ),
    key(
        "evaluation.options",
        Kind::Whole(0, 64),
        "4",
        "answers",
        "candidates of an item; below 2: nothing is ranked",
    ),
    key(
        "evaluation.generate",
        Kind::Whole(0, 1_000_000_000),
        "40",
        "rows",
        "answered by greedy decoding, at most",
    ),
    key(
        "evaluation.max_new_tokens",
        Kind::Whole(0, MOST),
        "256",
        "tokens",
        "of such an answer, at most",
    ),
    key(
        "evaluation.max_seq_length",
        Kind::Whole(0, MOST),
        "2048",
        "tokens",
        "of a row; a longer one is left out; 0: what the model can",
    ),
    key(
        "evaluation.confidence",
        Kind::Share,
        "0.95",
        "0 to 1",
        "of intervals and verdicts",
    ),
    key(
        "evaluation.resamples",
        Kind::Whole(100, 1_000_000),
        "10000",
        "",
        "of the bootstrap",
    ),
    key(
        "evaluation.least_items",
        Kind::Whole(0, 1_000_000_000),
        "20",
        "rows",
        "with fewer every verdict is underpowered",
    ),
    key(
        "evaluation.seed",
        Kind::Whole(0, MOST),
        "42",
        "",
        "root of all chance",
    ),
];

/// `[evaluation]`; none where it is not asked for. What is wrong is complained of.
pub fn evaluation(layers: &mut Layers) -> Option<EvaluationSettings> {
    layers
        .tables
        .iter()
        .find(|(name, _)| name == "evaluation")?;
    let whole = |key: &str| layers.whole(&format!("evaluation.{key}"));
    let small = |key: &str| u32::try_from(whole(key)).unwrap_or(u32::MAX);
    let settings = EvaluationSettings {
        items: whole("items"),
        options: small("options"),
        generate: whole("generate"),
        max_new_tokens: small("max_new_tokens"),
        max_seq_length: small("max_seq_length"),
        confidence: layers.number("evaluation.confidence"),
        resamples: small("resamples"),
        least_items: whole("least_items"),
        seed: whole("seed"),
    };
    for (key, value, right) in settings.problems() {
        let message = format!("evaluation.{key} cannot be {value}");
        layers.complain(&format!("evaluation.{key}"), message, Some(right.into()));
    }
    Some(settings)
}
