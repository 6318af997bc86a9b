//! sled behind one struct: the state that the journal leads to.
//!
//! It is never flushed for durability (sled's own flush does not survive a power cut) and never believed: opening
//! compares it with the journal's image, and whatever is wrong with it is repaired from there. sled panics on some
//! damaged files, so a panic of its own counts as "will not open".
//!
//! It is given changes in large transactions, each key once: sled sends every transaction to the disk at once, beside
//! and against the journal's own writes, and that would make a commit several times as slow. What it has not been given
//! yet is in memory, and in the journal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use super::change::{Change, Tree};
use super::error::Error;
use super::files;
use super::header::StoreId;
use super::rebuilt::Rebuilt;
use super::replay::{Image, Replay, live};

/// Memory that sled may keep pages in, in bytes (it takes several times as much).
const CACHE: u64 = 16 << 20;

/// So many bytes of changes are held back: little to bring forward after a kill, and still hundreds of commits.
const HELD_BACK: usize = 256 << 10;

/// How often, and how far apart, an opening is tried while the file is locked: the threads of a database
/// that was just dropped hold the lock a moment longer.
const LOCK_TRIES: (u32, Duration) = (50, Duration::from_millis(20));

const STORE_ID: &str = "store_id";
const APPLIED: &str = "applied_seq";

/// The state database.
pub(super) struct State {
    path: PathBuf,
    db: sled::Db,
    /// The trees of [`Tree::ALL`], then the one with the store id and the last applied entry.
    trees: Vec<sled::Tree>,
    pending: RefCell<Pending>,
}

/// What sled has not been given yet.
#[derive(Default)]
struct Pending {
    /// The last value of each key.
    changes: BTreeMap<(Tree, String), Option<Vec<u8>>>,
    /// The bytes of all changes so far, those that were overtaken included.
    bytes: usize,
    /// The entry that they end with; none when there are none.
    seq: Option<u64>,
}

impl Drop for State {
    fn drop(&mut self) {
        // Opening brings it forward where this fails.
        let _ = self.settle();
    }
}

impl State {
    /// Opens the state in `path` and makes it what `replay` says. Also returns how many keys were brought
    /// forward, and why all of it was made anew if it was.
    ///
    /// `settle` makes the journal ready to be written to. It is called before the state is brought forward, which must not
    /// include what the disk may still lose, and after it is known that the journal has not lost anything.
    pub(super) fn open(
        path: &Path,
        replay: &Replay,
        settle: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(State, usize, Option<Rebuilt>), Error> {
        let found = State::find(path)?;
        if let Ok(state) = &found {
            state.refuse_a_shorter_journal(replay)?;
        }
        settle()?;
        let forward = found.and_then(|state| Ok((state.catch_up(replay)?, state)));
        let why = match forward {
            Ok((keys, state)) => return Ok((state, keys, None)),
            Err(why) => why,
        };
        let state = State::rebuild(path, replay)?;
        // A store that has no entries yet is being created: nothing was lost.
        let created = why == Rebuilt::Missing && replay.last_seq == 0;
        Ok((state, 0, (!created).then_some(why)))
    }

    /// The keys and values of `tree`, by key.
    pub(super) fn list(&self, tree: Tree) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.settle()?;
        self.shielded(|| {
            let pairs = self.trees[tree as usize]
                .iter()
                .map(|pair| pair.map_err(|error| error.to_string()));
            pairs
                .map(|pair| pair.and_then(|(key, value)| Ok((text(&key)?, value.to_vec()))))
                .collect()
        })
    }

    /// Every key with its value, as a snapshot holds them.
    pub(super) fn snapshot(&self) -> impl Iterator<Item = Result<Change, Error>> {
        Tree::ALL
            .into_iter()
            .flat_map(|tree| match self.list(tree) {
                Ok(pairs) => pairs
                    .into_iter()
                    .map(|(key, value)| {
                        Ok(Change {
                            tree,
                            key,
                            value: Some(value),
                        })
                    })
                    .collect(),
                Err(error) => vec![Err(error)],
            })
    }

