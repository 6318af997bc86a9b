//! One file of the journal: a header, a snapshot of the whole state, and the batches that follow it.
//!
//! ```text
//! header | part of the snapshot ... | end of the snapshot | batch | batch ...        (all but the header are frames)
//! ```
//!
//! The snapshot makes opening independent of every older file, which is then history only. A segment
//! appears by rename once it is on disk, so that a `.log` file always has a whole header and snapshot.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::change::{Change, Entry};
use super::error::Error;
use super::files;
use super::frame::{self, Frames};
use super::header::{HEADER, Header};
use super::wire::{self, Fault};

/// The version of [`Body`] and all that it holds.
pub(super) const BODY_VERSION: u16 = 2;

/// A part of the snapshot is closed at this many bytes of keys and values.
const PART: usize = 1 << 20;

/// What a frame holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Body {
    /// Keys and values that are live at the beginning of the segment.
    Snapshot(Vec<Change>),
    /// The end of the snapshot: how many keys it has, and the last entry that they include.
    SnapshotEnd { keys: u64, seq: u64 },
    /// One commit, all of it or nothing.
    Batch(Vec<Entry>),
}

impl Body {
    pub(super) fn encode(&self) -> Vec<u8> {
        wire::encode(BODY_VERSION, self)
    }

    /// Reads the body of the frame at `offset` of `file`.
    pub(super) fn decode(file: &Path, offset: u64, bytes: &[u8]) -> Result<Body, Error> {
        wire::migrated(BODY_VERSION, bytes, Body::migrate).map_err(|fault| match fault {
            Fault::Newer { found, reads } => newer(file, found, reads),
            other => unusable(file, offset, &other.to_string()),
        })
    }

    /// Reads a body of an older `version` and brings it forward, one function per step, as
    /// [`Record::migrate`](super::Record::migrate) does. Every frame says its own version, so that one segment may
    /// hold frames of several. Version 0 exists in tests alone: it proves the way.
    fn migrate(version: u16, bytes: &[u8]) -> Result<Body, Fault> {
        match version {
            #[cfg(test)]
            0 => wire::body(bytes).map(super::tests::versions::body_v0_to_v1),
            // It knew the first four trees, in the same places.
            1 => wire::body(bytes),
            found => Err(Fault::Older { found }),
        }
    }
}

/// Opens the segment `path` and reads its header; the frames follow.
pub(super) fn open(path: &Path) -> Result<(Header, Frames), Error> {
    let mut file = File::open(path).map_err(Error::io(path, "open"))?;
    let mut bytes = [0; HEADER];
    file.read_exact(&mut bytes)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => unusable(path, 0, "it ends within its header"),
            _ => Error::io(path, "read")(error),
        })?;
    let header = Header::parse(path, &bytes)?;
    if file_name(header.index).as_str() != path.file_name().unwrap_or_default() {
        let why = format!("its header says that it is segment {}", header.index);
        return Err(unusable(path, 12, &why));
    }
    let frames = Frames::new(file, header.seal(), HEADER as u64);
    Ok((header, frames.map_err(Error::io(path, "read"))?))
}

/// A segment on disk under its temporary name.
#[derive(Debug)]
pub(super) struct Segment {
    /// What its header says.
    pub(super) header: Header,
    /// The name that it gets.
    pub(super) path: PathBuf,
    /// Open for writing.
    pub(super) file: File,
    /// Its length, in bytes.
    pub(super) len: u64,
}

/// Writes a segment that begins with the keys and values of `live`, and waits for the disk. It counts
/// only once [`publish`] has given it its name; a failure leaves nothing behind.
pub(super) fn write(
    dir: &Path,
    header: Header,
    live: impl Iterator<Item = Result<Change, Error>>,
) -> Result<Segment, Error> {
    let temporary = temporary(dir, header.index);
    let written = write_temporary(&temporary, header, live);
    if written.is_err() {
        // The error that brought us here is the one to tell; opening removes what is left.
        let _ = fs::remove_file(&temporary);
    }
    let (file, len) = written?;
    Ok(Segment {
        header,
        path: dir.join(file_name(header.index)),
        file,
        len,
    })
}

