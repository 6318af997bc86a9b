//! Frames: how the bytes of a segment are delimited and checked.
//!
//! ```text
//! marker 4 | length of the body u32 | seq u64 | crc of the body u32 | crc of the 20 bytes before u32 | body
//! ```
//!
//! All numbers are little endian. Both checksums start from the segment's **seal** (the checksum of its header, which
//! holds the store's random id), so neither a frame of another segment left in a reused disk block nor text that
//! looks like a frame can pass for one. The head has its own checksum so that a reader may skip a body it need not
//! read, and so that a torn frame can be told from a damaged one: commits wait for the disk one at a time, hence only
//! the very last frame of a journal can be torn, and anything valid after a bad frame proves damage.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Size of a frame without its body, in bytes.
pub(super) const HEAD: usize = 24;

/// The largest body, in bytes. A commit is a few hundred bytes, a burst a few megabytes.
pub(super) const MAX_BODY: usize = 1 << 30;

const MARKER: [u8; 4] = [0xc5, b'c', b'd', b'\n'];

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    body_len: u32,
    seq: u64,
    body_crc: u32,
}

impl Head {
    fn bytes(self, seal: u32) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[0..4].copy_from_slice(&MARKER);
        bytes[4..8].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.seq.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = checksum(seal, &bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; HEAD], seal: u32) -> Option<Head> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if bytes[0..4] != MARKER || word(20) != checksum(seal, &bytes[..20]) {
            return None;
        }
        let seq = u64::from(word(8)) | u64::from(word(12)) << 32;
        Some(Head {
            body_len: word(4),
            seq,
            body_crc: word(16),
        })
    }

    fn end(self, start: u64) -> u64 {
        start + HEAD as u64 + u64::from(self.body_len)
    }
}

/// The CRC-32 of `bytes`, continued from `seal`.
pub(super) fn checksum(seal: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seal);
    hasher.update(bytes);
    hasher.finalize()
}

/// `body` as a frame. `seq` is the last entry in it, 0 for a part of the snapshot. The caller keeps to [`MAX_BODY`].
pub(super) fn frame(seal: u32, seq: u64, body: &[u8]) -> Vec<u8> {
    let body_len = u32::try_from(body.len()).expect("bodies are no larger than MAX_BODY");
    let head = Head {
        body_len,
        seq,
        body_crc: checksum(seal, body),
    };
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(&head.bytes(seal));
    bytes.extend_from_slice(body);
    bytes
}

/// What stands at a reader's position.
#[derive(Debug)]
pub(super) enum Next {
    /// A frame whose checksums hold.
    Whole {
        /// Where it starts.
        offset: u64,
        /// The last entry in it, 0 for a part of the snapshot.
        seq: u64,
        /// Its content.
        body: Vec<u8>,
    },
    /// The end of the file, exactly after a frame.
    End,
    /// Bytes that are no frame, or not all of one, starting at [`Frames::offset`].
    Bad,
}

/// Reads the frames of one segment, from the end of its header to the length it had when it was opened.
#[derive(Debug)]
pub(super) struct Frames {
    file: BufReader<File>,
    seal: u32,
    at: u64,
    end: u64,
    last_seq: u64,
}

impl Frames {
    /// Reads `file` from byte `at`, where it must be positioned.
    pub(super) fn new(file: File, seal: u32, at: u64) -> io::Result<Frames> {
        let end = file.metadata()?.len();
        let file = BufReader::with_capacity(1 << 16, file);
        Ok(Frames {
            file,
            seal,
            at,
            end,
            last_seq: 0,
        })
    }

    /// Where the next frame starts; after [`Next::Bad`], where the bad bytes start.
    pub(super) fn offset(&self) -> u64 {
        self.at
    }

    /// The length of the file.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The last entry read or passed over, 0 before the first.
    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The next frame that ends with entry `from` or a later one. Earlier ones are passed over by their heads alone.
    pub(super) fn next(&mut self, from: u64) -> io::Result<Next> {
        loop {
            if self.at == self.end {
                return Ok(Next::End);
            }
            let Some(head) = self.head()?.filter(|head| head.end(self.at) <= self.end) else {
                return Ok(Next::Bad);
            };
            if head.seq >= from {
                return self.body(head);
            }
            self.file.seek_relative(i64::from(head.body_len))?;
            self.pass(head);
        }
    }

    /// Whether the bad bytes at [`Frames::offset`] are what an interrupted append leaves: nothing follows them.
    pub(super) fn is_torn(&mut self) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(self.at))?;
        if self
            .head()?
            .is_some_and(|head| head.end(self.at) < self.end)
        {
            return Ok(false);
        }
        // Even a whole head proves nothing: where bytes are missing from its body, later frames lie within it.
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut tail = Vec::new();
        self.file
            .by_ref()
            .take(self.end - self.at)
            .read_to_end(&mut tail)?;
        Ok(!tail.windows(HEAD).skip(1).any(|bytes| {
            bytes
                .try_into()
                .is_ok_and(|bytes| Head::parse(bytes, self.seal).is_some())
        }))
    }

    fn head(&mut self) -> io::Result<Option<Head>> {
        let mut bytes = [0; HEAD];
        if self.end - self.at < HEAD as u64 || !filled(&mut self.file, &mut bytes)? {
            return Ok(None);
        }
        Ok(Head::parse(&bytes, self.seal))
    }

    fn body(&mut self, head: Head) -> io::Result<Next> {
        let mut body = vec![0; head.body_len as usize];
        if !filled(&mut self.file, &mut body)? || checksum(self.seal, &body) != head.body_crc {
            return Ok(Next::Bad);
        }
        let offset = self.at;
        self.pass(head);
        Ok(Next::Whole {
            offset,
            seq: head.seq,
            body,
        })
    }

    fn pass(&mut self, head: Head) {
        self.at = head.end(self.at);
        self.last_seq = self.last_seq.max(head.seq);
    }
}

/// Fills `bytes`; false where the file ends first (a writer may cut a failed append while a reader is in it).
fn filled(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_under_its_own_seal_only() {
        let head = Head {
            body_len: 7,
            seq: u64::from(u32::MAX) + 5,
            body_crc: 9,
        };
        let bytes = head.bytes(1);
        assert_eq!(Head::parse(&bytes, 1), Some(head));
        assert_eq!(Head::parse(&bytes, 2), None);
    }

    #[test]
    fn every_flipped_bit_of_a_head_is_seen() {
        let head = Head {
            body_len: 7,
            seq: 3,
            body_crc: 9,
        };
        for bit in 0..HEAD * 8 {
            let mut bytes = head.bytes(1);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::parse(&bytes, 1), None, "bit {bit}");
        }
    }
}
