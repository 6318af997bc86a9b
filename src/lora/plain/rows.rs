//! Operations on one row of a token: norms, rotation, the gate, the loss.

use super::{
    super::backend::{Heads, Part, Rope},
    add_scaled, dot,
};
use std::ops::Range;

/// y = x / rms(x) * gain; 1 / rms.
pub fn norm(x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32]) -> f32 {
    let rstd = 1.0 / (dot(x, x) / x.len() as f64 + f64::from(epsilon)).sqrt();
    for ((y, &x), &gain) in y.iter_mut().zip(x).zip(gain) {
        *y = (f64::from(x) * rstd * f64::from(gain)) as f32;
    }
    rstd as f32
}

/// The gradient of x: with n = x * rstd and g = dy * gain, rstd * (g - n * mean(g * n)).
pub fn norm_backward(x: &[f32], gain: &[f32], rstd: f32, dy: &[f32]) -> Vec<f64> {
    let rstd = f64::from(rstd);
    let n: Vec<f64> = x.iter().map(|&x| f64::from(x) * rstd).collect();
    let g = dy.iter().zip(gain);
    let g: Vec<f64> = g.map(|(&d, &g)| f64::from(d) * f64::from(g)).collect();
    let mean = n.iter().zip(&g).map(|(n, g)| n * g).sum::<f64>() / x.len() as f64;
    n.iter()
        .zip(&g)
        .map(|(n, g)| rstd * (g - n * mean))
        .collect()
}

/// Heads of one part in a row.
pub fn count(heads: &Heads, part: Part) -> usize {
    match part {
        Part::Queries => heads.heads,
        Part::Keys => heads.kv_heads,
    }
}

/// Where each head of a part lies in `qkv`, token by token.
pub fn heads_of(heads: &Heads, part: Part, m: usize) -> impl Iterator<Item = Range<usize>> {
    let (count, first) = match part {
        Part::Queries => (heads.heads, 0),
        Part::Keys => (heads.kv_heads, heads.queries()),
    };
    let (columns, width) = (heads.columns(), heads.head_dim);
    (0..m * count).map(move |at| {
        let start = at / count * columns + first + at % count * width;
        start..start + width
    })
}

/// Rotates one head, or turns its gradient back. The angle is rounded to f32 as in the models' own code.
pub fn rotate(rope: &Rope, position: u32, back: bool, head: &mut [f32]) {
    let factor = f64::from(rope.attention_factor);
    let (first, second) = head.split_at_mut(rope.frequencies.len());
    for ((a, b), &frequency) in first.iter_mut().zip(second).zip(&rope.frequencies) {
        let (sin, cos) = f64::from(position as f32 * frequency).sin_cos();
        let sin = if back { -sin } else { sin };
        let (x, y) = (f64::from(*a) * factor, f64::from(*b) * factor);
        *a = (x * cos - y * sin) as f32;
        *b = (y * cos + x * sin) as f32;
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// act = silu(gate) * up.
pub fn swiglu(gu: &[f32], act: &mut [f32]) {
    let (gate, up) = gu.split_at(act.len());
    for ((act, &gate), &up) in act.iter_mut().zip(gate).zip(up) {
        let gate = f64::from(gate);
        *act = (gate * sigmoid(gate) * f64::from(up)) as f32;
    }
}

/// Gate and up become their gradients.
pub fn swiglu_backward(dact: &[f32], gu: &mut [f32]) {
    let (gates, ups) = gu.split_at_mut(dact.len());
    for ((gate, up), &d) in gates.iter_mut().zip(ups).zip(dact) {
        let (g, u, d) = (f64::from(*gate), f64::from(*up), f64::from(d));
        let s = sigmoid(g);
        *gate = (d * u * s * (1.0 + g * (1.0 - s))) as f32;
        *up = (d * g * s) as f32;
    }
}

/// -log p(target) of softmax(x W^T), and the gradient of the logits.
pub fn cross_entropy(weight: &[f32], x: &[f32], target: usize) -> (f64, Vec<f64>) {
    let mut logits: Vec<f64> = weight.chunks_exact(x.len()).map(|w| dot(w, x)).collect();
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    let lse = highest + sum.ln();
    let loss = lse - logits[target];
    logits
        .iter_mut()
        .for_each(|logit| *logit = (*logit - lse).exp());
    logits[target] -= 1.0;
    (loss, logits)
}

/// d W: the way back of a row through a matrix [d.len(), h].
pub fn through(weight: &[f32], h: usize, d: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; h];
    for (row, &d) in weight.chunks_exact(h).zip(d) {
        add_scaled(&mut sums, d, row);
    }
    sums
}
