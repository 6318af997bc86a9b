//! Reads the input of curation: JSON Lines, one JSON array, or JSON objects one after the other, whoever wrote them.
//!
//! What a file is, is read from its content. Every element has a place, so that a second pass can read it again without
//! any row having been held in memory; every element that is no row says why, and nothing is passed over in silence but
//! blank lines, which are counted. Memory is bounded by the size of a block and of the longest row that is read, however
//! long lines and files are.
//!
//! Where JSON leaves the outcome open: of a key that comes twice the last value counts, integers beyond 64 bits become
//! floats, and numbers beyond a float make the row invalid.

mod again;
mod batch;
mod inputs;
mod parallel;
mod row;
mod scan;
mod shape;

pub use again::Again;
pub use shape::Shape;

use crate::words::words;
use batch::{Batch, Batches};
use serde_json::Value;
use std::{
    fs::{File, Metadata},
    io,
    iter::Sum,
    ops::AddAssign,
    path::{Path, PathBuf},
    time::SystemTime,
};

words! {
    /// Why an element is no row; the words are those of the reasons of curation.
    pub enum Fault {
        /// It is no JSON, or breaks off.
        InvalidJson = "invalid_json",
        /// It is no UTF-8.
        InvalidUtf8 = "invalid_utf8",
        /// It is longer than a row may be.
        LineTooLong = "line_too_long",
    }
}

/// Where an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of its file in [`Corpus::files`].
    pub file: u32,
    /// Its first byte in the file.
    pub offset: u64,
    /// Bytes of its JSON text; `u32::MAX` for what is longer than that.
    pub len: u32,
    /// The line on which it begins, from 1.
    pub line: u64,
}

/// What an element is.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A value; whether it is an object is the reader's to ask.
    Row(Value),
    /// Something else.
    Invalid {
        /// Of which sort.
        reason: Fault,
        /// More of it, one lower-case sentence; begins with "torn" where the file breaks off.
        why: String,
        /// Its first 200 bytes, with what is no UTF-8 replaced.
        excerpt: String,
    },
}

/// One element of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it is.
    pub at: Place,
    /// What it is.
    pub what: What,
}

/// Bounds of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest JSON text that is read, in bytes.
    pub longest: u32,
    /// Bytes read at a time.
    pub block: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            longest: 64 << 20,
            block: 512 << 10,
        }
    }
}

/// What was read of a file, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Values.
    pub rows: u64,
    /// Elements that are no JSON, torn ones included.
    pub invalid_json: u64,
    /// Elements that are no UTF-8.
    pub invalid_utf8: u64,
    /// Elements that are too long.
    pub too_long: u64,
    /// Of the invalid ones, those where the file breaks off.
    pub torn: u64,
    /// Lines without anything, between JSON lines.
    pub blank: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.invalid_json += other.invalid_json;
        self.invalid_utf8 += other.invalid_utf8;
        self.too_long += other.too_long;
        self.torn += other.torn;
        self.blank += other.blank;
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// A file as it was when it was first looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub length: u64,
    /// How its elements stand in it.
    pub shape: Shape,
    modified: SystemTime,
}

impl Source {
    fn look(path: PathBuf) -> io::Result<Self> {
        let looked = File::open(&path).and_then(|file| {
            let metadata = file.metadata()?;
            let shape = shape::shape(&file)?;
            Ok((metadata.len(), metadata.modified()?, shape))
        });
        let (length, modified, shape) = looked.map_err(|error| named(&error, &path))?;
        Ok(Self {
            path,
            length,
            shape,
            modified,
        })
    }

    fn open(&self) -> io::Result<File> {
        File::open(&self.path).map_err(|error| named(&error, &self.path))
    }

    /// Places mean nothing in a file that is another one now.
    fn unchanged(&self, metadata: &Metadata) -> io::Result<()> {
        if metadata.len() == self.length && metadata.modified()? == self.modified {
            return Ok(());
        }
        let why = format!(
            "{} was changed while it was being curated: curate again when nothing writes to it",
            self.path.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    }
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    let why = format!("cannot read {}: {error}", path.display());
    io::Error::new(error.kind(), why)
}

/// The files of an input.
#[derive(Debug, Clone)]
pub struct Corpus {
    files: Vec<Source>,
    limits: Limits,
}

impl Corpus {
    /// Looks at files and directories; of a directory, at every `.jsonl`, `.ndjson` and `.json` file below it, sorted by
    /// path. Passed over in a directory is what is hidden (`.name`), what is being made (`name.making`) and what was curated
    /// (a directory with `SHA256SUMS` and `manifest.json`), but never the directory that is named. A file that is named
    /// twice is read once.
    ///
    /// # Errors
    /// One sentence: what is missing, compressed, no regular file, a directory without such files, or a link that leaves
    /// its directory.
    pub fn open(inputs: &[PathBuf], limits: Limits) -> io::Result<Self> {
        let files = inputs::files(inputs)?
            .into_iter()
            .map(Source::look)
            .collect::<io::Result<_>>()?;
        Ok(Self { files, limits })
    }

    /// The files, in the order in which they are read.
    #[must_use]
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// Every element in order, read by one thread. After an error there is no more.
    pub fn items(&self) -> impl Iterator<Item = io::Result<Item>> {
        self.batches().flat_map(|batch| {
            let (batch, error) = match batch {
                Ok(batch) => (Some(batch), None),
                Err(error) => (None, Some(Err(error))),
            };
            let items = batch.into_iter().flat_map(Batch::into_items);
            items.map(Ok).chain(error)
        })
    }

    /// Every block in order.
    fn batches(&self) -> impl Iterator<Item = io::Result<Batch>> {
        let mut failed = false;
        let blocks = (0..).zip(&self.files).flat_map(|(index, source)| {
            let (opened, failed) = match Batches::open(source, index, self.limits) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            opened.into_iter().flatten().chain(failed)
        });
        blocks.take_while(move |block| !std::mem::replace(&mut failed, block.is_err()))
    }

    /// Reads elements again by their places.
    #[must_use]
    pub fn again(&self) -> Again<'_> {
        Again::new(self)
    }
}

#[cfg(test)]
mod tests;
