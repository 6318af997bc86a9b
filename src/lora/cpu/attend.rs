//! Causal attention within documents: a document's head after the other, some rows of scores at a time.
//!
//! Each head of a document is one thread's work from end to end. What several heads add to the same keys and values is kept
//! apart and summed in the order of the heads.

use super::{
    Cpu, Wide,
    kernel::ROW,
    panels::Panels,
    product::{Gram, Out, Product, Rows},
    vector::{dot, exp, exponentials, largest},
};
use crate::lora::{backend::Heads, batch::Batch};
use std::ops::Range;

/// Rows of scores at a time.
const ROWS: usize = 64;

/// One query head of one document.
#[derive(Clone, Copy)]
struct Head<'a> {
    heads: &'a Heads,
    /// Queries, keys and values of all rows.
    qkv: &'a [f32],
    /// The document's first row.
    start: usize,
    /// Its length.
    length: usize,
    /// Which query head.
    number: usize,
}

/// Some queries of a head and the keys that they see.
struct Stretch {
    /// Queries, by place in the document.
    queries: Range<usize>,
    /// Keys that any of them sees, from a panel's start on.
    keys: Range<usize>,
}

impl Stretch {
    /// From one row of scores to the next: odd in lines of the cache, so that a column of scores is spread over its sets.
    fn stride(&self) -> usize {
        self.keys.len().next_multiple_of(32) + 16
    }
}

impl<'a> Head<'a> {
    /// The rows of the document, from a column of `qkv` on.
    fn rows(&self, column: usize) -> Rows<'a> {
        let stride = self.heads.columns();
        let rows = Rows {
            numbers: self.qkv,
            stride,
        };
        rows.from(self.start, column)
    }

    fn queries(&self) -> Rows<'a> {
        self.rows(self.number * self.heads.head_dim)
    }

    /// Which key and value head.
    fn shared(&self) -> usize {
        self.number / (self.heads.heads / self.heads.kv_heads)
    }

    fn keys(&self) -> Rows<'a> {
        self.rows(self.heads.queries() + self.shared() * self.heads.head_dim)
    }

    fn values(&self) -> Rows<'a> {
        let before = self.heads.queries() + self.heads.keys();
        self.rows(before + self.shared() * self.heads.head_dim)
    }

    /// The transpose of the document's rows of `from`, times `scale`: [head_dim, length].
    fn turned(&self, from: Rows<'_>, scale: f32) -> Panels {
        let mut panels = Panels::new(self.heads.head_dim, self.length);
        if self.length == 0 {
            return panels;
        }
        let end = (self.length - 1) * from.stride + self.heads.head_dim;
        panels.put_columns(0, &from.numbers[..end], from.stride, scale);
        panels
    }

    /// Rows `which` of `from`, times `scale`: [rows, head_dim].
    fn straight(&self, from: Rows<'_>, which: Range<usize>, scale: f32) -> Panels {
        let mut panels = Panels::new(which.len(), self.heads.head_dim);
        if which.is_empty() {
            return panels;
        }
        let end = (which.end - 1) * from.stride + self.heads.head_dim;
        let numbers = &from.numbers[which.start * from.stride..end];
        panels.put_rows(0, numbers, from.stride, scale);
        panels
    }

    /// The first key that a query sees.
    fn first(&self, query: usize) -> usize {
        self.heads
            .window
            .map_or(0, |window| (query + 1).saturating_sub(window))
    }

    fn stretches(&self) -> impl Iterator<Item = Stretch> {
        (0..self.length).step_by(ROWS).map(|from| {
            let to = self.length.min(from + ROWS);
            Stretch {
                queries: from..to,
                keys: self.first(from) / 32 * 32..to,
            }
        })
    }

    /// The keys that a query of a stretch sees, counted from the stretch's first.
    fn seen(&self, stretch: &Stretch, row: usize) -> Range<usize> {
        let query = stretch.queries.start + row;
        self.first(query) - stretch.keys.start..query + 1 - stretch.keys.start
    }
}

/// What one head of one document gives back.
struct Gradients {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Cpu {
    /// See [`crate::lora::backend::Backend::attend`].
    pub(super) fn attend_rows(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &[f32],
        lse: &mut [f32],
        out: &mut [f32],
    ) {
        let made = self.map(all(heads, batch, qkv), |head| self.attend_head(head));
        let (count, width) = (heads.heads, heads.head_dim);
        let m = batch.tokens();
        self.both_rows(
            (out, count * width),
            (lse, count),
            m,
            #[inline(always)]
            |row, out, lse| {
                let (document, at) = place(batch, row);
                for head in 0..count {
                    let (from, sums) = &made[document * count + head];
                    out[head * width..][..width].copy_from_slice(&from[at * width..][..width]);
                    lse[head] = sums[at];
                }
            },
        );
    }

