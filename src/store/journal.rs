//! The journal: the only file whose content counts. An append that returned is on disk, whole and in order.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::points::point;

use super::change::{Change, Entry};
use super::error::Error;
use super::files;
use super::frame::{self, MAX_BODY};
use super::header::{Header, StoreId};
use super::replay::{self, Replay};
use super::segment::{self, Body, Segment};
use super::witness::{self, Witness};

/// The journal, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    dir: PathBuf,
    active: Segment,
    /// Where the snapshot of the active segment ends, in bytes.
    snapshot_len: u64,
    /// A segment is closed when this many bytes of entries are in it.
    limit: u64,
    last_seq: u64,
    syncs: u64,
    poisoned: bool,
    /// None until it is settled.
    witness: Option<Witness>,
}

impl Journal {
    /// Opens the journal in `dir`, or begins one there if `may_begin`. A torn end is cut from the file;
    /// the replay tells how many bytes that were.
    pub(super) fn open(
        dir: &Path,
        limit: u64,
        may_begin: bool,
    ) -> Result<(Journal, Replay), Error> {
        files::private_dir(dir)?;
        let last = match segment::list(dir)?.pop() {
            Some(last) => last,
            None if may_begin => begin(dir)?,
            None => return Err(gone(dir)),
        };
        let replay = replay::replay(&last)?;
        let file = files::private_file(&last)?;
        let active = Segment {
            header: replay.header,
            path: last,
            file,
            len: replay.len,
        };
        let journal = Journal {
            dir: dir.to_path_buf(),
            active,
            snapshot_len: replay.snapshot_len,
            limit,
            last_seq: replay.last_seq,
            syncs: 0,
            poisoned: false,
            witness: None,
        };
        journal.refuse_if_short(&replay)?;
        Ok((journal, replay))
    }

    /// Cuts a torn end, removes what an interrupted roll left, and waits for the disk. To be called once, when it is known
    /// that this program may write here, and before anything is done with what was read: a writer that was killed may
    /// have left frames that the system holds but the disk does not.
    pub(super) fn settle(&mut self, replay: &Replay) -> Result<(), Error> {
        segment::sweep(&self.dir)?;
        let Segment {
            file, path, header, ..
        } = &self.active;
        if replay.torn > 0 {
            file.set_len(replay.len).map_err(Error::io(path, "cut"))?;
        }
        file.sync_all().map_err(Error::io(path, "sync"))?;
        let witness = Witness::open(&self.dir, header.store)?;
        witness.tell(self.last_seq);
        self.witness = Some(witness);
        Ok(())
    }

    /// However much its end looks like a torn append: an entry that was acknowledged was whole.
    fn refuse_if_short(&self, replay: &Replay) -> Result<(), Error> {
        match witness::read(&self.dir, replay.header.store) {
            Some(acknowledged) if acknowledged > self.last_seq => {
                let why = format!("entry {acknowledged} was acknowledged");
                Err(replay.too_short(&why))
            }
            _ => Ok(()),
        }
    }

    /// The last entry on disk, 0 for none.
    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// What its first segment was begun with.
    pub(super) fn header(&self) -> &Header {
        &self.active.header
    }

    /// What the segment that is written to says, read again.
    pub(super) fn replay(&self) -> Result<Replay, Error> {
        replay::replay(&self.active.path)
    }

    /// How many batches went to disk since it was opened, one `fdatasync` each.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Whether the next append belongs in a new segment. A large snapshot asks for more entries behind
    /// it, so that no more than half of what is written is snapshots.
    pub(super) fn is_full(&self) -> bool {
        self.active.len - self.snapshot_len >= self.limit.max(self.snapshot_len)
    }

    /// Begins the next segment with the state `live`, which includes every entry so far.
    pub(super) fn roll(
        &mut self,
        live: impl Iterator<Item = Result<Change, Error>>,
    ) -> Result<(), Error> {
        self.refuse_if_poisoned()?;
        let Header { index, store, .. } = self.active.header;
        let header = Header {
            index: index + 1,
            store,
            first_seq: self.last_seq + 1,
        };
        let next = segment::write(&self.dir, header, live)?;
        point!("journal.segment_written");
        // From here a failure leaves open which segment is the last one: an entry in the other would be lost.
        self.poisoned = true;
        segment::publish(&self.dir, &next)?;
        point!("journal.segment_published");
        self.poisoned = false;
        self.snapshot_len = next.len;
        self.active = next;
        Ok(())
    }

