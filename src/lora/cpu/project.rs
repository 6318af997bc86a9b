//! A projection group forward and backward.
//!
//! Forward: h = drop(x) A^T in each member's rows for its adapters at once, y = x W^T + bias, then y += h (scale B)^T into each
//! adapter's columns. Back: dh = dy (scale B), dB += scale dy^T h, dA += dh^T drop(x), dx = dy W + mask * (dh A) / (1 - p).

use super::{
    Cpu,
    adapters::Trained,
    dropout::Mask,
    kernel::{Line, WIDTH},
    linear::{Linear, Own, Part},
    panels::Panels,
    product::{Rows, Term},
};
use crate::lora::{
    backend::{Adapter, Use},
    batch::{Batch, Span},
};
use std::ops::Range;

/// Rows of a matrix whose rows have so many numbers.
fn rows_of(span: Span, columns: usize) -> Range<usize> {
    span.first * columns..(span.first + span.rows) * columns
}

/// Whole lines are by far the most, and to copy as many numbers as are known beforehand is no call.
#[inline(always)]
fn copy_line(from: &[f32], line: &mut Line) {
    match from.first_chunk() {
        Some(whole) => *line = *whole,
        None => line[..from.len()].copy_from_slice(from),
    }
}

impl Cpu {
    /// See [`crate::lora::backend::Backend::forward`].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn linear_forward(
        &self,
        linear: &Linear,
        batch: &Batch,
        used: &[Use],
        x: &[f32],
        m: usize,
        h: &mut [f32],
        accumulate: bool,
        y: &mut [f32],
    ) {
        let (inputs, outputs, ranks) = (linear.inputs, linear.outputs, linear.ranks);
        let parts = linear.parts(batch, used, m);
        for part in &parts {
            self.low_rank(part, linear.site, batch, x, ranks, h);
        }
        if let Some(bias) = &linear.bias {
            self.rows(
                y,
                outputs,
                m,
                #[inline(always)]
                |_, y| match accumulate {
                    true => y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias),
                    false => y.copy_from_slice(bias),
                },
            );
        }
        let base = Term {
            left: Rows {
                numbers: x,
                stride: inputs,
            },
            right: linear.weight.block(),
            column: 0,
            add: accumulate || linear.bias.is_some(),
        };
        let whole = |part: &Part<'_>| part.span.rows == m;
        // In one go where the rows are one member's: the output stays near. The sums are the same.
        let together = parts.first().is_some_and(whole);
        if !together {
            self.multiply(&[base], m, outputs, y);
        }
        for part in &parts {
            let ups = part.own.ups();
            let h = Rows {
                numbers: h,
                stride: ranks,
            };
            let adapters = part.own.each().zip(&ups).map(|(trained, up)| Term {
                left: h.from(part.span.first, part.own.from + trained.rank_from),
                right: up.block(),
                column: trained.output_from,
                add: true,
            });
            let terms: Vec<_> = together
                .then_some(base)
                .into_iter()
                .chain(adapters)
                .collect();
            let y = &mut y[rows_of(part.span, outputs)];
            self.multiply(&terms, part.span.rows, outputs, y);
        }
    }

    /// h = drop(x) A^T in a member's rows and columns.
    fn low_rank(
        &self,
        part: &Part<'_>,
        site: u32,
        batch: &Batch,
        x: &[f32],
        stride: usize,
        h: &mut [f32],
    ) {
        let Part { own, used, span } = *part;
        let inputs = own.inputs;
        let x = &x[rows_of(span, inputs)];
        let down = own.down(true);
        let dropped = Mask::of(used, site).map(|mask| {
            let mut dropped = vec![0.0; x.len()];
            self.rows(
                &mut dropped,
                inputs,
                span.rows,
                #[inline(always)]
                |row, to| {
                    mask.factors(batch, span.first + row, to);
                    for (to, x) in to.iter_mut().zip(&x[row * inputs..]) {
                        *to *= x;
                    }
                },
            );
            dropped
        });
        let left = Rows {
            numbers: dropped.as_deref().unwrap_or(x),
            stride: inputs,
        };
        let term = Term {
            left,
            right: down.block(),
            column: own.from,
            add: false,
        };
        self.multiply(&[term], span.rows, stride, &mut h[rows_of(span, stride)]);
    }

    /// See [`crate::lora::backend::Backend::backward`].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn linear_backward(
        &self,
        linear: &mut Linear,
        batch: &Batch,
        used: &[Use],
        x: &[f32],
        h: &[f32],
        dy: &[f32],
        m: usize,
        dx: Option<&mut [f32]>,
    ) {
        let (inputs, outputs) = (linear.inputs, linear.outputs);
        let dy = Rows {
            numbers: dy,
            stride: outputs,
        };
        let mut lows = Vec::new();
        let mut sums = Vec::new();
        for part in linear.parts(batch, used, m) {
            let low = Low::new(self, &part, linear.site, batch, dy);
            let h = Rows {
                numbers: h,
                stride: linear.ranks,
            };
            let h = h.from(part.span.first, part.own.from);
            let (member, rows) = (part.span.member, part.span.rows);
            let here = dy.from(part.span.first, 0);
            let b = part
                .own
                .each()
                .map(|one| self.up_gradient(one, here, h, rows));
            let b = b.collect();
            let a = self.down_gradients(&low, &x[rows_of(part.span, inputs)], inputs);
            sums.push((member, a, b));
            lows.push(low);
        }
        if let Some(dx) = dx {
            self.multiply_turned(dy, &linear.weight, m, dx);
            for low in &lows {
                self.low_rank_input(low, inputs, &mut dx[rows_of(low.span, inputs)]);
            }
        }
        drop(lows);
        for (member, a, b) in sums {
            linear.members[member].add(&a, b);
        }
    }

    /// dx += mask * (dh A) / (1 - p) in a member's rows.
    fn low_rank_input(&self, low: &Low<'_>, inputs: usize, dx: &mut [f32]) {
        let Low { own, span, .. } = low;
        let (m, down) = (span.rows, own.down(false));
        let term = Term {
            left: Rows {
                numbers: &low.dh,
                stride: own.ranks,
            },
            right: down.block(),
            column: 0,
            add: low.factors.is_none(),
        };
        let Some(factors) = &low.factors else {
            return self.multiply(&[term], m, inputs, dx);
        };
        let mut made = vec![0.0; m * inputs];
        self.multiply(&[term], m, inputs, &mut made);
        self.rows(
            dx,
            inputs,
            m,
            #[inline(always)]
            |row, dx| {
                let here = row * inputs..(row + 1) * inputs;
                let made = made[here.clone()].iter().zip(&factors[here]);
                for (dx, (made, factor)) in dx.iter_mut().zip(made) {
                    *dx = made.mul_add(*factor, *dx);
                }
            },
        );
    }

    /// The gradient of B, before its scale: dy^T h over `m` rows, in pieces as [`Cpu::gram`] gives them.
    fn up_gradient(&self, trained: &Trained, dy: Rows<'_>, h: Rows<'_>, m: usize) -> Pieces {
        let Adapter { rank, b, .. } = &trained.adapter;
        let (rank, outputs) = (*rank, b.len() / rank);
        let here = dy.from(0, trained.output_from);
        let left = h.from(0, trained.rank_from);
        self.gram(left, rank, m, outputs, |row, from, line| {
            let dy = &here.numbers[row * here.stride + from..];
            copy_line(&dy[..WIDTH.min(outputs - from)], line);
        })
    }

    /// The gradients of all A of a member: dh^T drop(x).
    fn down_gradients(&self, low: &Low<'_>, x: &[f32], inputs: usize) -> Pieces {
        let ranks = low.own.ranks;
        let left = Rows {
            numbers: &low.dh,
            stride: ranks,
        };
        let factors = low.factors.as_deref();
        self.gram(left, ranks, low.span.rows, inputs, |row, from, line| {
            let here = row * inputs + from..row * inputs + inputs.min(from + WIDTH);
            let x = &x[here.clone()];
            match factors {
                None => copy_line(x, line),
                Some(factors) => {
                    let both = x.iter().zip(&factors[here]);
                    for (to, (x, factor)) in line.iter_mut().zip(both) {
                        *to = x * factor;
                    }
                }
            }
        })
    }
}

