//! The daemon: wires the actors by hand, serves the socket, and ends in order.

pub mod background;
mod lifecycle;
pub mod signals;
pub mod telemetry;
mod watchdog;

pub use crate::actors::{Pace, control_server::Stop, tuning::Tuned};
pub use lifecycle::Doors;

use crate::{
    actors::{
        Surroundings,
        campaign_monitor::CampaignMonitor,
        control_server::{self, ControlRoom},
        coordinator::{Coordinator, Drain, Lines, Snapshot, Trees},
        desk::Desk,
        historian::Historian,
        journal_writer::{self, Orders, Waiting},
        launcher::Launcher,
        memory::{self, Memory, Past},
        now,
        pilot_monitor::PilotMonitor,
        seen::Seen,
        supervision::{Fatal, Plan, Seat, Start, Supervisor},
        trainer::Trainer,
        tuning::Tuning,
        validator::Validator,
    },
    artifacts::{create_dir_private, is_starved},
    control::api::RestartView,
    executor::{handles::Handles, job_dir::JobDir, local::Local, slurm::desk::Slurm},
    machines::{effect::Performer, tree::CampaignTree},
    manifest::StateDir,
    points::number,
    store::{self, Lock, SEGMENT_LIMIT, Store, load_past, load_trees},
};
use actix::prelude::*;
use actix_web::web;
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, mpsc};

/// Lines that wait for a slow follower.
const FOLLOWED: usize = 4096;
/// The exit status when something broke that a fresh process may find whole.
const BROKEN: i32 = 1;
/// How long local jobs get to end when the daemon ends them.
const GRACE: Duration = Duration::from_secs(6);

/// What a daemon is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything lies; absolute.
    pub state_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Who may use it.
    pub doors: Doors,
    /// What a reload may change.
    pub tuned: Tuned,
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
    /// The machine lacks something for now, so that trying again later makes sense.
    pub passing: bool,
}

impl StartError {
    /// One that stays until a person does something.
    fn lasting(message: impl Into<String>, at: &Path, right: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            at: at.display().to_string(),
            right: right.into(),
            passing: false,
        }
    }

    /// What the system said about a path.
    fn io(error: &io::Error, at: &Path, right: &str) -> Self {
        Self {
            passing: is_starved(error),
            ..Self::lasting(error.to_string(), at, right)
        }
    }

    fn store(error: &store::Error, state_dir: &Path) -> Self {
        let at = error.path().unwrap_or(state_dir);
        Self {
            passing: error.is_starved(),
            ..Self::lasting(error.to_string(), at, error.way_back())
        }
    }
}

/// Takes the state directory, before anything else and before going into the background: who is refused can say so.
///
/// # Errors
/// Another daemon has it, or it cannot be written.
pub fn take(state_dir: &Path) -> Result<Lock, StartError> {
    Lock::take(state_dir).map_err(|error| StartError::store(&error, state_dir))
}

/// Writes this process into the lock that its parent took.
///
/// # Errors
/// It cannot be written.
pub fn sign(lock: &mut Lock) -> Result<(), StartError> {
    let signed = lock.sign();
    signed.map_err(|error| StartError::store(&error, Path::new("lock")))
}

/// What whoever started the daemon may ask of it.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where a stop is asked for.
    pub stop: mpsc::UnboundedSender<Stop>,
    /// What holds from the next look on.
    pub tuning: Tuning,
    /// Jobs on SLURM.
    pub slurm: Arc<Slurm>,
}

/// A daemon whose store is open and whose socket is bound. Clients may connect already; they are answered once it runs.
pub struct Daemon {
    options: Options,
    store: Store,
    listener: lifecycle::Bound,
    trees: Trees,
    /// What campaigns taught that were cleaned.
    past: Past,
    restart: Option<RestartView>,
    handles: Handles,
}

