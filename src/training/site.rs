//! Where an adapter sits: one linear module of one layer, and what its tensors are called.

use super::words::Module;
use std::fmt;

/// A linear module of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// Which layer, from 0.
    pub layer: u32,
    /// Which of its modules.
    pub module: Module,
}

impl fmt::Display for Site {
    /// As Hugging Face names it: `model.layers.0.self_attn.q_proj`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, module } = self;
        write!(f, "model.layers.{layer}.{}.{module}", module.block())
    }
}
