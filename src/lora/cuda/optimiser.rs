//! The optimiser's launches: one over all that a member trains, wherever in the model it is.
//!
//! A launch for each group would be a hundred and more of them a step, each too small to fill a machine. So the tables by
//! which the kernels find numbers are put together once, and made anew only where a group was equipped anew.

use super::{
    super::backend::{AdamStep, Done},
    Cuda,
    device::{Address, Device, Kernel},
    launch::{int, row},
    linear::Linear,
    memory::{Piece, bytes_of_f32},
};
use std::rc::Rc;

/// Numbers of a tensor that one block of the optimiser takes.
const CHUNK: usize = 4096;
/// Bytes of a tensor in the table.
const TENSOR: u64 = 64;
/// Bytes between the tensors and the chunks: the rule (32), the bounds of the chunks (8), the sum of all squares (8).
const SCALARS: u64 = 48;

/// A or B of one projection, as the kernels see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {
    /// f32: masters, gradients, first and second moments; bf16: its place in W^.
    pub places: [Address; 5],
    /// Rows times columns.
    pub len: usize,
    /// Columns.
    pub columns: usize,
    /// Numbers from row to row of its gradient.
    pub gradient_ld: usize,
    /// Numbers from row to row of W^.
    pub border_ld: usize,
    /// What it is multiplied by in W^.
    pub scale: f32,
}

/// What a member trains of one group. Two are the same only if they are one: numbers that were put elsewhere, even where
/// others had been, are others.
pub type Tensors = Rc<[Tensor]>;

/// Bytes of the table of tensors of these lengths.
pub fn table_bytes(lengths: impl Iterator<Item = usize>) -> u64 {
    let sizes = lengths.map(|len| TENSOR + 16 * len.div_ceil(CHUNK) as u64);
    SCALARS + sizes.sum::<u64>()
}

/// The table of several groups on the device.
pub struct Table<D: Device> {
    of: Vec<Tensors>,
    piece: Piece<D>,
    tensors: usize,
    chunks: usize,
}

impl<D: Device> Table<D> {
    /// Of these.
    pub fn new(device: &Rc<D>, of: Vec<Tensors>) -> Done<Self> {
        let (mut bytes, mut chunks) = (Vec::new(), Vec::new());
        let all = || of.iter().flat_map(|group| group.iter());
        for (number, tensor) in (0_u32..).zip(all()) {
            bytes.extend(tensor.bytes());
            for from in (0..tensor.len).step_by(CHUNK) {
                chunks.push([number, from as u32]);
            }
        }
        let mut scalars = [0; SCALARS as usize];
        scalars[36..40].copy_from_slice(&(chunks.len() as u32).to_le_bytes());
        bytes.extend(scalars);
        bytes.extend(chunks.iter().flatten().flat_map(|word| word.to_le_bytes()));
        let (tensors, chunks) = (all().count(), chunks.len());
        // The last are partial sums, one a chunk.
        bytes.resize(bytes.len() + 8 * chunks, 0);
        let piece = Piece::of(device, &bytes)?;
        Ok(Self {
            of,
            piece,
            tensors,
            chunks,
        })
    }

    /// Whether it is that of these, in this order.
    fn is_of(&self, others: &[Tensors]) -> bool {
        let both = self.of.iter().zip(others);
        self.of.len() == others.len() && both.into_iter().all(|(a, b)| Rc::ptr_eq(a, b))
    }

    fn rule(&self) -> Address {
        self.piece.at().plus(TENSOR * self.tensors as u64)
    }

    fn bounds(&self) -> Address {
        self.rule().plus(32)
    }

    fn total(&self) -> Address {
        self.rule().plus(40)
    }

    fn chunks(&self) -> Address {
        self.rule().plus(SCALARS)
    }

    fn partials(&self) -> Address {
        self.chunks().plus(8 * self.chunks as u64)
    }

    /// Masters into the borders, rounded to bf16.
    pub fn write_borders(&self, device: &D) -> Done {
        let args = [
            self.piece.at().into(),
            self.chunks().into(),
            int(self.chunks),
        ];
        device.launch(Kernel("borders"), &row(self.chunks, 256, 0), &args)
    }

    /// One step of AdamW; it writes the borders.
    pub fn adamw(&self, device: &D, step: &AdamStep) -> Done {
        device.upload(&bytes_of_f32(&rule(step)), self.rule())?;
        let args = [
            self.piece.at().into(),
            self.chunks().into(),
            self.rule().into(),
            int(self.chunks),
            int(0),
        ];
        device.launch(Kernel("adamw"), &row(self.chunks, 256, 0), &args)
    }

    /// The sum of the squares of the gradients.
    pub fn squares(&self, device: &D) -> Done<f64> {
        let args = [
            self.piece.at().into(),
            self.chunks().into(),
            self.partials().into(),
            int(self.chunks),
        ];
        device.launch(Kernel("squares"), &row(self.chunks, 256, 64), &args)?;
        let args = [
            self.partials().into(),
            self.bounds().into(),
            self.total().into(),
            int(1),
        ];
        device.launch(Kernel("squares_total"), &row(1, 256, 64), &args)?;
        let mut sum = [0; 8];
        device.download(self.total(), &mut sum)?;
        Ok(f64::from_le_bytes(sum))
    }
}

impl Tensor {
    /// As the kernels' headers describe it.
    fn bytes(&self) -> Vec<u8> {
        let places = self.places.iter().flat_map(|place| place.0.to_le_bytes());
        let mut bytes: Vec<u8> = places.collect();
        for word in [self.columns, self.gradient_ld, self.border_ld] {
            bytes.extend((word as u32).to_le_bytes());
        }
        bytes.extend(self.scale.to_le_bytes());
        // A table is one member's, and a member learns by one rule.
        for word in [0, self.len as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }
}

impl<D: Device> Cuda<D> {
    /// What `act` does with all that a member trains in these groups; none: it trains nothing there.
    pub(super) fn optimise<'a, T>(
        &self,
        groups: impl Iterator<Item = &'a Linear<D>>,
        member: usize,
        act: impl FnOnce(&Table<D>, &D) -> Done<T>,
    ) -> Done<Option<T>>
    where
        D: 'a,
    {
        let own = groups.filter_map(|group| group.trained(member));
        let own: Vec<_> = own.map(|trained| trained.adapters.tensors()).collect();
        if own.is_empty() {
            return Ok(None);
        }
        let mut tables = self.tables.borrow_mut();
        if !tables.get(&member).is_some_and(|table| table.is_of(&own)) {
            // The old one goes first: both may not fit.
            tables.remove(&member);
            tables.insert(member, Table::new(&self.device, own)?);
        }
        act(&tables[&member], &self.device).map(Some)
    }
}

/// The scalars of one step, made in f64 and rounded once, as torch and the CPU backend make them.
fn rule(step: &AdamStep) -> [f32; 8] {
    let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
    [
        step.gradient_scale,
        1.0 - step.learning_rate * step.weight_decay,
        1.0 - step.beta1,
        step.beta2,
        1.0 - step.beta2,
        correction(step.beta2).sqrt(),
        step.epsilon,
        step.learning_rate / correction(step.beta1),
    ]
    .map(|number| number as f32)
}
