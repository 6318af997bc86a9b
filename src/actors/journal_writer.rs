//! The thread that owns the store: takes what the coordinator decided, commits bursts as one, says when it is durable.
//!
//! Nothing acts and nobody is answered before that. When the disk is full it keeps its state, says so once and tries
//! again until there is room: what was decided waits, and is never forgotten.

use crate::{
    ids::CampaignId,
    machines::{event::Event, tree::CampaignTree},
    store::{Change, Draft, Error, Store, changes, removal},
    time::Timestamp,
};
use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// At most this many decisions are committed as one.
const BURST: usize = 1024;
/// How long to wait for room on a full disk before the next try.
const ROOM: Duration = Duration::from_secs(1);

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

/// Starts the thread; it ends, and closes the store, when the sender is dropped. `fatal` is told why it had to stop.
pub fn start(
    mut store: Store,
    fatal: impl Fn(String) + Send + 'static,
) -> (mpsc::Sender<Decision>, thread::JoinHandle<()>) {
    let (decisions, inbox) = mpsc::channel::<Decision>();
    let writer = thread::Builder::new()
        .name("journal".into())
        .spawn(move || {
            while let Ok(first) = inbox.recv() {
                let mut burst = vec![first];
                burst.extend(inbox.try_iter().take(BURST - 1));
                match commit(&mut store, &burst) {
                    Ok(numbers) => {
                        for (decision, seq) in burst.into_iter().zip(numbers) {
                            // A client that has gone needs no answer.
                            let _ = decision.durable.send(seq);
                        }
                    }
                    Err(error) => return fatal(error),
                }
            }
        });
    (
        decisions,
        writer.expect("a thread can be started at the beginning of the process"),
    )
}

fn commit(store: &mut Store, burst: &[Decision]) -> Result<Vec<u64>, String> {
    let mut told = false;
    loop {
        match store.commit(burst.iter().map(Decision::draft).collect()) {
            Ok(numbers) => {
                if told {
                    tracing::info!("there is room again; going on");
                }
                return Ok(numbers);
            }
            Err(error @ Error::Full { .. }) => {
                if !told {
                    tracing::error!(
                        "{error}; everything waits until there is room: {}",
                        error.way_back()
                    );
                }
                told = true;
                thread::sleep(ROOM);
            }
            Err(error) => return Err(format!("{error}; {}", error.way_back())),
        }
    }
}
