//! The shapes of all buffers of a pass, as a function of the model, the batch and what is kept: what a machine's memory is
//! reckoned from before anything is computed.

use super::{
    super::{
        backend::{Heads, Kind, Level, Shape},
        decoder::Decoder,
    },
    layer::{DOWN, GATE_UP, GROUPS, O, QKV},
};

/// What a layer's groups need beside the rows they read and make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Low {
    /// The sum of the ranks of each group.
    pub ranks: [usize; GROUPS],
    /// Columns of the machine's own, by group.
    pub tails: [usize; GROUPS],
}

/// A layer's activations for `m` tokens, in the order of `Kept`'s fields. Where nothing is kept for a way
/// back there are only those that the way forward needs.
pub fn kept(
    decoder: &Decoder,
    heads: &Heads,
    low: &Low,
    m: usize,
    level: Option<Level>,
) -> [Shape; 14] {
    let stream = match level {
        Some(_) => Shape::of(m, decoder.hidden),
        None => Shape::of(0, 0),
    };
    if level == Some(Level::Layer) {
        let mut only = [Shape::of(0, 0); 14];
        only[0] = stream;
        return only;
    }
    let (normed, act) = match level {
        Some(Level::Everything) => low.inputs(decoder, m),
        _ => (Shape::of(0, 0), Shape::of(0, 0)),
    };
    let of_heads = |wide: usize| if decoder.head_norm { wide } else { 0 };
    [
        stream,
        normed,
        Shape::of(m, of_heads(heads.columns())),
        Shape::of(m, heads.columns()),
        Shape::statistics(m, heads.heads),
        Shape::of(m, heads.queries()).with_tail(low.tails[O]),
        stream,
        normed,
        Shape::of(m, 2 * decoder.intermediate).with_tail(low.tails[GATE_UP]),
        act,
        Shape::statistics(m, 1),
        Shape::statistics(m, 1),
        Shape::statistics(m, of_heads(heads.heads)),
        Shape::statistics(m, of_heads(heads.kv_heads)),
    ]
}

impl Low {
    /// The widest of several layers, in everything.
    pub fn widest(layers: impl Iterator<Item = Low>) -> Low {
        let wider =
            |a: [usize; GROUPS], b: [usize; GROUPS]| std::array::from_fn(|i| a[i].max(b[i]));
        layers.fold(Low::default(), |a, b| Low {
            ranks: wider(a.ranks, b.ranks),
            tails: wider(a.tails, b.tails),
        })
    }

    /// drop(x) A^T of each group. With everything kept, so is every x; else only attention's output is. Without a way back none
    /// is needed again.
    pub fn shapes(&self, m: usize, level: Option<Level>) -> [Shape; GROUPS] {
        let shape = |group: usize| {
            let kind = match level {
                Some(Level::Selective) if group != O => Kind::Low,
                _ => Kind::LowOfKept,
            };
            let rows = if level == Some(Level::Layer) { 0 } else { m };
            Shape {
                kind,
                ..Shape::of(rows, self.ranks[group]).with_tail(self.tails[group])
            }
        };
        [QKV, O, GATE_UP, DOWN].map(shape)
    }

    /// What the groups read that is made again or kept: normed rows, and the activation of the block.
    fn inputs(&self, decoder: &Decoder, m: usize) -> (Shape, Shape) {
        let tail = self.tails[QKV].max(self.tails[GATE_UP]);
        (
            Shape::of(m, decoder.hidden).with_tail(tail),
            Shape::of(m, decoder.intermediate).with_tail(self.tails[DOWN]),
        )
    }
}

/// Supervised rows that the loss head may take at a time, wherever they begin, beyond those that there are, less one.
pub const HEAD_ROWS: usize = 128;

/// What one layer after the other uses for `m` tokens and `s` supervised rows, in the order of
/// `Work`'s fields but for the last two; `low` is the widest of all layers.
pub fn work(
    decoder: &Decoder,
    heads: &Heads,
    low: &Low,
    [m, s]: [usize; 2],
    back: bool,
) -> [Shape; 15] {
    // The loss head may take more rows at a time than there are: so its products have few shapes.
    let s = s + HEAD_ROWS;
    let (stream, rows) = (Shape::of(m, decoder.hidden), Shape::of(s, decoder.hidden));
    let (normed, act) = low.inputs(decoder, m);
    let row = Shape::statistics(s, 1);
    let backward = |shape: Shape| if back { shape } else { Shape::of(0, 0) };
    [
        stream,
        normed,
        act,
        backward(stream.with_tail(low.tails[O].max(low.tails[DOWN]))),
        backward(stream),
        backward(Shape::of(m, decoder.intermediate)),
        backward(Shape::of(m, heads.columns()).with_tail(low.tails[QKV])),
        backward(Shape::of(m, heads.queries())),
        rows,
        rows,
        row,
        row,
        backward(rows),
        // The loss head writes it even where no adapter is below.
        rows,
        backward(rows),
    ]
}
