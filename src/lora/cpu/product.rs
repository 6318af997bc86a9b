//! Products of matrices: one row block after the other in one thread, row blocks or panels side by side in several.
//!
//! How the work is split has no influence on a result (see [`super::kernel`]), so it may depend on the number of threads.

use super::{
    Cpu, Wide,
    kernel::{DEPTH, Left, Line, ROW, Tile, WIDTH, most_rows},
    panels::{Block, Panels, turn},
};
use pulp::{Simd, WithSimd};

/// Rows that one thread takes at a time: so few that their output and packed left side stay near.
const SHARE: usize = 56;
/// The same where the right side is so large that every share reads it from far away.
const LARGE_SHARE: usize = 112;
/// Numbers of such a right side.
const LARGE: usize = 1 << 20;
/// Depth that is turned at a time on the way back.
const TURNED: usize = 4 * DEPTH;
/// Columns that a share works on at a time: so many that its piece of the output stays in the second-level cache.
const COLUMNS: usize = 24 * WIDTH;
/// Panels of a Gram product that a thread takes at a time, at most.
const PANELS: usize = 4;

/// The left side of a product: rows of a row-major matrix.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Numbers, from the first row's first on.
    pub numbers: &'a [f32],
    /// From one row to the next.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    /// From a row and a column on.
    pub(super) fn from(self, row: usize, column: usize) -> Self {
        let numbers = &self.numbers[(row * self.stride + column).min(self.numbers.len())..];
        Self { numbers, ..self }
    }
}

/// The output of a product: some rows and columns of a row-major matrix.
pub(super) struct Out<'a> {
    /// Numbers, from the first row's first on.
    pub numbers: &'a mut [f32],
    /// From one row to the next.
    pub stride: usize,
}

/// A product in one thread: out [rows, right.columns] = (or += with `add`) left [rows, right.depth] right.
pub(super) struct Product<'a, 'o> {
    /// Left side.
    pub left: Rows<'a>,
    /// Right side.
    pub right: Block<'a>,
    /// Rows.
    pub rows: usize,
    /// Output.
    pub out: Out<'o>,
    /// Whether it is added to.
    pub add: bool,
    /// Room for the packed left side.
    pub room: &'o mut Vec<[f32; ROW]>,
}

impl WithSimd for Product<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.compute(simd);
    }
}

impl Product<'_, '_> {
    /// Computes it with the vectors of `simd`.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S) {
        let Self {
            left,
            right,
            rows,
            out,
            add,
            room,
        } = self;
        if room.len() < rows {
            room.resize(rows, [0.0; ROW]);
        }
        for column in (0..right.columns).step_by(COLUMNS) {
            let right = right.columns_from(column, COLUMNS);
            for at in (0..right.depth).step_by(DEPTH) {
                let depth = DEPTH.min(right.depth - at);
                for (row, packed) in room[..rows].iter_mut().enumerate() {
                    let from = &left.numbers[row * left.stride + at..][..depth];
                    packed[..depth].copy_from_slice(from);
                }
                let tiles = Tiles {
                    left: Left::Rows(&room[..rows]),
                    right: right.part(at, depth),
                    rows,
                    add: add || at > 0,
                };
                tiles.compute(simd, &mut out.numbers[column..], out.stride);
            }
        }
    }
}

/// All tiles of a product of no more than [`DEPTH`] depth.
struct Tiles<'a> {
    left: Left<'a>,
    right: Block<'a>,
    rows: usize,
    add: bool,
}

impl Tiles<'_> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S, out: &mut [f32], stride: usize) {
        let tiles = self.rows.div_ceil(most_rows::<S>()).max(1);
        for panel in 0..self.right.panels() {
            let lines = self.right.panel(panel);
            let width = WIDTH.min(self.right.columns - panel * WIDTH);
            let mut row = 0;
            for tile in 0..tiles {
                let rows = self.rows * (tile + 1) / tiles - row;
                let left = match self.left {
                    Left::Rows(packed) => Left::Rows(&packed[row..row + rows]),
                    Left::Columns(numbers, stride) => Left::Columns(&numbers[row..], stride),
                };
                Tile {
                    left,
                    rows,
                    lines,
                    out: &mut out[row * stride + panel * WIDTH..],
                    stride,
                    width,
                    add: self.add,
                }
                .compute(simd);
                row += rows;
            }
        }
    }
}

/// A product in one thread whose left side is a transpose: out [rows, right.columns] += left^T right, where left is
/// [right.depth, rows] with rows `stride` apart.
pub(super) struct Gram<'a, 'o> {
    /// Left side, before it is transposed.
    pub left: Rows<'a>,
    /// Right side.
    pub right: Block<'a>,
    /// Rows of the output.
    pub rows: usize,
    /// Output.
    pub out: Out<'o>,
}

impl WithSimd for Gram<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.compute(simd);
    }
}

impl Gram<'_, '_> {
    /// Computes it with the vectors of `simd`.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S) {
        let Self {
            left,
            right,
            rows,
            out,
        } = self;
        let mut at = 0;
        while at < right.depth && rows > 0 {
            let depth = DEPTH.min(right.depth - at);
            let tiles = Tiles {
                left: Left::Columns(&left.numbers[at * left.stride..], left.stride),
                right: right.part(at, depth),
                rows,
                add: true,
            };
            tiles.compute(simd, &mut *out.numbers, out.stride);
            at += depth;
        }
    }
}

