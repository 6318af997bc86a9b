//! Follows a growing log file: each look reads what is new and nothing twice.
//!
//! Logs are truncated (a job is started again with `>`), rotated (renamed, a new one takes the name) or not there yet. The follower keeps
//! the open file and how far it has read; by device and inode it knows whether the name still means that file. A rotated file is read
//! to its end before the new one is begun.
//!
//! Not detectable from outside: a file that was truncated and has grown beyond the offset between two looks, and, across a restart of the
//! reader, a new file that got the old one's inode number and is no shorter.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Bytes read at a time.
const BLOCK: usize = 64 * 1024;

/// How far which file was read; store it to go on after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Device number of the file.
    pub device: u64,
    /// Inode number of the file.
    pub inode: u64,
    /// Bytes read from it.
    pub offset: u64,
}

/// What one look found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Followed {
    /// New bytes handed out.
    pub bytes: u64,
    /// The name stands for another file than before; that one is read from its start.
    pub rotated: bool,
    /// The file was shorter than what had been read of it, and is read from its start.
    pub truncated: bool,
}

/// Reads a growing file piece by piece.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    open: Option<Open>,
    /// Where to go on when the file is first opened.
    stored: Option<Position>,
    block: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    file: File,
    position: Position,
}

impl Follower {
    /// Follows `path` from its start. The file need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            open: None,
            stored: None,
            block: Vec::new(),
        }
    }

    /// Goes on where an earlier follower stopped, if the name still means the same file.
    #[must_use]
    pub fn resume(path: &Path, position: Position) -> Self {
        Self {
            stored: Some(position),
            ..Self::new(path)
        }
    }

    /// How far the file was read; `None` before it was first seen.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.open.as_ref().map(|open| open.position).or(self.stored)
    }

    /// Hands at most `max_bytes` of news to `on_chunk`. A missing file is no news.
    ///
    /// When both flags and bytes are to be told apart: what precedes a rotation in `on_chunk`'s sequence belongs to the old file, but
    /// a truncation is noticed before anything of the new content is handed out.
    ///
    /// # Errors
    /// Those of opening and reading, with the path; the position stays at what was handed out.
    pub fn read_new(
        &mut self,
        max_bytes: u64,
        mut on_chunk: impl FnMut(&[u8]),
    ) -> io::Result<Followed> {
        let path = self.path.clone();
        self.look(max_bytes, &mut on_chunk).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot follow {}: {error}", path.display()),
            )
        })
    }

    fn look(&mut self, max_bytes: u64, on_chunk: &mut impl FnMut(&[u8])) -> io::Result<Followed> {
        let mut followed = Followed::default();
        self.block.resize(BLOCK, 0);
        if self.open.is_none() {
            self.open_first(&mut followed)?;
        }
        // Whether the name has moved on is asked before reading: what the old file's writer added before that is then read too.
        let successor = self.successor()?;
        let Some(open) = &mut self.open else {
            return Ok(followed);
        };
        let ended = open.drain(max_bytes, &mut self.block, on_chunk, &mut followed)?;
        if let Some(successor) = successor.filter(|_| ended) {
            followed.rotated = true;
            let open = self.open.insert(successor);
            let left = max_bytes - followed.bytes;
            open.drain(left, &mut self.block, on_chunk, &mut followed)?;
        }
        Ok(followed)
    }

    fn open_first(&mut self, followed: &mut Followed) -> io::Result<()> {
        let Some(mut open) = Open::at(&self.path)? else {
            return Ok(());
        };
        if let Some(stored) = self.stored.take() {
            if open.position.is_same_file(stored) {
                open.position.offset = stored.offset;
            } else {
                followed.rotated = true;
            }
        }
        self.open = Some(open);
        Ok(())
    }

    /// The file that has taken the name of the open one.
    fn successor(&self) -> io::Result<Option<Open>> {
        let Some(open) = &self.open else {
            return Ok(None);
        };
        match std::fs::metadata(&self.path) {
            Ok(metadata) if Position::start(&metadata).is_same_file(open.position) => Ok(None),
            Ok(_) => Open::at(&self.path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Open {
    /// The file of that name at its start; `None` when there is none.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let position = Position::start(&file.metadata()?);
        Ok(Some(Self { file, position }))
    }

    /// Reads on, at most `max_bytes`; true when the end was reached.
    fn drain(
        &mut self,
        max_bytes: u64,
        block: &mut [u8],
        on_chunk: &mut impl FnMut(&[u8]),
        followed: &mut Followed,
    ) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.position.offset {
            self.position.offset = 0;
            followed.truncated = true;
        }
        let mut left = max_bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(BLOCK).min(block.len());
            let read = match self.file.read_at(&mut block[..size], self.position.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Ok(true);
            }
            on_chunk(&block[..read]);
            self.position.offset += read as u64;
            followed.bytes += read as u64;
            left -= read as u64;
        }
        Ok(false)
    }
}

