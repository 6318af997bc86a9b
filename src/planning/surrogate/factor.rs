//! Cholesky factors of symmetric positive definite matrices, and what is solved with them.
//!
//! Everything here is products of rows with rows: a tile of 4 by 2 of them is computed at a time, so that
//! each number that is read from memory is used several times (Golub and Van Loan, "Matrix computations", section 4.2.6),
//! with the vectors of whatever processor there is. One thread; the order of every sum is fixed.

use pulp::{Arch, Simd, WithSimd};

/// Rows of a tile.
const ROWS: usize = 4;
/// Columns of a tile.
const COLUMNS: usize = 2;

/// The lower factor L of a matrix `L L^T`: n rows, each of `stride` numbers of which the first n count.
#[derive(Clone, Debug)]
pub struct Factor {
    n: usize,
    stride: usize,
    numbers: Vec<f64>,
}

/// Row-major rows, each `stride` numbers.
struct Rows<'a> {
    numbers: &'a mut [f64],
    stride: usize,
}

/// Turns rows R into `R L^-T`, from a column on (left of it they are 0).
struct Solve<'a> {
    factor: &'a [f64],
    stride: usize,
    n: usize,
    from: usize,
    rows: Rows<'a>,
}

/// Factors a symmetric matrix of which the lower half is given, in place; tells whether it is positive definite.
struct Decompose<'a> {
    n: usize,
    rows: Rows<'a>,
}

/// The lower half of `X X^T` of rows X whose row k is 0 left of column k.
struct Gram<'a> {
    n: usize,
    rows: &'a [f64],
    out: &'a mut [f64],
}

/// The products of R rows with C others, all of one length.
#[inline(always)]
fn products<S: Simd, const R: usize, const C: usize>(
    simd: S,
    a: [&[f64]; R],
    b: [&[f64]; C],
) -> [[f64; C]; R] {
    let length = a[0].len();
    let (a, b) = (a.map(|row| &row[..length]), b.map(|row| &row[..length]));
    let (heads_a, heads_b) = (
        a.map(|row| S::as_simd_f64s(row).0),
        b.map(|row| S::as_simd_f64s(row).0),
    );
    let vectors = heads_a[0].len();
    let (heads_a, heads_b) = (
        heads_a.map(|row| &row[..vectors]),
        heads_b.map(|row| &row[..vectors]),
    );
    let mut sums = [[simd.splat_f64s(0.0); C]; R];
    for at in 0..vectors {
        let right: [S::f64s; C] = std::array::from_fn(|column| heads_b[column][at]);
        for (row, sums) in sums.iter_mut().enumerate() {
            let left = heads_a[row][at];
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_e_f64s(left, right, *sum);
            }
        }
    }
    let done = vectors * S::F64_LANES;
    let mut totals = [[0.0; C]; R];
    for row in 0..R {
        for column in 0..C {
            let rest = a[row][done..].iter().zip(&b[column][done..]);
            let rest: f64 = rest.map(|(one, two)| one * two).sum();
            totals[row][column] = simd.reduce_sum_f64s(sums[row][column]) + rest;
        }
    }
    totals
}

/// Solves some columns of R rows against rows of the factor, from column `from` to `to`.
#[inline(always)]
fn solve_rows<S: Simd, const R: usize>(
    simd: S,
    rows: &mut [f64],
    stride: usize,
    factor: &[f64],
    factor_stride: usize,
    (from, to): (usize, usize),
) {
    let line = |row: usize| &factor[row * factor_stride..];
    let mut column = from;
    while column < to {
        let width = COLUMNS.min(to - column);
        let left: [&[f64]; R] =
            std::array::from_fn(|row| &rows[row * stride + from..row * stride + column]);
        // A last column alone is computed twice and used once.
        let right: [&[f64]; COLUMNS] =
            std::array::from_fn(|at| &line(column + at.min(width - 1))[from..column]);
        let sums = products::<S, R, COLUMNS>(simd, left, right);
        for (row, sums) in sums.iter().enumerate() {
            let first = line(column)[column];
            let out = &mut rows[row * stride + column..row * stride + column + width];
            out[0] = (out[0] - sums[0]) / first;
            if width > 1 {
                let next = line(column + 1);
                out[1] = (out[1] - sums[1] - out[0] * next[column]) / next[column + 1];
            }
        }
        column += width;
    }
}

impl WithSimd for Solve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = self.rows.stride;
        let span = (self.from, self.n);
        let mut tiles = self.rows.numbers.chunks_exact_mut(stride * ROWS);
        for tile in &mut tiles {
            solve_rows::<S, ROWS>(simd, tile, stride, self.factor, self.stride, span);
        }
        for row in tiles.into_remainder().chunks_exact_mut(stride) {
            solve_rows::<S, 1>(simd, row, stride, self.factor, self.stride, span);
        }
    }
}

impl WithSimd for Decompose<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        let stride = self.rows.stride;
        let mut top = 0;
        while top < self.n {
            let height = ROWS.min(self.n - top);
            let (above, below) = self.rows.numbers.split_at_mut(top * stride);
            let tile = &mut below[..height * stride];
            if height == ROWS {
                solve_rows::<S, ROWS>(simd, tile, stride, above, stride, (0, top));
            } else {
                for row in tile.chunks_exact_mut(stride) {
                    solve_rows::<S, 1>(simd, row, stride, above, stride, (0, top));
                }
            }
            if !corner(simd, tile, stride, top, height) {
                return false;
            }
            top += height;
        }
        true
    }
}