    /// Output `[length, head_dim]` and lse `[length]` of one head.
    fn attend_head(&self, head: Head<'_>) -> (Vec<f32>, Vec<f32>) {
        let width = head.heads.head_dim;
        let keys = head.turned(head.keys(), head.heads.scale);
        let values = head.straight(head.values(), 0..head.length, 1.0);
        let mut out = vec![0.0; head.length * width];
        let mut lse = vec![0.0; head.length];
        let (mut scores, mut room) = (Vec::new(), Vec::new());
        for stretch in head.stretches() {
            let stride = stretch.stride();
            let (first, rows) = (stretch.queries.start, stretch.queries.len());
            self.score(&stretch, head.queries(), &keys, &mut scores, &mut room);
            self.arch.dispatch(Wide(
                #[inline(always)]
                || {
                    for (row, scores) in
                        scores[..rows * stride].chunks_exact_mut(stride).enumerate()
                    {
                        let seen = head.seen(&stretch, row);
                        lse[first + row] = soften(scores, seen);
                    }
                },
            ));
            self.arch.dispatch(Product {
                left: Rows {
                    numbers: &scores,
                    stride,
                },
                right: values.block().part(stretch.keys.start, stretch.keys.len()),
                rows,
                out: Out {
                    numbers: &mut out[first * width..],
                    stride: width,
                },
                add: false,
                room: &mut room,
            });
        }
        (out, lse)
    }

    /// Products of some queries with the keys that any of them sees.
    fn score(
        &self,
        stretch: &Stretch,
        queries: Rows<'_>,
        keys: &Panels,
        scores: &mut Vec<f32>,
        room: &mut Vec<[f32; ROW]>,
    ) {
        let (stride, rows) = (stretch.stride(), stretch.queries.len());
        scores.resize(rows * stride, 0.0);
        self.arch.dispatch(Product {
            left: queries.from(stretch.queries.start, 0),
            right: keys
                .block()
                .columns_from(stretch.keys.start, stretch.keys.len()),
            rows,
            out: Out {
                numbers: scores,
                stride,
            },
            add: false,
            room,
        });
    }

    /// See [`crate::lora::backend::Backend::attend_backward`].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn attend_rows_backward(
        &self,
        heads: &Heads,
        batch: &Batch,
        qkv: &[f32],
        lse: &[f32],
        out: &[f32],
        dout: &[f32],
        dqkv: &mut [f32],
    ) {
        let made = self.map(all(heads, batch, qkv), |head| {
            self.attend_head_backward(head, lse, out, dout)
        });
        let (count, width) = (heads.heads, heads.head_dim);
        let group = count / heads.kv_heads;
        self.rows(
            dqkv,
            heads.columns(),
            batch.tokens(),
            #[inline(always)]
            |row, d| {
                let (document, at) = place(batch, row);
                let made = &made[document * count..][..count];
                let at = at * width..(at + 1) * width;
                let (queries, rest) = d.split_at_mut(heads.queries());
                let (keys, values) = rest.split_at_mut(heads.keys());
                for (to, made) in queries.chunks_exact_mut(width).zip(made) {
                    to.copy_from_slice(&made.queries[at.clone()]);
                }
                let shared = keys
                    .chunks_exact_mut(width)
                    .zip(values.chunks_exact_mut(width));
                for ((keys, values), made) in shared.zip(made.chunks_exact(group)) {
                    keys.copy_from_slice(&made[0].keys[at.clone()]);
                    values.copy_from_slice(&made[0].values[at.clone()]);
                    for made in &made[1..] {
                        add(keys, &made.keys[at.clone()]);
                        add(values, &made.values[at.clone()]);
                    }
                }
            },
        );
    }

