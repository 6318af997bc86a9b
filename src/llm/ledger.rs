//! The ledger: one JSON Lines file that says what was asked, answered and paid.
//!
//! It is the cache (a question that stands here with its answer is never asked again) and the only home of what was spent. A line
//! `sent` is written before a request goes out, and is closed by `answer` (kept as good), `cost` (paid, but no answer)
//! or `void` (cost nothing); what stays open may have been billed and is counted so. An answer is durable before anybody
//! sees it. Lines that arrive while a write is under way are written together with one `fdatasync`. One process writes a ledger at a time.

mod lines;
#[cfg(test)]
mod tests;

pub use lines::{Kept, Spent, TierSpent};

use super::{
    budget::Amount,
    endpoint::{Endpoint, Money, Tier, Usage},
    request::Key,
};
use crate::artifacts::{
    jsonl::{JsonlReader, Line, cut_torn_tail},
    named,
    room::write_patiently,
};
use lines::Entry;
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// An open ledger.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the answers stand: offset and length.
    answers: HashMap<Key, (u64, usize)>,
    spent: Spent,
    open: HashMap<u64, (Tier, Amount)>,
    next: u64,
    /// Bytes of the file, those that are queued included.
    end: u64,
    queue: Vec<Queued>,
    writing: bool,
    /// A write that failed: what the file holds is not known any more.
    failed: Option<String>,
}

#[derive(Debug)]
struct Queued {
    line: Vec<u8>,
    durable: bool,
    done: oneshot::Sender<Result<(), String>>,
}

/// A request that was sent and whose end is not written yet. Dropped, it stays open for good.
#[derive(Debug)]
pub struct Sent {
    id: u64,
}

/// What is written with an answer or a cost.
#[derive(Clone, Debug)]
pub struct Paid<'a> {
    /// Where it was asked.
    pub endpoint: &'a Endpoint,
    /// Which agent asked.
    pub purpose: &'a str,
    /// What was used.
    pub usage: Usage,
}

impl Paid<'_> {
    /// What that costs.
    pub fn cost(&self) -> Money {
        self.endpoint.prices.cost(&self.usage)
    }
}

impl Ledger {
    /// Opens a ledger, creates it where there is none, and cuts a torn last line.
    ///
    /// # Errors
    /// Those of the file, with its path. A line that cannot be read is one too: to pay twice in silence is worse.
    pub fn open(path: &Path) -> io::Result<Self> {
        cut_torn_tail(path)?;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path);
        let file = file.map_err(|error| named(error, "open", path))?;
        let state = replay(&file).map_err(|error| named(error, "read", path))?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            file,
            state: Mutex::new(state),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic between two statements could at worst leave a line unwritten, and its writer unanswered.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was spent, by tier.
    pub fn spent(&self) -> Spent {
        self.state().spent.clone()
    }

    /// The answer that is kept under a key. Reads a line of the file; blocks as long as a read of it does.
    ///
    /// # Errors
    /// Those of reading, with the path.
    pub fn find(&self, key: &Key) -> io::Result<Option<(Kept, Usage, Money)>> {
        let Some((offset, length)) = self.state().answers.get(key).copied() else {
            return Ok(None);
        };
        let mut line = vec![0; length];
        let read = self.0.file.read_exact_at(&mut line, offset);
        let entry = read.and_then(|()| serde_json::from_slice(&line).map_err(io::Error::from));
        match entry.map_err(|error| named(error, "read", &self.0.path))? {
            Entry::Answer {
                kept,
                usage,
                cost_usd,
                ..
            } => Ok(Some((kept, usage, cost_usd))),
            _ => Ok(None),
        }
    }

    /// Notes that a request goes out that may cost `estimate`. Survives the end of this process, not that of the machine.
    ///
    /// # Errors
    /// A sentence; nothing may be sent then.
    pub async fn sent(&self, tier: Tier, purpose: &str, estimate: Amount) -> Result<Sent, String> {
        let id = {
            let mut state = self.state();
            state.next += 1;
            state.next
        };
        let entry = Entry::Sent {
            id,
            tier,
            purpose: purpose.to_owned(),
            estimate,
        };
        self.append(&entry, false).await?;
        Ok(Sent { id })
    }

    /// Notes that a request cost nothing.
    ///
    /// # Errors
    /// A sentence.
    pub async fn void(&self, sent: Sent, why: &str) -> Result<(), String> {
        self.append(
            &Entry::Void {
                id: sent.id,
                why: why.to_owned(),
            },
            false,
        )
        .await
    }

    /// Notes what a request cost that brought no answer.
    ///
    /// # Errors
    /// A sentence.
    pub async fn cost(&self, sent: Sent, paid: &Paid<'_>, why: &str) -> Result<(), String> {
        let entry = Entry::Cost {
            id: sent.id,
            tier: paid.endpoint.tier,
            purpose: paid.purpose.to_owned(),
            model: paid.endpoint.model.clone(),
            usage: paid.usage,
            cost_usd: paid.cost(),
            prices: paid.endpoint.prices,
            why: why.to_owned(),
        };
        self.append(&entry, true).await
    }

