//! Operations on rows of the hidden states: embedding, normalisation, the gated activation, the supervised ones.

use super::{
    Cpu,
    vector::{dot, dot3, exp},
};
use crate::lora::{
    backend::{Heads, Part},
    batch::Batch,
};

/// y = x / sqrt(mean square + epsilon) * gain; returns what x is multiplied by.
#[inline(always)]
fn normalise(x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32]) -> f32 {
    let rstd = 1.0 / (dot(x, x) / x.len() as f32 + epsilon).sqrt();
    for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
        *y = x * rstd * gain;
    }
    rstd
}

impl Cpu {
    /// See [`crate::lora::backend::Backend::embed`].
    pub(super) fn embed_rows(&self, table: &[f32], batch: &Batch, h: usize, x: &mut [f32]) {
        self.rows(
            x,
            h,
            batch.tokens(),
            #[inline(always)]
            |row, x| {
                x.copy_from_slice(&table[batch.ids[row] as usize * h..][..h]);
            },
        );
    }

    /// See [`crate::lora::backend::Backend::norm`].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn norm_rows(
        &self,
        x: &[f32],
        gain: &[f32],
        m: usize,
        h: usize,
        epsilon: f32,
        rstd: &mut [f32],
        y: &mut [f32],
    ) {
        self.both_rows(
            (y, h),
            (rstd, 1),
            m,
            #[inline(always)]
            |row, y, rstd| {
                let x = &x[row * h..][..h];
                rstd[0] = normalise(x, gain, epsilon, y);
            },
        );
    }

    /// See [`crate::lora::backend::Backend::norm_backward`].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn norm_rows_backward(
        &self,
        x: &[f32],
        gain: &[f32],
        rstd: &[f32],
        dy: &[f32],
        m: usize,
        h: usize,
        acc: &mut [f32],
    ) {
        let gain = &gain[..h];
        self.rows(
            acc,
            h,
            m,
            #[inline(always)]
            |row, acc| {
                let (x, dy) = (&x[row * h..][..h], &dy[row * h..][..h]);
                let along = dot3(x, gain, dy) * rstd[row] * rstd[row] / h as f32;
                let both = x.iter().zip(dy).zip(gain);
                for (acc, ((x, dy), gain)) in acc.iter_mut().zip(both) {
                    *acc += rstd[row] * (gain * dy - x * along);
                }
            },
        );
    }

    /// See [`crate::lora::backend::Backend::head_norm`].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn head_norm_rows(
        &self,
        heads: &Heads,
        part: Part,
        raw: &[f32],
        gain: &[f32],
        m: usize,
        epsilon: f32,
        rstd: &mut [f32],
        qkv: &mut [f32],
    ) {
        let (columns, width, here) = (heads.columns(), heads.head_dim, place(heads, part));
        let count = here.len() / width;
        self.both_rows(
            (qkv, columns),
            (rstd, count),
            m,
            #[inline(always)]
            |row, qkv, rstd| {
                let raw = raw[row * columns..][here.clone()].chunks_exact(width);
                let to = qkv[here.clone()].chunks_exact_mut(width);
                for ((x, y), rstd) in raw.zip(to).zip(rstd) {
                    *rstd = normalise(x, gain, epsilon, y);
                }
            },
        );
    }

    /// See [`crate::lora::backend::Backend::head_norm_backward`].
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn head_norm_rows_backward(
        &self,
        heads: &Heads,
        part: Part,
        raw: &[f32],
        gain: &[f32],
        rstd: &[f32],
        m: usize,
        d: &mut [f32],
    ) {
        let (columns, width, here) = (heads.columns(), heads.head_dim, place(heads, part));
        let gain = &gain[..width];
        let count = here.len() / width;
        self.rows(
            d,
            columns,
            m,
            #[inline(always)]
            |row, d| {
                let raw = raw[row * columns..][here.clone()].chunks_exact(width);
                let rstd = &rstd[row * count..][..count];
                for ((x, d), &rstd) in raw.zip(d[here.clone()].chunks_exact_mut(width)).zip(rstd) {
                    let along = dot3(x, gain, d) * rstd * rstd / width as f32;
                    for ((d, x), gain) in d.iter_mut().zip(x).zip(gain) {
                        *d = rstd * (gain * *d - x * along);
                    }
                }
            },
        );
    }

    /// See [`crate::lora::backend::Backend::swiglu`].
    pub(super) fn swiglu_rows(&self, gu: &[f32], m: usize, f: usize, act: &mut [f32]) {
        self.rows(
            act,
            f,
            m,
            #[inline(always)]
            |row, act| {
                let (gate, up) = gu[row * 2 * f..][..2 * f].split_at(f);
                for ((act, &gate), up) in act.iter_mut().zip(gate).zip(up) {
                    *act = gate / (1.0 + exp(-gate)) * up;
                }
            },
        );
    }

    /// See [`crate::lora::backend::Backend::swiglu_backward`].
    pub(super) fn swiglu_rows_backward(&self, dact: &[f32], m: usize, f: usize, gu: &mut [f32]) {
        self.rows(
            gu,
            2 * f,
            m,
            #[inline(always)]
            |row, gu| {
                let (gate, up) = gu.split_at_mut(f);
                for ((d, gate), up) in dact[row * f..].iter().zip(gate).zip(up) {
                    let sigmoid = 1.0 / (1.0 + exp(-*gate));
                    let silu = *gate * sigmoid;
                    *gate = d * *up * sigmoid * (1.0 + *gate - silu);
                    *up = d * silu;
                }
            },
        );
    }

    /// See [`crate::lora::backend::Backend::gather`].
    pub(super) fn gather_rows(&self, batch: &Batch, x: &[f32], h: usize, out: &mut [f32]) {
        self.rows(
            out,
            h,
            batch.supervised.len(),
            #[inline(always)]
            |row, out| {
                out.copy_from_slice(&x[batch.supervised[row] as usize * h..][..h]);
            },
        );
    }

    /// See [`crate::lora::backend::Backend::scatter`].
    pub(super) fn scatter_rows(
        &self,
        batch: &Batch,
        d: &[f32],
        m: usize,
        h: usize,
        dx: &mut [f32],
    ) {
        self.rows(
            dx,
            h,
            m,
            #[inline(always)]
            |row, dx| match batch.supervised.binary_search(&(row as u32)) {
                Ok(at) => dx.copy_from_slice(&d[at * h..][..h]),
                Err(_) => dx.fill(0.0),
            },
        );
    }
}

/// The columns of a part.
fn place(heads: &Heads, part: Part) -> std::ops::Range<usize> {
    match part {
        Part::Queries => 0..heads.queries(),
        Part::Keys => heads.queries()..heads.queries() + heads.keys(),
    }
}
