//! Attention of one new token, over keys and values that are kept: rows of the cache are [keys | values].

use super::{
    Cpu,
    vector::{dot, exponentials, largest},
};
use crate::lora::{backend::Heads, batch::Batch};

impl Cpu {
    /// See [`crate::lora::backend::Backend::attend_cached`].
    pub(super) fn attend_last(
        &self,
        heads: &Heads,
        qkv: &[f32],
        lengths: &[usize],
        capacity: usize,
        cache: &mut [f32],
        out: &mut [f32],
    ) {
        let (row, columns) = (2 * heads.keys(), heads.columns());
        let caches = (cache, capacity * row);
        self.both_rows(
            (out, heads.queries()),
            caches,
            lengths.len(),
            #[inline(always)]
            |i, out, cache| {
                let (queries, new) = qkv[i * columns..][..columns].split_at(heads.queries());
                let length = lengths[i];
                cache[length * row..][..row].copy_from_slice(new);
                let first = heads
                    .window
                    .map_or(0, |window| (length + 1).saturating_sub(window));
                attend_one(heads, queries, &cache[first * row..(length + 1) * row], out);
            },
        );
    }

    /// See [`crate::lora::backend::Backend::fill_cache`].
    pub(super) fn fill_rows(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &[f32],
        capacity: usize,
        cache: &mut [f32],
    ) {
        let (row, columns) = (2 * heads.keys(), heads.columns());
        self.rows(
            cache,
            capacity * row,
            batch.documents(),
            #[inline(always)]
            |i, cache| {
                let document = batch.starts[i] as usize..batch.starts[i + 1] as usize;
                for (to, from) in cache.chunks_exact_mut(row).zip(document) {
                    to.copy_from_slice(&qkv[from * columns + heads.queries()..][..row]);
                }
            },
        );
    }
}

/// out `[queries]` of one token; `cache` holds the keys and values that it sees.
#[inline(always)]
fn attend_one(heads: &Heads, queries: &[f32], cache: &[f32], out: &mut [f32]) {
    let (width, keys) = (heads.head_dim, heads.keys());
    let group = heads.heads / heads.kv_heads;
    let both = queries.chunks_exact(width).zip(out.chunks_exact_mut(width));
    for (head, (query, out)) in both.enumerate() {
        let at = head / group * width;
        let rows = || cache.chunks_exact(2 * keys);
        let mut scores: Vec<f32> = rows()
            .map(|row| dot(query, &row[at..at + width]) * heads.scale)
            .collect();
        let most = largest(&scores);
        let share = 1.0 / exponentials(&mut scores, most);
        out.fill(0.0);
        for (row, score) in rows().zip(&scores) {
            let value = &row[keys + at..][..width];
            for (out, value) in out.iter_mut().zip(value) {
                *out = (score * share).mul_add(*value, *out);
            }
        }
    }
}
