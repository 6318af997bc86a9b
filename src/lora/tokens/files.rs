//! The files of a model's directory that say something about tokens, of both generations of their layout.

use crate::chat::Template;
use serde_json::Value;
use std::{fs, io, path::Path};
use tokenizers::Tokenizer;

/// What the files beside the tokenizer say.
#[derive(Debug, Default)]
pub struct Said {
    /// Text of the token that begins a text.
    pub bos: Option<String>,
    /// Text of the token that ends one.
    pub eos: Option<String>,
    /// Text of the token that fills up.
    pub pad: Option<String>,
    /// The ids that generation stops at.
    pub ends: Vec<u32>,
}

/// What other tokenizers' files are called, and what they are.
const OTHERS: [(&str, &str); 3] = [
    ("tokenizer.model", "sentencepiece"),
    ("tekken.json", "tekken"),
    ("vocab.json", "an older layout"),
];

/// `tokenizer.json`.
pub fn tokenizer(dir: &Path) -> Result<Tokenizer, String> {
    let path = dir.join("tokenizer.json");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let other = OTHERS.iter().find(|(name, _)| dir.join(name).exists());
            let has = other.map_or(String::new(), |(name, what)| {
                format!(
                    ": it has {name} ({what}), of which transformers makes one by \
                     AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
                )
            });
            return Err(format!("{} has no tokenizer.json{has}", dir.display()));
        }
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    Tokenizer::from_bytes(bytes)
        .map_err(|error| format!("{} is no tokenizer: {error}", path.display()))
}

/// The chat template.
pub fn template(dir: &Path) -> Result<Template, String> {
    let config = text(dir, "tokenizer_config.json")?;
    let jinja = text(dir, "chat_template.jinja")?;
    Template::from_files(config.as_deref().unwrap_or("{}"), jinja.as_deref())
}

/// What the other files say.
pub fn said(dir: &Path) -> Result<Said, String> {
    let tokenizer = json(dir, "tokenizer_config.json")?;
    let generation = json(dir, "generation_config.json")?;
    let model = json(dir, "config.json")?;
    let map = json(dir, "special_tokens_map.json")?;
    let token = |key: &str| {
        let text = |value: &Value| {
            let text = value.as_str().or_else(|| value["content"].as_str());
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        text(&tokenizer[key]).or_else(|| text(&map[key]))
    };
    let ends = match ids(&generation["eos_token_id"]) {
        ends if ends.is_empty() => ids(&model["eos_token_id"]),
        ends => ends,
    };
    Ok(Said {
        bos: token("bos_token"),
        eos: token("eos_token"),
        pad: token("pad_token"),
        ends,
    })
}

/// One id or several.
fn ids(value: &Value) -> Vec<u32> {
    let one = std::slice::from_ref(value);
    let all = value.as_array().map_or(one, Vec::as_slice);
    let id = |id: &Value| u32::try_from(id.as_u64()?).ok();
    all.iter().filter_map(id).collect()
}

/// A file of JSON; one that is not there says nothing.
fn json(dir: &Path, name: &str) -> Result<Value, String> {
    let Some(text) = text(dir, name)? else {
        return Ok(Value::Null);
    };
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is no JSON: {error}", dir.join(name).display()))
}

fn text(dir: &Path, name: &str) -> Result<Option<String>, String> {
    let path = dir.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}
