//! Models and adapters as files: Hugging Face directories in, PEFT adapters in and out, merged models out, checkpoints both ways.
//!
//! Formats are other people's, and files come from anywhere: a header is checked before anything in it is believed, what would be
//! computed otherwise than its authors meant is refused in a sentence, and what is written appears whole or not at all.

pub mod adapter;
pub mod config;
pub mod dtype;
pub mod header;
pub mod keys;
pub mod layout;
pub mod merge;
pub mod model;
mod rope;
pub mod tensor_file;
pub mod tensors;

#[cfg(test)]
mod tests;

pub use adapter::{AdapterDir, read_adapter, write_adapter};
pub use dtype::Dtype;
pub use merge::write_merged;
pub use model::ModelDir;
pub use tensors::{Contents, read_tensors, write_tensors};

use super::backend::Adapter;
use crate::training::site::Site;
use std::collections::BTreeMap;

/// Adapters by where they sit.
type Adapters = BTreeMap<Site, Adapter>;