    /// Keeps an answer; it is durable when this returns.
    ///
    /// # Errors
    /// A sentence.
    pub async fn answer(
        &self,
        sent: Sent,
        key: Key,
        paid: &Paid<'_>,
        kept: &Kept,
    ) -> Result<(), String> {
        let entry = Entry::Answer {
            id: sent.id,
            key,
            tier: paid.endpoint.tier,
            purpose: paid.purpose.to_owned(),
            usage: paid.usage,
            cost_usd: paid.cost(),
            prices: paid.endpoint.prices,
            kept: kept.clone(),
        };
        self.append(&entry, true).await
    }

    async fn append(&self, entry: &Entry, durable: bool) -> Result<(), String> {
        let mut line = serde_json::to_vec(entry).map_err(|error| error.to_string())?;
        line.push(b'\n');
        let (done, written) = oneshot::channel();
        {
            let mut state = self.state();
            if let Some(why) = &state.failed {
                return Err(why.clone());
            }
            let at = (state.end, line.len());
            state.end += line.len() as u64;
            state.take(entry, at);
            state.queue.push(Queued {
                line,
                durable,
                done,
            });
            if !state.writing {
                state.writing = true;
                // A task of its own: whoever waits for a line may be dropped, the line is written nevertheless.
                tokio::spawn(self.clone().write_queue());
            }
        }
        written
            .await
            .unwrap_or_else(|_| Err("the program ends".to_owned()))
    }

    /// Writes what is queued until nothing is.
    async fn write_queue(self) {
        loop {
            let queue = {
                let mut state = self.state();
                let queue = std::mem::take(&mut state.queue);
                if queue.is_empty() {
                    state.writing = false;
                    return;
                }
                queue
            };
            let ledger = self.clone();
            // A worker's blocking threads end before the process does, and this future only with the runtime.
            let _ = tokio::task::spawn_blocking(move || ledger.write(queue)).await;
        }
    }

    fn write(&self, queue: Vec<Queued>) {
        let bytes: Vec<u8> = queue
            .iter()
            .flat_map(|queued| queued.line.iter().copied())
            .collect();
        let durable = queue.iter().any(|queued| queued.durable);
        let mut file = &self.0.file;
        let written = write_patiently(&mut file, &bytes)
            .and_then(|()| if durable { file.sync_data() } else { Ok(()) });
        let outcome = written.map_err(|error| named(error, "write", &self.0.path).to_string());
        if let Err(why) = &outcome {
            self.state().failed = Some(why.clone());
        }
        for queued in queue {
            // Whoever asked may have gone.
            let _ = queued.done.send(outcome.clone());
        }
    }
}

impl State {
    /// Takes in one line, new or read again, that stands at `at`.
    fn take(&mut self, entry: &Entry, at: (u64, usize)) {
        match entry {
            Entry::Sent {
                id, tier, estimate, ..
            } => {
                self.next = self.next.max(*id);
                self.open.insert(*id, (*tier, *estimate));
                self.spent.open(*tier, *estimate);
            }
            Entry::Void { id, .. } => self.close(*id),
            Entry::Cost {
                id,
                tier,
                usage,
                cost_usd,
                ..
            } => {
                self.close(*id);
                self.spent.pay(*tier, *usage, *cost_usd, false);
            }
            Entry::Answer {
                id,
                key,
                tier,
                usage,
                cost_usd,
                ..
            } => {
                self.close(*id);
                self.spent.pay(*tier, *usage, *cost_usd, true);
                self.answers.insert(*key, at);
            }
        }
    }

    fn close(&mut self, id: u64) {
        if let Some((tier, estimate)) = self.open.remove(&id) {
            self.spent.close(tier, estimate);
        }
    }
}

/// What was spent by the ledger at `path`; nothing where there is none. Reads while another process writes.
///
/// # Errors
/// Those of reading, with the path.
pub fn spent_in(path: &Path) -> io::Result<Spent> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Spent::default()),
        opened => opened.map_err(|error| named(error, "open", path))?,
    };
    replay(&file)
        .map(|state| state.spent)
        .map_err(|error| named(error, "read", path))
}

/// Reads a source and counts what was consumed of it.
struct Counted<R> {
    source: R,
    at: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount as u64;
        self.source.consume(amount);
    }
}

fn replay(file: &File) -> io::Result<State> {
    let mut state = State::default();
    let mut source = Counted {
        source: BufReader::with_capacity(1 << 18, file),
        at: 0,
    };
    loop {
        let start = source.at;
        // One line a reader, so that each line's place is known.
        let line = JsonlReader::<_, Entry>::new(&mut source)
            .next()
            .transpose()?;
        let length = usize::try_from(source.at - start).unwrap_or(usize::MAX);
        match line {
            None => break,
            Some(Line::Row { value, .. }) => {
                state.take(&value, (start, length));
                state.end = source.at;
            }
            Some(Line::Invalid { why, .. }) => {
                let text = format!("the line at byte {start} is no entry of a ledger: {why}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
    Ok(state)
}
