//! Rotary position embedding. Cosines and sines of a batch's positions are made once for all layers.

use super::Cpu;
use crate::lora::{
    backend::{Heads, Rope},
    batch::Batch,
};

/// Cosines and sines, [positions, head_dim / 2] each.
pub(super) struct Angles {
    rope: Rope,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Angles {
    /// Those of every position up to the batch's last.
    pub(super) fn new(rope: &Rope, batch: &Batch) -> Self {
        let positions = batch.positions.iter().max().map_or(0, |&last| last + 1);
        let size = positions as usize * rope.frequencies.len();
        let (mut cosines, mut sines) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for position in 0..positions {
            for frequency in &rope.frequencies {
                let (sine, cosine) = (position as f32 * frequency).sin_cos();
                cosines.push(cosine * rope.attention_factor);
                sines.push(sine * rope.attention_factor);
            }
        }
        Self {
            rope: rope.clone(),
            cosines,
            sines,
        }
    }

    /// Whether they are those of this embedding.
    pub(super) fn are_of(&self, rope: &Rope) -> bool {
        self.rope == *rope
    }
}

impl Cpu {
    /// See [`crate::lora::backend::Backend::rope`].
    pub(super) fn rotate_rows(
        &self,
        heads: &Heads,
        angles: &Angles,
        batch: &Batch,
        m: usize,
        back: bool,
        qkv: &mut [f32],
    ) {
        let (half, width) = (heads.head_dim / 2, heads.head_dim);
        let rotated = heads.queries() + heads.keys();
        let sign = if back { -1.0 } else { 1.0 };
        self.rows(
            qkv,
            heads.columns(),
            m,
            #[inline(always)]
            |row, qkv| {
                let at = batch.positions[row] as usize * half;
                let (cosines, sines) = (&angles.cosines[at..][..half], &angles.sines[at..][..half]);
                for head in qkv[..rotated].chunks_exact_mut(width) {
                    let (left, right) = head.split_at_mut(half);
                    let pairs = left.iter_mut().zip(right);
                    for ((a, b), (cosine, sine)) in pairs.zip(cosines.iter().zip(sines)) {
                        let sine = sign * sine;
                        (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
                    }
                }
            },
        );
    }
}
