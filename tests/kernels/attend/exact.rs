//! Attention of one query in f64, and how far f32 arithmetic may be from it: the bound is summed from the roundings that the
//! kernels make, not chosen.

use crate::support::rounding::{BF16, F32, SPECIAL, Sum, TENSOR};
use half::bf16;
use std::f64::consts::{LN_2, LOG2_E};

/// What attention of one query is, and how far from it a kernel may be.
pub struct Answer {
    /// P V, a number for each column of a head.
    pub out: Vec<f64>,
    /// How far from it a kernel may be before it rounds to bf16.
    pub out_slack: Vec<f64>,
    /// How far `out` may be from what it were without the rounding of P.
    pub rounding: Vec<f64>,
    /// The natural log of the sum of the exponentials of the scaled scores.
    pub lse: f64,
    /// How far from it a kernel may be.
    pub lse_slack: f64,
}

/// One key's weight, 2^(score - top).
struct Weight {
    exact: f64,
    /// What P has: `exact`, or rounded to bf16.
    kept: f64,
    /// How far the kernel's may be from `kept`.
    spread: f64,
    relative: f64,
}

/// How the kernel in question computes.
#[derive(Clone, Copy)]
pub struct How {
    /// What scores are multiplied by.
    pub scale: f32,
    /// P is rounded to bf16.
    pub rounded: bool,
    /// How often sums are multiplied by a power of two that is not exact.
    pub shrinks: usize,
}

fn weight(score: f64, error: f64, top: f64, rounded: bool) -> Weight {
    let exact = (score - top).exp2();
    let relative = (LN_2 * error).exp_m1() + SPECIAL;
    let narrow = |x: f64| bf16::from_f64(x).to_f64();
    let (kept, spread) = if rounded {
        // A weight near the middle between two numbers of bf16 may fall to either side.
        let (low, kept, high) = (
            narrow(exact * (1.0 - relative)),
            narrow(exact),
            narrow(exact * (1.0 + relative)),
        );
        (kept, (high - kept).max(kept - low))
    } else {
        (exact, exact * relative)
    };
    Weight {
        exact,
        kept,
        spread,
        relative,
    }
}

/// Attention of `query` to these keys and values.
pub fn attention(query: &[f32], keys: &[&[f32]], values: &[&[f32]], how: How) -> Answer {
    let factor = f64::from(how.scale) * LOG2_E;
    let n = keys.len() as f64;
    let scores: Vec<(f64, f64)> = keys
        .iter()
        .map(|key| {
            let sum = Sum::dot(query, key);
            let (score, summing) = (factor * sum.value, factor * sum.error(query.len() + 4));
            (score, summing + 5.0 * F32 * score.abs())
        })
        .collect();
    let highest = scores.iter().fold(f64::NEG_INFINITY, |h, s| h.max(s.0));
    let top = highest.ceil();
    // Scaling and subtracting round what may be as large as the maximum.
    let weights: Vec<Weight> = scores
        .iter()
        .map(|&(score, error)| weight(score, error + 2.0 * F32 * top.abs(), top, how.rounded))
        .collect();
    let sum: f64 = weights.iter().map(|w| w.exact).sum();
    let errors: f64 = weights.iter().map(|w| w.exact * w.relative).sum();
    let shrinking = how.shrinks as f64 * 2.0 * SPECIAL;
    let sum_relative = errors / sum + (n + 8.0) * F32 + shrinking;
    let width = values[0].len();
    let mut out = vec![0.0; width];
    let mut out_slack = vec![0.0; width];
    let mut rounding = vec![0.0; width];
    for c in 0..width {
        let (mut total, mut slack) = (0.0, 0.0);
        for (w, value) in weights.iter().zip(values) {
            let v = f64::from(value[c]);
            total += w.kept * v;
            rounding[c] += BF16 * w.exact * v.abs() / sum;
            slack += (w.spread + w.kept * ((n + 8.0) * TENSOR + shrinking)) * v.abs();
        }
        out[c] = total / sum;
        out_slack[c] = slack / sum + out[c].abs() * (sum_relative + 3.0 * F32);
    }
    let lse = LN_2 * (top + sum.log2());
    let logarithm = LN_2 * SPECIAL * (1.0 + sum.log2().abs());
    Answer {
        out,
        out_slack,
        rounding,
        lse,
        lse_slack: sum_relative + logarithm + 4.0 * F32 * (lse.abs() + top.abs()),
    }
}