    fn attend_head_backward(
        &self,
        head: Head<'_>,
        lse: &[f32],
        out: &[f32],
        dout: &[f32],
    ) -> Gradients {
        let Head { heads, length, .. } = head;
        let width = heads.head_dim;
        let of_head = |numbers| {
            let stride = heads.queries();
            Rows { numbers, stride }.from(head.start, head.number * width)
        };
        let (out, dout) = (of_head(out), of_head(dout));
        let turned_keys = head.turned(head.keys(), heads.scale);
        let turned_values = head.turned(head.values(), 1.0);
        let keys = head.straight(head.keys(), 0..length, heads.scale);
        let mut made = Gradients {
            queries: vec![0.0; length * width],
            keys: vec![0.0; length * width],
            values: vec![0.0; length * width],
        };
        let (mut scores, mut slopes, mut room) = (Vec::new(), Vec::new(), Vec::new());
        for stretch in head.stretches() {
            let (first, rows) = (stretch.queries.start, stretch.queries.len());
            let stride = stretch.stride();
            self.score(
                &stretch,
                head.queries(),
                &turned_keys,
                &mut scores,
                &mut room,
            );
            self.score(&stretch, dout, &turned_values, &mut slopes, &mut room);
            self.arch.dispatch(Wide(
                #[inline(always)]
                || {
                    let both = scores
                        .chunks_exact_mut(stride)
                        .zip(slopes.chunks_exact_mut(stride));
                    for (row, (scores, slopes)) in both.enumerate().take(rows) {
                        let query = first + row;
                        let (out, dout) = (out.from(query, 0).numbers, dout.from(query, 0).numbers);
                        let delta = dot(&out[..width], &dout[..width]);
                        let lse = lse[(head.start + query) * heads.heads + head.number];
                        slope(scores, slopes, head.seen(&stretch, row), lse, delta);
                    }
                },
            ));
            self.arch.dispatch(Product {
                left: Rows {
                    numbers: &slopes,
                    stride,
                },
                right: keys.block().part(stretch.keys.start, stretch.keys.len()),
                rows,
                out: Out {
                    numbers: &mut made.queries[first * width..],
                    stride: width,
                },
                add: false,
                room: &mut room,
            });
            let which = stretch.queries.clone();
            let queries = head.straight(head.queries(), which.clone(), heads.scale);
            let douts = head.straight(dout, which, 1.0);
            self.back_to_keys(&stretch, &slopes, &queries, &mut made.keys, width);
            self.back_to_keys(&stretch, &scores, &douts, &mut made.values, width);
        }
        made
    }

    /// to [length, width] += numbers^T right, over the queries of a stretch.
    fn back_to_keys(
        &self,
        stretch: &Stretch,
        numbers: &[f32],
        right: &Panels,
        to: &mut [f32],
        width: usize,
    ) {
        self.arch.dispatch(Gram {
            left: Rows {
                numbers,
                stride: stretch.stride(),
            },
            right: right.block(),
            rows: stretch.keys.len(),
            out: Out {
                numbers: &mut to[stretch.keys.start * width..],
                stride: width,
            },
        });
    }
}

/// Every head of every document, heads of a document in order.
fn all<'a>(heads: &'a Heads, batch: &'a Batch, qkv: &'a [f32]) -> Vec<Head<'a>> {
    let documents = batch.starts.windows(2);
    let filled = documents.map(|ends| (ends[0] as usize, (ends[1] - ends[0]) as usize));
    filled
        .flat_map(|(start, length)| {
            (0..heads.heads).map(move |number| Head {
                heads,
                qkv,
                start,
                length,
                number,
            })
        })
        .collect()
}

/// The document of a row, and the row's place in it.
fn place(batch: &Batch, row: usize) -> (usize, usize) {
    let document = batch.starts.partition_point(|&start| start as usize <= row) - 1;
    (document, row - batch.starts[document] as usize)
}

#[inline(always)]
fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// Scores become probabilities, 0 where nothing is seen; returns the log of the sum of the exponentials.
#[inline(always)]
fn soften(scores: &mut [f32], seen: Range<usize>) -> f32 {
    let (before, rest) = scores.split_at_mut(seen.start);
    let (scores, after) = rest.split_at_mut(seen.len());
    before.fill(0.0);
    after.fill(0.0);
    let most = largest(scores);
    let sum = exponentials(scores, most);
    let share = 1.0 / sum;
    for score in scores {
        *score *= share;
    }
    most + sum.ln()
}

/// Scores become probabilities, and the gradients of probabilities those of scores.
#[inline(always)]
fn slope(scores: &mut [f32], slopes: &mut [f32], seen: Range<usize>, lse: f32, delta: f32) {
    for numbers in [&mut *scores, &mut *slopes] {
        numbers[..seen.start].fill(0.0);
        numbers[seen.end..].fill(0.0);
    }
    let both = scores[seen.clone()].iter_mut().zip(&mut slopes[seen]);
    for (score, slope) in both {
        *score = exp(*score - lse);
        *slope = *score * (*slope - delta);
    }
}
