//! Memory of the processor's side: what a measurement will need, what there is, and what was used at most.

use super::{ceiling::HEAD_ROWS, shape::Shape};
use crate::{
    digits::thousands,
    lora::{decoder::Decoder, engine::MODULES},
    training::{settings::Settings, site::Site},
};
use std::fs;

/// Numbers of a loss head's chunk of logits at most, or of its fewest rows: those of the processor's own.
const LOGITS: f64 = 8_388_608.0;
const LEAST_ROWS: f64 = 64.0;
/// Bytes of a number.
const BYTES: f64 = 4.0;
/// For what is not counted: stacks, allocators, biases, the thin products' own copies.
const MARGIN: f64 = 1.06;

/// Refuses what would not fit into the memory that is free now.
///
/// # Errors
/// A sentence with both numbers. Where the system says nothing of its memory, nothing is refused.
pub fn check(decoder: &Decoder, settings: &Settings, batch: [usize; 2]) -> Result<(), String> {
    let free = file_bytes("/proc/meminfo", "MemAvailable:");
    fits(needed(decoder, settings, batch), free)
}

fn fits(needed: u64, free: Option<u64>) -> Result<(), String> {
    match free {
        Some(free) if needed > free => Err(format!(
            "it needs about {} of memory and {} are free: --layers N measures the first N layers only, --tokens N a smaller microbatch",
            megabytes(needed),
            megabytes(free)
        )),
        _ => Ok(()),
    }
}

/// The most memory that this process has had, in bytes.
pub fn peak() -> Option<u64> {
    file_bytes("/proc/self/status", "VmHWM:")
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", thousands(bytes.div_ceil(1_000_000)))
}

/// What a line of the kernel's says after a key, in bytes.
fn file_bytes(path: &str, key: &str) -> Option<u64> {
    bytes_of(&fs::read_to_string(path).ok()?, key)
}

