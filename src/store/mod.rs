//! The durable store: what campaignd knows, and how it comes to know it again after any crash.
//!
//! The **journal** is the commit. [`Store::commit`] appends a batch of entries to it as one checksummed frame and
//! waits for the disk once; when it returns, the entries count, and not before. **sled** holds the state that the
//! entries lead to: it is written after the journal, in order, many commits at a time and without waiting for the disk,
//! so it may be behind after a crash and is brought forward, or made anew, when the store is opened. Nothing but the journal repairs it.
//!
//! ```text
//! <state_dir>/lock                    who has it open
//! <state_dir>/journal/00000001.log    a segment: a snapshot of the whole state, then batches of entries
//! <state_dir>/journal/acknowledged    the last entry's number, once more
//! <state_dir>/db/                     sled
//! ```
//!
//! What cannot be read is an [`Error`] that names the file and the way back; it is never replaced by an empty one.

mod change;
mod error;
mod files;
mod frame;
mod header;
mod history;
mod journal;
mod lock;
mod raw;
mod rebuilt;
mod records;
mod replay;
mod segment;
mod state;
pub mod wire;
mod witness;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use change::{Change, Draft, Entry, Tree};
pub use error::Error;
pub use history::{Entries, History};
pub use lock::Lock;
pub use rebuilt::Rebuilt;
pub use records::{changes, load_past, load_trees, removal};
pub use wire::{Fault, Record};

use journal::Journal;
use state::State;

/// The size at which a segment of the journal is closed, in bytes: large enough that snapshots are rare, small enough
/// that opening, which reads one segment, takes a fraction of a second.
pub const SEGMENT_LIMIT: u64 = 64 << 20;

/// What opening a store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The last entry; 0 for a store that was just created.
    pub last_seq: u64,
    /// The entries that follow the last snapshot.
    pub entries: u64,
    /// The length of a torn append that was cut from the end of the journal; it was never acknowledged.
    pub cut_bytes: u64,
    /// The keys that the state did not have as the journal says, and now has.
    pub brought_forward: usize,
    /// Why the state was made anew from the journal, if it was.
    pub rebuilt: Option<Rebuilt>,
}

/// The store, open for writing. One process has it at a time, one thread writes.
pub struct Store {
    journal: Journal,
    /// None only while, and if, a repair failed.
    state: Option<State>,
    state_path: PathBuf,
    id: String,
    durable: Arc<AtomicU64>,
    /// The batch that the journal has and the state has not, and why.
    unapplied: Option<(u64, String)>,
    dir: PathBuf,
    /// Last, so that it is given back only after sled is closed.
    lock: Arc<Lock>,
}

impl Store {
    /// Opens the store in `state_dir`, creating it if there is none. A segment of the journal is closed once it has
    /// `limit` bytes of entries ([`SEGMENT_LIMIT`] outside tests).
    pub fn open(state_dir: &Path, limit: u64) -> Result<(Store, Opened), Error> {
        Self::open_locked(Lock::take(state_dir)?, state_dir, limit)
    }

    /// [`Store::open`] under a lock that was taken before, by this process or by its parent.
    pub fn open_locked(lock: Lock, state_dir: &Path, limit: u64) -> Result<(Store, Opened), Error> {
        let state_path = state_path(state_dir);
        // The journal is created first, so a state without a journal has lost it.
        let (mut journal, replay) =
            Journal::open(&journal_dir(state_dir), limit, !state_path.exists())?;
        let (state, brought_forward, rebuilt) =
            State::open(&state_path, &replay, || journal.settle(&replay))?;
        let opened = Opened {
            last_seq: replay.last_seq,
            entries: replay.entries(),
            cut_bytes: replay.torn,
            brought_forward,
            rebuilt,
        };
        let store = Store {
            id: journal
                .header()
                .store
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            durable: Arc::new(AtomicU64::new(journal.last_seq())),
            journal,
            state: Some(state),
            state_path,
            unapplied: None,
            dir: state_dir.to_path_buf(),
            lock: Arc::new(lock),
        };
        Ok((store, opened))
    }

    /// Commits `drafts` together: all of them are on disk when it returns, or none ever will be. Returns their numbers.
    ///
    /// It waits for the disk, once: give it a burst as one batch, and do not call it on an async thread.
    /// After [`Error::Full`] or [`Error::Io`] a later commit may succeed; after [`Error::Unapplied`] the batch counts, and
    /// [`Store::repair`] makes later ones possible.
    pub fn commit(&mut self, drafts: Vec<Draft>) -> Result<Vec<u64>, Error> {
        self.refuse_if_unapplied()?;
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        if self.journal.is_full() {
            self.roll()?;
        }
        let first = self.journal.last_seq() + 1;
        let entries = (first..)
            .zip(drafts)
            .map(|(seq, draft)| draft.numbered(seq))
            .collect();
        let entries = self.journal.append(entries)?;
        let last = self.journal.last_seq();
        self.durable.store(last, Ordering::Release);
        self.apply(last, &entries)?;
        Ok((first..=last).collect())
    }

