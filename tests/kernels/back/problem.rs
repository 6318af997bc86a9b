//! Random attention: shapes and numbers from a seed, and what the way forward leaves for the way back.

use crate::support::{Chance, Matrix};
use campaignd::lora::{
    backend::{Backend, Heads},
    batch::Batch,
    plain::Plain,
};

/// What attention is asked for.
#[derive(Clone, Debug)]
pub struct Shape {
    pub head_dim: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// 0: none.
    pub window: usize,
    /// Tokens of each document.
    pub lengths: Vec<usize>,
    /// Columns of each matrix that are none of attention's.
    pub tail: usize,
}

impl Shape {
    /// Where documents begin, and the last one ends.
    pub fn starts(&self) -> Vec<u32> {
        let ends = self.lengths.iter().scan(0, |end, &length| {
            *end += length as u32;
            Some(*end)
        });
        std::iter::once(0).chain(ends).collect()
    }

    /// Tokens.
    pub fn rows(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// As the backend has it.
    pub fn heads(&self) -> Heads {
        Heads {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            window: (self.window > 0).then_some(self.window),
            scale: 1.0 / (self.head_dim as f32).sqrt(),
        }
    }

    /// Leading dimension of `qkv` and its gradient.
    pub fn ld(&self) -> usize {
        self.heads().columns() + self.tail
    }

    /// Leading dimension of `out` and its gradient.
    pub fn ldo(&self) -> usize {
        self.heads().queries() + self.tail
    }

    /// A shape of random size.
    pub fn random(chance: &mut Chance, head_dim: usize) -> Self {
        let kv_heads = chance.of(&[1, 2]);
        let documents = chance.of(&[1, 2, 4]);
        let lengths = [0, 1, 2, 15, 17, 63, 64, 65, 100, 127, 129, 161];
        Self {
            head_dim,
            heads: kv_heads * chance.of(&[1, 2, 3]),
            kv_heads,
            window: chance.of(&[0, 0, 1, 2, 16, 33, 64, 100, 130, 1000]),
            lengths: (0..documents).map(|_| chance.of(&lengths)).collect(),
            tail: chance.of(&[0, 8, 64]),
        }
    }
}

/// A shape, its inputs rounded as the machine stores them.
#[derive(Clone)]
pub struct Problem {
    pub shape: Shape,
    pub qkv: Matrix,
    pub out: Matrix,
    pub dout: Matrix,
    /// [rows, heads].
    pub lse: Vec<f32>,
}

impl Problem {
    /// Random inputs, and what [`Plain`] makes of them on the way forward.
    pub fn new(shape: &Shape, chance: &mut Chance) -> Self {
        let (rows, heads) = (shape.rows(), shape.heads());
        let mut matrix = |columns, ld| Matrix::normal(chance, rows, columns, ld, 1.0);
        let (qkv, dout) = (
            matrix(heads.columns(), shape.ld()),
            matrix(heads.queries(), shape.ldo()),
        );
        let problem = Self {
            shape: shape.clone(),
            qkv,
            // Made by `forward`.
            out: dout.clone(),
            dout,
            lse: Vec::new(),
        };
        problem.forward()
    }

    /// The same with `out` and `lse` made anew.
    pub fn forward(mut self) -> Self {
        let (rows, heads) = (self.shape.rows(), self.shape.heads());
        let mut out = vec![0.0; rows * heads.queries()];
        self.lse = vec![0.0; rows * self.shape.heads];
        Plain
            .attend(
                &heads,
                &batch(&self.shape),
                &self.qkv.dense(),
                rows,
                &mut self.lse,
                &mut out,
            )
            .unwrap();
        self.out = Matrix::spread(&out, heads.queries(), self.shape.ldo());
        self
    }

    /// One of its documents alone.
    pub fn document(&self, document: usize) -> Self {
        let shape = &self.shape;
        let starts = shape.starts();
        let rows = starts[document] as usize..starts[document + 1] as usize;
        Self {
            shape: Shape {
                lengths: vec![rows.len()],
                ..shape.clone()
            },
            qkv: self.qkv.part(rows.clone()),
            out: self.out.part(rows.clone()),
            dout: self.dout.part(rows.clone()),
            lse: self.lse[rows.start * shape.heads..rows.end * shape.heads].to_vec(),
        }
    }

    /// The gradient of `qkv` by [`Plain`], [rows, columns].
    pub fn plain(&self) -> Vec<f32> {
        let (shape, heads) = (&self.shape, self.shape.heads());
        let mut dqkv = vec![0.0; shape.rows() * heads.columns()];
        Plain
            .attend_backward(
                &heads,
                &batch(shape),
                &self.qkv.dense(),
                &self.lse,
                &self.out.dense(),
                &self.dout.dense(),
                shape.rows(),
                &mut dqkv,
            )
            .unwrap();
        dqkv
    }
}

/// All of a batch that attention looks at.
fn batch(shape: &Shape) -> Batch {
    Batch {
        starts: shape.starts(),
        ..Batch::default()
    }
}