/// Factors the square on the diagonal of a tile whose columns left of it are done.
#[inline(always)]
fn corner<S: Simd>(simd: S, tile: &mut [f64], stride: usize, top: usize, height: usize) -> bool {
    for row in 0..height {
        for column in 0..=row {
            let end = top + column;
            let left = &tile[row * stride..row * stride + end];
            let right = &tile[column * stride..column * stride + end];
            let sum = products::<S, 1, 1>(simd, [left], [right])[0][0];
            let rest = tile[row * stride + end] - sum;
            if column < row {
                tile[row * stride + end] = rest / tile[column * stride + end];
            } else {
                // A pivot that rounding alone could have made is none; NaN is none either.
                let least = 1e-14 * tile[row * stride + end].abs();
                if !(rest > least && rest.is_finite()) {
                    return false;
                }
                tile[row * stride + end] = rest.sqrt();
            }
        }
    }
    true
}

impl WithSimd for Gram<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.n;
        let line = |row: usize, from: usize| &self.rows[row * n + from..(row + 1) * n];
        let mut top = 0;
        while top < n {
            let height = ROWS.min(n - top);
            for left in (0..top + height).step_by(COLUMNS) {
                let width = COLUMNS.min(n - left);
                // The rows of the tile are 0 left of its top.
                let from = top;
                let a: [&[f64]; ROWS] =
                    std::array::from_fn(|at| line(top + at.min(height - 1), from));
                let b: [&[f64]; COLUMNS] =
                    std::array::from_fn(|at| line(left + at.min(width - 1), from));
                let sums = products::<S, ROWS, COLUMNS>(simd, a, b);
                for (at, sums) in sums.iter().enumerate().take(height) {
                    self.out[(top + at) * n + left..][..width].copy_from_slice(&sums[..width]);
                }
            }
            top += height;
        }
    }
}

impl Factor {
    /// The factor of a matrix of n rows and columns whose lower half is given; none where it is not positive definite.
    pub fn new(numbers: Vec<f64>, n: usize) -> Option<Self> {
        let mut factor = Self {
            n,
            stride: n,
            numbers,
        };
        let rows = Rows {
            numbers: &mut factor.numbers,
            stride: n,
        };
        Arch::new()
            .dispatch(Decompose { n, rows })
            .then_some(factor)
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.n
    }

    fn line(&self, row: usize) -> &[f64] {
        &self.numbers[row * self.stride..row * self.stride + self.n]
    }

    /// Turns each row r of `rows`, n numbers each, into `L^-1 r`.
    pub fn solve_lower(&self, rows: &mut [f64]) {
        self.solve_from(rows, 0);
    }

    fn solve_from(&self, rows: &mut [f64], from: usize) {
        let rows = Rows {
            numbers: rows,
            stride: self.n,
        };
        Arch::new().dispatch(Solve {
            factor: &self.numbers,
            stride: self.stride,
            n: self.n,
            from,
            rows,
        });
    }

    /// Turns a vector v of n numbers into `L^-T v`.
    pub fn solve_upper(&self, vector: &mut [f64]) {
        for row in (0..self.n).rev() {
            let line = self.line(row);
            let value = vector[row] / line[row];
            vector[row] = value;
            for (one, factor) in vector[..row].iter_mut().zip(line) {
                *one -= factor * value;
            }
        }
    }

    /// `(L L^T)^-1 v`.
    pub fn solve(&self, vector: &[f64]) -> Vec<f64> {
        let mut solved = vector.to_vec();
        self.solve_lower(&mut solved);
        self.solve_upper(&mut solved);
        solved
    }

    /// The logarithm of the matrix's determinant.
    pub fn log_determinant(&self) -> f64 {
        2.0 * (0..self.n).map(|row| self.line(row)[row].ln()).sum::<f64>()
    }

    /// The columns of `L^-1`, each a row of n numbers of which those left of the diagonal are 0.
    fn columns(&self) -> Vec<f64> {
        let n = self.n;
        let mut rows = vec![0.0; n * n];
        for at in 0..n {
            rows[at * n + at] = 1.0;
        }
        for top in (0..n).step_by(ROWS) {
            let end = (top + ROWS).min(n);
            self.solve_from(&mut rows[top * n..end * n], top);
        }
        rows
    }

    /// The diagonal of the inverse.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        let square = |row: &[f64]| row.iter().map(|one| one * one).sum();
        self.columns().chunks_exact(self.n).map(square).collect()
    }

    /// The lower half of the inverse, n by n; what is above the diagonal says nothing.
    pub fn inverse(&self) -> Vec<f64> {
        let (n, rows) = (self.n, self.columns());
        let mut out = vec![0.0; n * n];
        Arch::new().dispatch(Gram {
            n,
            rows: &rows,
            out: &mut out,
        });
        out
    }

    /// Adds a row and column to the matrix: n numbers of it and the one on the diagonal. Tells whether that is possible;
    /// where not, nothing has changed.
    pub fn append(&mut self, row: &[f64], diagonal: f64) -> bool {
        let mut row = row.to_vec();
        self.solve_lower(&mut row);
        let rest = diagonal - row.iter().map(|one| one * one).sum::<f64>();
        if !(rest > 1e-14 * diagonal.abs() && rest.is_finite()) {
            return false;
        }
        let (n, stride) = (self.n + 1, self.stride.max(self.n + 1));
        if stride > self.stride {
            let stride = stride + 16;
            let mut numbers = vec![0.0; stride * stride];
            for at in 0..self.n {
                numbers[at * stride..at * stride + self.n].copy_from_slice(self.line(at));
            }
            (self.numbers, self.stride) = (numbers, stride);
        }
        let start = self.n * self.stride;
        self.numbers[start..start + self.n].copy_from_slice(&row);
        self.numbers[start + self.n] = rest.sqrt();
        self.n = n;
        true
    }
}

#[cfg(test)]
mod tests;
