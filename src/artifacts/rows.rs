//! Reads the new complete lines of a growing JSON Lines file, so that a monitor counts each row once.
//!
//! Unlike the [follower of logs](super::follow) this cursor only ever stands behind a newline: a torn tail is looked at again, not
//! remembered. So cutting the tail, or finishing it, between two looks needs no special care. A file that is shorter than the cursor, has
//! another inode, or has no newline before the cursor is another file: it is read from its start and the caller is told to forget
//! what it counted.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::jsonl::MAX_LINE;

/// Bytes read at a time.
const BLOCK: usize = 256 * 1024;

/// How many complete lines of which file were read; store it to go on after a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Device number of the file.
    pub device: u64,
    /// Inode number of the file; 0 before it was first seen.
    pub inode: u64,
    /// Bytes of complete lines.
    pub offset: u64,
    /// Number of complete lines.
    pub lines: u64,
}

/// What one look found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewRows {
    /// New complete lines, too long ones included.
    pub lines: u64,
    /// Their bytes, newlines included.
    pub bytes: u64,
    /// Lines longer than [`MAX_LINE`], which were not handed out.
    pub too_long: u64,
    /// Bytes after the last newline, not handed out; only known when `more` is false.
    pub torn_bytes: u64,
    /// There is more to read: look again.
    pub more: bool,
    /// The file is another one than before. Nothing was handed out; forget what was counted, the next look starts anew.
    pub restarted: bool,
}

/// Reads what was added to a file, line by line.
#[derive(Debug)]
pub struct RowReader {
    path: PathBuf,
    cursor: Cursor,
}

impl RowReader {
    /// Reads `path` from its start. The file need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self::resume(path, Cursor::default())
    }

    /// Goes on where an earlier reader stopped.
    #[must_use]
    pub fn resume(path: &Path, cursor: Cursor) -> Self {
        Self {
            path: path.to_owned(),
            cursor,
        }
    }

    /// How far the file was read.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Hands each new complete line to `on_line`, without its newline and with its number from 1, and stops after `max_bytes`. One
    /// line is read even if it alone is longer than that.
    ///
    /// # Errors
    /// Those of opening and reading, with the path; the cursor stays behind the last line handed out.
    pub fn read_new(
        &mut self,
        max_bytes: u64,
        mut on_line: impl FnMut(u64, &[u8]),
    ) -> io::Result<NewRows> {
        let mut found = NewRows::default();
        let Some(file) = self.open()? else {
            return Ok(found);
        };
        if self.takes_another(&file)? {
            found.restarted = true;
            found.more = true;
            return Ok(found);
        }
        let mut pending = Pending::default();
        let mut block = vec![0; BLOCK];
        while found.bytes < max_bytes {
            let at = self.cursor.offset + pending.length;
            let read = match file.read_at(&mut block, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|error| self.named(&error))?,
            };
            if read == 0 {
                found.torn_bytes = pending.length;
                return Ok(found);
            }
            self.take_block(
                &block[..read],
                max_bytes,
                &mut pending,
                &mut found,
                &mut on_line,
            );
        }
        found.more = true;
        Ok(found)
    }

    /// Hands out the lines that end in `block`, up to the bound, and keeps the rest.
    fn take_block(
        &mut self,
        mut block: &[u8],
        max_bytes: u64,
        pending: &mut Pending,
        found: &mut NewRows,
        on_line: &mut impl FnMut(u64, &[u8]),
    ) {
        while let Some(at) = block.iter().position(|&b| b == b'\n') {
            if found.bytes >= max_bytes {
                return;
            }
            self.cursor.lines += 1;
            match pending.complete(&block[..at]) {
                Some(line) => on_line(self.cursor.lines, line),
                None => found.too_long += 1,
            }
            let length = pending.length + at as u64 + 1;
            pending.reset();
            self.cursor.offset += length;
            found.bytes += length;
            found.lines += 1;
            block = &block[at + 1..];
        }
        pending.keep(block);
    }

    /// Goes back to the start if the file is not the one that the cursor means; true if something had been read of that one.
    fn takes_another(&mut self, file: &File) -> io::Result<bool> {
        let metadata = file.metadata().map_err(|error| self.named(&error))?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        let same = (device, inode) == (self.cursor.device, self.cursor.inode);
        if same && self.stands_behind_newline(file)? {
            return Ok(false);
        }
        let seen = self.cursor.offset > 0;
        self.cursor = Cursor {
            device,
            inode,
            ..Cursor::default()
        };
        Ok(seen)
    }

    /// Whether the byte before the cursor is the newline that was there when the cursor was set.
    fn stands_behind_newline(&self, file: &File) -> io::Result<bool> {
        let Some(before) = self.cursor.offset.checked_sub(1) else {
            return Ok(true);
        };
        let mut byte = [0];
        let read = file
            .read_at(&mut byte, before)
            .map_err(|error| self.named(&error))?;
        Ok(read == 1 && byte == *b"\n")
    }

    fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.named(&error)),
        }
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!("cannot read {}: {error}", self.path.display()),
        )
    }
}

