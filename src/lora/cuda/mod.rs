//! A GPU: bf16 storage, f32 sums, adapters in f32, kernels of our own around matrix products of cuBLASLt.
//!
//! Generic over the [`Device`], so that every launch below also runs where there is no GPU: in a PTX interpreter, against the
//! plain machine. All that is told a device happens in order, so an operation's workspace may be the next one's.

mod adapters;
mod attention;
mod border;
pub mod budget;
pub mod device;
pub mod driver;
mod head;
pub mod kernels;
pub mod key;
mod launch;
mod learn;
mod linear;
mod machine;
mod memory;
mod optimiser;
mod place;
mod project;
mod rows;
mod segments;
mod shares;
pub mod trial;

use super::backend::Done;
use attention::Angles;
use device::Device;
use memory::{Piece, Scratch};
use optimiser::Table;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

pub use linear::Linear;
pub use memory::Buffer;
pub use place::Placed;

/// Rows that each member's part of a packed batch is filled up to a multiple of: no tile of a product has rows of two members, and
/// products have the same shape in every step.
pub const GRAIN: usize = 128;

/// A decoder's arithmetic on a device.
pub struct Cuda<D: Device> {
    device: Rc<D>,
    /// What one operation needs for itself.
    workspace: Scratch<D>,
    /// 0, 1, 2, ...
    counting: RefCell<Option<Piece<D>>>,
    /// Of the positions that were asked for last.
    angles: RefCell<Option<Angles<D>>>,
    /// What the optimiser finds each member's numbers by.
    tables: RefCell<BTreeMap<usize, Table<D>>>,
}

impl<D: Device> Cuda<D> {
    /// On this device.
    pub fn new(device: D) -> Self {
        Self::shared(Rc::new(device))
    }

    /// On this device, which others look at too.
    pub fn shared(device: Rc<D>) -> Self {
        Self {
            device,
            workspace: Scratch::new(),
            counting: RefCell::new(None),
            angles: RefCell::new(None),
            tables: RefCell::default(),
        }
    }

    /// So many bytes for what one operation after the other needs for itself, before anything else takes them.
    ///
    /// # Errors
    /// The device has not as much.
    pub fn reserve(&self, bytes: u64) -> Done {
        self.workspace.hold(&self.device, bytes).map(drop)
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }
}