/// One summand of a product by rows.
#[derive(Clone, Copy)]
pub(super) struct Term<'a> {
    /// Left side, from the batch's first row on.
    pub left: Rows<'a>,
    /// Right side.
    pub right: Block<'a>,
    /// The output's column where it begins.
    pub column: usize,
    /// Whether it is added to what is there.
    pub add: bool,
}

impl Cpu {
    /// How many rows of `m` a thread takes at a time.
    fn share(&self, m: usize, terms: &[Term<'_>]) -> usize {
        let large = |term: &Term<'_>| term.right.depth * term.right.columns > LARGE;
        let share = match terms.iter().any(large) {
            true => LARGE_SHARE,
            false => SHARE,
        };
        let parts = m.div_ceil(share).next_multiple_of(self.threads());
        m.div_ceil(parts).max(1)
    }

    /// out [m, columns] = the terms, one after the other.
    pub(super) fn multiply(&self, terms: &[Term<'_>], m: usize, columns: usize, out: &mut [f32]) {
        if m == 0 || columns == 0 {
            return;
        }
        if m < self.threads() * 4 {
            return self.multiply_few(terms, m, columns, out);
        }
        let share = self.share(m, terms);
        let parts = out[..m * columns].chunks_mut(share * columns).enumerate();
        self.each(parts.collect(), |(part, out)| {
            let mut room = Vec::new();
            for term in terms {
                self.arch.dispatch(Product {
                    left: term.left.from(part * share, 0),
                    right: term.right,
                    rows: out.len() / columns,
                    out: Out {
                        numbers: &mut out[term.column..],
                        stride: columns,
                    },
                    add: term.add,
                    room: &mut room,
                });
            }
        });
    }

    /// The same where there are fewer rows than make work for all threads: they share out the panels. What is added to comes
    /// first here too, since whether there are few rows depends on the threads, and sums must not.
    fn multiply_few(&self, terms: &[Term<'_>], m: usize, columns: usize, out: &mut [f32]) {
        for term in terms {
            let panels = term.right.panels();
            let share = panels.div_ceil(self.threads() * 2).max(1);
            let parts: Vec<usize> = (0..panels).step_by(share).collect();
            let before = &*out;
            let made = self.map(parts.clone(), |panel| {
                let right = term.right.columns_from(panel * WIDTH, share * WIDTH);
                let mut made = vec![0.0; m * right.columns];
                if term.add {
                    for (row, made) in made.chunks_exact_mut(right.columns).enumerate() {
                        let from = row * columns + term.column + panel * WIDTH;
                        made.copy_from_slice(&before[from..][..right.columns]);
                    }
                }
                self.arch.dispatch(Product {
                    left: term.left,
                    right,
                    rows: m,
                    out: Out {
                        numbers: &mut made,
                        stride: right.columns,
                    },
                    add: term.add,
                    room: &mut Vec::new(),
                });
                (right.columns, made)
            });
            for (panel, (width, made)) in parts.into_iter().zip(made) {
                for (row, made) in made.chunks_exact(width).enumerate() {
                    let to = &mut out[row * columns + term.column + panel * WIDTH..][..width];
                    to.copy_from_slice(made);
                }
            }
        }
    }

    /// out [m, right.depth] = left [m, right.columns] right^T, which is the way back through a packed matrix.
    pub(super) fn multiply_turned(
        &self,
        left: Rows<'_>,
        right: &Panels,
        m: usize,
        out: &mut [f32],
    ) {
        let (columns, depth) = (right.depth(), right.columns());
        let mut turned = Panels::new(TURNED.min(depth), columns);
        let mut from = 0;
        while from < depth {
            let part = TURNED.min(depth - from);
            let panels: Vec<(usize, &mut [Line])> = turned.panels_mut().enumerate().collect();
            self.each(panels, |(number, lines)| {
                self.arch.dispatch(Wide(
                    #[inline(always)]
                    || turn(right.block(), number, from, &mut lines[..part]),
                ));
            });
            let term = Term {
                left: left.from(0, from),
                right: turned.block().part(0, part),
                column: 0,
                add: from > 0,
            };
            self.multiply(&[term], m, columns, out);
            from += part;
        }
    }

    /// left^T right over m rows of both, left [m, rows] and right [m, columns], in pieces: the first column of each, and its
    /// numbers [rows, width of the piece]. `fill` writes a row of the right side from a column on.
    pub(super) fn gram<F>(
        &self,
        left: Rows<'_>,
        rows: usize,
        m: usize,
        columns: usize,
        fill: F,
    ) -> Vec<(usize, Vec<f32>)>
    where
        F: Fn(usize, usize, &mut Line) + Sync,
    {
        let share = columns
            .div_ceil(WIDTH * self.threads() * 2)
            .clamp(1, PANELS)
            * WIDTH;
        let starts: Vec<usize> = (0..columns).step_by(share).collect();
        self.map(starts, |from| {
            let width = share.min(columns - from);
            let mut sums = vec![0.0; rows * width];
            let mut right = Panels::new(DEPTH.min(m), width);
            let mut at = 0;
            while at < m {
                let depth = DEPTH.min(m - at);
                for (panel, lines) in right.panels_mut().enumerate() {
                    for (row, line) in lines[..depth].iter_mut().enumerate() {
                        fill(at + row, from + panel * WIDTH, line);
                    }
                }
                self.arch.dispatch(Gram {
                    left: left.from(at, 0),
                    right: right.block().part(0, depth),
                    rows,
                    out: Out {
                        numbers: &mut sums,
                        stride: width,
                    },
                });
                at += depth;
            }
            (from, sums)
        })
    }
}
