//! What is measured: the shape of a known model, or that of a `config.json`, whole or its first layers.

use crate::lora::{
    decoder::Decoder,
    files::{config, keys::Keys, layout},
};
use std::path::{Path, PathBuf};

/// Known models: their name here, and of their published `config.json` what a decoder's shape hangs on.
const KNOWN: [(&str, &str); 3] = [
    ("qwen2.5-7b", include_str!("shapes/qwen2.5-7b.json")),
    ("llama-3.1-8b", include_str!("shapes/llama-3.1-8b.json")),
    ("llama-2-7b", include_str!("shapes/llama-2-7b.json")),
];

/// The shape that is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Name or file.
    pub name: String,
    /// The decoder, with as many layers as are measured.
    pub decoder: Decoder,
    /// Layers of the whole model.
    pub whole_layers: usize,
}

impl Shape {
    /// The shape of a known model, of a `config.json`, or of the one in a model's directory; of its layers the first `layers`,
    /// or all.
    ///
    /// # Errors
    /// A sentence: there is neither model nor file of that name, the file describes no supported decoder, or it has not so
    /// many layers.
    pub fn read(name: &str, layers: Option<usize>) -> Result<Self, String> {
        let mut decoder = match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => config::decoder(&Keys::parse(text.as_bytes())?)?,
            None => of_file(name)?,
        };
        let whole_layers = decoder.layers.len();
        let layers = layers.unwrap_or(whole_layers);
        if !(1..=whole_layers).contains(&layers) {
            return Err(format!(
                "--layers {layers} is wrong: {name} has 1 to {whole_layers}"
            ));
        }
        decoder.layers.truncate(layers);
        Ok(Self {
            name: name.into(),
            decoder,
            whole_layers,
        })
    }

    /// Numbers of the frozen model, as far as it is measured.
    pub fn parameters(&self) -> u64 {
        let weights = layout::weights(&self.decoder);
        let sizes = weights.iter().map(|(_, shape)| shape.iter().product());
        sizes.map(|len: usize| len as u64).sum()
    }
}

fn of_file(name: &str) -> Result<Decoder, String> {
    let mut path = PathBuf::from(name);
    if path.is_dir() {
        path.push("config.json");
    }
    if !Path::new(&path).exists() {
        let known: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "there is no shape {name:?}: it is none of {}, and no file",
            known.join(", ")
        ));
    }
    let keys = Keys::read(&path).map_err(|error| error.to_string())?;
    config::decoder(&keys).map_err(|why| format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The totals that the models' authors publish for their checkpoints.
    #[test]
    fn known_shapes_have_as_many_numbers_as_the_models() {
        for (name, parameters) in [
            ("qwen2.5-7b", 7_615_616_512),
            ("llama-3.1-8b", 8_030_261_248),
            ("llama-2-7b", 6_738_415_616),
        ] {
            let shape = Shape::read(name, None).unwrap();
            assert_eq!(shape.parameters(), parameters, "{name}");
        }
    }

    #[test]
    fn the_first_layers_are_the_model_without_the_others() {
        let whole = Shape::read("llama-2-7b", None).unwrap();
        let one = Shape::read("llama-2-7b", Some(1)).unwrap();
        assert_eq!((one.decoder.layers.len(), one.whole_layers), (1, 32));
        let layer = 4 * 4096 * 4096 + 3 * 4096 * 11_008 + 2 * 4096;
        assert_eq!(whole.parameters() - one.parameters(), 31 * layer);
    }

    #[test]
    fn what_cannot_be_measured_is_refused_by_name() {
        for (name, layers, words) in [
            (
                "llama-4",
                None,
                "none of qwen2.5-7b, llama-3.1-8b, llama-2-7b",
            ),
            ("llama-2-7b", Some(33), "1 to 32"),
            ("llama-2-7b", Some(0), "1 to 32"),
        ] {
            let error = Shape::read(name, layers).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
