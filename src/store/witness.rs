//! A second place that knows the last acknowledged entry, so that a journal which has lost its end is told apart from one
//! whose last append was torn: both just stop.
//!
//! It is written after the journal is on disk and never waited for. After a kill it is exact; after a power cut it may be
//! behind, and then it proves less; it is never ahead. One that cannot be read proves nothing.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::files;
use super::header::StoreId;

/// Store id, entry, checksum over both; little-endian. It fits in a sector, so that it is replaced whole.
const LEN: usize = 20;

/// The witness of a journal that is written to.
#[derive(Debug)]
pub(super) struct Witness {
    file: fs::File,
    store: StoreId,
}

/// Where the witness of the journal in `dir` is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("acknowledged")
}

/// The last entry that the journal in `dir` acknowledged, as far as anybody knows.
pub(super) fn read(dir: &Path, store: StoreId) -> Option<u64> {
    let bytes = fs::read(path(dir)).ok()?;
    let said: [u8; LEN] = bytes.try_into().ok()?;
    let seq = u64::from_le_bytes(said[8..16].try_into().ok()?);
    (said == told(store, seq)).then_some(seq)
}

fn told(store: StoreId, seq: u64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&store);
    bytes[8..16].copy_from_slice(&seq.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

impl Witness {
    /// Opens the one of the journal in `dir`.
    pub(super) fn open(dir: &Path, store: StoreId) -> Result<Witness, Error> {
        let file = files::private_file(&path(dir))?;
        Ok(Witness { file, store })
    }

    /// Everything up to `seq` is on disk. A witness that cannot be written only proves less.
    pub(super) fn tell(&self, seq: u64) {
        let _ = self.file.write_all_at(&told(self.store, seq), 0);
    }
}