impl Daemon {
    /// Opens the store and binds the socket.
    ///
    /// # Errors
    /// An unreadable store, a socket that cannot be bound.
    pub fn open(lock: Lock, options: Options) -> Result<Daemon, StartError> {
        let began = Instant::now();
        lifecycle::settle_in();
        let handles = Handles::inherit();
        let dir = &options.state_dir;
        let state = StateDir::new(dir);
        let limit = number("journal.limit").unwrap_or(SEGMENT_LIMIT);
        let wrong = |error: store::Error| StartError::store(&error, dir);
        let (store, opened) = Store::open_locked(lock, dir, limit).map_err(wrong)?;
        let trees = load_trees(&store).map_err(wrong)?;
        let past = load_past(&store).map_err(wrong)?;
        if opened.cut_bytes > 0 {
            tracing::warn!(
                "a torn append of {} bytes was cut; it was never acknowledged",
                opened.cut_bytes
            );
        }
        if let Some(why) = &opened.rebuilt {
            tracing::warn!("the state database was made anew from the journal: {why}");
        }
        let jobs = state.jobs();
        create_dir_private(&jobs).map_err(|error| {
            StartError::io(&error, &jobs, "a directory that this user may write")
        })?;
        let listener = lifecycle::bind(&options.socket, &options.doors)?;
        lifecycle::write_pid(&state);
        let live = trees.values().filter(|tree| !tree.campaign.state.ended());
        let restart = (opened.last_seq > 0).then(|| RestartView {
            campaigns: live.clone().count() as u64,
            owed: live.map(|tree| tree.outbox.len() as u64).sum(),
            opened_seconds: began.elapsed().as_secs_f64(),
        });
        let trees = trees.into_iter().map(|(id, tree)| (id, Arc::new(tree)));
        Ok(Daemon {
            trees: trees.collect(),
            past,
            options,
            store,
            listener,
            restart,
            handles,
        })
    }