/// Columns of a product, from the first of each piece on: [rows, width of the piece].
type Pieces = Vec<(usize, Vec<f32>)>;

/// The way back through the adapters of a member, in its rows.
struct Low<'a> {
    own: &'a Own,
    span: Span,
    /// dy (scale B), [rows, ranks].
    dh: Vec<f32>,
    /// What x was multiplied by, where it was.
    factors: Option<Vec<f32>>,
}

impl<'a> Low<'a> {
    fn new(cpu: &Cpu, part: &Part<'a>, site: u32, batch: &Batch, dy: Rows<'_>) -> Self {
        let Part { own, used, span } = *part;
        let mut dh = vec![0.0; span.rows * own.ranks];
        let ups: Vec<Panels> = own
            .each()
            .map(|trained| {
                let Adapter { rank, scale, b, .. } = &trained.adapter;
                let mut up = Panels::new(b.len() / rank, *rank);
                up.put_rows(0, b, *rank, *scale);
                up
            })
            .collect();
        let terms = own.each().zip(&ups).map(|(trained, up)| Term {
            left: dy.from(span.first, trained.output_from),
            right: up.block(),
            column: trained.rank_from,
            add: false,
        });
        cpu.multiply(&terms.collect::<Vec<_>>(), span.rows, own.ranks, &mut dh);
        let factors = Mask::of(used, site).map(|mask| {
            let mut factors = vec![0.0; span.rows * own.inputs];
            cpu.rows(
                &mut factors,
                own.inputs,
                span.rows,
                #[inline(always)]
                |row, factors| {
                    mask.factors(batch, span.first + row, factors);
                },
            );
            factors
        });
        Self {
            own,
            span,
            dh,
            factors,
        }
    }
}

impl Own {
    /// Adds the gradients of A and of each B.
    fn add(&mut self, a: &Pieces, b: Vec<Pieces>) {
        let (inputs, ranks) = (self.inputs, self.ranks);
        for (trained, pieces) in self.each_mut().zip(b) {
            let (rank, scale) = (trained.adapter.rank, trained.adapter.scale);
            for (from, sums) in pieces {
                let width = sums.len() / rank;
                for (r, sums) in sums.chunks_exact(width).enumerate() {
                    for (column, sum) in sums.iter().enumerate() {
                        trained.gradient.b[(from + column) * rank + r] += scale * sum;
                    }
                }
            }
        }
        for (from, sums) in a {
            let width = sums.len() / ranks;
            for trained in self.each_mut() {
                let own = sums[trained.rank_from * width..].chunks_exact(width);
                for (row, sums) in trained.gradient.a.chunks_exact_mut(inputs).zip(own) {
                    for (gradient, sum) in row[*from..from + width].iter_mut().zip(sums) {
                        *gradient += sum;
                    }
                }
            }
        }
    }
}
