//! The ceiling: a step's frozen products and nothing else, as fast as the same machine does them.
//!
//! One layer's weights stand for those of all, which have the same shapes and would not fit a second time. Inputs are random:
//! zeros would be multiplied faster than anything that a model sees.

use super::{
    flops::propagates,
    random::{Random, uniform},
};
use crate::{
    lora::{
        backend::{Backend, Done, Projection, Shape, Trouble},
        batch::Batch,
        decoder::{Decoder, Tensors},
        engine::MODULES,
        files::layout::{EMBEDDING, HEAD},
    },
    training::site::Site,
};

/// Rows of the loss head's logits at a time: all of them would need more memory than the model.
pub const HEAD_ROWS: usize = 2048;

/// Zeros, [rows, columns].
fn zeros<B: Backend>(backend: &B, rows: usize, columns: usize) -> Done<B::Buffer> {
    backend.zeros(Shape::of(rows, columns))
}

/// These numbers, [rows, columns].
fn filled<B: Backend>(
    backend: &B,
    rows: usize,
    columns: usize,
    numbers: &[f32],
) -> Done<B::Buffer> {
    backend.put(Shape::of(rows, columns), numbers)
}

/// A projection group without adapters, what it reads, and what it makes.
struct Product<B: Backend> {
    linear: B::Linear,
    x: B::Buffer,
    y: B::Buffer,
    dx: B::Buffer,
    /// Rows that there is room for.
    rows: usize,
}

/// The products of a step.
pub struct Products<B: Backend> {
    backend: B,
    batch: B::Placed,
    groups: Vec<Product<B>>,
    head: Product<B>,
    /// What a group without adapters needs of `h`.
    none: B::Buffer,
    layers: usize,
    tokens: usize,
    supervised: usize,
    lowest: usize,
}

impl<B: Backend> Product<B> {
    fn new(backend: &B, number: u32, rows: usize, group: Vec<Projection>) -> Done<Self> {
        let inputs = group.first().map_or(0, |projection| projection.inputs);
        let outputs = group.iter().map(|projection| projection.outputs).sum();
        let x = uniform(&format!("input {number}"), rows * inputs, 1.0);
        Ok(Self {
            x: filled(backend, rows, inputs, &x)?,
            y: zeros(backend, rows, outputs)?,
            dx: zeros(backend, rows, inputs)?,
            linear: backend.linear(number, group)?,
            rows,
        })
    }

    fn forward(&mut self, backend: &B, batch: &B::Placed, m: usize, h: &mut B::Buffer) -> Done {
        let Self { linear, x, y, .. } = self;
        backend.forward(linear, batch, &[], x, m, h, false, y)
    }

    /// The gradient of the input, the output standing for its own.
    fn backward(&mut self, backend: &B, batch: &B::Placed, m: usize, h: &B::Buffer) -> Done {
        let Self {
            linear, x, y, dx, ..
        } = self;
        backend.backward(linear, batch, &[], x, h, y, m, Some(dx))
    }
}

impl<B: Backend> Products<B> {
    /// The groups of one layer, and the loss head. `lowest` is the group of the lowest adapter.
    ///
    /// # Errors
    /// The machine's own.
    pub fn new(backend: B, decoder: &Decoder, batch: &Batch, lowest: usize) -> Done<Self> {
        let tensors = Random::new(decoder);
        let (tokens, supervised) = (batch.tokens(), batch.supervised.len());
        let group = |(number, modules): (u32, &&[_])| {
            let sites = modules.iter().map(|&module| Site { layer: 0, module });
            let group = sites.map(|site| {
                let (outputs, inputs) = decoder.shape(site);
                let bias = decoder
                    .has_bias(site.module)
                    .then(|| tensors.tensor(&format!("{site}.bias")));
                projection(&tensors, &format!("{site}.weight"), outputs, inputs, bias)
            });
            Product::new(&backend, number, tokens, group.collect::<Done<_>>()?)
        };
        let groups = (0..).zip(&MODULES).map(group).collect::<Done<Vec<_>>>()?;
        let (outputs, inputs) = (decoder.vocabulary, decoder.hidden);
        let name = if decoder.tied { EMBEDDING } else { HEAD };
        let head = vec![projection(&tensors, name, outputs, inputs, None)?];
        let rows = HEAD_ROWS.min(supervised);
        Ok(Self {
            head: Product::new(&backend, MODULES.len() as u32, rows, head)?,
            batch: backend.place(batch)?,
            none: zeros(&backend, tokens, 0)?,
            groups,
            layers: decoder.layers.len(),
            tokens,
            supervised,
            lowest,
            backend,
        })
    }

    /// All products of a step, once, in their order; it ends when they are computed.
    ///
    /// # Errors
    /// The machine's own.
    pub fn run(&mut self) -> Done {
        for _ in 0..self.layers {
            for group in &mut self.groups {
                group.forward(&self.backend, &self.batch, self.tokens, &mut self.none)?;
            }
        }
        let head = &mut self.head;
        for from in (0..self.supervised).step_by(head.rows.max(1)) {
            let m = head.rows.min(self.supervised - from);
            head.forward(&self.backend, &self.batch, m, &mut self.none)?;
            head.backward(&self.backend, &self.batch, m, &self.none)?;
        }
        for layer in (0..self.layers).rev() {
            for (number, group) in self.groups.iter_mut().enumerate().rev() {
                if propagates(layer, number, self.lowest) {
                    group.backward(&self.backend, &self.batch, self.tokens, &self.none)?;
                }
            }
        }
        // Reading waits for a machine that is behind its caller.
        self.backend.get(&self.head.dx, 1).map(drop)
    }
}

fn projection(
    tensors: &Random,
    name: &str,
    outputs: usize,
    inputs: usize,
    bias: Option<Result<Vec<f32>, String>>,
) -> Done<Projection> {
    Ok(Projection {
        outputs,
        inputs,
        weight: tensors.tensor(name).map_err(Trouble)?,
        bias: bias.transpose().map_err(Trouble)?,
        adapters: Vec::new(),
    })
}
