//! The parameters of experiments, by back end: data in `config/parameters`, compiled in.

use crate::{
    experiment::{BackEnd, KnownModel, Vocabulary},
    parameters::{Assignment, Domain, Parameter, Schema, SumRule, Value},
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::LazyLock};

/// A file of parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    parameter: Vec<One>,
    #[serde(default)]
    sum: Vec<SumRule>,
    #[serde(default)]
    sets: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    recipe: Recipe,
    #[serde(default)]
    model: Vec<KnownModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    name: String,
    domain: String,
    about: String,
    short: String,
    #[serde(default)]
    also: Vec<String>,
    at: Option<String>,
    default: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    name: String,
    keys: Vec<String>,
}

/// The parameters of a back end.
pub fn vocabulary(back_end: BackEnd) -> &'static Vocabulary {
    static ALL: LazyLock<[Vocabulary; 3]> = LazyLock::new(|| {
        [
            (
                BackEnd::Builtin,
                include_str!("../../config/parameters/builtin.toml"),
            ),
            (
                BackEnd::Torchtune,
                include_str!("../../config/parameters/torchtune.toml"),
            ),
            (
                BackEnd::Generic,
                include_str!("../../config/parameters/generic.toml"),
            ),
        ]
        .map(|(back_end, text)| {
            read(back_end, text).unwrap_or_else(|why| {
                panic!("invariant: the shipped parameters of {back_end} can be read: {why}")
            })
        })
    });
    match back_end {
        BackEnd::Builtin => &ALL[0],
        BackEnd::Torchtune => &ALL[1],
        BackEnd::Generic => &ALL[2],
    }
}

/// Reads a file of parameters.
///
/// # Errors
/// What is wrong with it: no TOML of this form, a domain that is none, a name that stands twice, a default out of range.
fn read(back_end: BackEnd, text: &str) -> Result<Vocabulary, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut words = Vocabulary {
        back_end,
        schema: Schema {
            parameters: Vec::new(),
            sums: file.sum,
        },
        short: BTreeMap::new(),
        also: BTreeMap::new(),
        defaults: Assignment::new(),
        at: BTreeMap::new(),
        sets: file.sets,
        keys: file.recipe.keys,
        recipe: file.recipe.name,
        models: file.model,
    };
    for one in file.parameter {
        add(&mut words, one)?;
    }
    match words.schema.faults(&words.defaults).first() {
        Some(fault) => Err(fault.message.clone()),
        None => Ok(words),
    }
}

fn add(words: &mut Vocabulary, one: One) -> Result<(), String> {
    if words.schema.parameter(&one.name).is_some() {
        return Err(format!("{} stands twice", one.name));
    }
    if words.short.values().any(|other| *other == one.short) {
        return Err(format!("two parameters are called {} in short", one.short));
    }
    words.schema.parameters.push(Parameter {
        name: one.name.clone(),
        domain: Domain::parse(&one.domain).map_err(|why| format!("{}: {why}", one.name))?,
        about: one.about,
    });
    words.short.insert(one.name.clone(), one.short);
    for word in one.also {
        words.also.insert(word, one.name.clone());
    }
    words.at.extend(one.at.map(|at| (one.name.clone(), at)));
    words
        .defaults
        .extend(one.default.map(|value| (one.name, value)));
    Ok(())
}

#[cfg(test)]
mod tests;
