//! Buffers of a pass. They grow and are never given back, so equal steps allocate nothing.

use super::{
    super::{
        backend::{Backend, Done, Heads},
        decoder::Decoder,
    },
    Pass,
    layer::{GROUPS, Layer},
};
use std::ops::{Deref, DerefMut};

/// A buffer that grows.
pub struct Room<B: Backend> {
    buffer: B::Buffer,
    len: usize,
}

impl<B: Backend> Room<B> {
    /// Without any room.
    pub fn new(backend: &B) -> Done<Self> {
        let buffer = backend.zeros(0)?;
        Ok(Self { buffer, len: 0 })
    }

    /// Makes room for so many numbers; what was there may be lost.
    pub fn hold(&mut self, backend: &B, len: usize) -> Done {
        if len > self.len {
            self.buffer = backend.zeros(len)?;
            self.len = len;
        }
        Ok(())
    }
}

impl<B: Backend> Deref for Room<B> {
    type Target = B::Buffer;
    fn deref(&self) -> &B::Buffer {
        &self.buffer
    }
}

impl<B: Backend> DerefMut for Room<B> {
    fn deref_mut(&mut self) -> &mut B::Buffer {
        &mut self.buffer
    }
}

/// A struct of rooms.
macro_rules! rooms {
    ($(#[$meta:meta])* $Name:ident { $($(#[$doc:meta])* $field:ident,)+ }) => {
        $(#[$meta])*
        pub struct $Name<B: Backend> { $($(#[$doc])* pub $field: Room<B>,)+ }

        impl<B: Backend> $Name<B> {
            fn new(backend: &B) -> Done<Self> {
                Ok(Self { $($field: Room::new(backend)?,)+ })
            }
        }
    };
}

rooms! {
    /// What the way back needs of one layer.
    Kept {
        /// Its input, [M, H].
        x,
        /// Queries, keys and values before their norm, [M, columns]; only where heads are normalised.
        raw,
        /// And rotated, [M, columns].
        qkv,
        /// Log of the sum of the exponentials, [M, heads].
        lse,
        /// Attention's output, [M, queries].
        out,
        /// The residual stream between attention and feed-forward block, [M, H].
        mid,
        /// Gate and up, [M, 2F].
        gu,
        /// 1 / rms of the input, `[M]`.
        rstd,
        /// 1 / rms between, `[M]`.
        mid_rstd,
        /// 1 / rms of queries, [M, heads].
        query_rstd,
        /// 1 / rms of keys, [M, kv_heads].
        key_rstd,
    }
}

/// One layer's buffers.
pub struct Saved<B: Backend> {
    /// Activations.
    pub kept: Kept<B>,
    /// drop(x) A^T by group, [M, R].
    pub h: [Room<B>; GROUPS],
}

rooms! {
    /// What is used by one layer after the other.
    Work {
        /// The residual stream, [M, H].
        x,
        /// Normalised, [M, H].
        normed,
        /// silu(gate) * up, [M, F].
        act,
        /// Gradient of the residual stream, [M, H].
        d,
        /// Of normalised rows, [M, H].
        d_normed,
        /// Of the activation, [M, F].
        d_act,
        /// Of queries, keys and values, [M, columns].
        d_qkv,
        /// Of attention's output, [M, queries].
        d_out,
        /// Supervised rows, [S, H].
        rows,
        /// Normalised, [S, H].
        normed_rows,
        /// 1 / rms of them, `[S]`.
        row_rstd,
        /// `[S]`.
        losses,
        /// Gradient of the supervised rows, [S, H].
        d_rows,
        /// Of the normalised ones, [S, H].
        d_normed_rows,
        /// Nothing but zeros, [S, H].
        zeros,
        /// Of rows that are asked for, [S, V].
        logits,
        /// What the loss head, which has no adapter, keeps of it.
        no_ranks,
    }
}

/// All of it.
pub struct Memory<B: Backend> {
    /// By layer, where a way back is to come.
    pub saved: Vec<Saved<B>>,
    /// Of the layer that is passed, where none is.
    pub passing: Saved<B>,
    /// Shared by all layers.
    pub work: Work<B>,
}

impl<B: Backend> Saved<B> {
    fn new(backend: &B) -> Done<Self> {
        Ok(Self {
            kept: Kept::new(backend)?,
            h: [
                Room::new(backend)?,
                Room::new(backend)?,
                Room::new(backend)?,
                Room::new(backend)?,
            ],
        })
    }

    /// Room for M tokens; its input and middle are only copied where they are `kept`.
    fn hold(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        layer: &Layer<B>,
        m: usize,
        kept: bool,
    ) -> Done {
        let (heads, k) = (&layer.heads, &mut self.kept);
        let stream = if kept { decoder.hidden } else { 0 };
        let normed = |wide: usize| if decoder.head_norm { wide } else { 0 };
        for (room, wide) in [
            (&mut k.x, stream),
            (&mut k.raw, normed(heads.columns())),
            (&mut k.qkv, heads.columns()),
            (&mut k.lse, heads.heads),
            (&mut k.out, heads.queries()),
            (&mut k.mid, stream),
            (&mut k.gu, 2 * decoder.intermediate),
            (&mut k.rstd, 1),
            (&mut k.mid_rstd, 1),
            (&mut k.query_rstd, normed(heads.heads)),
            (&mut k.key_rstd, normed(heads.kv_heads)),
        ] {
            room.hold(backend, m * wide)?;
        }
        for (room, rank) in self.h.iter_mut().zip(layer.ranks) {
            room.hold(backend, m * rank)?;
        }
        Ok(())
    }
}

impl<B: Backend> Work<B> {
    /// Room for a pass, and for its way back.
    fn hold(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        heads: &Heads,
        pass: &Pass<B>,
        back: bool,
    ) -> Done {
        let (m, s) = (pass.m, pass.s);
        let (hidden, wide) = (decoder.hidden, decoder.intermediate);
        let forward = [
            (&mut self.x, m * hidden),
            (&mut self.normed, m * hidden),
            (&mut self.act, m * wide),
            (&mut self.rows, s * hidden),
            (&mut self.normed_rows, s * hidden),
            (&mut self.row_rstd, s),
            (&mut self.losses, s),
        ];
        for (room, len) in forward {
            room.hold(backend, len)?;
        }
        let backward = [
            (&mut self.d, m * hidden),
            (&mut self.d_normed, m * hidden),
            (&mut self.d_act, m * wide),
            (&mut self.d_qkv, m * heads.columns()),
            (&mut self.d_out, m * heads.queries()),
            (&mut self.d_rows, s * hidden),
            (&mut self.zeros, s * hidden),
        ];
        for (room, len) in backward.into_iter().filter(|_| back) {
            room.hold(backend, len)?;
        }
        // The loss head writes it even where no adapter is below.
        self.d_normed_rows.hold(backend, s * hidden)
    }
}

impl<B: Backend> Memory<B> {
    /// Without any room.
    pub fn new(backend: &B, layers: usize) -> Done<Self> {
        let saved = (0..layers).map(|_| Saved::new(backend));
        Ok(Self {
            saved: saved.collect::<Done<_>>()?,
            passing: Saved::new(backend)?,
            work: Work::new(backend)?,
        })
    }

    /// Room for a pass; from layer `lowest` on, all that its way back needs.
    pub fn hold(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        layers: &[Layer<B>],
        pass: &Pass<B>,
        lowest: Option<usize>,
    ) -> Done {
        for (at, (layer, saved)) in layers.iter().zip(&mut self.saved).enumerate() {
            match lowest.is_some_and(|lowest| at >= lowest) {
                true => saved.hold(backend, decoder, layer, pass.m, true)?,
                false => self.passing.hold(backend, decoder, layer, pass.m, false)?,
            }
        }
        let Some(first) = layers.first() else {
            return Ok(());
        };
        self.work
            .hold(backend, decoder, &first.heads, pass, lowest.is_some())
    }
}