    /// Takes `changes`, which end with entry `seq`. They are in what is read from now on, and in sled later.
    pub(super) fn apply<'a>(
        &self,
        seq: u64,
        changes: impl Iterator<Item = &'a Change>,
    ) -> Result<(), Error> {
        let mut pending = self.pending.borrow_mut();
        for Change { tree, key, value } in changes {
            pending.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            pending.changes.insert((*tree, key.clone()), value.clone());
        }
        pending.seq = Some(seq);
        let full = pending.bytes >= HELD_BACK;
        drop(pending);
        if full { self.settle() } else { Ok(()) }
    }

    /// Gives sled what was held back, in one transaction. Where that fails, it stays held back.
    fn settle(&self) -> Result<(), Error> {
        let mut pending = self.pending.borrow_mut();
        let Some(seq) = pending.seq else {
            return Ok(());
        };
        let mut batches = vec![sled::Batch::default(); self.trees.len()];
        for ((tree, key), value) in &pending.changes {
            let batch = &mut batches[*tree as usize];
            match value {
                Some(value) => batch.insert(key.as_bytes(), value.as_slice()),
                None => batch.remove(key.as_bytes()),
            }
        }
        if let Some(meta) = batches.last_mut() {
            meta.insert(APPLIED, &seq.to_le_bytes());
        }
        self.shielded(|| self.transact(&batches))?;
        *pending = Pending::default();
        Ok(())
    }

    /// Asks sled to write what it holds in memory: less to bring forward after a kill, no promise.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.settle()?;
        self.shielded(|| self.db.flush().map(drop).map_err(|error| error.to_string()))
    }

    /// Opens what is there, or tells why it must be made anew.
    fn find(path: &Path) -> Result<Result<State, Rebuilt>, Error> {
        if !path.exists() {
            return Ok(Err(Rebuilt::Missing));
        }
        match State::open_sled(path) {
            Ok(state) => Ok(Ok(state)),
            Err(Error::State { why, .. }) => Ok(Err(Rebuilt::Broken(why))),
            Err(other) => Err(other),
        }
    }

    /// An entry is given to the state only after the journal has it on disk. So a state that includes more than the
    /// journal proves that acknowledged entries are gone from there, however much the end looks like a torn append.
    fn refuse_a_shorter_journal(&self, replay: &Replay) -> Result<(), Error> {
        let ours = |store| store == Some(replay.header.store);
        match self.marks() {
            Ok((store, applied)) if ours(store) && applied > replay.last_seq => {
                let db = self.path.display();
                Err(replay.too_short(&format!("{db} has entry {applied}")))
            }
            // What cannot be read proves nothing, and is made anew.
            _ => Ok(()),
        }
    }

    fn catch_up(&self, replay: &Replay) -> Result<usize, Rebuilt> {
        let broken = |error| Rebuilt::Broken(why(error));
        let (store, applied) = self.marks().map_err(broken)?;
        let journal = replay.last_seq;
        match applied {
            _ if store != Some(replay.header.store) => return Err(Rebuilt::OtherStore),
            applied if applied < replay.snapshot_seq => return Err(Rebuilt::Behind { applied }),
            _ => {}
        }
        let behind = self.behind(&replay.image).map_err(broken)?;
        if applied == journal && !behind.is_empty() {
            return Err(Rebuilt::Differs { keys: behind.len() });
        }
        if applied < journal {
            self.apply(journal, behind.iter())
                .and_then(|()| self.settle())
                .map_err(broken)?;
        }
        Ok(behind.len())
    }

    fn rebuild(path: &Path, replay: &Replay) -> Result<State, Error> {
        if path.exists() {
            fs::remove_dir_all(path).map_err(Error::io(path, "remove"))?;
        }
        let state = State::open_sled(path)?;
        let all: Vec<Change> = live(&replay.image).collect();
        let id = &replay.header.store;
        state.shielded(|| {
            state
                .meta()
                .insert(STORE_ID, id)
                .map_err(|error| error.to_string())
        })?;
        state.apply(replay.last_seq, all.iter())?;
        state.settle()?;
        Ok(state)
    }

    fn open_sled(path: &Path) -> Result<State, Error> {
        files::private_dir(path)?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE)
            .flush_every_ms(None);
        let db = unlocked(path, || {
            shielded(|| config.open().map_err(|error| error.to_string()))
        })?;
        let trees = shielded(|| {
            let named = Tree::ALL.iter().map(|tree| db.open_tree(tree.name()));
            named
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| error.to_string())
        });
        let mut trees = trees.map_err(|why| failed(path, why))?;
        trees.push((*db).clone());
        files::make_private(path)?;
        Ok(State {
            path: path.to_path_buf(),
            db,
            trees,
            pending: RefCell::default(),
        })
    }

    fn meta(&self) -> &sled::Tree {
        &self.db
    }

    /// Whose state this is, and the last entry that it includes.
    fn marks(&self) -> Result<(Option<StoreId>, u64), Error> {
        let get = |key| {
            let value = self.meta().get(key).map_err(|error| error.to_string())?;
            Ok(value.and_then(|value| StoreId::try_from(value.as_ref()).ok()))
        };
        let store = self.shielded(|| get(STORE_ID))?;
        let applied = self.shielded(|| get(APPLIED))?;
        Ok((store, applied.map_or(0, u64::from_le_bytes)))
    }

    /// The changes that lead from here to `image`.
    fn behind(&self, image: &Image) -> Result<Vec<Change>, Error> {
        let mut missing: BTreeMap<_, _> = image.iter().collect();
        let mut changes = Vec::new();
        for here in self.snapshot() {
            let Change { tree, key, value } = here?;
            let at = (tree, key);
            let wanted = missing.remove(&at).cloned();
            if wanted != value {
                changes.push(Change {
                    tree,
                    key: at.1,
                    value: wanted,
                });
            }
        }
        let missing = missing
            .into_iter()
            .map(|(at, value)| (at.clone(), value.clone()));
        changes.extend(live(&missing.collect()));
        Ok(changes)
    }

    fn transact(&self, batches: &[sled::Batch]) -> Result<(), String> {
        let trees: Vec<&sled::Tree> = self.trees.iter().collect();
        let done = trees.as_slice().transaction(|views| {
            views
                .iter()
                .zip(batches)
                .try_for_each(|(view, batch)| view.apply_batch(batch))?;
            Ok::<(), ConflictableTransactionError<()>>(())
        });
        done.map_err(|error| match error {
            TransactionError::Abort(()) => "the transaction was aborted".to_owned(),
            TransactionError::Storage(error) => error.to_string(),
        })
    }

    fn shielded<T>(&self, work: impl FnOnce() -> Result<T, String>) -> Result<T, Error> {
        shielded(work).map_err(|why| failed(&self.path, why))
    }
}

