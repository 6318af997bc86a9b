//! Which tensors a decoder consists of: their names, as Hugging Face has them, and their shapes.

use crate::{
    lora::decoder::Decoder,
    training::{site::Site, words::Module},
};

/// The embedding's tensor.
pub const EMBEDDING: &str = "model.embed_tokens.weight";
/// The loss head's, where it has one of its own.
pub const HEAD: &str = "lm_head.weight";

/// Every linear module of every layer.
pub fn sites(decoder: &Decoder) -> impl Iterator<Item = Site> {
    let layers = 0..decoder.layers.len() as u32;
    layers.flat_map(|layer| {
        Module::ALL
            .iter()
            .map(move |&module| Site { layer, module })
    })
}

/// Name and shape of every tensor that the decoder needs.
pub fn weights(decoder: &Decoder) -> Vec<(String, Vec<usize>)> {
    let (table, wide) = (
        vec![decoder.vocabulary, decoder.hidden],
        vec![decoder.hidden],
    );
    let mut all = vec![(EMBEDDING.to_string(), table.clone())];
    for (layer, heads) in decoder.layers.iter().enumerate() {
        let mut vector = |name: &str, shape: &[usize]| {
            all.push((format!("model.layers.{layer}.{name}.weight"), shape.into()));
        };
        vector("input_layernorm", &wide);
        vector("post_attention_layernorm", &wide);
        if decoder.head_norm {
            vector("self_attn.q_norm", &[heads.head_dim]);
            vector("self_attn.k_norm", &[heads.head_dim]);
        }
    }
    for site in sites(decoder) {
        let (outputs, inputs) = decoder.shape(site);
        all.push((format!("{site}.weight"), vec![outputs, inputs]));
        if decoder.has_bias(site.module) {
            all.push((format!("{site}.bias"), vec![outputs]));
        }
    }
    all.push(("model.norm.weight".into(), wide));
    if !decoder.tied {
        all.push((HEAD.into(), table));
    }
    all
}
