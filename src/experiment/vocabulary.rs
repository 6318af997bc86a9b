//! What a back end's parameters are called: in its files, in names of directories, and by people.

use crate::{
    parameters::{Assignment, Fault, Schema, Value},
    words::words,
};
use std::collections::BTreeMap;

words! {
    /// What trains.
    pub enum BackEnd {
        /// campaignd's own trainer and its `evaluate`.
        Builtin = "builtin",
        /// torchtune's LoRA recipe on one device, and inspect-ai.
        Torchtune = "torchtune",
        /// A program of somebody else's, which is given `config.yaml` or `config.json`.
        Generic = "generic",
    }
}

/// The parameters of a back end with their names.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    /// Which back end.
    pub back_end: BackEnd,
    /// The parameters and what must hold between them.
    pub schema: Schema,
    /// The word of a parameter in the name of a directory.
    pub short: BTreeMap<String, String>,
    /// Other words that people write, to the parameter.
    pub also: BTreeMap<String, String>,
    /// What a parameter is without anybody's word; some have none.
    pub defaults: Assignment,
    /// Where a parameter stands in the back end's file, by dots; only where it stands elsewhere than by its name.
    pub at: BTreeMap<String, String>,
    /// What the words of a parameter stand for: lists of modules.
    pub sets: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// The keys that the back end's file may have at its top; empty: not known.
    pub keys: Vec<String>,
    /// Its recipe's name; empty: it has none.
    pub recipe: String,
    /// The models that it can build.
    pub models: Vec<KnownModel>,
}

/// A model that a recipe can build, and how it is told from others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct KnownModel {
    /// `model_type` of its `config.json`.
    pub model_type: String,
    /// Its width.
    pub hidden_size: u64,
    /// Its layers.
    pub num_hidden_layers: u64,
    /// Its tokens; none: any number.
    pub vocab_size: Option<u64>,
    /// The component that builds it with adapters.
    pub component: String,
    /// The component of its tokenizer.
    pub tokenizer: String,
    /// Files of the tokenizer below the model's directory, by its arguments.
    pub tokenizer_files: BTreeMap<String, String>,
    /// What the checkpointer calls it.
    pub checkpoint: String,
}

impl Vocabulary {
    /// The parameter that a person means.
    ///
    /// # Errors
    /// There is none; what is right begins with the nearest name.
    pub fn named(&self, word: &str) -> Result<&str, Fault> {
        let own = self.schema.parameter(word).map(|one| one.name.as_str());
        let other = || self.also.get(word).map(String::as_str);
        own.or_else(other).ok_or_else(|| self.unknown(word))
    }

    fn unknown(&self, word: &str) -> Fault {
        let names = || self.schema.parameters.iter().map(|one| one.name.as_str());
        let all: Vec<&str> = names().collect();
        let known = names().chain(self.also.keys().map(String::as_str));
        let near = known
            .map(|name| (strsim::jaro_winkler(word, name), name))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(likeness, _)| *likeness > 0.8);
        let hint = near.map_or(String::new(), |(_, name)| format!("did you mean {name}?  "));
        Fault {
            parameter: word.into(),
            message: format!("there is no parameter {word}"),
            right: format!("{hint}all of {}: {}", self.back_end, all.join(", ")),
        }
    }

    /// Values by the parameters' own names, whatever people called them.
    ///
    /// # Errors
    /// All words that are no parameter; a parameter that is set twice under two names.
    pub fn renamed(&self, values: &Assignment) -> Result<Assignment, Vec<Fault>> {
        let (mut all, mut faults) = (Assignment::new(), Vec::new());
        for (word, value) in values {
            match self.named(word) {
                Ok(name) if all.contains_key(name) => faults.push(Fault {
                    parameter: word.clone(),
                    message: format!("{name} is set twice, once as {word}"),
                    right: format!("{name} alone"),
                }),
                Ok(name) => {
                    all.insert(name.into(), value.clone());
                }
                Err(fault) => faults.push(fault),
            }
        }
        match faults.is_empty() {
            true => Ok(all),
            false => Err(faults),
        }
    }

    /// The word in the name of a directory.
    pub fn short<'a>(&'a self, name: &'a str) -> &'a str {
        self.short.get(name).map_or(name, String::as_str)
    }

    /// What a value of a parameter stands for, where it is the name of a set.
    pub fn set(&self, name: &str, value: &Value) -> Option<&[String]> {
        match value {
            Value::Text(word) => Some(self.sets.get(name)?.get(word)?),
            _ => None,
        }
    }

    /// Values of a record as this back end's, and the keys that it does not have. A list of modules becomes the set that has
    /// these.
    pub fn recognised(&self, record: &Assignment) -> (Assignment, Vec<String>) {
        let (mut all, mut left) = (Assignment::new(), Vec::new());
        for (word, value) in record {
            let Ok(name) = self.named(word) else {
                left.push(word.clone());
                continue;
            };
            let value = self.as_set(name, value).unwrap_or_else(|| value.clone());
            let domain = self.schema.parameter(name).map(|one| &one.domain);
            if domain.is_some_and(|domain| domain.holds(&value)) {
                all.insert(name.into(), value);
            } else {
                left.push(word.clone());
            }
        }
        (all, left)
    }

    fn as_set(&self, name: &str, value: &Value) -> Option<Value> {
        let (sets, Value::Text(text)) = (self.sets.get(name)?, value) else {
            return None;
        };
        let mut listed: Vec<String> = serde_json::from_str(text).ok()?;
        listed.sort();
        let same = |members: &Vec<String>| {
            let mut members = members.clone();
            members.sort();
            members == listed
        };
        let found = sets.iter().find(|(_, members)| same(members))?;
        Some(Value::Text(found.0.clone()))
    }
}