    /// Appends `entries`, numbered from the last one on, as one batch, and waits for the disk.
    pub(super) fn append(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, Error> {
        self.refuse_if_poisoned()?;
        let seq = entries.last().map_or(self.last_seq, |entry| entry.seq);
        let batch = Body::Batch(entries);
        let body = batch.encode();
        if body.len() > MAX_BODY {
            return Err(Error::TooLarge {
                bytes: body.len(),
                limit: MAX_BODY,
            });
        }
        let bytes = frame::frame(self.active.header.seal(), seq, &body);
        self.write(&bytes).map_err(|error| self.undo(error))?;
        self.refuse_if_removed()?;
        self.active.len += bytes.len() as u64;
        self.last_seq = seq;
        self.syncs += 1;
        if let Some(witness) = &self.witness {
            witness.tell(seq);
        }
        match batch {
            Body::Batch(entries) => Ok(entries),
            _ => Ok(Vec::new()),
        }
    }

    /// Removes the segments that hold no entry from `keep_from` on. Returns how many.
    pub(super) fn prune(&mut self, keep_from: u64) -> Result<usize, Error> {
        let segments = segment::list(&self.dir)?;
        let mut removed = 0;
        for pair in segments.windows(2) {
            if segment::open(&pair[1])?.0.first_seq > keep_from {
                break;
            }
            fs::remove_file(&pair[0]).map_err(Error::io(&pair[0], "remove"))?;
            removed += 1;
        }
        files::sync_dir(&self.dir)?;
        Ok(removed)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        point!("journal.append");
        self.active.file.write_all_at(bytes, self.active.len)?;
        point!("journal.written");
        self.active.file.sync_data()?;
        point!("journal.synced");
        Ok(())
    }

    /// A file without a name takes every write and keeps none of them.
    fn refuse_if_removed(&mut self) -> Result<(), Error> {
        let path = &self.active.path;
        let named = self.active.file.metadata().map(|file| file.nlink() > 0);
        if named.map_err(Error::io(path, "look at"))? {
            return Ok(());
        }
        self.poisoned = true;
        Err(Error::Gone { path: path.clone() })
    }

    /// Takes a failed append back, so that it can never appear later, and passes its error on.
    fn undo(&mut self, error: io::Error) -> Error {
        let file = &self.active.file;
        self.poisoned = file
            .set_len(self.active.len)
            .and_then(|()| file.sync_data())
            .is_err();
        Error::io(&self.active.path, "append to")(error)
    }

    fn refuse_if_poisoned(&self) -> Result<(), Error> {
        if self.poisoned {
            return Err(Error::Poisoned {
                path: self.active.path.clone(),
            });
        }
        Ok(())
    }

    /// Makes every further write fail as on a full disk, and its undoing too.
    #[cfg(test)]
    pub(super) fn break_file(&mut self) {
        self.active.file = File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full is there");
    }
}

/// Writes the first segment of a new store and returns its path.
fn begin(dir: &Path) -> Result<PathBuf, Error> {
    let header = Header {
        index: 1,
        store: random_id()?,
        first_seq: 1,
    };
    let first = segment::write(dir, header, std::iter::empty())?;
    segment::publish(dir, &first)?;
    Ok(first.path)
}

fn random_id() -> Result<StoreId, Error> {
    let source = Path::new("/dev/urandom");
    let mut id = StoreId::default();
    let mut file = File::open(source).map_err(Error::io(source, "open"))?;
    io::Read::read_exact(&mut file, &mut id).map_err(Error::io(source, "read"))?;
    Ok(id)
}

fn gone(dir: &Path) -> Error {
    let way_back = format!(
        "restore {} from a backup; or move the whole state dir away to begin an empty store",
        dir.display()
    );
    Error::damaged(
        dir,
        0,
        "the journal is gone, but the state made from it is there",
        way_back,
    )
}