/// Runs `open` until the lock on the database is free, or for good held by somebody.
fn unlocked<T>(path: &Path, open: impl Fn() -> Result<T, String>) -> Result<T, Error> {
    let (tries, pause) = LOCK_TRIES;
    for _ in 0..tries {
        match open() {
            Err(why) if why.contains("could not acquire lock") => std::thread::sleep(pause),
            other => return other.map_err(|why| failed(path, why)),
        }
    }
    Err(Error::InUse {
        path: path.to_path_buf(),
        holder_pid: None,
        since_ms: None,
    })
}

/// Turns a panic within sled into what it said.
fn shielded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let said = payload.downcast_ref::<String>().map(String::as_str);
        let said = said.or(payload.downcast_ref::<&str>().copied());
        Err(format!(
            "sled panicked: {}",
            said.unwrap_or("without a word")
        ))
    })
}

fn text(key: &[u8]) -> Result<String, String> {
    String::from_utf8(key.to_vec()).map_err(|_| format!("the key {key:?} is no text"))
}

/// sled says what the system said, and a full disk is no broken database.
fn failed(path: &Path, why: String) -> Error {
    let path = path.to_path_buf();
    if ["(os error 28)", "(os error 122)"]
        .iter()
        .any(|full| why.contains(full))
    {
        return Error::Full { path };
    }
    Error::State { path, why }
}

fn why(error: Error) -> String {
    match error {
        Error::State { why, .. } => why,
        other => other.to_string(),
    }
}
