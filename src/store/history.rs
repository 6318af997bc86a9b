//! Reading what happened: every entry of every segment, in order, from the files alone.
//!
//! A [`History`] may be read in any thread while the store is written: it shares nothing with it but the
//! number of the last entry that is on disk, and shows none after it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::change::Entry;
use super::error::Error;
use super::frame::{Frames, Next};
use super::header::Header;
use super::segment::{self, Body};

/// The entries of a store.
#[derive(Clone, Debug)]
pub struct History {
    journal: PathBuf,
    /// The last entry on disk, where a writer tells it.
    durable: Option<Arc<AtomicU64>>,
}

impl History {
    /// The history in `state_dir`, whether or not a daemon has it open. A torn end is taken as the end.
    pub fn at(state_dir: &Path) -> History {
        History {
            journal: super::journal_dir(state_dir),
            durable: None,
        }
    }

    pub(super) fn live(journal: PathBuf, durable: Arc<AtomicU64>) -> History {
        History {
            journal,
            durable: Some(durable),
        }
    }

    /// The entries from `from_seq` on (or from the oldest that was kept), one batch in memory at a time.
    pub fn entries(&self, from_seq: u64) -> Result<Entries, Error> {
        // Before the files are listed, so that every entry up to it is in one of them.
        let durable = self.durable.as_ref().map(|seq| seq.load(Ordering::Acquire));
        let mut waiting = VecDeque::new();
        for path in segment::list(&self.journal)? {
            if segment::open(&path)?.0.first_seq <= from_seq {
                waiting.clear();
            }
            waiting.push_back(path);
        }
        let (open, reached, ready) = (None, None, VecDeque::new());
        Ok(Entries {
            from: from_seq,
            durable,
            waiting,
            open,
            reached,
            ready,
        })
    }

    /// At most `limit` entries from `from_seq` on, of one campaign if it is named.
    pub fn events(
        &self,
        from_seq: u64,
        campaign: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let wanted = |entry: &Result<Entry, Error>| match (entry, campaign) {
            (Ok(entry), Some(name)) => entry.campaign == name,
            _ => true,
        };
        self.entries(from_seq)?.filter(wanted).take(limit).collect()
    }
}

/// Entries in order. An error is the last item.
#[derive(Debug)]
pub struct Entries {
    from: u64,
    durable: Option<u64>,
    /// The segments not yet read, oldest first.
    waiting: VecDeque<PathBuf>,
    open: Option<(PathBuf, Frames)>,
    /// The last entry read or passed over.
    reached: Option<u64>,
    ready: VecDeque<Entry>,
}

impl Iterator for Entries {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.is_done() {
            if let Err(error) = self.read() {
                self.waiting.clear();
                self.open = None;
                return Some(Err(error));
            }
        }
        let until = self.durable.unwrap_or(u64::MAX);
        self.ready
            .pop_front()
            .filter(|entry| entry.seq <= until)
            .map(Ok)
    }
}

impl Entries {
    fn is_done(&self) -> bool {
        self.open.is_none() && self.waiting.is_empty()
    }

    /// Opens a segment, reads one batch of it, or leaves it.
    fn read(&mut self) -> Result<(), Error> {
        match (self.open.take(), self.waiting.pop_front()) {
            (Some((path, frames)), next) => {
                next.into_iter()
                    .for_each(|next| self.waiting.push_front(next));
                self.batch(path, frames)
            }
            (None, Some(path)) => self.enter(path),
            (None, None) => Ok(()),
        }
    }

    fn enter(&mut self, path: PathBuf) -> Result<(), Error> {
        let (Header { first_seq, .. }, frames) = segment::open(&path)?;
        if self.reached.is_some_and(|seq| seq + 1 != first_seq) {
            let why = format!(
                "it begins with entry {first_seq}, which does not follow the segment before"
            );
            return Err(segment::unusable(&path, 24, &why));
        }
        self.reached = Some(first_seq - 1);
        self.open = Some((path, frames));
        Ok(())
    }

    fn batch(&mut self, path: PathBuf, mut frames: Frames) -> Result<(), Error> {
        let next = frames
            .next(self.from.max(1))
            .map_err(Error::io(&path, "read"))?;
        self.reached = self.reached.max(Some(frames.last_seq()));
        match next {
            Next::Whole { offset, body, .. } => {
                let Body::Batch(entries) = Body::decode(&path, offset, &body)? else {
                    return Err(segment::unusable(
                        &path,
                        offset,
                        "a snapshot stands among the entries",
                    ));
                };
                let from = self.from;
                self.ready
                    .extend(entries.into_iter().filter(|entry| entry.seq >= from));
                self.open = Some((path, frames));
                Ok(())
            }
            // The last frame may be torn, or be written right now; but not if it is known to be on disk.
            Next::Bad if !self.waiting.is_empty() || self.is_short() => Err(segment::unusable(
                &path,
                frames.offset(),
                "a frame fails its checksum",
            )),
            Next::End if self.waiting.is_empty() && self.is_short() => Err(segment::unusable(
                &path,
                frames.offset(),
                "entries that were on disk are gone",
            )),
            Next::Bad | Next::End => Ok(()),
        }
    }

    /// Whether entries that are known to be on disk were not reached.
    fn is_short(&self) -> bool {
        self.durable
            .is_some_and(|durable| self.reached < Some(durable))
    }
}
