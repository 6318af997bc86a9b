//! Causal attention within documents, one query after the other.

use super::{
    super::{backend::Heads, batch::Batch},
    add_scaled, dot, round,
};
use std::ops::Range;

/// Columns of one head's query, key and value in a row of `qkv`.
fn columns(heads: &Heads, head: usize) -> (usize, usize, usize) {
    let group = head / (heads.heads / heads.kv_heads);
    let key = heads.queries() + group * heads.head_dim;
    (head * heads.head_dim, key, key + heads.keys())
}

/// The tokens that the one at `i` of a document that starts at `start` attends to.
fn seen(heads: &Heads, start: usize, i: usize) -> Range<usize> {
    let first = heads
        .window
        .map_or(0, |window| (i + 1).saturating_sub(window));
    start.max(first)..i + 1
}

/// Every (token, the tokens it attends to).
fn queries(heads: &Heads, batch: &Batch) -> Vec<(usize, Range<usize>)> {
    let documents = batch.starts.windows(2);
    documents
        .flat_map(|d| (d[0] as usize..d[1] as usize).map(move |i| (i, d[0] as usize)))
        .map(|(i, start)| (i, seen(heads, start, i)))
        .collect()
}

/// Softmax of scores in place; the log of the sum of their exponentials.
fn softmax(scores: &mut [f64]) -> f64 {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
    let lse = highest + sum.ln();
    scores
        .iter_mut()
        .for_each(|score| *score = (*score - lse).exp());
    lse
}

pub fn forward(heads: &Heads, batch: &Batch, qkv: &[f32], lse: &mut [f32], out: &mut [f32]) {
    let (wide, width, scale) = (heads.columns(), heads.head_dim, f64::from(heads.scale));
    for (i, seen) in queries(heads, batch) {
        for head in 0..heads.heads {
            let (q, k, v) = columns(heads, head);
            let query = &qkv[i * wide + q..][..width];
            let score = |j: usize| scale * dot(query, &qkv[j * wide + k..][..width]);
            let mut p: Vec<f64> = seen.clone().map(score).collect();
            lse[i * heads.heads + head] = softmax(&mut p) as f32;
            let mut sums = vec![0.0; width];
            for (&p, j) in p.iter().zip(seen.clone()) {
                add_scaled(&mut sums, p, &qkv[j * wide + v..][..width]);
            }
            round(&sums, &mut out[i * heads.queries() + q..][..width]);
        }
    }
}

/// sums [M, columns] += the gradient of `qkv`.
#[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
pub fn backward(
    heads: &Heads,
    batch: &Batch,
    qkv: &[f32],
    lse: &[f32],
    out: &[f32],
    dout: &[f32],
    sums: &mut [f64],
) {
    let (wide, width, scale) = (heads.columns(), heads.head_dim, f64::from(heads.scale));
    for (i, seen) in queries(heads, batch) {
        for head in 0..heads.heads {
            let (q, k, v) = columns(heads, head);
            let query = &qkv[i * wide + q..][..width];
            let row = i * heads.queries() + q;
            let d = &dout[row..][..width];
            let delta = dot(d, &out[row..][..width]);
            let lse = f64::from(lse[i * heads.heads + head]);
            for j in seen.clone() {
                let key = &qkv[j * wide + k..][..width];
                let p = (scale * dot(query, key) - lse).exp();
                let dp = dot(d, &qkv[j * wide + v..][..width]);
                let ds = scale * p * (dp - delta);
                add_scaled(&mut sums[i * wide + q..][..width], ds, key);
                add_scaled(&mut sums[j * wide + k..][..width], ds, query);
                add_scaled(&mut sums[j * wide + v..][..width], p, d);
            }
        }
    }
}

/// One new token of each sequence, after those in the cache [n, capacity, keys | values].
pub fn cached(
    heads: &Heads,
    qkv: &[f32],
    lengths: &[usize],
    capacity: usize,
    cache: &mut [f32],
    out: &mut [f32],
) {
    let (wide, width, scale) = (2 * heads.keys(), heads.head_dim, f64::from(heads.scale));
    for (i, &length) in lengths.iter().enumerate() {
        let row = &qkv[i * heads.columns()..][..heads.columns()];
        let cache = &mut cache[i * capacity * wide..][..capacity * wide];
        cache[length * wide..][..wide].copy_from_slice(&row[heads.queries()..]);
        let seen = seen(heads, 0, length);
        for head in 0..heads.heads {
            let (q, k, v) = columns(heads, head);
            let (k, v) = (k - heads.queries(), v - heads.queries());
            let query = &row[q..][..width];
            let score = |j: usize| scale * dot(query, &cache[j * wide + k..][..width]);
            let mut p: Vec<f64> = seen.clone().map(score).collect();
            softmax(&mut p);
            let mut sums = vec![0.0; width];
            for (&p, j) in p.iter().zip(seen.clone()) {
                add_scaled(&mut sums, p, &cache[j * wide + v..][..width]);
            }
            round(&sums, &mut out[i * heads.queries() + q..][..width]);
        }
    }
}
