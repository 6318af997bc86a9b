//! The thread that owns the store: takes what the coordinator decided, commits bursts as one, says when it is durable.
//!
//! Nothing acts and nobody is answered before that. When the disk is full it keeps its state, says so once and tries
//! again until there is room: what was decided waits, and is never forgotten. A state database that fails is repaired
//! from the journal, which is what counts.

use super::coordinator::Trees;
use crate::{
    ids::CampaignId,
    machines::{event::Event, tree::CampaignTree},
    store::{Change, Draft, Error, Store, changes, load_trees, removal},
    time::Timestamp,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// At most this many decisions are committed as one.
const BURST: usize = 1024;
/// A state database that fails again after so many repairs in a row is for a fresh process.
const REPAIRS: u32 = 3;
/// How long to wait for what the machine lacks before the next try.
const ROOM: Duration = Duration::from_secs(1);

/// Where orders for the thread are sent; it ends, and closes the store, when the last one is dropped.
pub type Orders = mpsc::Sender<Order>;

/// What the thread is asked for, in this order.
pub enum Order {
    /// To make a decision durable.
    Decide(Box<Decision>),
    /// To read what is durable.
    Load(Load),
    /// For a sign of life.
    Beat(oneshot::Sender<()>),
}

/// Whether the thread waits for what the machine lacks. It answers nobody then, and is well.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// Whether it does now.
    pub fn now(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, waits: bool) {
        self.0.store(waits, Ordering::Release);
    }
}

/// Asks for everything that is durable, after what was ordered before.
pub struct Load {
    /// Told what there is.
    pub reply: oneshot::Sender<Trees>,
}

impl From<Decision> for Order {
    fn from(decision: Decision) -> Self {
        Order::Decide(Box::new(decision))
    }
}

impl From<Load> for Order {
    fn from(load: Load) -> Self {
        Order::Load(load)
    }
}

/// One decision to make durable.
pub struct Decision {
    /// When it was taken.
    pub at: Timestamp,
    /// Who asked, if a person did.
    pub uid: Option<u32>,
    /// Whose it is.
    pub campaign: CampaignId,
    /// The event; none removes the campaign.
    pub event: Option<Event>,
    /// One sentence.
    pub what: String,
    /// The campaign before.
    pub before: Option<Arc<CampaignTree>>,
    /// And after.
    pub after: Arc<CampaignTree>,
    /// Told the entry's number once it is durable.
    pub durable: oneshot::Sender<u64>,
}

impl Decision {
    fn draft(&self) -> Draft {
        let changes: Vec<Change> = match self.event {
            Some(_) => changes(self.before.as_deref(), &self.after),
            None => removal(&self.after),
        };
        let payload = self
            .event
            .as_ref()
            .map(|event| serde_json::to_vec(event).unwrap_or_default());
        Draft {
            at_ms: self.at.0,
            uid: self.uid,
            campaign: self.campaign.to_string(),
            event: self.event.as_ref().map_or("cleaned", Event::name).into(),
            what: self.what.clone(),
            payload: payload.unwrap_or_default(),
            changes,
        }
    }
}

/// Why the thread had to stop, told even if it panics.
struct LastWord<F: FnOnce(String)>(Option<F>);

impl<F: FnOnce(String)> LastWord<F> {
    fn say(mut self, why: String) {
        if let Some(fatal) = self.0.take() {
            fatal(why);
        }
    }

    fn nothing(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce(String)> Drop for LastWord<F> {
    fn drop(&mut self) {
        if let Some(fatal) = self.0.take() {
            fatal("the thread that writes the journal panicked".into());
        }
    }
}

/// Starts the thread. `waiting` says when it waits; `fatal` is told why it had to stop before its orders ended.
pub fn start(
    store: Store,
    waiting: Waiting,
    fatal: impl FnOnce(String) + Send + 'static,
) -> (Orders, thread::JoinHandle<()>) {
    let (orders, inbox) = mpsc::channel::<Order>();
    let writer = thread::Builder::new()
        .name("journal".into())
        .spawn(move || {
            let last_word = LastWord(Some(fatal));
            let mut writer = Writer { store, waiting };
            match writer.run(&inbox) {
                Ok(()) => last_word.nothing(),
                Err(error) => last_word.say(format!("{error}; {}", error.way_back())),
            }
        });
    (
        orders,
        writer.expect("a thread can be started at the beginning of the process"),
    )
}

struct Writer {
    store: Store,
    waiting: Waiting,
}

impl Writer {
    fn run(&mut self, inbox: &mpsc::Receiver<Order>) -> Result<(), Error> {
        while let Ok(first) = inbox.recv() {
            let mut burst = Vec::new();
            for order in [first].into_iter().chain(inbox.try_iter().take(BURST - 1)) {
                match order {
                    Order::Decide(decision) => burst.push(*decision),
                    Order::Load(load) => {
                        self.write(std::mem::take(&mut burst))?;
                        // Who asked may have given up.
                        let _ = load.reply.send(self.trees()?);
                    }
                    Order::Beat(alive) => {
                        // As above.
                        let _ = alive.send(());
                    }
                }
            }
            self.write(burst)?;
        }
        Ok(())
    }

    fn write(&mut self, burst: Vec<Decision>) -> Result<(), Error> {
        if burst.is_empty() {
            return Ok(());
        }
        let numbers = self.commit(&burst)?;
        for (decision, seq) in burst.into_iter().zip(numbers) {
            // A client that has gone needs no answer.
            let _ = decision.durable.send(seq);
        }
        Ok(())
    }

    fn commit(&mut self, burst: &[Decision]) -> Result<Vec<u64>, Error> {
        let mut repairs = 0;
        loop {
            let drafts = || burst.iter().map(Decision::draft).collect();
            match self.patiently(|store| store.commit(drafts())) {
                Err(Error::Unapplied { seq, why, .. }) => {
                    // Committed all the same: the journal has it.
                    self.repair(&why)?;
                    return Ok((seq + 1 - burst.len() as u64..=seq).collect());
                }
                Err(Error::State { why, .. }) if repairs < REPAIRS => {
                    repairs += 1;
                    self.repair(&why)?;
                }
                done => return done,
            }
        }
    }

    fn repair(&mut self, why: &str) -> Result<(), Error> {
        tracing::warn!("the state database failed, and is repaired from the journal: {why}");
        self.patiently(Store::repair)
    }

    fn trees(&mut self) -> Result<Trees, Error> {
        let trees = match self.patiently(|store| load_trees(store)) {
            Err(Error::State { why, .. }) => {
                self.repair(&why)?;
                self.patiently(|store| load_trees(store))?
            }
            trees => trees?,
        };
        Ok(trees
            .into_iter()
            .map(|(id, tree)| (id, Arc::new(tree)))
            .collect())
    }

    /// Tries until the machine lacks nothing any more; says so once, and once when it goes on.
    fn patiently<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Store) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut told = false;
        loop {
            match attempt(&mut self.store) {
                Err(error) if error.is_starved() => {
                    if !told {
                        let way_back = error.way_back();
                        tracing::error!(
                            "{error}; everything waits until that has passed: {way_back}"
                        );
                    }
                    told = true;
                    self.waiting.set(true);
                    thread::sleep(ROOM);
                }
                tried => {
                    self.waiting.set(false);
                    if told {
                        tracing::info!("the journal takes entries again; going on");
                    }
                    return tried;
                }
            }
        }
    }
}