/// Gives a written segment its name. When this fails, whether it has the name is unknown until the
/// journal is opened again.
pub(super) fn publish(dir: &Path, segment: &Segment) -> Result<(), Error> {
    let temporary = temporary(dir, segment.header.index);
    fs::rename(&temporary, &segment.path).map_err(Error::io(&temporary, "rename"))?;
    files::sync_dir(dir)
}

fn write_temporary(
    path: &Path,
    header: Header,
    live: impl Iterator<Item = Result<Change, Error>>,
) -> Result<(File, u64), Error> {
    let file = files::private_file(path)?;
    file.set_len(0).map_err(Error::io(path, "cut"))?;
    let mut out = Out {
        file: BufWriter::new(file),
        path,
        seal: header.seal(),
        len: 0,
    };
    out.put(&header.bytes())?;
    let (mut part, mut size, mut keys) = (Vec::new(), 0, 0);
    for change in live {
        let change = change?;
        size += change.key.len() + change.value.as_ref().map_or(0, Vec::len);
        keys += 1;
        part.push(change);
        if size >= PART {
            out.frame(&Body::Snapshot(std::mem::take(&mut part)))?;
            size = 0;
        }
    }
    out.frame(&Body::Snapshot(part))?;
    out.frame(&Body::SnapshotEnd {
        keys,
        seq: header.first_seq - 1,
    })?;
    out.finish()
}

/// Writes one file from its beginning.
struct Out<'a> {
    file: BufWriter<File>,
    path: &'a Path,
    seal: u32,
    len: u64,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.len += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(Error::io(self.path, "write"))
    }

    fn frame(&mut self, body: &Body) -> Result<(), Error> {
        self.put(&frame::frame(self.seal, 0, &body.encode()))
    }

    fn finish(self) -> Result<(File, u64), Error> {
        let file = self.file.into_inner().map_err(|error| error.into_error());
        let file = file.map_err(Error::io(self.path, "write"))?;
        file.sync_all().map_err(Error::io(self.path, "sync"))?;
        Ok((file, self.len))
    }
}

/// The segments of the journal in `dir`, oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = names(dir)?;
    found.retain(|path| index_of(path).is_some());
    found.sort();
    Ok(found)
}

/// Removes what an interrupted [`write()`] left in `dir`.
pub(super) fn sweep(dir: &Path) -> Result<(), Error> {
    let left = names(dir)?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "tmp"));
    left.into_iter()
        .try_for_each(|path| fs::remove_file(&path).map_err(Error::io(&path, "remove")))
}

fn names(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let items = fs::read_dir(dir).map_err(Error::io(dir, "list"))?;
    items
        .map(|item| item.map(|item| item.path()).map_err(Error::io(dir, "list")))
        .collect()
}

fn file_name(index: u32) -> String {
    format!("{index:08}.log")
}

fn temporary(dir: &Path, index: u32) -> PathBuf {
    dir.join(format!("{index:08}.tmp"))
}

fn index_of(path: &Path) -> Option<u32> {
    let index = path
        .file_name()?
        .to_str()?
        .strip_suffix(".log")?
        .parse()
        .ok()?;
    (path.file_name()? == file_name(index).as_str()).then_some(index)
}

/// A segment that cannot be used from `offset` on.
pub(super) fn unusable(path: &Path, offset: u64, why: &str) -> Error {
    Error::damaged(path, offset, why, restore(path))
}

/// The way back from a segment that cannot be used at all.
fn restore(path: &Path) -> String {
    format!(
        "restore {} from a backup; without it, the entries in it are lost",
        path.display()
    )
}

pub(super) fn newer(file: &Path, found: u16, reads: u16) -> Error {
    Error::Newer {
        file: file.to_path_buf(),
        what: "journal".into(),
        found,
        reads,
    }
}
