//! Buffers of a pass. They grow and are never given back, so equal steps allocate nothing.

use super::{
    super::{
        backend::{Backend, Done, Heads, Kind, Level, Shape},
        decoder::Decoder,
    },
    layer::{GROUPS, Layer},
    shapes::{self, Low},
};
use std::ops::{Deref, DerefMut};

/// A buffer that grows.
pub struct Room<B: Backend> {
    buffer: B::Buffer,
    shape: Shape,
}

impl<B: Backend> Room<B> {
    /// Without any room.
    pub fn new(backend: &B) -> Done<Self> {
        let shape = Shape::of(0, 0);
        let buffer = backend.zeros(shape)?;
        Ok(Self { buffer, shape })
    }

    /// Makes room for rows of so many columns; what was there may be lost.
    pub fn hold(&mut self, backend: &B, shape: Shape) -> Done {
        let had = self.shape;
        let grown = Shape {
            rows: shape.rows.max(had.rows),
            columns: shape.columns.max(had.columns),
            tail: shape.tail.max(had.tail),
            kind: match (had.kind, shape.kind) {
                (Kind::Low, Kind::LowOfKept) => Kind::Low,
                (_, kind) => kind,
            },
        };
        if grown != had {
            // The old one goes first: both may not fit.
            *self = Self::new(backend)?;
            self.buffer = backend.zeros(grown)?;
            self.shape = grown;
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

            /// Every room, in the order of declaration.
            fn each(&mut self) -> Vec<&mut Room<B>> {
                vec![$(&mut self.$field,)+]
            }
        }
    };
}

rooms! {
    /// What the way back needs of one layer.
    Kept {
        /// Its input, [M, H].
        x,
        /// The same normalised, [M, H]; only where everything is kept.
        normed,
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
        /// The same normalised, [M, H]; only where everything is kept.
        mid_normed,
        /// Gate and up, [M, 2F].
        gu,
        /// silu(gate) * up, [M, F]; only where everything is kept.
        act,
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
    /// What is kept for a way back, if there is one.
    pub level: Option<Level>,
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
    /// Of the layer that is passed, where none is, or made again.
    pub passing: Saved<B>,
    /// Shared by all layers.
    pub work: Work<B>,
    /// What is kept for a way back.
    pub level: Level,
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
            level: None,
        })
    }

    /// Room for M tokens.
    fn hold(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        layer: &Layer<B>,
        m: usize,
        level: Option<Level>,
    ) -> Done {
        self.level = level;
        let low = layer.low(backend);
        let shapes = shapes::kept(decoder, &layer.heads, &low, m, level);
        for (room, shape) in self.kept.each().into_iter().zip(shapes) {
            room.hold(backend, shape)?;
        }
        for (room, shape) in self.h.iter_mut().zip(low.shapes(m, level)) {
            room.hold(backend, shape)?;
        }
        Ok(())
    }
}

impl<B: Backend> Work<B> {
    /// Room for a pass, and for its way back. `low` is the widest of all layers.
    fn hold(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        heads: &Heads,
        low: &Low,
        sizes: [usize; 2],
        back: bool,
    ) -> Done {
        let shapes = shapes::work(decoder, heads, low, sizes, back);
        for (room, shape) in self.each().into_iter().zip(shapes) {
            room.hold(backend, shape)?;
        }
        Ok(())
    }
}

impl<B: Backend> Memory<B> {
    /// Where nothing is kept, all layers pass through the place that the last one has for its way back, so that looking at a
    /// batch takes no room beside what learning from one does. Called before such a pass, and again after it.
    pub fn lend(&mut self) {
        let apart = self.level == Level::Layer;
        if let Some(last) = self.saved.last_mut().filter(|_| !apart) {
            std::mem::swap(last, &mut self.passing);
        }
    }

    /// Without any room.
    pub fn new(backend: &B, layers: usize) -> Done<Self> {
        let saved = (0..layers).map(|_| Saved::new(backend));
        Ok(Self {
            saved: saved.collect::<Done<_>>()?,
            passing: Saved::new(backend)?,
            work: Work::new(backend)?,
            level: Level::Selective,
        })
    }

    /// Room for `m` tokens and `s` supervised rows; from layer `lowest` on, all that their way back needs.
    pub fn hold(
        &mut self,
        backend: &B,
        decoder: &Decoder,
        layers: &[Layer<B>],
        [m, s]: [usize; 2],
        lowest: Option<usize>,
    ) -> Done {
        let again = (self.level == Level::Layer).then_some(Level::Selective);
        for (at, (layer, saved)) in layers.iter().zip(&mut self.saved).enumerate() {
            let back = lowest.is_some_and(|lowest| at >= lowest);
            if back {
                saved.hold(backend, decoder, layer, m, Some(self.level))?;
            }
            if !back || again.is_some() {
                let level = again.filter(|_| back);
                self.passing.hold(backend, decoder, layer, m, level)?;
            }
        }
        let Some(first) = layers.first() else {
            return Ok(());
        };
        let low = Low::widest(layers.iter().map(|layer| layer.low(backend)));
        let back = lowest.is_some();
        self.work
            .hold(backend, decoder, &first.heads, &low, [m, s], back)
    }
}

/// Puts one room in the place of another where `all` is kept: the same again undoes it.
pub fn exchange<B: Backend>(all: bool, one: &mut Room<B>, other: &mut Room<B>) {
    if all {
        std::mem::swap(one, other);
    }
}
