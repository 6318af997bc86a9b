//! A safetensors file that is read one tensor at a time. A model may be larger than memory leaves room for twice, so no file is
//! ever read whole, and none is mapped: a mapped file that somebody cuts short kills the process.

use super::{
    dtype::Dtype,
    header::{self, Entry, Header, bad},
};
use crate::artifacts::named;
use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Bytes that are read at a time: a multiple of every number's size.
const BLOCK: usize = 1 << 20;

/// An open file whose header is in order.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    header: Header,
    places: HashMap<String, usize>,
}

impl TensorFile {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// Names the path; `InvalidData` for a damaged file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let opened = || {
            let mut file = File::open(path)?;
            let header = header::read(&mut file)?;
            Ok((file, header))
        };
        let (file, header) = opened().map_err(|error| named(error, "read", path))?;
        let names = header.entries.iter().enumerate();
        let places = names.map(|(at, entry)| (entry.name.clone(), at)).collect();
        Ok(Self {
            path: path.into(),
            file,
            header,
            places,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The tensor of a name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.places.get(name).map(|&at| &self.header.entries[at])
    }

    /// A sentence about this file, as an error.
    pub fn wrong(&self, sentence: String) -> io::Error {
        named(bad(sentence), "read", &self.path)
    }

    /// A tensor's type, where it is one that models have.
    ///
    /// # Errors
    /// `InvalidData`, naming file, tensor and type.
    pub fn dtype(&self, entry: &Entry) -> io::Result<Dtype> {
        let Entry { name, dtype, .. } = entry;
        dtype.parse().map_err(|_| {
            let all: Vec<&str> = Dtype::ALL.iter().map(|dtype| dtype.name()).collect();
            let all = all.join(", ");
            self.wrong(format!("{name} is stored as {dtype}, supported are {all}"))
        })
    }

    /// A tensor in f32, row-major.
    ///
    /// # Errors
    /// Names the file; `InvalidData` for a number that is not finite, with its tensor and index.
    pub fn read(&self, entry: &Entry) -> io::Result<Vec<f32>> {
        let dtype = self.dtype(entry)?;
        let size = (entry.bytes.end - entry.bytes.start) as usize;
        let mut values = Vec::with_capacity(size / dtype.bytes());
        self.blocks(entry, BLOCK, |bytes| {
            let start = values.len();
            dtype.decode(bytes, &mut values);
            check_finite(&values[start..], start, entry).map_err(|sentence| self.wrong(sentence))
        })?;
        Ok(values)
    }

    /// Hands a tensor's bytes on, `block` at a time, the last ones fewer.
    ///
    /// # Errors
    /// Names the file; or what the receiver says.
    pub fn blocks(
        &self,
        entry: &Entry,
        block: usize,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let size = (entry.bytes.end - entry.bytes.start) as usize;
        let mut buffer = vec![0; block.min(size)];
        let mut at = 0;
        while at < size {
            let bytes = &mut buffer[..block.min(size - at)];
            self.bytes(bytes, entry.bytes.start + at as u64)?;
            take(bytes)?;
            at += bytes.len();
        }
        Ok(())
    }

    /// Fills `to` from a place in the file.
    ///
    /// # Errors
    /// Names the file.
    pub fn bytes(&self, to: &mut [u8], at: u64) -> io::Result<()> {
        let read = self.file.read_exact_at(to, at);
        read.map_err(|error| named(error, "read", &self.path))
    }
}

/// A sentence for the first number that is not finite; `start` is the place of the first one in its tensor.
fn check_finite(values: &[f32], start: usize, entry: &Entry) -> Result<(), String> {
    // Without an early exit the compiler makes wide instructions of it.
    if values
        .iter()
        .fold(true, |all, value| all & value.is_finite())
    {
        return Ok(());
    }
    let at = values.iter().position(|value| !value.is_finite());
    let at = at.expect("one of them is not finite");
    let index = index(start + at, &entry.shape);
    Err(format!("{}{index:?} is {}", entry.name, values[at]))
}

/// A flat, row-major place as one number for each dimension.
fn index(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (at, &n) in shape.iter().enumerate().rev() {
        index[at] = flat % n.max(1);
        flat /= n.max(1);
    }
    index
}
