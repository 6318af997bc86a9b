//! The daemon: wires the actors by hand, serves the socket, and ends in order.

pub mod background;
mod lifecycle;
pub mod signals;
pub mod telemetry;

pub use crate::actors::{Pace, control_server::Stop};
use crate::{
    actors::{
        Surroundings,
        campaign_monitor::CampaignMonitor,
        control_server::{self, ControlRoom},
        coordinator::{Coordinator, Drain, Snapshot},
        historian::Historian,
        journal_writer,
        launcher::Launcher,
        mirror_writer, now,
        pilot_monitor::PilotMonitor,
        seen::Seen,
        supervision::{CRASH_LOOP, Start, Supervisor},
        trainer::Trainer,
        validator::Validator,
    },
    artifacts::create_dir_private,
    control::api::RestartView,
    executor::{job_dir::JobDir, local::Local},
    machines::{admission::Limits, effect::Performer, tree::CampaignTree},
    manifest::StateDir,
    store::{SEGMENT_LIMIT, Store, load_trees},
};
use actix::prelude::*;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, mpsc};

/// Lines that wait for a slow follower.
const FOLLOWED: usize = 4096;
/// How long local jobs get to end when the daemon ends them.
const GRACE: Duration = Duration::from_secs(6);

/// What a daemon is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything lies; absolute.
    pub state_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Limits over all campaigns.
    pub limits: Limits,
    /// How often to look.
    pub pace: Pace,
}

/// Why a daemon could not start: a sentence, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// The sentence.
    pub message: String,
    /// The path, flag or key.
    pub at: String,
    /// What to do.
    pub right: String,
}

/// A daemon whose store is open and whose socket is bound. Clients may connect already; they are answered once it runs.
pub struct Daemon {
    options: Options,
    store: Store,
    listener: lifecycle::Bound,
    trees: std::collections::BTreeMap<crate::ids::CampaignId, CampaignTree>,
    restart: Option<RestartView>,
}

impl Daemon {
    /// Opens the store and binds the socket.
    ///
    /// # Errors
    /// A second daemon, an unreadable store, a socket that cannot be bound.
    pub fn open(options: Options) -> Result<Daemon, StartError> {
        let began = Instant::now();
        let state = StateDir::new(&options.state_dir);
        let (store, opened) =
            Store::open(&options.state_dir, SEGMENT_LIMIT).map_err(|error| StartError {
                message: error.to_string(),
                at: error
                    .path()
                    .unwrap_or(&options.state_dir)
                    .display()
                    .to_string(),
                right: error.way_back(),
            })?;
        let trees = load_trees(&store).map_err(|error| StartError {
            message: error.to_string(),
            at: error
                .path()
                .unwrap_or(&options.state_dir)
                .display()
                .to_string(),
            right: error.way_back(),
        })?;
        if opened.cut_bytes > 0 {
            tracing::warn!(
                "a torn append of {} bytes was cut; it was never acknowledged",
                opened.cut_bytes
            );
        }
        if let Some(why) = &opened.rebuilt {
            tracing::warn!("the state database was made anew from the journal: {why:?}");
        }
        create_dir_private(&state.jobs()).map_err(|error| StartError {
            message: error.to_string(),
            at: state.jobs().display().to_string(),
            right: "a directory that this user may write".into(),
        })?;
        let listener = lifecycle::bind(&options.socket)?;
        lifecycle::write_pid(&state);
        let live = trees.values().filter(|tree| !tree.campaign.state.ended());
        let restart = (opened.last_seq > 0).then(|| RestartView {
            campaigns: live.clone().count() as u64,
            owed: live.map(|tree| tree.outbox.len() as u64).sum(),
            opened_seconds: began.elapsed().as_secs_f64(),
        });
        Ok(Daemon {
            options,
            store,
            listener,
            trees,
            restart,
        })
    }

