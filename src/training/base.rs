//! A base model that is made on the spot: how large it is, what its tokenizer is trained on, and the root of its chance.
//!
//! Where no model can be had (no network, no GPU, the quickstart) a fine-tune needs something to start from. Weights of the
//! usual initial size (0.02) are too small to be of use to an adapter: what layers add is lost beside the embedding. So every
//! layer is drawn as large as its input, as a network of random features is: numbers of variance 1 stay numbers of variance 1.

use crate::words::words;
use serde::{Deserialize, Serialize};

/// What a campaign file says instead of a model's directory.
pub const MADE: &str = "made";

words! {
    /// How large it is.
    pub enum Size {
        /// 0.7 million numbers: seconds on two cores.
        Tiny = "tiny",
        /// 5 million.
        Small = "small",
    }
}

/// The shape of a model, by the names of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Tokens at most; few texts have fewer.
    pub vocab_size: usize,
    /// Hidden width.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Positions.
    pub max_position_embeddings: usize,
}

impl Size {
    /// Its numbers.
    pub fn shape(self) -> Shape {
        match self {
            Size::Tiny => Shape {
                vocab_size: 1_024,
                hidden_size: 128,
                intermediate_size: 384,
                num_hidden_layers: 2,
                num_attention_heads: 4,
                num_key_value_heads: 4,
                max_position_embeddings: 1_024,
            },
            Size::Small => Shape {
                vocab_size: 4_096,
                hidden_size: 256,
                intermediate_size: 768,
                num_hidden_layers: 4,
                num_attention_heads: 8,
                num_key_value_heads: 4,
                max_position_embeddings: 2_048,
            },
        }
    }
}

/// How it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseSettings {
    /// How large it is.
    pub size: Size,
    /// Root of its chance.
    pub seed: u64,
}

impl Default for BaseSettings {
    fn default() -> Self {
        Self {
            size: Size::Tiny,
            seed: 42,
        }
    }
}

/// What the making of a base model is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseJob {
    /// JSON lines whose texts the tokenizer is trained on: training rows, never held-out ones.
    pub data: Vec<String>,
    /// The directory that is made, whole.
    pub output: String,
    /// How it is made.
    pub settings: BaseSettings,
}
