//! The architectures that can be trained, and the one that a `config.json` names: known here, so that a model is refused
//! before anything is made for it, and not when it is opened.

use crate::words::words;
use serde_json::Value;

words! {
    /// The architectures that are known, by the names of `architectures`.
    pub enum Architecture {
        /// Llama 2, 3, 3.1, CodeLlama.
        Llama = "LlamaForCausalLM",
        /// Qwen 2 and 2.5: biases of q, k, v.
        Qwen2 = "Qwen2ForCausalLM",
        /// Qwen 3: heads are normalised, their width is free.
        Qwen3 = "Qwen3ForCausalLM",
        /// Mistral: a sliding window, on or off.
        Mistral = "MistralForCausalLM",
    }
}

impl Architecture {
    /// What `model_type` calls it.
    pub fn model_type(self) -> &'static str {
        match self {
            Architecture::Llama => "llama",
            Architecture::Qwen2 => "qwen2",
            Architecture::Qwen3 => "qwen3",
            Architecture::Mistral => "mistral",
        }
    }

    /// The architecture by the first of `architectures`, else by `model_type`.
    ///
    /// # Errors
    /// A sentence that names what was found and what is supported.
    pub fn of(name: Option<&str>, kind: Option<&str>) -> Result<Self, String> {
        let all: Vec<&str> = Self::ALL.iter().map(|known| known.name()).collect();
        let all = all.join(", ");
        let found = match (name, kind) {
            (Some(name), _) => name.parse().ok(),
            (None, Some(kind)) => {
                let known = Self::ALL.iter();
                known.copied().find(|known| known.model_type() == kind)
            }
            (None, None) => return Err(format!("it names no architecture, supported are {all}")),
        };
        let Some(found) = found else {
            let name = name.or(kind).unwrap_or_default();
            return Err(format!("the architecture is {name}, supported are {all}"));
        };
        match kind {
            Some(kind) if kind != found.model_type() => Err(format!(
                "model_type is {kind:?}, which is not that of the architecture {found}"
            )),
            _ => Ok(found),
        }
    }

    /// The architecture that the text of a `config.json` names.
    ///
    /// # Errors
    /// As [`Self::of`]; and the text is no JSON.
    pub fn of_config(text: &[u8]) -> Result<Self, String> {
        let config: Value =
            serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
        Self::of(
            config["architectures"][0].as_str(),
            config["model_type"].as_str(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_names_what_it_is_or_is_refused_by_name() {
        let of = |text: &str| Architecture::of_config(text.as_bytes());
        let llama = of(r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}"#);
        assert_eq!(llama, Ok(Architecture::Llama));
        assert_eq!(of(r#"{"model_type": "qwen3"}"#), Ok(Architecture::Qwen3));
        for (text, said) in [
            (r#"{"architectures": ["BertModel"]}"#, "BertModel"),
            (r#"{"model_type": "gemma"}"#, "gemma"),
            ("{}", "names no architecture"),
            ("{", "no JSON"),
            (
                r#"{"architectures": ["LlamaForCausalLM"], "model_type": "bert"}"#,
                "model_type",
            ),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