    /// Makes the state database anew, or brings it forward, after [`Error::Unapplied`] or [`Error::State`]: sled refuses
    /// everything after a failure until it is opened again.
    ///
    /// # Errors
    /// It still fails; nothing that is committed is lost, and it may be tried again.
    pub fn repair(&mut self) -> Result<(), Error> {
        // Closed before its files are opened again: it holds a lock on them.
        self.state = None;
        let replay = self.journal.replay()?;
        self.state = Some(State::open(&self.state_path, &replay, || Ok(()))?.0);
        self.unapplied = None;
        Ok(())
    }

    /// Every record of a type, by key. Fails on the first that cannot be read.
    pub fn load<R: Record>(&self) -> Result<Vec<(String, R)>, Error> {
        let records = self.raw(R::TREE)?.into_iter();
        records
            .map(|(key, bytes)| match wire::record(&bytes) {
                Ok(record) => Ok((key, record)),
                Err(fault) => Err(self.unreadable(R::TREE, &key, fault)),
            })
            .collect()
    }

    /// The keys and encoded values of `tree`, by key.
    pub fn raw(&self, tree: Tree) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.refuse_if_unapplied()?;
        self.state()?.list(tree)
    }

    /// The random id of this store, 16 hexadecimal digits: effect ids contain it.
    pub fn store_id(&self) -> &str {
        &self.id
    }

    /// The last committed entry, 0 for none.
    pub fn last_seq(&self) -> u64 {
        self.journal.last_seq()
    }

    /// The lock that it is open under.
    pub fn lock(&self) -> Arc<Lock> {
        Arc::clone(&self.lock)
    }

    /// How many times a commit waited for the disk since the store was opened.
    pub fn syncs(&self) -> u64 {
        self.journal.syncs()
    }

    /// A reader of all entries, for any thread.
    pub fn history(&self) -> History {
        History::live(journal_dir(&self.dir), Arc::clone(&self.durable))
    }

    /// Removes the segments of the journal that hold no entry from `keep_from_seq` on. Returns how many.
    pub fn prune(&mut self, keep_from_seq: u64) -> Result<usize, Error> {
        self.journal.prune(keep_from_seq)
    }

    fn apply(&mut self, seq: u64, entries: &[Entry]) -> Result<(), Error> {
        let changes = entries.iter().flat_map(|entry| &entry.changes);
        let applied = self.state().and_then(|state| state.apply(seq, changes));
        applied.map_err(|error| {
            let why = error.to_string();
            self.unapplied = Some((seq, why.clone()));
            Error::Unapplied {
                path: self.state_path.clone(),
                seq,
                why,
            }
        })
    }

    fn roll(&mut self) -> Result<(), Error> {
        let state = self.state.as_ref().ok_or_else(|| self.closed())?;
        self.journal.roll(state.snapshot())?;
        // After a kill the state is then rarely older than the snapshot, and need not be made anew.
        state.flush()
    }

    fn state(&self) -> Result<&State, Error> {
        self.state.as_ref().ok_or_else(|| self.closed())
    }

    fn closed(&self) -> Error {
        Error::State {
            path: self.state_path.clone(),
            why: "it is closed since a repair failed".into(),
        }
    }

    fn refuse_if_unapplied(&self) -> Result<(), Error> {
        match &self.unapplied {
            None => Ok(()),
            Some((seq, why)) => {
                let why = format!("entry {seq} is missing from it: {why}");
                Err(Error::State {
                    path: self.state_path.clone(),
                    why,
                })
            }
        }
    }

    /// A record that belongs to no campaign.
    fn orphan(&self, tree: Tree, key: &str) -> Error {
        self.unreadable(
            tree,
            key,
            Fault::Malformed("it belongs to no campaign".into()),
        )
    }

    fn unreadable(&self, tree: Tree, key: &str, fault: Fault) -> Error {
        let (file, what) = (self.state_path.clone(), format!("{} {key}", tree.name()));
        match fault {
            Fault::Newer { found, reads } => Error::Newer {
                file,
                what,
                found,
                reads,
            },
            fault => Error::Unreadable { file, what, fault },
        }
    }
}

/// Where the state database of a store is.
fn state_path(state_dir: &Path) -> PathBuf {
    state_dir.join("db")
}

/// Where the journal of a store is.
fn journal_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("journal")
}
