//! A model with its adapters merged: W + scale * B A in f32, then rounded once to the model's own format.
//!
//! The result has the files of the model, tensor by tensor in their order, and only the numbers of adapted modules differ; no more
//! than some rows are in memory at a time.

use super::{
    Adapters,
    dtype::Dtype,
    header::{Entry, bad},
    layout,
    model::{CONFIG, ModelDir},
    tensor_file::TensorFile,
};
use crate::{
    artifacts::{
        making::{Making, is_replaceable},
        named,
    },
    lora::backend::Adapter,
    training::site::Site,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Bytes that are copied, or numbers that are merged, at a time.
const BLOCK: usize = 1 << 16;
/// Files that belong to a model beside its tensors.
const COMPANIONS: &[&str] = &[
    CONFIG,
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
];
/// What the names of the others begin with.
const COMPANION_STARTS: &[&str] = &["tokenizer", "chat_template", "vocab"];

/// Writes the merged model as the directory `to`, which appears by rename, whole. `tell` hears after each tensor how many of how many
/// are done.
///
/// # Errors
/// Names the path, and is what the system says; `AlreadyExists` for a directory that has somebody's files; `InvalidData` for
/// adapters of another model, and for a weight that is not finite after merging.
pub fn write_merged(
    model: &ModelDir,
    adapters: &Adapters,
    to: &Path,
    tell: &mut dyn FnMut(usize, usize),
) -> io::Result<()> {
    let wrong = |sentence| named(bad(sentence), "merge into", to);
    let merged = by_tensor(model, adapters).map_err(wrong)?;
    if to.exists() && !is_replaceable(to) {
        return Err(named(io::ErrorKind::AlreadyExists.into(), "make", to));
    }
    let making = Making::beside(to)?;
    copy_companions(model, making.path())?;
    let of = model
        .files()
        .iter()
        .map(|file| file.header().entries.len())
        .sum();
    let mut done = 0;
    for source in model.files() {
        let name = source.path().file_name().unwrap_or_default();
        let path = making.path().join(name);
        let mut file = File::create_new(&path).map_err(|error| named(error, "write", &path))?;
        let mut write = |bytes: &[u8]| {
            let written = file.write_all(bytes);
            written.map_err(|error| named(error, "write", &path))
        };
        write(&header(source)?)?;
        for entry in &source.header().entries {
            match merged.get(&entry.name) {
                Some(adapter) => merge(source, entry, adapter, &mut write)?,
                None => source.blocks(entry, BLOCK, &mut write)?,
            }
            done += 1;
            tell(done, of);
        }
    }
    making.complete(true)
}

/// The adapters by the names of the tensors that they are merged into.
fn by_tensor<'a>(
    model: &ModelDir,
    adapters: &'a Adapters,
) -> Result<BTreeMap<String, &'a Adapter>, String> {
    if adapters.is_empty() {
        return Err("there is no adapter to merge".into());
    }
    let sites: BTreeSet<Site> = layout::sites(&model.decoder).collect();
    let named = adapters.iter().map(|(site, adapter)| {
        let Adapter { rank, a, b, .. } = adapter;
        let fits = sites.contains(site) && *rank > 0 && {
            let (outputs, inputs) = model.decoder.shape(*site);
            a.len() == rank * inputs && b.len() == outputs * rank
        };
        if !fits {
            return Err(format!("the adapter on {site} does not fit the model"));
        }
        Ok((format!("{site}.weight"), adapter))
    });
    named.collect()
}

/// The header as it is, with its length: types and shapes stay, so the places of all bytes do.
fn header(source: &TensorFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; source.header().data as usize];
    source.bytes(&mut bytes, 0)?;
    Ok(bytes)
}

/// Merges one tensor, some rows at a time.
fn merge(
    source: &TensorFile,
    entry: &Entry,
    adapter: &Adapter,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let dtype = source.dtype(entry)?;
    let inputs = adapter.a.len() / adapter.rank;
    let rows = (BLOCK / inputs).max(1);
    let (mut first, mut values, mut out) = (0, Vec::new(), Vec::new());
    source.blocks(entry, rows * inputs * dtype.bytes(), |bytes| {
        values.clear();
        dtype.decode(bytes, &mut values);
        let b = &adapter.b[first * adapter.rank..];
        add(&mut values, inputs, adapter, b);
        out.clear();
        dtype.encode(&values, &mut out);
        if let Some(at) = first_broken(dtype, &out, &mut values) {
            let [row, column] = [first + at / inputs, at % inputs];
            let name = &entry.name;
            return Err(source.wrong(format!(
                "{name}[{row}, {column}] is not finite after merging"
            )));
        }
        first += values.len() / inputs;
        write(&out)
    })
}

/// rows += scale * b a, where `b` begins at the first of the rows.
fn add(rows: &mut [f32], inputs: usize, adapter: &Adapter, b: &[f32]) {
    let mut delta = vec![0.0; inputs];
    for (row, b) in rows
        .chunks_exact_mut(inputs)
        .zip(b.chunks_exact(adapter.rank))
    {
        delta.fill(0.0);
        for (&b, a) in b.iter().zip(adapter.a.chunks_exact(inputs)) {
            delta
                .iter_mut()
                .zip(a)
                .for_each(|(delta, a)| *delta += b * a);
        }
        let add = |(weight, delta): (&mut f32, &f32)| *weight += adapter.scale * delta;
        row.iter_mut().zip(&delta).for_each(add);
    }
}

/// The place of the first number that is not finite as it is stored.
fn first_broken(dtype: Dtype, stored: &[u8], values: &mut Vec<f32>) -> Option<usize> {
    values.clear();
    dtype.decode(stored, values);
    let all = values
        .iter()
        .fold(true, |all, value| all & value.is_finite());
    let position = || values.iter().position(|value| !value.is_finite());
    if all { None } else { position() }
}

/// Copies what belongs to the model beside its tensors.
fn copy_companions(model: &ModelDir, to: &Path) -> io::Result<()> {
    let own: BTreeSet<String> = model.own_files().into_iter().collect();
    let from = model.directory();
    let entries = fs::read_dir(from).map_err(|error| named(error, "read", from))?;
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let belongs = COMPANIONS.contains(&&*name)
            || COMPANION_STARTS.iter().any(|start| name.starts_with(start))
            || (own.contains(&*name) && !name.ends_with(".safetensors"));
        let source = from.join(&*name);
        if belongs && source.is_file() {
            fs::copy(&source, to.join(&*name)).map_err(|error| named(error, "copy", &source))?;
        }
    }
    Ok(())
}