impl Position {
    fn start(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            offset: 0,
        }
    }

    fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    struct Log {
        dir: tempfile::TempDir,
        path: PathBuf,
    }

    impl Log {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            Self { dir, path }
        }

        fn append(&self, text: &str) {
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(&self.path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
    }

    fn look(follower: &mut Follower, max_bytes: u64) -> (String, Followed) {
        let mut text = Vec::new();
        let followed = follower
            .read_new(max_bytes, |chunk| text.extend_from_slice(chunk))
            .unwrap();
        assert_eq!(followed.bytes, text.len() as u64);
        (String::from_utf8(text).unwrap(), followed)
    }

    #[test]
    fn each_look_reads_what_is_new() {
        let log = Log::new();
        let mut follower = Follower::new(&log.path);
        assert_eq!(
            look(&mut follower, 100),
            (String::new(), Followed::default()),
            "a missing file is no news"
        );
        log.append("one ");
        assert_eq!(look(&mut follower, 100).0, "one ");
        assert_eq!(look(&mut follower, 100).0, "");
        log.append("two three");
        assert_eq!(look(&mut follower, 4).0, "two ");
        assert_eq!(look(&mut follower, 100).0, "three");
        assert_eq!(look(&mut follower, 0).0, "");
    }

    #[test]
    fn a_truncated_file_is_read_from_its_start() {
        let log = Log::new();
        let mut follower = Follower::new(&log.path);
        log.append("a long first run");
        look(&mut follower, 100);
        fs::write(&log.path, "second").unwrap();
        let (text, followed) = look(&mut follower, 100);
        assert_eq!(
            (text.as_str(), followed.truncated, followed.rotated),
            ("second", true, false)
        );
        assert!(!look(&mut follower, 100).1.truncated, "said once");
    }

    #[test]
    fn a_rotated_file_is_finished_before_the_new_one() {
        let log = Log::new();
        let mut follower = Follower::new(&log.path);
        log.append("read ");
        look(&mut follower, 100);
        log.append("late ");
        fs::rename(&log.path, log.dir.path().join("log.1")).unwrap();
        log.append("new");
        let (text, followed) = look(&mut follower, 3);
        assert_eq!((text.as_str(), followed.rotated), ("lat", false));
        let (text, followed) = look(&mut follower, 100);
        assert_eq!((text.as_str(), followed.rotated), ("e new", true));
        assert!(!look(&mut follower, 100).1.rotated);
    }

    #[test]
    fn a_removed_file_is_finished_and_its_successor_awaited() {
        let log = Log::new();
        let mut follower = Follower::new(&log.path);
        log.append("a");
        look(&mut follower, 100);
        log.append("b");
        fs::remove_file(&log.path).unwrap();
        assert_eq!(look(&mut follower, 100).0, "b");
        assert_eq!(
            look(&mut follower, 100),
            (String::new(), Followed::default())
        );
        log.append("c");
        let (text, followed) = look(&mut follower, 100);
        assert_eq!((text.as_str(), followed.rotated), ("c", true));
    }

    #[test]
    fn a_stored_position_is_taken_up() {
        let log = Log::new();
        let mut first = Follower::new(&log.path);
        assert_eq!(first.position(), None);
        log.append("old ");
        look(&mut first, 100);
        log.append("new");
        let stored = first.position().unwrap();
        assert_eq!(look(&mut Follower::resume(&log.path, stored), 100).0, "new");

        let elsewhere = Position {
            inode: stored.inode + 1,
            ..stored
        };
        let (text, followed) = look(&mut Follower::resume(&log.path, elsewhere), 100);
        assert_eq!((text.as_str(), followed.rotated), ("old new", true));

        fs::write(&log.path, "x").unwrap();
        let (text, followed) = look(&mut Follower::resume(&log.path, stored), 100);
        assert_eq!((text.as_str(), followed.truncated), ("x", true));
    }

    #[test]
    fn a_log_of_a_gigabyte_is_not_read_again() {
        const SIZE: u64 = 1 << 30;
        let log = Log::new();
        // A sparse file: a gigabyte long, no block on disk.
        File::create(&log.path).unwrap().set_len(SIZE).unwrap();
        let mut follower = Follower::new(&log.path);
        look(&mut follower, 10);
        let near_end = Position {
            offset: SIZE,
            ..follower.position().unwrap()
        };
        let mut follower = Follower::resume(&log.path, near_end);
        let mut total = 0;
        for i in 0..100 {
            let line = format!("Progress: {i}/190\n");
            log.append(&line);
            let (text, followed) = look(&mut follower, u64::MAX);
            assert_eq!(text, line);
            total += followed.bytes;
        }
        assert_eq!(total, fs::metadata(&log.path).unwrap().len() - SIZE);
    }

    #[test]
    fn an_unreadable_path_is_named() {
        let log = Log::new();
        log.append("file");
        let below = log.path.join("below");
        let error = Follower::new(&below)
            .read_new(1, |_| {})
            .unwrap_err()
            .to_string();
        assert!(error.contains("log/below"), "{error}");
    }
}
