//! The frequencies of rotary position embedding, with the scalings that `config.json` may ask for.
//!
//! The arithmetic is transformers': f32 wherever it has f32, so that the same bits come out, or the next. Scalings whose
//! frequencies depend on the length of the sequence (`dynamic`, `longrope`) are refused: a row's numbers would depend on what it
//! is packed with.

use super::keys::Keys;
use crate::{lora::backend::Rope, words::words};
use std::f64::consts::PI;

words! {
    /// How frequencies are scaled, by the names of `rope_type`.
    enum Scaling {
        /// Not at all.
        Default = "default",
        /// All by one factor.
        Linear = "linear",
        /// Low frequencies by a factor, high ones not, and a ramp between (Llama 3.1).
        Llama3 = "llama3",
        /// The same idea with a ramp over dimensions, and warmer attention (Peng et al. 2023).
        Yarn = "yarn",
    }
}

/// The base where a file names none.
const THETA: f64 = 10_000.0;

/// Reads either generation of keys: `rope_theta` and `rope_scaling`, or `rope_parameters`.
///
/// # Errors
/// A sentence that names the key.
pub fn rope(config: &Keys, head_dim: usize, context: usize) -> Result<Rope, String> {
    let filled = |key| Ok::<_, String>(config.object(key)?.filter(|keys| !keys.0.is_empty()));
    let keys = match filled("rope_scaling")? {
        Some(keys) => Some(keys),
        None => filled("rope_parameters")?,
    };
    let keys = keys.unwrap_or(Keys(serde_json::Map::new()));
    if let Some(key) = keys.0.keys().find(|key| key.ends_with("_attention")) {
        return Err(format!(
            "rope_parameters differ by kind of layer ({key}), which is not supported"
        ));
    }
    let outside = || config.number("partial_rotary_factor");
    let partial = keys
        .number("partial_rotary_factor")?
        .map_or_else(outside, |n| Ok(Some(n)))?;
    if partial.is_some_and(|share| share != 1.0) {
        return Err("partial_rotary_factor is not 1, which is not supported".into());
    }
    let outside = || config.positive("rope_theta");
    let theta = keys
        .positive("rope_theta")?
        .map_or_else(outside, |n| Ok(Some(n)))?;
    let plain = frequencies(theta.unwrap_or(THETA), head_dim);
    let (frequencies, attention_factor) = match scaling(&keys)? {
        Scaling::Default => (plain, 1.0),
        Scaling::Linear => {
            let factor = needed(&keys, "factor")? as f32;
            (plain.iter().map(|f| f / factor).collect(), 1.0)
        }
        Scaling::Llama3 => (
            llama3(&keys, &plain, original(config, &keys, context)?)?,
            1.0,
        ),
        Scaling::Yarn => {
            let original = original(config, &keys, context)?;
            yarn(&keys, theta.unwrap_or(THETA), head_dim, original)?
        }
    };
    if !frequencies.iter().all(|f| f.is_finite()) {
        return Err("rope_theta and its scaling give frequencies that are not finite".into());
    }
    Ok(Rope {
        frequencies,
        attention_factor,
    })
}

fn scaling(keys: &Keys) -> Result<Scaling, String> {
    let old = || keys.text("type");
    let name = keys
        .text("rope_type")?
        .map_or_else(old, |name| Ok(Some(name)))?;
    let Some(name) = name else {
        return Ok(Scaling::Default);
    };
    name.parse().map_err(|_| {
        let all: Vec<&str> = Scaling::ALL.iter().map(|kind| kind.name()).collect();
        let all = all.join(", ");
        format!("rope_type is {name:?}, supported are {all}")
    })
}

fn needed(keys: &Keys, key: &str) -> Result<f64, String> {
    let missing = || format!("the rope scaling has no {key}");
    keys.positive(key)?.ok_or_else(missing)
}

/// Positions before scaling. One beside the rope's own keys comes first.
fn original(config: &Keys, keys: &Keys, context: usize) -> Result<f64, String> {
    const KEY: &str = "original_max_position_embeddings";
    let own = || keys.count(KEY);
    let found = config.count(KEY)?.map_or_else(own, |n| Ok(Some(n)))?;
    Ok(found.unwrap_or(context) as f64)
}

/// theta ^ (2i / n) for the n / 2 pairs of a head.
fn periods(theta: f64, head_dim: usize) -> impl Iterator<Item = f32> {
    let theta = f64::from(theta as f32);
    (0..head_dim / 2).map(move |i| {
        let power = (2 * i) as f32 / head_dim as f32;
        theta.powf(f64::from(power)) as f32
    })
}

fn frequencies(theta: f64, head_dim: usize) -> Vec<f32> {
    periods(theta, head_dim)
        .map(|period| 1.0 / period)
        .collect()
}

fn llama3(keys: &Keys, plain: &[f32], original: f64) -> Result<Vec<f32>, String> {
    let factor = needed(keys, "factor")? as f32;
    let (low, high) = (
        needed(keys, "low_freq_factor")?,
        needed(keys, "high_freq_factor")?,
    );
    if high <= low {
        return Err(format!(
            "high_freq_factor is {high}, not above low_freq_factor, which is {low}"
        ));
    }
    let (longest, shortest) = ((original / low) as f32, (original / high) as f32);
    let scaled = plain.iter().map(|&f| {
        let wavelength = (2.0 * PI) as f32 / f;
        if wavelength < shortest {
            return f;
        }
        if wavelength > longest {
            return f / factor;
        }
        let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
        (1.0 - smooth) * f / factor + smooth * f
    });
    Ok(scaled.collect())
}

fn yarn(
    keys: &Keys,
    theta: f64,
    head_dim: usize,
    original: f64,
) -> Result<(Vec<f32>, f32), String> {
    let factor = needed(keys, "factor")?;
    let warmth = |scale: f64, weight: f64| {
        if scale <= 1.0 {
            1.0
        } else {
            0.1 * weight * scale.ln() + 1.0
        }
    };
    let nonzero = |key| Ok::<_, String>(keys.number(key)?.filter(|&n| n != 0.0));
    let (mscale, all) = (nonzero("mscale")?, nonzero("mscale_all_dim")?);
    let attention = match (keys.number("attention_factor")?, mscale.zip(all)) {
        (Some(said), _) => said,
        (None, Some((mscale, all))) => warmth(factor, mscale) / warmth(factor, all),
        (None, None) => warmth(factor, 1.0),
    };
    let n = head_dim as f64;
    // The dimension that turns so often within the original context.
    let dimension = |turns: f64| n * (original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let mut low = dimension(nonzero("beta_fast")?.unwrap_or(32.0));
    let mut high = dimension(nonzero("beta_slow")?.unwrap_or(1.0));
    if keys.flag("truncate")?.unwrap_or(true) {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(n - 1.0));
    if low == high {
        high += 0.001;
    }
    let scaled = periods(theta, head_dim).enumerate().map(|(i, period)| {
        let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        let own = 1.0 - ramp;
        1.0 / (factor as f32 * period) * (1.0 - own) + 1.0 / period * own
    });
    Ok((scaled.collect(), attention as f32))
}
