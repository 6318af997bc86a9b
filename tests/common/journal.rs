//! The bytes of a journal, written by hand from the documented layout: what a newer program, a bad disk or an adversary
//! leaves there, with checksums that hold. Made without the store's own code, so that the layout cannot change unseen.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

/// Size of a segment's header, in bytes.
pub const HEADER: usize = 36;
/// Size of a frame before its body, in bytes.
pub const HEAD: usize = 24;

/// The CRC-32 of `bytes`, continued from `seal`.
fn checksum(seal: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seal);
    hasher.update(bytes);
    hasher.finalize()
}

/// What the checksums of a segment's frames start from.
pub fn seal(segment: &[u8]) -> u32 {
    checksum(0, &segment[..32])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A header with this format, number and first entry, of the store that wrote `segment`.
pub fn header(segment: &[u8], format: u16, index: u32, first_seq: u64) -> Vec<u8> {
    let mut bytes = segment[..32].to_vec();
    bytes[8..10].copy_from_slice(&format.to_le_bytes());
    bytes[12..16].copy_from_slice(&index.to_le_bytes());
    bytes[24..32].copy_from_slice(&first_seq.to_le_bytes());
    let crc = checksum(0, &bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// A frame that ends with entry `seq` and whose checksums hold.
pub fn frame(seal: u32, seq: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc5, b'c', b'd', b'\n'];
    bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend(checksum(seal, body).to_le_bytes());
    let crc = checksum(seal, &bytes);
    bytes.extend(crc.to_le_bytes());
    bytes.extend(body);
    bytes
}

/// Where the frames of a whole segment lie: the last entry that each says it has, and its bytes.
pub fn frames(segment: &[u8]) -> Vec<(u64, Range<usize>)> {
    let (mut at, mut found) = (HEADER, Vec::new());
    while at < segment.len() {
        let seq = u64::from(word(segment, at + 8)) | u64::from(word(segment, at + 12)) << 32;
        let end = at + HEAD + word(segment, at + 4) as usize;
        found.push((seq, at..end));
        at = end;
    }
    found
}

/// The segments of the store in `state_dir`, oldest first.
pub fn segments(state_dir: &Path) -> Vec<PathBuf> {
    let items = fs::read_dir(state_dir.join("journal")).unwrap();
    let mut paths: Vec<PathBuf> = items.map(|item| item.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "log"));
    paths.sort();
    paths
}

/// Copies a directory.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap().path();
        let target = to.join(item.file_name().unwrap());
        if item.is_dir() {
            copy_dir(&item, &target);
        } else {
            fs::copy(&item, &target).unwrap();
        }
    }
}
