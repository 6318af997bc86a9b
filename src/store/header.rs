//! The first bytes of a segment: which store it belongs to, where it stands, how the rest is to be read.
//!
//! ```text
//! magic 8 | format u16 | 0 u16 | index u32 | store id 8 | first seq u64 | crc of the 32 bytes before u32
//! ```
//!
//! This layout is the same in every format, so that an older campaignd can always tell that a newer one wrote the
//! file; `format` covers what follows it.

use std::path::Path;

use super::error::Error;
use super::frame;
use super::segment::{newer, unusable};

/// The format of the frames that this program writes and the newest one that it reads.
pub(super) const FORMAT: u16 = 1;

/// Size of the header, in bytes.
pub(super) const HEADER: usize = 36;

const MAGIC: [u8; 8] = *b"campjrnl";

/// What makes one store another than all the others.
pub(super) type StoreId = [u8; 8];

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The number in the file's name, from 1.
    pub(super) index: u32,
    /// The store that it belongs to.
    pub(super) store: StoreId,
    /// The first entry that it may hold: the snapshot includes all before.
    pub(super) first_seq: u64,
}

impl Header {
    /// What the checksums of this segment's frames start from.
    pub(super) fn seal(&self) -> u32 {
        frame::checksum(0, &self.fields())
    }

    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..32].copy_from_slice(&self.fields());
        bytes[32..].copy_from_slice(&self.seal().to_le_bytes());
        bytes
    }

    fn fields(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.index.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.store);
        bytes[24..32].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes
    }

    /// Reads the header of `path`. The checksum is asked first, so a damaged version is no newer one.
    pub(super) fn parse(path: &Path, bytes: &[u8; HEADER]) -> Result<Header, Error> {
        let eight = |at: usize| std::array::from_fn::<u8, 8, _>(|i| bytes[at + i]);
        let [format_low, format_high, _, _, a, b, c, d] = eight(8);
        if bytes[32..] != frame::checksum(0, &bytes[..32]).to_le_bytes() || eight(0) != MAGIC {
            return Err(unusable(path, 0, "this is no header of a journal"));
        }
        let header = Header {
            index: u32::from_le_bytes([a, b, c, d]),
            store: eight(16),
            first_seq: u64::from_le_bytes(eight(24)),
        };
        match u16::from_le_bytes([format_low, format_high]) {
            FORMAT if header.first_seq > 0 => Ok(header),
            found if found > FORMAT => Err(newer(path, found, FORMAT)),
            _ => Err(unusable(path, 8, "no campaignd ever wrote such a header")),
        }
    }
}
