//! A projection group: one product with all frozen weights, and thin ones with the adapters.
//!
//! Forward: h = drop(x) A^T for all adapters at once, y = x W^T + bias, then y += h (scale B)^T into each adapter's columns.
//! Back: dh = dy (scale B), dB += scale dy^T h, dA += dh^T drop(x), dx = dy W + mask * (dh A) / (1 - p).

use super::{
    Cpu,
    adapters::Trained,
    dropout::Mask,
    kernel::{Line, WIDTH},
    panels::Panels,
    product::{Rows, Term},
};
use crate::lora::{
    backend::{Adapter, Moments, Pair, Projection, Use},
    batch::Batch,
};

/// A projection group on the processor.
pub struct Linear {
    site: u32,
    inputs: usize,
    outputs: usize,
    /// Outputs of each projection.
    widths: Vec<usize>,
    /// The weights of all, one below the other, as the way forward reads them: [inputs, outputs].
    pub(super) weight: Panels,
    bias: Option<Vec<f32>>,
    pub(super) trained: Vec<Option<Trained>>,
    /// Sum of the ranks.
    ranks: usize,
}

impl Linear {
    /// Packs a group.
    pub(super) fn new(site: u32, group: Vec<Projection>) -> Result<Self, String> {
        let inputs = group.first().map_or(0, |projection| projection.inputs);
        let widths: Vec<usize> = group.iter().map(|projection| projection.outputs).collect();
        let outputs = widths.iter().sum();
        let mut weight = Panels::new(inputs, outputs);
        let mut bias = vec![0.0; outputs];
        let mut biased = false;
        let mut adapters = Vec::new();
        let mut at = 0;
        for projection in group {
            let width = projection.outputs;
            if projection.inputs != inputs || projection.weight.len() != width * inputs {
                return Err(format!(
                    "a weight of a group with {inputs} inputs has {} numbers, not {width} x {inputs}",
                    projection.weight.len(),
                ));
            }
            weight.put_columns(at, &projection.weight, inputs, 1.0);
            if let Some(own) = projection.bias {
                if own.len() != width {
                    return Err(format!("a bias has {} numbers, not {width}", own.len()));
                }
                bias[at..at + width].copy_from_slice(&own);
                biased = true;
            }
            adapters.push(projection.adapter);
            at += width;
        }
        let mut linear = Self {
            site,
            inputs,
            outputs,
            widths,
            weight,
            bias: biased.then_some(bias),
            trained: Vec::new(),
            ranks: 0,
        };
        linear.equip(&adapters, None)?;
        Ok(linear)
    }

    /// Columns of x.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of y.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Takes other adapters; see [`crate::lora::backend::Backend::equip`].
    pub(super) fn equip(
        &mut self,
        adapters: &[Option<Adapter>],
        moments: Option<&[Option<Moments>]>,
    ) -> Result<(), String> {
        let (count, of) = (adapters.len(), self.widths.len());
        if count != of || moments.is_some_and(|moments| moments.len() != of) {
            return Err(format!("a group of {of} is given {count} adapters"));
        }
        let mut trained = Vec::new();
        let (mut rank_from, mut output_from) = (0, 0);
        for (number, (adapter, &width)) in adapters.iter().zip(&self.widths).enumerate() {
            let kept = moments.and_then(|moments| moments[number].clone());
            trained.push(match adapter {
                None => None,
                Some(adapter) => {
                    check(adapter, kept.as_ref(), self.inputs, width)?;
                    let one = Trained::new(adapter.clone(), kept, rank_from, output_from);
                    rank_from += adapter.rank;
                    Some(one)
                }
            });
            output_from += width;
        }
        (self.trained, self.ranks) = (trained, rank_from);
        Ok(())
    }

    /// The adapters that are there.
    pub(super) fn each(&self) -> impl Iterator<Item = &Trained> {
        self.trained.iter().flatten()
    }

    /// The same, to change them.
    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Trained> {
        self.trained.iter_mut().flatten()
    }