    /// Runs until it is asked to stop; gives the exit status. `started` is called once everything answers, with where a
    /// stop can be asked for.
    pub fn run(self, started: impl FnOnce(mpsc::UnboundedSender<Stop>) + 'static) -> i32 {
        let system = System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime can be made at the beginning of the process")
        });
        let status = system.block_on(self.live(started));
        lifecycle::ended();
        status
    }

    async fn live(self, started: impl FnOnce(mpsc::UnboundedSender<Stop>)) -> i32 {
        let Daemon {
            options,
            store,
            listener,
            trees,
            restart,
        } = self;
        let state = StateDir::new(&options.state_dir);
        let seen = Arc::new(Seen::default());
        let (lines, _) = broadcast::channel(FOLLOWED);
        let (stop, mut stops) = mpsc::unbounded_channel();
        let (store_id, history) = (store.store_id().to_string(), store.history());
        let (fatal, mut died) = mpsc::unbounded_channel();
        let (decisions, writer) = journal_writer::start(store, move |why| {
            // Nobody listens any more only when the process is ending.
            let _ = fatal.send(why);
        });
        let coordinator = Coordinator::new(
            trees,
            decisions,
            lines.clone(),
            options.limits,
            Arc::clone(&seen),
        )
        .start();
        let surroundings = Surroundings {
            state: state.clone(),
            store_id,
            pace: options.pace,
            reports: coordinator.clone().recipient(),
            seen: Arc::clone(&seen),
        };
        let known: Vec<Arc<CampaignTree>> = coordinator
            .send(Snapshot)
            .await
            .map(|trees| trees.into_values().collect())
            .unwrap_or_default();
        let (counter, at) = (Arc::clone(&seen), state.clone());
        let mut all = known.clone();
        all.sort_by_key(|tree| tree.campaign.state.ended());
        // Nobody waits for it: counting large shards again takes seconds.
        drop(tokio::task::spawn_blocking(move || {
            all.iter()
                .for_each(|tree| counter.recount(tree, &at, now()))
        }));
        actix::spawn(mirror_writer::keep(
            state.clone(),
            Arc::clone(&seen),
            lines.subscribe(),
            known,
        ));
        let supervisor = Supervisor::new(performers(), surroundings, coordinator.clone()).start();
        let room = ControlRoom {
            coordinator: coordinator.clone(),
            seen,
            state: state.clone(),
            lines,
            history,
            stop: stop.clone(),
            started_at: now(),
            restart,
        };
        let server = match listener
            .listener()
            .and_then(|bound| control_server::serve(bound, actix_web::web::Data::new(room)))
        {
            Ok(server) => server,
            Err(error) => {
                tracing::error!("the socket cannot be served: {error}");
                return CRASH_LOOP;
            }
        };
        let handle = server.handle();
        actix::spawn(server);
        lifecycle::ready();
        started(stop);
        let status = tokio::select! {
            why = died.recv() => {
                tracing::error!("ending: {}", why.unwrap_or_default());
                CRASH_LOOP
            }
            how = stops.recv() => {
                drain(&coordinator, &state, how.unwrap_or(Stop::Leave)).await;
                0
            }
        };
        handle.stop(true).await;
        drop((supervisor, coordinator));
        System::current().stop();
        drop(writer);
        status
    }
}

/// The six performers.
fn performers() -> HashMap<Performer, Start> {
    HashMap::from([
        (Performer::PilotMonitor, PilotMonitor::start_it as Start),
        (Performer::Validator, Validator::start_it),
        (Performer::Launcher, Launcher::start_it),
        (Performer::CampaignMonitor, CampaignMonitor::start_it),
        (Performer::Historian, Historian::start_it),
        (Performer::Trainer, Trainer::start_it),
    ])
}

/// Nothing new is begun; with `Interrupt`, local jobs end, and the next daemon starts them again where they were.
async fn drain(coordinator: &Addr<Coordinator>, state: &StateDir, how: Stop) {
    let interrupt = how == Stop::Interrupt;
    // An error means that the coordinator is gone, and with it everything to drain.
    let _ = coordinator.send(Drain { interrupt }).await;
    if !interrupt {
        return;
    }
    let trees = coordinator.send(Snapshot).await.unwrap_or_default();
    let live = trees
        .values()
        .flat_map(|tree| tree.jobs.values())
        .filter(|job| !job.state.ended());
    let ends: Vec<_> = live
        .map(|job| {
            let dir = JobDir::new(state.job(&job.id));
            actix::spawn(async move { Local.stop(&dir, GRACE).await })
        })
        .collect();
    for end in ends {
        // A panic in one does not keep the others from ending.
        let _ = end.await;
    }
}
