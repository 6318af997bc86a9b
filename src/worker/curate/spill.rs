//! Sets of shingles in a file without a name: they would take most of the memory.

use crate::curation::near::Sets;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::OnceLock,
};

/// Sets being written.
#[derive(Debug)]
pub struct Spilling {
    file: BufWriter<File>,
    ends: Vec<u64>,
}

/// Sets to read, by their number.
#[derive(Debug)]
pub struct Spill {
    file: File,
    ends: Vec<u64>,
    failed: OnceLock<io::Error>,
}

const WIDTH: u64 = 4;

impl Spilling {
    /// In a directory; the file is gone when it is closed, whatever happens.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!(".shingles-{}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        fs::remove_file(&path)?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, file),
            ends: Vec::new(),
        })
    }

    /// The next set.
    ///
    /// # Errors
    /// Those of the file.
    pub fn push(&mut self, set: &[u32]) -> io::Result<()> {
        for shingle in set {
            self.file.write_all(&shingle.to_le_bytes())?;
        }
        let before = self.ends.last().copied().unwrap_or(0);
        self.ends.push(before + set.len() as u64);
        Ok(())
    }

    /// Ready to be read.
    ///
    /// # Errors
    /// Those of the file.
    pub fn finish(self) -> io::Result<Spill> {
        Ok(Spill {
            file: self
                .file
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?,
            ends: self.ends,
            failed: OnceLock::new(),
        })
    }
}

impl Spill {
    fn read(&self, row: u32, into: &mut Vec<u32>) -> io::Result<()> {
        let end = self.ends[row as usize];
        let start = row
            .checked_sub(1)
            .map_or(0, |before| self.ends[before as usize]);
        let mut bytes = vec![0; usize::try_from((end - start) * WIDTH).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, start * WIDTH)?;
        let (words, _) = bytes.as_chunks::<4>();
        into.extend(words.iter().map(|word| u32::from_le_bytes(*word)));
        Ok(())
    }

    /// What went wrong while sets were read: every result until then is worth nothing.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> io::Result<()> {
        let failed = self.failed.get();
        failed.map_or(Ok(()), |error| {
            Err(io::Error::new(error.kind(), error.to_string()))
        })
    }
}

impl Sets for Spill {
    fn set(&self, row: u32, into: &mut Vec<u32>) {
        into.clear();
        if let Err(error) = self.read(row, into) {
            let _ = self.failed.set(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_come_back_as_they_went_and_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut spilling = Spilling::new(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let sets = [vec![1, 2, u32::MAX], vec![], vec![7]];
        for set in &sets {
            spilling.push(set).unwrap();
        }
        let spill = spilling.finish().unwrap();
        let mut set = vec![9];
        for (row, expected) in [(2, &sets[2]), (0, &sets[0]), (1, &sets[1])] {
            spill.set(row, &mut set);
            assert_eq!(&set, expected);
        }
        spill.check().unwrap();
    }
}
