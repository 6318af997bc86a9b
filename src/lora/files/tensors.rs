//! Named f32 tensors in one file, for checkpoints: a safetensors file that anybody can open, with a checksum over all of it, since a
//! resume from damaged numbers would go on as if nothing had happened.

use super::{
    dtype::Dtype,
    header::{self, bad},
    tensor_file::TensorFile,
};
use crate::artifacts::{named, write_atomic_with};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    path::Path,
};

/// The metadata that holds the checksum.
const CHECKSUM: &str = "crc32";
/// Numbers that are written at a time.
const BLOCK: usize = 1 << 16;

/// A tensor to be written: name, shape, numbers in row-major order.
pub type Given<'a> = (String, Vec<usize>, &'a [f32]);

/// What was in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Shape and numbers by name.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// What else was written down.
    pub metadata: BTreeMap<String, String>,
}

/// Writes tensors durably, by rename. The bytes are a function of the arguments, whatever the order of the tensors. Numbers are written bit
/// for bit, finite or not.
///
/// # Errors
/// Names the path, and is what the system says; `InvalidInput` for tensors that are no tensors.
pub fn write_tensors(
    path: &Path,
    tensors: &[Given],
    mut metadata: BTreeMap<String, String>,
) -> io::Result<()> {
    let sorted = sorted(tensors).and_then(|sorted| {
        let sum = checksum(
            sorted.iter().map(|(n, s, v)| (n.as_str(), &s[..], *v)),
            &metadata,
        );
        match metadata.insert(CHECKSUM.into(), sum) {
            None => Ok(sorted),
            Some(_) => Err(format!("{CHECKSUM} is written by itself")),
        }
    });
    let wrong = |sentence| io::Error::new(io::ErrorKind::InvalidInput, sentence);
    let sorted = sorted.map_err(|sentence| named(wrong(sentence), "write", path))?;
    write_plain(path, &sorted, &metadata)
}

/// The same without a checksum: what other programs write.
pub(super) fn write_plain(
    path: &Path,
    sorted: &[&Given],
    metadata: &BTreeMap<String, String>,
) -> io::Result<()> {
    let shapes = sorted
        .iter()
        .map(|(name, shape, _)| (name.as_str(), &shape[..]));
    let header = header::written(shapes, metadata);
    write_atomic_with(path, |file: &mut File| {
        file.write_all(&header)?;
        let mut bytes = Vec::with_capacity(4 * BLOCK);
        for values in sorted
            .iter()
            .flat_map(|(_, _, values)| values.chunks(BLOCK))
        {
            bytes.clear();
            Dtype::F32.encode(values, &mut bytes);
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Tensors by name, each once and as long as its shape says.
pub(super) fn sorted<'a, 'b>(tensors: &'a [Given<'b>]) -> Result<Vec<&'a Given<'b>>, String> {
    let mut sorted: Vec<&Given> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("the tensor {} is there twice", twice[0].0));
    }
    for (name, shape, values) in &sorted {
        if shape.iter().product::<usize>() != values.len() {
            let n = values.len();
            return Err(format!(
                "the tensor {name} has {n} numbers, its shape is {shape:?}"
            ));
        }
    }
    Ok(sorted)
}

/// Reads what [`write_tensors`] wrote, and nothing else.
///
/// # Errors
/// Names the path; `InvalidData` for a file that is damaged or of another origin.
pub fn read_tensors(path: &Path) -> io::Result<Contents> {
    let file = TensorFile::open(path)?;
    let mut metadata = file.header().metadata.clone();
    let Some(sum) = metadata.remove(CHECKSUM) else {
        return Err(file.wrong("it has no checksum".into()));
    };
    let mut tensors = BTreeMap::new();
    for entry in &file.header().entries {
        if file.dtype(entry)? != Dtype::F32 {
            return Err(file.wrong(format!(
                "{} is stored as {}, not as F32",
                entry.name, entry.dtype
            )));
        }
        let mut values = Vec::with_capacity(entry.shape.iter().product());
        file.blocks(entry, 4 * BLOCK, |bytes| {
            Dtype::F32.decode(bytes, &mut values);
            Ok(())
        })?;
        tensors.insert(entry.name.clone(), (entry.shape.clone(), values));
    }
    let all = tensors
        .iter()
        .map(|(n, (s, v))| (n.as_str(), &s[..], &v[..]));
    if checksum(all, &metadata) != sum {
        return Err(named(
            bad("its checksum is wrong: it is damaged".into()),
            "read",
            path,
        ));
    }
    Ok(Contents { tensors, metadata })
}

/// A checksum over everything that a reader believes. Lengths are in it, so no byte can move from one name to the next.
fn checksum<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [f32])>,
    metadata: &BTreeMap<String, String>,
) -> String {
    let mut sum = crc32fast::Hasher::new();
    let text = |sum: &mut crc32fast::Hasher, text: &str| {
        sum.update(&(text.len() as u64).to_le_bytes());
        sum.update(text.as_bytes());
    };
    sum.update(&(metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut sum, key);
        text(&mut sum, value);
    }
    let mut bytes = Vec::with_capacity(4 * BLOCK);
    for (name, shape, values) in tensors {
        text(&mut sum, name);
        text(&mut sum, &format!("{shape:?}"));
        for values in values.chunks(BLOCK) {
            bytes.clear();
            Dtype::F32.encode(values, &mut bytes);
            sum.update(&bytes);
        }
    }
    format!("{:08x}", sum.finalize())
}