    /// Runs until it is asked to stop; gives the exit status. `started` is called once everything answers.
    pub fn run(self, started: impl FnOnce(Remote) + 'static) -> i32 {
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

    async fn live(self, started: impl FnOnce(Remote)) -> i32 {
        let state = StateDir::new(&self.options.state_dir);
        let (stop, mut stops) = mpsc::unbounded_channel();
        let (fatal, mut died) = mpsc::unbounded_channel();
        let (lock, store_id, history) = (
            self.store.lock(),
            self.store.store_id().to_string(),
            self.store.history(),
        );
        let broken = fatal.clone();
        let waiting = Waiting::default();
        let (orders, writer) = journal_writer::start(self.store, waiting.clone(), move |why| {
            // Nobody listens any more only when the process is ending.
            let _ = broken.send(Fatal {
                status: BROKEN,
                why,
            });
        });
        let tuning = Tuning::new(self.options.tuned);
        let seen = Arc::new(Seen::default());
        let (lines, _) = broadcast::channel(FOLLOWED);
        let slurm = Arc::new(Slurm::new(state.clone(), tuning.get().slurm));
        let memory = Arc::new(Memory::new(self.past, &self.trees));
        let cast = Cast {
            slurm: Arc::clone(&slurm),
            state: state.clone(),
            store_id,
            tuning: tuning.clone(),
            seen: Arc::clone(&seen),
            lines: lines.clone(),
            orders,
            waiting,
            fatal: fatal.clone(),
            handles: Arc::new(self.handles),
            memory: Arc::clone(&memory),
        };
        let mut known: Vec<Arc<CampaignTree>> = self.trees.values().cloned().collect();
        known.sort_by_key(|tree| tree.campaign.state.ended());
        let (counter, at) = (Arc::clone(&seen), state.clone());
        // Nobody waits for it: counting large shards again takes seconds.
        drop(tokio::task::spawn_blocking(move || {
            known
                .iter()
                .for_each(|tree| counter.recount(tree, &at, now()));
        }));
        let (supervisor, desk) = cast.begin(self.trees);
        let room = ControlRoom {
            desk: desk.clone(),
            tuning: tuning.clone(),
            access: self.options.doors.access(),
            seen,
            slurm: Arc::clone(&slurm),
            memory: Arc::clone(&memory),
            state: state.clone(),
            lines,
            history,
            changing: tokio::sync::Mutex::default(),
            stop: stop.clone(),
            started_at: now(),
            restart: self.restart,
        };
        let bound = self.listener.listener();
        let server = bound.and_then(|bound| control_server::serve(bound, web::Data::new(room)));
        let server = match server {
            Ok(server) => server,
            Err(error) => {
                tracing::error!("the socket cannot be served: {error}");
                return BROKEN;
            }
        };
        let handle = server.handle();
        actix::spawn(server);
        actix::spawn(watchdog::keep(
            supervisor.clone(),
            desk.clone(),
            lock,
            fatal,
        ));
        // Signals are heard before anybody is told that it runs: a reload at once must not be the end.
        started(Remote {
            stop,
            tuning,
            slurm,
        });
        lifecycle::ready();
        let status = tokio::select! {
            fatal = died.recv() => {
                let fatal = fatal.unwrap_or(Fatal { status: BROKEN, why: "nobody supervises".into() });
                tracing::error!("ending: {}", fatal.why);
                fatal.status
            }
            how = stops.recv() => {
                drain(&desk, &state, how.unwrap_or(Stop::Leave)).await;
                0
            }
        };
        handle.stop(status == 0).await;
        drop((supervisor, desk));
        System::current().stop();
        drop(writer);
        memory::settle(&state, &memory);
        status
    }
}

/// What the actors are made of.
struct Cast {
    state: StateDir,
    store_id: String,
    tuning: Tuning,
    seen: Arc<Seen>,
    lines: Lines,
    orders: Orders,
    waiting: Waiting,
    fatal: mpsc::UnboundedSender<Fatal>,
    handles: Arc<Handles>,
    slurm: Arc<Slurm>,
    memory: Arc<Memory>,
}

impl Cast {
    /// Starts everybody under a supervisor.
    fn begin(self, trees: Trees) -> (Addr<Supervisor>, Desk) {
        let (orders, lines, tuning, seen, memory) = (
            self.orders.clone(),
            self.lines.clone(),
            self.tuning.clone(),
            Arc::clone(&self.seen),
            Arc::clone(&self.memory),
        );
        let seat: Seat = Box::new(move |trees, guard| {
            Coordinator::new(
                trees,
                orders.clone(),
                lines.clone(),
                tuning.clone(),
                Arc::clone(&seen),
                Arc::clone(&memory),
                guard,
            )
        });
        Supervisor::begin(trees, seat, |seat, desk| Plan {
            starts: performers(),
            seat,
            surroundings: Surroundings {
                state: self.state,
                store_id: self.store_id,
                tuning: self.tuning,
                desk,
                seen: self.seen,
                handles: self.handles,
                slurm: self.slurm,
                memory: self.memory,
            },
            orders: self.orders,
            waiting: self.waiting,
            lines: self.lines,
            fatal: self.fatal,
        })
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
async fn drain(desk: &Desk, state: &StateDir, how: Stop) {
    let interrupt = how == Stop::Interrupt;
    // An error means that the coordinator is gone, and with it everything to drain.
    let _ = desk.ask(Drain { interrupt }).await;
    if !interrupt {
        return;
    }
    let trees = desk.ask(Snapshot).await.unwrap_or_default();
    let live = trees
        .values()
        .flat_map(|tree| tree.jobs.values())
        .filter(|job| !job.state.ended() && job.slurm.is_none());
    let ends: Vec<_> = live
        .map(|job| {
            let dir = JobDir::new(state.job(&job.id));
            actix::spawn(async move { Local.stop(&dir, GRACE).await })
        })
        .collect();
    for end in ends {
        // One that cannot be ended, or panics, does not keep the others from it, and is adopted by the next daemon.
        if let Ok(Err(error)) = end.await {
            tracing::warn!("a job goes on: {error}");
        }
    }
}