    /// All A, one below the other: [ranks, inputs] by rows, or its transpose.
    fn down(&self, transposed: bool) -> Panels {
        let mut down = match transposed {
            true => Panels::new(self.inputs, self.ranks),
            false => Panels::new(self.ranks, self.inputs),
        };
        for trained in self.each() {
            let (from, a) = (trained.rank_from, &trained.adapter.a);
            match transposed {
                true => down.put_columns(from, a, self.inputs, 1.0),
                false => down.put_rows(from, a, self.inputs, 1.0),
            }
        }
        down
    }
}

/// Whether the shapes of an adapter fit.
fn check(
    adapter: &Adapter,
    moments: Option<&Moments>,
    inputs: usize,
    outputs: usize,
) -> Result<(), String> {
    let rank = adapter.rank;
    let fits = |a: &[f32], b: &[f32]| a.len() == rank * inputs && b.len() == outputs * rank;
    let pair = |pair: &Pair| fits(&pair.a, &pair.b);
    let right = rank > 0
        && fits(&adapter.a, &adapter.b)
        && moments.is_none_or(|moments| pair(&moments.first) && pair(&moments.second));
    match right {
        true => Ok(()),
        false => Err(format!(
            "an adapter of rank {rank} does not fit {inputs} inputs and {outputs} outputs"
        )),
    }
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
        used: Use,
        x: &[f32],
        m: usize,
        h: &mut [f32],
        accumulate: bool,
        y: &mut [f32],
    ) {
        let (inputs, outputs, ranks) = (linear.inputs, linear.outputs, linear.ranks);
        let adapted = used != Use::Off && ranks > 0;
        if adapted {
            self.low_rank(linear, batch, used, x, m, h);
        }
        let whole = Rows {
            numbers: x,
            stride: inputs,
        };
        let mut terms = vec![Term {
            left: whole,
            right: linear.weight.block(),
            column: 0,
            add: accumulate || linear.bias.is_some(),
        }];
        let ups: Vec<Panels> = linear
            .each()
            .map(|trained| {
                let Adapter { rank, scale, b, .. } = &trained.adapter;
                let mut up = Panels::new(*rank, b.len() / rank);
                up.put_columns(0, b, *rank, *scale);
                up
            })
            .collect();
        if adapted {
            let h = Rows {
                numbers: h,
                stride: ranks,
            };
            terms.extend(linear.each().zip(&ups).map(|(trained, up)| Term {
                left: h.from(0, trained.rank_from),
                right: up.block(),
                column: trained.output_from,
                add: true,
            }));
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
        self.multiply(&terms, m, outputs, y);
    }

    /// h = drop(x) A^T.
    fn low_rank(
        &self,
        linear: &Linear,
        batch: &Batch,
        used: Use,
        x: &[f32],
        m: usize,
        h: &mut [f32],
    ) {
        let inputs = linear.inputs;
        let down = linear.down(true);
        let dropped = Mask::of(used, linear.site).map(|mask| {
            let mut dropped = vec![0.0; m * inputs];
            self.rows(
                &mut dropped,
                inputs,
                m,
                #[inline(always)]
                |row, to| {
                    mask.factors(batch, row, to);
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
            column: 0,
            add: false,
        };
        self.multiply(&[term], m, linear.ranks, h);
    }

    /// See [`crate::lora::backend::Backend::backward`].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn linear_backward(
        &self,
        linear: &mut Linear,
        batch: &Batch,
        used: Use,
        x: &[f32],
        h: &[f32],
        dy: &[f32],
        m: usize,
        dx: Option<&mut [f32]>,
    ) {
        let (inputs, outputs, ranks) = (linear.inputs, linear.outputs, linear.ranks);
        let adapted = used != Use::Off && ranks > 0 && m > 0;
        let dy = Rows {
            numbers: dy,
            stride: outputs,
        };
        let mut dh = Vec::new();
        let mut factors = None;
        if adapted {
            dh = self.low_rank_backward(linear, dy, m);
            factors = self.factors(linear, batch, used, m);
            self.up_gradients(linear, dy, h, m);
            self.down_gradients(linear, &dh, x, factors.as_deref(), m);
        }
        let Some(dx) = dx else { return };
        self.multiply_turned(dy, &linear.weight, m, dx);
        if !adapted {
            return;
        }
        let down = linear.down(false);
        let term = Term {
            left: Rows {
                numbers: &dh,
                stride: ranks,
            },
            right: down.block(),
            column: 0,
            add: factors.is_none(),
        };
        match factors {
            None => self.multiply(&[term], m, inputs, dx),
            Some(factors) => {
                let mut low = vec![0.0; m * inputs];
                self.multiply(&[term], m, inputs, &mut low);
                self.rows(
                    dx,
                    inputs,
                    m,
                    #[inline(always)]
                    |row, dx| {
                        let here = row * inputs..(row + 1) * inputs;
                        let low = low[here.clone()].iter().zip(&factors[here]);
                        for (dx, (low, factor)) in dx.iter_mut().zip(low) {
                            *dx = low.mul_add(*factor, *dx);
                        }
                    },
                );
            }
        }
    }

    /// What x is multiplied by before the adapters, where it is.
    fn factors(&self, linear: &Linear, batch: &Batch, used: Use, m: usize) -> Option<Vec<f32>> {
        let mask = Mask::of(used, linear.site)?;
        let mut factors = vec![0.0; m * linear.inputs];
        self.rows(
            &mut factors,
            linear.inputs,
            m,
            #[inline(always)]
            |row, factors| {
                mask.factors(batch, row, factors);
            },
        );
        Some(factors)
    }

    /// dh = dy (scale B), [m, ranks].
    fn low_rank_backward(&self, linear: &Linear, dy: Rows<'_>, m: usize) -> Vec<f32> {
        let mut dh = vec![0.0; m * linear.ranks];
        let ups: Vec<Panels> = linear
            .each()
            .map(|trained| {
                let Adapter { rank, scale, b, .. } = &trained.adapter;
                let mut up = Panels::new(b.len() / rank, *rank);
                up.put_rows(0, b, *rank, *scale);
                up
            })
            .collect();
        let terms = linear.each().zip(&ups).map(|(trained, up)| Term {
            left: dy.from(0, trained.output_from),
            right: up.block(),
            column: trained.rank_from,
            add: false,
        });
        self.multiply(&terms.collect::<Vec<_>>(), m, linear.ranks, &mut dh);
        dh
    }

    /// dB += scale dy^T h.
    fn up_gradients(&self, linear: &mut Linear, dy: Rows<'_>, h: &[f32], m: usize) {
        let ranks = linear.ranks;
        let h = Rows {
            numbers: h,
            stride: ranks,
        };
        for trained in linear.each_mut() {
            let Adapter { rank, scale, b, .. } = &trained.adapter;
            let (rank, outputs) = (*rank, b.len() / rank);
            let here = dy.from(0, trained.output_from);
            let left = h.from(0, trained.rank_from);
            let sums = self.gram(left, rank, m, outputs, |row, from, line| {
                let dy = &here.numbers[row * here.stride + from..];
                copy_line(&dy[..WIDTH.min(outputs - from)], line);
            });
            for (from, sums) in sums {
                let width = sums.len() / rank;
                for (r, sums) in sums.chunks_exact(width).enumerate() {
                    for (column, sum) in sums.iter().enumerate() {
                        trained.gradient.b[(from + column) * rank + r] += scale * sum;
                    }
                }
            }
        }
    }

    /// dA += dh^T drop(x).
    fn down_gradients(
        &self,
        linear: &mut Linear,
        dh: &[f32],
        x: &[f32],
        factors: Option<&[f32]>,
        m: usize,
    ) {
        let (inputs, ranks) = (linear.inputs, linear.ranks);
        let left = Rows {
            numbers: dh,
            stride: ranks,
        };
        let sums = self.gram(left, ranks, m, inputs, |row, from, line| {
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
        });
        for (from, sums) in sums {
            let width = sums.len() / ranks;
            for trained in linear.each_mut() {
                let own = sums[trained.rank_from * width..].chunks_exact(width);
                for (row, sums) in trained.gradient.a.chunks_exact_mut(inputs).zip(own) {
                    for (gradient, sum) in row[from..from + width].iter_mut().zip(sums) {
                        *gradient += sum;
                    }
                }
            }
        }
    }
}