/// The beginning of a line whose newline has not come yet.
#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Its length, which goes on growing when the line is too long to be kept.
    length: u64,
}

impl Pending {
    fn keep(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        if self.length <= MAX_LINE as u64 {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// The whole line that ends with `piece`; `None` when it is too long.
    fn complete<'a>(&'a mut self, piece: &'a [u8]) -> Option<&'a [u8]> {
        if self.length + piece.len() as u64 > MAX_LINE as u64 {
            return None;
        }
        if self.bytes.is_empty() {
            return Some(piece);
        }
        self.bytes.extend_from_slice(piece);
        Some(&self.bytes)
    }

    fn reset(&mut self) {
        self.bytes.clear();
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::jsonl::cut_torn_tail;
    use proptest::prelude::*;
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    }

    fn look(reader: &mut RowReader, max_bytes: u64) -> (Vec<String>, NewRows) {
        let mut lines = Vec::new();
        let found = reader
            .read_new(max_bytes, |no, line| {
                lines.push(format!("{no}:{}", line.escape_ascii()))
            })
            .unwrap();
        (lines, found)
    }

    #[test]
    fn only_new_complete_lines_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shard-0.jsonl");
        let mut reader = RowReader::new(&path);
        assert_eq!(look(&mut reader, 100), (vec![], NewRows::default()));
        append(&path, b"one\ntwo\nthr");
        let (lines, found) = look(&mut reader, 100);
        assert_eq!(
            (lines, found.torn_bytes),
            (vec!["1:one".into(), "2:two".into()], 3)
        );
        append(&path, b"ee\n");
        let mut reader = RowReader::resume(&path, reader.cursor());
        assert_eq!(look(&mut reader, 100).0, ["3:three"]);
        assert_eq!(look(&mut reader, 100).1, NewRows::default());
    }

    #[test]
    fn a_bounded_look_ends_behind_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        append(&path, b"a\nb\na longer line\n");
        let mut reader = RowReader::new(&path);
        for expected in [&["1:a", "2:b"][..], &["3:a longer line"]] {
            let (lines, found) = look(&mut reader, 3);
            assert_eq!(lines, expected);
            assert!(found.more);
        }
        assert!(!look(&mut reader, 3).1.more);
    }

    #[test]
    fn cutting_the_torn_tail_is_no_restart_but_another_file_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        append(&path, b"one\n{\"to");
        let mut reader = RowReader::new(&path);
        look(&mut reader, 100);
        cut_torn_tail(&path).unwrap();
        append(&path, b"two, longer than the tail\n");
        assert_eq!(look(&mut reader, 100).0, ["2:two, longer than the tail"]);

        fs::write(&path, "x\n").unwrap();
        assert!(look(&mut reader, 100).1.restarted);
        assert_eq!(look(&mut reader, 100).0, ["1:x"]);

        let other = dir.path().join("other");
        append(&other, b"y\nz\n");
        fs::rename(&other, &path).unwrap();
        assert!(look(&mut reader, 100).1.restarted);
        assert_eq!(look(&mut reader, 100).0, ["1:y", "2:z"]);

        fs::write(&path, "grown beyond the cursor\n").unwrap();
        assert!(look(&mut reader, 100).1.restarted);
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_passed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        append(&path, &vec![b'x'; MAX_LINE + 1]);
        append(&path, b"\nshort\n");
        let (lines, found) = look(&mut RowReader::new(&path), u64::MAX);
        assert_eq!(
            (lines, found.too_long, found.lines),
            (vec!["2:short".into()], 1, 2)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_sequence_of_appends_and_looks_gives_each_line_once(
            pieces in prop::collection::vec((prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..30), 1_u64..40), 0..12),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("rows");
            let mut reader = RowReader::new(&path);
            let (mut all, mut lines) = (Vec::new(), Vec::new());
            for (piece, max_bytes) in &pieces {
                append(&path, piece);
                all.extend_from_slice(piece);
                reader.read_new(*max_bytes, |_, line| lines.push(line.to_vec())).unwrap();
            }
            reader.read_new(u64::MAX, |_, line| lines.push(line.to_vec())).unwrap();
            let mut expected: Vec<_> = all.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
            expected.pop();
            prop_assert_eq!(lines, expected);
        }
    }
}
