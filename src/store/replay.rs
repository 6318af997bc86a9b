//! Opening the journal: what its last segment says, and whether it may be believed.
//!
//! The end of the last segment may be torn by a crash; that was never acknowledged and is cut. Anything
//! else that does not read is damage, and damage is never repaired by dropping it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::change::{Change, Entry, Tree};
use super::error::Error;
use super::frame::{Frames, Next};
use super::header::Header;
use super::segment::{self, Body};

/// The live keys and values of every tree.
pub(super) type Image = BTreeMap<(Tree, String), Vec<u8>>;

/// The changes that lead from nothing to `image`.
pub(super) fn live(image: &Image) -> impl Iterator<Item = Change> {
    image.iter().map(|((tree, key), value)| Change {
        tree: *tree,
        key: key.clone(),
        value: Some(value.clone()),
    })
}

/// What the last segment of a journal says. The image is in memory for the time of opening only: it is
/// the live records, of which even a large site has some thousands, and the state is compared with it.
#[derive(Debug)]
pub(super) struct Replay {
    /// The segment.
    pub(super) path: PathBuf,
    /// Its header.
    pub(super) header: Header,
    /// The state after the last entry.
    pub(super) image: Image,
    /// The last entry that the snapshot includes.
    pub(super) snapshot_seq: u64,
    /// The last entry.
    pub(super) last_seq: u64,
    /// Where the snapshot ends, in bytes.
    pub(super) snapshot_len: u64,
    /// Where the last whole frame ends, in bytes.
    pub(super) len: u64,
    /// How many bytes of a torn frame follow it.
    pub(super) torn: u64,
}

/// Reads the segment `path` from its snapshot to its end.
pub(super) fn replay(path: &Path) -> Result<Replay, Error> {
    let (header, mut frames) = segment::open(path)?;
    let mut replay = Replay {
        path: path.to_path_buf(),
        header,
        image: Image::new(),
        snapshot_seq: 0,
        last_seq: 0,
        snapshot_len: 0,
        len: 0,
        torn: 0,
    };
    replay.snapshot(&mut frames)?;
    replay.batches(&mut frames)?;
    Ok(replay)
}

impl Replay {
    /// How many entries follow the snapshot.
    pub(super) fn entries(&self) -> u64 {
        self.last_seq - self.snapshot_seq
    }

    fn snapshot(&mut self, frames: &mut Frames) -> Result<(), Error> {
        loop {
            let Next::Whole { offset, body, .. } =
                frames.next(0).map_err(Error::io(&self.path, "read"))?
            else {
                return Err(self.no_snapshot(frames.offset(), "its snapshot is not whole"));
            };
            match Body::decode(&self.path, offset, &body)? {
                Body::Snapshot(changes) => {
                    changes.into_iter().for_each(|change| self.apply(change))
                }
                Body::SnapshotEnd { keys, seq } => {
                    if keys != self.image.len() as u64
                        || seq.checked_add(1) != Some(self.header.first_seq)
                    {
                        return Err(
                            self.no_snapshot(offset, "its snapshot is not the one it announces")
                        );
                    }
                    (self.snapshot_seq, self.last_seq) = (seq, seq);
                    self.snapshot_len = frames.offset();
                    return Ok(());
                }
                Body::Batch(_) => return Err(self.no_snapshot(offset, "its snapshot has no end")),
            }
        }
    }

    fn batches(&mut self, frames: &mut Frames) -> Result<(), Error> {
        loop {
            match frames.next(0).map_err(Error::io(&self.path, "read"))? {
                Next::Whole { offset, seq, body } => {
                    let Body::Batch(entries) = Body::decode(&self.path, offset, &body)? else {
                        return Err(self.bad_frame(offset, "a snapshot stands among the entries"));
                    };
                    entries
                        .into_iter()
                        .try_for_each(|entry| self.follow(offset, entry))?;
                    if seq != self.last_seq {
                        return Err(
                            self.bad_frame(offset, "a frame ends with another entry than it says")
                        );
                    }
                }
                Next::End => break,
                Next::Bad if frames.is_torn().map_err(Error::io(&self.path, "read"))? => break,
                Next::Bad => {
                    return Err(self.bad_frame(frames.offset(), "a frame fails its checksum"));
                }
            }
        }
        self.len = frames.offset();
        self.torn = frames.end() - self.len;
        Ok(())
    }

    fn follow(&mut self, offset: u64, entry: Entry) -> Result<(), Error> {
        if Some(entry.seq) != self.last_seq.checked_add(1) {
            let why = format!("entry {} follows entry {}", entry.seq, self.last_seq);
            return Err(self.bad_frame(offset, &why));
        }
        self.last_seq = entry.seq;
        entry
            .changes
            .into_iter()
            .for_each(|change| self.apply(change));
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        let at = (change.tree, change.key);
        match change.value {
            Some(value) => self.image.insert(at, value),
            None => self.image.remove(&at),
        };
    }

    fn no_snapshot(&self, offset: u64, why: &str) -> Error {
        segment::unusable(&self.path, offset, why)
    }

    /// The journal ends before an entry that it had.
    pub(super) fn too_short(&self, why: &str) -> Error {
        let (seq, file) = (self.last_seq, self.path.display());
        let why = format!("it ends with entry {seq}, and {why}");
        let way_back = format!(
            "restore {file} from a backup; or `{}`: that goes back to entry {seq} and loses what followed",
            self.forget()
        );
        Error::damaged(&self.path, self.len, why, way_back)
    }

    /// The command that removes what knows of entries that the journal has lost.
    fn forget(&self) -> String {
        let dir = self.path.parent().unwrap_or(Path::new(""));
        let state = super::state_path(dir.parent().unwrap_or(Path::new("")));
        let witness = super::witness::path(dir);
        format!("rm -rf {} {}", state.display(), witness.display())
    }

    fn bad_frame(&self, offset: u64, why: &str) -> Error {
        let file = self.path.display();
        let way_back = format!(
            "restore {file} from a backup; or keep a copy and `truncate -s {offset} {file} && {}`: \
             that goes back to entry {} and loses what followed",
            self.forget(),
            self.last_seq
        );
        Error::damaged(&self.path, offset, why, way_back)
    }
}
