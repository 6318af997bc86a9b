//! The innermost product: a tile of a few rows by one panel of [`WIDTH`] columns, held in registers while the depth goes by.
//!
//! An output is one chain of fused multiply-adds over the depth, whatever the tile, the vector width of the processor or the
//! position in the matrix, so results do not depend on how rows and columns are split among threads or on the processor's
//! kind.

use pulp::Simd;

/// Columns of a panel.
pub(super) const WIDTH: usize = 32;
/// Most of the depth that one call adds up.
pub(super) const DEPTH: usize = 128;
/// Length of a packed row: lines of neighbouring rows must not fall into the same set of the first-level cache.
pub(super) const ROW: usize = DEPTH + 16;
/// Most rows of a tile: 14 by 2 vectors leave four of 32 registers.
pub(super) const ROWS: usize = 14;

/// A line of a packed right side: one step of the depth, all columns of the panel.
pub(super) type Line = [f32; WIDTH];

/// Where the left side of a tile is.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// Row by row: number (i, k) is at `[i][k]`.
    Rows(&'a [[f32; ROW]]),
    /// Depth by depth: number (i, k) is at `[k * stride + i]`.
    Columns(&'a [f32], usize),
}

/// One tile: rows of the left side by a panel.
pub(super) struct Tile<'a> {
    /// Left side.
    pub left: Left<'a>,
    /// How many of its rows, up to [`ROWS`].
    pub rows: usize,
    /// Right side, a line for each step of the depth.
    pub lines: &'a [Line],
    /// The output from the tile's first number on.
    pub out: &'a mut [f32],
    /// From one row of the output to the next.
    pub stride: usize,
    /// Columns of the panel that exist.
    pub width: usize,
    /// Whether the product is added to the output.
    pub add: bool,
}

impl Tile<'_> {
    /// Computes it with the vectors of `simd`.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S) {
        macro_rules! by_rows {
            ($($rows:literal)*) => {
                match self.rows {
                    0 => {}
                    $($rows if $rows <= most_rows::<S>() => self.fixed::<S, $rows>(simd),)*
                    rows => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    }

    #[inline(always)]
    fn fixed<S: Simd, const R: usize>(self, simd: S) {
        let pair = 2 * S::F32_LANES;
        let mut at = 0;
        let Self {
            left,
            lines,
            out,
            stride,
            width,
            add,
            ..
        } = self;
        while at < width {
            let sums = match left {
                Left::Rows(rows) => {
                    let rows: &[[f32; ROW]; R] =
                        rows.first_chunk().expect("a tile's rows are there");
                    by_row(simd, rows, lines, at)
                }
                Left::Columns(numbers, stride) => {
                    by_depth::<S, R>(simd, numbers, stride, lines, at)
                }
            };
            for (row, sums) in sums.iter().enumerate() {
                let have = pair.min(width - at);
                let to = &mut out[row * stride + at..][..have];
                store(simd, sums, to, add);
            }
            at += pair;
        }
    }
}

#[inline(always)]
fn by_row<S: Simd, const R: usize>(
    simd: S,
    rows: &[[f32; ROW]; R],
    lines: &[Line],
    at: usize,
) -> [[S::f32s; 2]; R] {
    let mut sums = [[simd.splat_f32s(0.0); 2]; R];
    let lines = &lines[..lines.len().min(ROW)];
    for (k, line) in lines.iter().enumerate() {
        let (line, _) = S::as_simd_f32s(&line[at..at + 2 * S::F32_LANES]);
        let (first, second) = (line[0], line[1]);
        for (sums, row) in sums.iter_mut().zip(rows) {
            let x = simd.splat_f32s(row[k]);
            sums[0] = simd.mul_add_f32s(x, first, sums[0]);
            sums[1] = simd.mul_add_f32s(x, second, sums[1]);
        }
    }
    sums
}

#[inline(always)]
fn by_depth<S: Simd, const R: usize>(
    simd: S,
    numbers: &[f32],
    stride: usize,
    lines: &[Line],
    at: usize,
) -> [[S::f32s; 2]; R] {
    let mut sums = [[simd.splat_f32s(0.0); 2]; R];
    for (line, left) in lines.iter().zip(numbers.chunks(stride)) {
        let left: &[f32; R] = left.first_chunk().expect("a tile's rows are there");
        let (line, _) = S::as_simd_f32s(&line[at..at + 2 * S::F32_LANES]);
        let (first, second) = (line[0], line[1]);
        for (sums, &x) in sums.iter_mut().zip(left) {
            let x = simd.splat_f32s(x);
            sums[0] = simd.mul_add_f32s(x, first, sums[0]);
            sums[1] = simd.mul_add_f32s(x, second, sums[1]);
        }
    }
    sums
}

#[inline(always)]
fn store<S: Simd>(simd: S, sums: &[S::f32s; 2], to: &mut [f32], add: bool) {
    if to.len() == 2 * S::F32_LANES {
        let (to, _) = S::as_mut_simd_f32s(to);
        for (to, &sum) in to.iter_mut().zip(sums) {
            *to = if add { simd.add_f32s(*to, sum) } else { sum };
        }
        return;
    }
    let mut narrow = [0.0; 2 * WIDTH];
    let (lanes, _) = S::as_mut_simd_f32s(&mut narrow);
    lanes[..2].copy_from_slice(sums);
    for (to, sum) in to.iter_mut().zip(narrow) {
        *to = if add { *to + sum } else { sum };
    }
}

/// Most rows of a tile that this processor's registers hold.
#[inline(always)]
pub(super) fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { ROWS } else { 6 }
}
