//! The shape of a decoder: what `config.json` says, in one form for every supported architecture.

use super::backend::{Heads, Rope};
use crate::training::{site::Site, words::Module};

/// A Llama-family decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    /// Its name in `config.json`: `LlamaForCausalLM`, ...
    pub architecture: String,
    /// Rows of the embedding, V.
    pub vocabulary: usize,
    /// Hidden width, H.
    pub hidden: usize,
    /// Width of the feed-forward block, F.
    pub intermediate: usize,
    /// Attention by layer: only the window differs.
    pub layers: Vec<Heads>,
    /// Added to the mean square before the root.
    pub epsilon: f32,
    /// Rotary position embedding.
    pub rope: Rope,
    /// Whether q, k and v have a bias.
    pub qkv_bias: bool,
    /// Whether o has one.
    pub o_bias: bool,
    /// Whether gate, up and down have one.
    pub mlp_bias: bool,
    /// Whether each head of queries and keys is normalised (Qwen3).
    pub head_norm: bool,
    /// Whether the loss head is the embedding.
    pub tied: bool,
    /// Positions that it knows.
    pub context: usize,
}

impl Decoder {
    /// Rows and columns of a module's weight in a layer: outputs and inputs.
    pub fn shape(&self, site: Site) -> (usize, usize) {
        let heads = &self.layers[site.layer as usize];
        match site.module {
            Module::Q => (heads.queries(), self.hidden),
            Module::K | Module::V => (heads.keys(), self.hidden),
            Module::O => (self.hidden, heads.queries()),
            Module::Gate | Module::Up => (self.intermediate, self.hidden),
            Module::Down => (self.hidden, self.intermediate),
        }
    }

    /// Whether a module has a bias.
    pub fn has_bias(&self, module: Module) -> bool {
        match module {
            Module::Q | Module::K | Module::V => self.qkv_bias,
            Module::O => self.o_bias,
            Module::Gate | Module::Up | Module::Down => self.mlp_bias,
        }
    }
}

/// Where the numbers of a model come from: a tensor by its Hugging Face name, in f32, row-major, its shape checked by the
/// source.
pub trait Tensors {
    /// # Errors
    /// A sentence that names the tensor.
    fn tensor(&self, name: &str) -> Result<Vec<f32>, String>;
}
