//! LoRA fine-tuning of Llama-family decoders: models and adapters in, gradients by hand, adapters out.
//!
//! No autograd and no tensor type: flat buffers, shapes as arguments, one [`backend::Backend`] for each kind of machine, and a
//! model that says what is computed in which order.

pub mod backend;
pub mod batch;
pub mod cpu;
pub mod cuda;
pub mod decoder;
pub mod engine;
pub mod files;
pub mod pack;
pub mod plain;
pub mod shape;
pub mod tokens;