fn bytes_of(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes = value.trim().strip_suffix("kB")?;
    kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Bytes for tokens and supervised rows [M, S], a little more than less: weights, adapters, activations, the ceiling's own
/// layer, and what loading holds twice. No whole numbers: the largest shape that a file can name must not pass their range.
fn needed(decoder: &Decoder, settings: &Settings, [m, s]: [usize; 2]) -> u64 {
    let [layers, m, s] = [decoder.layers.len(), m, s].map(|n| n as f64);
    // The table, the head, and on the way in each of them once more.
    let model = layers * layer_weights(decoder) + 4.0 * sizes(decoder).table;
    let numbers = model
        + trained(decoder, settings)
        + layers * m * kept(decoder, settings)
        + m * work(decoder)
        + s * (5.0 * sizes(decoder).hidden + 2.0)
        + logits(decoder, s)
        + ceiling(decoder, m, s);
    (numbers * BYTES * MARGIN) as u64
}

/// Bytes of the frozen weights, of what is trained, and of what a token leaves in a layer for the way back.
pub fn parts(shape: &Shape, settings: &Settings) -> [u64; 3] {
    let decoder = &shape.decoder;
    // A head that is the table is held beside it.
    let again = match decoder.tied {
        true => sizes(decoder).table,
        false => 0.0,
    };
    let weights = shape.parameters() as f64 + again;
    [weights, trained(decoder, settings), kept(decoder, settings)]
        .map(|numbers| (numbers * BYTES) as u64)
}

/// Widths of a decoder.
struct Sizes {
    hidden: f64,
    wide: f64,
    vocabulary: f64,
    table: f64,
    queries: f64,
    columns: f64,
}

fn sizes(decoder: &Decoder) -> Sizes {
    let heads = decoder.layers[0];
    let (hidden, vocabulary) = (decoder.hidden as f64, decoder.vocabulary as f64);
    Sizes {
        hidden,
        wide: decoder.intermediate as f64,
        vocabulary,
        table: vocabulary * hidden,
        queries: heads.queries() as f64,
        columns: heads.columns() as f64,
    }
}

/// Every module of a layer: rank, outputs, inputs.
fn modules(decoder: &Decoder, settings: &Settings, layer: u32) -> Vec<[f64; 3]> {
    let all = MODULES.iter().flat_map(|modules| modules.iter());
    let module = |&module| {
        let site = Site { layer, module };
        let (outputs, inputs) = decoder.shape(site);
        let rank = settings.adapter(site).map_or(0, |(rank, _)| rank);
        [f64::from(rank), outputs as f64, inputs as f64]
    };
    all.map(module).collect()
}

fn layer_weights(decoder: &Decoder) -> f64 {
    let all = modules(decoder, &Settings::default(), 0);
    all.iter()
        .map(|[_, outputs, inputs]| outputs * inputs)
        .sum()
}

/// Adapters, their gradients, and two moments.
fn trained(decoder: &Decoder, settings: &Settings) -> f64 {
    let layers = 0..decoder.layers.len() as u32;
    let all = layers.flat_map(|layer| modules(decoder, settings, layer));
    all.map(|[rank, outputs, inputs]| 4.0 * rank * (outputs + inputs))
        .sum()
}

/// Numbers that a layer keeps of a token.
fn kept(decoder: &Decoder, settings: &Settings) -> f64 {
    let (sizes, heads) = (sizes(decoder), decoder.layers[0]);
    let normed = match decoder.head_norm {
        true => sizes.columns + (heads.heads + heads.kv_heads) as f64,
        false => 0.0,
    };
    let ranks: f64 = modules(decoder, settings, 0)
        .iter()
        .map(|[rank, ..]| rank)
        .sum();
    let streams = 2.0 * sizes.hidden + 2.0 * sizes.wide + 2.0;
    streams + sizes.columns + heads.heads as f64 + sizes.queries + normed + ranks
}

/// Numbers of a token that one layer after the other uses, dropout's among them.
fn work(decoder: &Decoder) -> f64 {
    let sizes = sizes(decoder);
    let dropped = 2.0 * sizes.wide.max(sizes.hidden);
    4.0 * sizes.hidden + 2.0 * sizes.wide + sizes.columns + sizes.queries + dropped
}

fn logits(decoder: &Decoder, s: f64) -> f64 {
    let vocabulary = sizes(decoder).vocabulary;
    (LOGITS / vocabulary).max(LEAST_ROWS).min(s) * vocabulary
}

/// One layer and the head, with inputs, outputs and their gradients.
fn ceiling(decoder: &Decoder, m: f64, s: f64) -> f64 {
    let sizes = sizes(decoder);
    let inputs = 2.0 * sizes.hidden + sizes.queries + sizes.wide;
    let outputs = sizes.columns + 2.0 * sizes.hidden + 2.0 * sizes.wide;
    let head = s.min(HEAD_ROWS as f64) * (2.0 * sizes.hidden + sizes.vocabulary);
    layer_weights(decoder) + sizes.table + m * (2.0 * inputs + outputs) + head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_said_with_both_numbers() {
        let error = fits(31_204_000_000, Some(22_000_000_000)).unwrap_err();
        assert!(error.starts_with("it needs about 31,204 MB of memory and 22,000 MB are free"));
        assert_eq!(fits(5, Some(5)), Ok(()));
        assert_eq!(fits(5, None), Ok(()));
    }

    #[test]
    fn a_model_needs_its_weights_and_more_with_more_tokens() {
        let shape = Shape::read("qwen2.5-7b", None).unwrap();
        let of = |layers, tokens| {
            let mut decoder = shape.decoder.clone();
            decoder.layers.truncate(layers);
            needed(&decoder, &Settings::default(), [tokens, tokens])
        };
        let weights = 4 * shape.parameters();
        assert!(of(28, 64) > weights, "{}", of(28, 64));
        assert!(of(28, 64) < weights * 3 / 2, "{}", of(28, 64));
        assert!(of(28, 8192) > of(28, 64));
        assert!(of(1, 64) < of(28, 64) / 2);
    }

    #[test]
    fn the_kernels_lines_are_read() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   23000001 kB\n";
        assert_eq!(bytes_of(text, "MemAvailable:"), Some(23_000_001 * 1024));
        assert_eq!(bytes_of(text, "MemLost:"), None);
        assert_eq!(bytes_of("MemAvailable: many kB", "MemAvailable:"), None);
    }
}
