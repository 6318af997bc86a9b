//! A Hugging Face model directory: `config.json`, and tensors in one safetensors file or in several with an index.
//!
//! Opening reads the headers and checks that every tensor is there, in its shape; numbers are read when they are asked for, one tensor
//! at a time.

use super::{
    config,
    dtype::Dtype,
    header::{Entry, bad},
    keys::Keys,
    layout,
    tensor_file::TensorFile,
};
use crate::{
    artifacts::{named, sums},
    lora::decoder::{Decoder, Tensors},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

/// The description of the model.
pub const CONFIG: &str = "config.json";
/// All tensors, where one file has them.
const SINGLE: &str = "model.safetensors";
/// Which file has which tensor, where several have them.
pub const INDEX: &str = "model.safetensors.index.json";
/// Bytes that are compared at a time.
const BLOCK: usize = 1 << 20;

/// A model whose tensors are known to be there.
#[derive(Debug)]
pub struct ModelDir {
    /// Its shape.
    pub decoder: Decoder,
    /// How its embedding is stored, which is how the rest is, nearly always.
    pub dtype: Dtype,
    directory: PathBuf,
    files: Vec<TensorFile>,
    places: BTreeMap<String, usize>,
    indexed: bool,
}

impl ModelDir {
    /// Opens a directory and checks presence, type, shape and length of every tensor.
    ///
    /// # Errors
    /// A sentence that names the file, and the key or tensor.
    pub fn open(directory: &Path) -> Result<Self, String> {
        Self::opened(directory).map_err(|error| error.to_string())
    }

    fn opened(directory: &Path) -> io::Result<Self> {
        let path = directory.join(CONFIG);
        let keys = Keys::read(&path)?;
        let decoder = config::decoder(&keys);
        let decoder = decoder.map_err(|sentence| named(bad(sentence), "use", &path))?;
        let (files, places, indexed) = files(directory)?;
        let mut model = Self {
            decoder,
            dtype: Dtype::F32,
            directory: directory.into(),
            files,
            places,
            indexed,
        };
        model.check()?;
        let (file, entry) = model.find(layout::EMBEDDING)?;
        model.dtype = file.dtype(entry)?;
        Ok(model)
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the model is, as one SHA-256: that of the digests of `config.json`, the index and every tensor file, in full. Two
    /// directories have the same one only if they compute the same; tokenizers are not in it.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn hash(&self) -> io::Result<String> {
        let mut names = vec![CONFIG.to_string()];
        names.extend(self.indexed.then(|| INDEX.to_string()));
        names.extend(self.files.iter().map(|file| file_name(file.path())));
        let mut digests = sums::Sums::new();
        for name in names {
            let digest = sums::digest(&self.directory.join(&name))?;
            digests.insert(name, digest);
        }
        let mut hash = sums::Hash::default();
        hash.update(sums::text(&digests).as_bytes());
        Ok(hash.finish())
    }

    /// Its tensor files.
    pub(super) fn files(&self) -> &[TensorFile] {
        &self.files
    }

    /// The names of the files that it was opened from.
    pub(super) fn own_files(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .files
            .iter()
            .map(|file| file_name(file.path()))
            .collect();
        names.extend(self.indexed.then(|| INDEX.to_string()));
        names
    }

    fn find(&self, name: &str) -> io::Result<(&TensorFile, &Entry)> {
        let missing = || {
            let sentence = format!("the tensor {name} is missing");
            named(bad(sentence), "use", &self.directory)
        };
        let file = &self.files[*self.places.get(name).ok_or_else(missing)?];
        let entry = file.entry(name);
        // The index may name a tensor that its file does not have.
        let absent = || {
            file.wrong(format!(
                "the tensor {name} is missing, which {INDEX} says is there"
            ))
        };
        Ok((file, entry.ok_or_else(absent)?))
    }

    fn check(&self) -> io::Result<()> {
        let weights: BTreeMap<String, Vec<usize>> =
            layout::weights(&self.decoder).into_iter().collect();
        for (name, needed) in &weights {
            let (file, entry) = self.find(name)?;
            file.dtype(entry)?;
            if entry.shape != *needed {
                return Err(file.wrong(format!(
                    "{name} has the shape {:?}, {CONFIG} asks for {needed:?}",
                    entry.shape
                )));
            }
        }
        for (name, &file) in &self.places {
            let of_layer =
                name.starts_with("model.layers.") && !name.ends_with("rotary_emb.inv_freq");
            if of_layer && !weights.contains_key(name) {
                return Err(self.files[file].wrong(format!(
                    "{name} is a tensor that {} with this {CONFIG} has no use for",
                    self.decoder.architecture
                )));
            }
        }
        if self.decoder.tied && self.places.contains_key(layout::HEAD) {
            self.check_tied()?;
        }
        Ok(())
    }

    /// A loss head that is the embedding may be written out once more, but must not be another.
    fn check_tied(&self) -> io::Result<()> {
        let (file, head) = self.find(layout::HEAD)?;
        let (other, embedding) = self.find(layout::EMBEDDING)?;
        let differ = || {
            let (head, embedding) = (layout::HEAD, layout::EMBEDDING);
            file.wrong(format!(
                "{head} differs from {embedding}, though tie_word_embeddings is true"
            ))
        };
        if (&head.dtype, &head.shape) != (&embedding.dtype, &embedding.shape) {
            return Err(differ());
        }
        let (mut at, mut theirs) = (embedding.bytes.start, vec![0; BLOCK]);
        file.blocks(head, BLOCK, |mine| {
            let theirs = &mut theirs[..mine.len()];
            other.bytes(theirs, at)?;
            at += mine.len() as u64;
            if mine == theirs {
                Ok(())
            } else {
                Err(differ())
            }
        })
    }
}

impl Tensors for ModelDir {
    fn tensor(&self, name: &str) -> Result<Vec<f32>, String> {
        let read = self.find(name).and_then(|(file, entry)| file.read(entry));
        read.map_err(|error| error.to_string())
    }
}

type Files = (Vec<TensorFile>, BTreeMap<String, usize>, bool);

/// The tensor files of a directory, and which of them has which tensor.
fn files(directory: &Path) -> io::Result<Files> {
    let single = directory.join(SINGLE);
    if single.exists() {
        let file = TensorFile::open(&single)?;
        let names = file
            .header()
            .entries
            .iter()
            .map(|entry| (entry.name.clone(), 0));
        let places = names.collect();
        return Ok((vec![file], places, false));
    }
    let index = directory.join(INDEX);
    if !index.exists() {
        return Err(named(bad(no_tensors(directory)), "use", directory));
    }
    let map = shards(&index)?;
    let names: BTreeSet<&String> = map.values().collect();
    let names: Vec<&String> = names.into_iter().collect();
    let opened = names
        .iter()
        .map(|name| TensorFile::open(&directory.join(name)));
    let files = opened.collect::<io::Result<Vec<_>>>()?;
    let places = map.iter().map(|(tensor, name)| {
        let at = names
            .binary_search(&name)
            .expect("names are those of the map");
        (tensor.clone(), at)
    });
    Ok((files, places.collect(), true))
}

/// The index: which file has which tensor.
fn shards(index: &Path) -> io::Result<BTreeMap<String, String>> {
    let keys = Keys::read(index)?;
    let wrong = |sentence: String| named(bad(sentence), "use", index);
    let map = keys.object("weight_map").map_err(wrong)?;
    let map = map.ok_or_else(|| wrong("it has no weight_map".into()))?;
    let mut shards = BTreeMap::new();
    for (tensor, file) in map.0 {
        // A file elsewhere is none of this model's.
        let plain = |name: &&str| {
            let path = Path::new(name);
            path.file_name()
                .is_some_and(|last| last == path.as_os_str())
        };
        let Some(name) = file.as_str().filter(plain) else {
            return Err(wrong(format!(
                "{tensor} is said to be in {file}, which is no file's name"
            )));
        };
        shards.insert(tensor, name.to_string());
    }
    Ok(shards)
}

fn no_tensors(directory: &Path) -> String {
    let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
    match pickled.iter().find(|name| directory.join(name).exists()) {
        Some(found) => format!(
            "it has {found} but no {SINGLE}: convert it, with save_pretrained of transformers for instance"
        ),
        None => format!("it has neither {SINGLE} nor {INDEX}"),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or(String::new(), |name| name.to_string_lossy().into_owned())
}
