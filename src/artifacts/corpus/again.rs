//! Reads elements again by their places.

use super::{Corpus, Place, named};
use serde_json::Value;
use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

/// Files kept open: far below what a process may open.
const MOST_OPEN: usize = 64;

/// Reads elements again; each thread has its own.
#[derive(Debug)]
pub struct Again<'a> {
    corpus: &'a Corpus,
    open: BTreeMap<u32, File>,
    bytes: Vec<u8>,
}

impl<'a> Again<'a> {
    pub(super) fn new(corpus: &'a Corpus) -> Self {
        Self {
            corpus,
            open: BTreeMap::new(),
            bytes: Vec::new(),
        }
    }

    /// The bytes of an element.
    ///
    /// # Errors
    /// A sentence with the file: it was changed since the corpus was opened, or cannot be read.
    pub fn bytes_at(&mut self, place: &Place) -> io::Result<&[u8]> {
        let source = (self.corpus.files().get(place.file as usize))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no such file of input"))?;
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(&place.file) {
            self.open.clear();
        }
        let file = match self.open.entry(place.file) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(closed) => closed.insert(source.open()?),
        };
        source.unchanged(&file.metadata()?)?;
        self.bytes.resize(place.len as usize, 0);
        file.read_exact_at(&mut self.bytes, place.offset)
            .map_err(|error| named(&error, &source.path))?;
        Ok(&self.bytes)
    }

    /// An element's value.
    ///
    /// # Errors
    /// The same, and where no value stands at the place.
    pub fn read_at(&mut self, place: &Place) -> io::Result<Value> {
        let parsed = serde_json::from_slice(self.bytes_at(place)?);
        parsed.map_err(|error| {
            let path = self.corpus.files()[place.file as usize].path.display();
            let why = format!("{path} line {}: {error}", place.line);
            io::Error::new(io::ErrorKind::InvalidData, why)
        })
    }
}
