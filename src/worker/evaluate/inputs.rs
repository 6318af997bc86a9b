//! What an evaluation's numbers are a function of, as digests: results that lie there already are those of a request only
//! while all of it is the same.

use crate::{
    artifacts::sums,
    evaluation::job::{Inputs, Measure},
    lora::files::ModelDir,
};
use std::{collections::BTreeMap, io, path::Path};

/// The files of an adapter that are read.
const ADAPTER: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
/// The files of a model's directory that tokens and templates come from.
const TOKENIZER: [&str; 4] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// The digests of a request's inputs. The data's own are taken where it is read.
///
/// # Errors
/// Names a file that cannot be read.
pub fn of(job: &Measure, model: &ModelDir) -> io::Result<Inputs> {
    let mut adapters = BTreeMap::new();
    for contender in &job.adapters {
        let files = digests(Path::new(&contender.directory), &ADAPTER)?;
        adapters.insert(contender.name.clone(), files);
    }
    let mut training = BTreeMap::new();
    for file in &job.training {
        training.insert(file.clone(), sums::digest(Path::new(file))?);
    }
    Ok(Inputs {
        model: model.hash()?,
        tokenizer: digests(Path::new(&job.model), &TOKENIZER)?,
        adapters,
        training,
    })
}

/// Digests of the files that are there, by name.
fn digests(dir: &Path, names: &[&str]) -> io::Result<BTreeMap<String, String>> {
    let there = names.iter().filter(|name| dir.join(name).exists());
    there
        .map(|name| Ok(((*name).to_owned(), sums::digest(&dir.join(name))?)))
        .collect()
}
