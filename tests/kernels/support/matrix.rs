//! Matrices as kernels get them: rows of bf16, further apart than they are wide.

use crate::support::Chance;
use half::bf16;
use std::ops::Range;

/// Rows of bf16 with NaN behind the columns of each: what is there is not theirs to read or to change, and reading it shows.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Rows.
    pub rows: usize,
    /// Columns in use.
    pub columns: usize,
    /// Numbers from row to row.
    pub ld: usize,
    /// All of them, [rows, ld].
    pub numbers: Vec<bf16>,
}

impl Matrix {
    /// Numbers of f32, row after row, each rounded.
    pub fn filled(rows: usize, columns: usize, ld: usize, mut number: impl FnMut() -> f32) -> Self {
        assert!(columns <= ld);
        let mut numbers = vec![bf16::NAN; rows * ld];
        for row in numbers.chunks_exact_mut(ld.max(1)) {
            row[..columns].fill_with(|| bf16::from_f32(number()));
        }
        Self {
            rows,
            columns,
            ld,
            numbers,
        }
    }

    /// Numbers from -1 to 1.
    pub fn random(chance: &mut Chance, rows: usize, columns: usize, ld: usize) -> Self {
        Self::filled(rows, columns, ld, || chance.around(1.0))
    }

    /// About normal numbers of standard deviation `size`.
    pub fn normal(chance: &mut Chance, rows: usize, columns: usize, ld: usize, size: f32) -> Self {
        Self::filled(rows, columns, ld, || size * chance.normal())
    }

    /// These numbers, [rows, columns], rounded.
    pub fn spread(numbers: &[f32], columns: usize, ld: usize) -> Self {
        let mut numbers = numbers.iter().copied();
        let rows = numbers.len() / columns;
        let next = || numbers.next().expect("a number for each place");
        Self::filled(rows, columns, ld, next)
    }

    /// A number, exact.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        assert!(column < self.columns);
        self.numbers[row * self.ld + column].to_f64()
    }

    /// The columns of a row.
    pub fn row(&self, row: usize) -> &[bf16] {
        &self.numbers[row * self.ld..][..self.columns]
    }

    /// Some of its rows alone.
    pub fn part(&self, rows: Range<usize>) -> Self {
        Self {
            rows: rows.len(),
            numbers: self.numbers[rows.start * self.ld..rows.end * self.ld].to_vec(),
            ..*self
        }
    }

    /// The columns without what is behind them, [rows, columns], as the reference takes them.
    pub fn dense(&self) -> Vec<f32> {
        let rows = self.numbers.chunks_exact(self.ld.max(1));
        rows.flat_map(|row| row[..self.columns].iter().map(|x| x.to_f32()))
            .collect()
    }
}
