//! What a buffer of a machine is to hold.

/// What the numbers of a buffer are; a machine may keep each kind in a precision of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Weights, activations and their gradients.
    Activation,
    /// One number of a row, a head or a column: 1 / rms, the log of a sum of exponentials, a loss; the gain of a norm. f32 at
    /// least.
    Statistic,
    /// What the next token is chosen by. f32 at least: rounded to less, many of the likely tokens would be equal.
    Logit,
    /// drop(x) A^T, [M, R], of an x that is made again on the way back.
    Low,
    /// The same of an x that is kept, or never asked for again: a machine that has it in the tail of x needs it nowhere else.
    LowOfKept,
}

/// What a buffer is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows: tokens.
    pub rows: usize,
    /// Numbers of a row.
    pub columns: usize,
    /// Columns of the machine's own beside each row, at least what [`Backend::tail`](super::backend::Backend::tail) says of the groups that read or make it.
    pub tail: usize,
    /// What they are.
    pub kind: Kind,
}

impl Shape {
    /// Activations, [rows, columns].
    pub fn of(rows: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            tail: 0,
            kind: Kind::Activation,
        }
    }

    /// Statistics, [rows, columns].
    pub fn statistics(rows: usize, columns: usize) -> Self {
        Self {
            kind: Kind::Statistic,
            ..Self::of(rows, columns)
        }
    }

    /// The same with a tail.
    pub fn with_tail(self, tail: usize) -> Self {
        Self { tail, ..self }
    }

    /// Numbers in it, without tails.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
