//! The SLURM executor: makes the calls that [`super::queue`] decides on, one at a time for each set of clusters, whoever waits.
//!
//! It has no thread of its own. Everybody who waits for SLURM takes turns: one makes the calls that are due, the others
//! wait for what comes of them.

use super::{
    bucket::{Bucket, Rate},
    calls::{Answer, Call, QueueRow, Unanswered},
    commands::Commands,
    contact::Contact,
    dirs::JobDirs,
    queue::{Launch, Next, Pace, Queue, Submission, TaskView, Word},
};
use crate::{
    artifacts::{create_dir_private, write_atomic},
    ids::EffectId,
    manifest::StateDir,
    points::point,
    time::Timestamp,
};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;

/// The longest pause between two looks at what others heard.
pub const LOOK: Duration = Duration::from_secs(5);
/// The shortest pause when nothing is due.
const BREATH: Duration = Duration::from_millis(20);
/// A SLURM program that takes longer is given up. SLURM's own patience is 10 s by default (`MessageTimeout`).
const WITHIN: Duration = Duration::from_secs(60);

/// What the daemon's settings say about SLURM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// From one poll to the next.
    pub interval: Duration,
    /// Calls that are allowed.
    pub rate: Rate,
    /// The most tasks of one array.
    pub largest: u32,
    /// Tasks of one array at the same time.
    pub at_once: u32,
}

/// The executor.
#[derive(Debug)]
pub struct Slurm {
    state: StateDir,
    terms: RwLock<Terms>,
    lanes: Mutex<BTreeMap<String, Arc<Lane>>>,
    program: Mutex<Option<PathBuf>>,
    /// Held by who finds out whether the nodes see the state directory.
    pub probing: tokio::sync::Mutex<()>,
    /// What a launch waits for before it is submitted, for screens.
    notes: Mutex<BTreeMap<EffectId, String>>,
    began: (Timestamp, Instant),
}

/// One set of clusters.
#[derive(Debug)]
struct Lane {
    clusters: String,
    commands: Commands,
    queue: Mutex<Queue>,
    /// Polls that were answered so far: read without waiting for who is at the queue.
    polls: AtomicU32,
    turn: tokio::sync::Mutex<()>,
    /// Something was heard: for those who wait for who has the turn.
    heard: Notify,
    /// Something is asked for: for who has the turn.
    asked: Notify,
}

/// How it stands with the controller of a set of clusters, for screens.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The clusters; empty for the site's own.
    pub clusters: String,
    /// Whether it answers.
    pub contact: Contact,
    /// Calls that may be made now.
    pub calls_left: u32,
    /// Jobs that are followed.
    pub jobs: usize,
}

impl Slurm {
    /// The executor over a state directory.
    pub fn new(state: StateDir, terms: Terms) -> Self {
        Self {
            state,
            terms: RwLock::new(terms),
            lanes: Mutex::default(),
            program: Mutex::default(),
            probing: tokio::sync::Mutex::default(),
            notes: Mutex::default(),
            began: (SystemTime::now().into(), Instant::now()),
        }
    }

    /// From now on these hold.
    pub fn set(&self, terms: Terms) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = terms;
        for lane in lock(&self.lanes).values() {
            lock(&lane.queue).set_pace(terms.pace());
        }
    }

    fn terms(&self) -> Terms {
        *self.terms.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wall clock as it was at the start, going on evenly: a clock that is set back stops no poll.
    fn now(&self) -> Timestamp {
        self.began.0.after(self.began.1.elapsed())
    }

    fn lane(&self, clusters: &str) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(clusters) {
            return Arc::clone(lane);
        }
        let terms = self.terms();
        let kept = self.kept_calls().remove(clusters);
        let now = self.now();
        let bucket = kept.unwrap_or_else(|| Bucket::full(terms.rate, now));
        let lane = Arc::new(Lane {
            clusters: clusters.into(),
            commands: Commands::new(clusters, WITHIN),
            queue: Mutex::new(Queue::new(terms.pace(), bucket)),
            polls: AtomicU32::new(0),
            turn: tokio::sync::Mutex::default(),
            heard: Notify::new(),
            asked: Notify::new(),
        });
        lanes.insert(clusters.into(), Arc::clone(&lane));
        lane
    }

    /// Submits a job, or goes on following it.
    ///
    /// # Errors
    /// Its job directory cannot be read.
    pub async fn take(self: &Arc<Self>, asked: &Submission) -> io::Result<()> {
        let (slurm, lane, asked) = (Arc::clone(self), self.lane(&asked.clusters), asked.clone());
        apart(move || {
            let now = slurm.now();
            let taken = lock(&lane.queue).take(&asked, &slurm.dirs(None), now);
            lane.asked.notify_one();
            taken
        })
        .await?
    }

    /// Makes the calls that are due, or waits for who makes them; returns after `at_most` or a while, or as soon as something
    /// was heard. Dropped in the middle of a call, it leaves what came of that unknown.
    ///
    /// # Errors
    /// The program that batch scripts start cannot be laid down.
    pub async fn turn(self: &Arc<Self>, clusters: &str, at_most: Duration) -> io::Result<()> {
        let lane = self.lane(clusters);
        let heard = lane.heard.notified();
        let Ok(turn) = lane.turn.try_lock() else {
            // Who has the turn may wait for long.
            let _ = tokio::time::timeout(at_most.min(LOOK), heard).await;
            return Ok(());
        };
        let program = self.program().await?;
        // A call whose caller was gone before the answer came: nobody else is at it now.
        lock(&lane.queue).give_up(self.now());
        loop {
            let (slurm, queue, with) = (Arc::clone(self), Arc::clone(&lane), program.clone());
            let next = apart(move || {
                let now = slurm.now();
                lock(&queue.queue).next(&mut slurm.dirs(Some(with)), now)
            });
            match next.await? {
                Next::Call(call) => self.call(&lane, call, &program).await?,
                Next::Wait(until) => {
                    let pause = until
                        .since(self.now())
                        .clamp(BREATH, at_most.clamp(BREATH, LOOK));
                    let _ = tokio::time::timeout(pause, lane.asked.notified()).await;
                    break;
                }
                Next::Idle => {
                    let _ = tokio::time::timeout(at_most.min(LOOK), lane.asked.notified()).await;
                    break;
                }
            }
        }
        drop(turn);
        // One of those who wait has the next turn.
        lane.heard.notify_waiters();
        Ok(())
    }

    async fn call(self: &Arc<Self>, lane: &Arc<Lane>, call: Call, with: &Path) -> io::Result<()> {
        point!("slurm.ask");
        let asked = Instant::now();
        let answer = lane.commands.ask(&call).await;
        point!("slurm.answered");
        if let Err(no) = &answer {
            tracing::debug!("SLURM: {}", no.text());
        }
        let took = asked.elapsed();
        let (slurm, queue, with) = (Arc::clone(self), Arc::clone(lane), with.to_path_buf());
        apart(move || {
            let now = slurm.now();
            let mut dirs = slurm.dirs(Some(with));
            let mut locked = lock(&queue.queue);
            locked.heard(&call, answer, took, &mut dirs, now);
            slurm.keep_calls(&queue.clusters, locked.bucket());
            queue.polls.store(locked.polls(), Ordering::Relaxed);
        })
        .await?;
        lane.heard.notify_waiters();
        Ok(())
    }

    fn dirs(&self, program: Option<PathBuf>) -> JobDirs {
        JobDirs {
            state: self.state.clone(),
            program: program.unwrap_or_default(),
            at_once: self.terms().at_once,
        }
    }

    /// Begins to end a job. Its free claims have been taken by who asks.
    ///
    /// # Errors
    /// The queue panicked.
    pub async fn end(&self, clusters: &str, job: &EffectId) -> io::Result<()> {
        let (lane, job) = (self.lane(clusters), job.clone());
        apart(move || {
            lock(&lane.queue).end(&job);
            lane.asked.notify_one();
        })
        .await
    }

    /// Follows a job no longer, unless it is being ended by somebody else.
    ///
    /// # Errors
    /// The queue panicked.
    pub async fn forget(&self, clusters: &str, job: &EffectId, ending: bool) -> io::Result<()> {
        lock(&self.notes).remove(job);
        let (lane, job) = (self.lane(clusters), job.clone());
        apart(move || {
            let mut queue = lock(&lane.queue);
            if ending || !queue.is_ending(&job) {
                queue.forget(&job);
            }
        })
        .await
    }

    /// What the queue holds now: for a question that a person's command asks once, outside of what may be asked in a minute.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn queue(&self, clusters: &str) -> Result<Vec<QueueRow>, Unanswered> {
        match Commands::new(clusters, WITHIN).ask(&Call::Queue).await? {
            Answer::Queue(rows) => Ok(rows),
            other => Err(Unanswered::Unsure(format!("squeue came to {other:?}"))),
        }
    }

    /// How far the submission of a job is; none when it is not followed.
    ///
    /// # Errors
    /// The queue panicked.
    pub async fn launched(&self, clusters: &str, job: &EffectId) -> io::Result<Option<Launch>> {
        let (lane, job) = (self.lane(clusters), job.clone());
        apart(move || lock(&lane.queue).launch(&job)).await
    }

    /// Whether nothing of a job that is being ended is left.
    ///
    /// # Errors
    /// The queue panicked.
    pub async fn is_ended(&self, clusters: &str, job: &EffectId) -> io::Result<bool> {
        let (lane, job) = (self.lane(clusters), job.clone());
        apart(move || lock(&lane.queue).is_ended(&job)).await
    }

    /// What the scheduler says of the end of a task, and the task by its id.
    ///
    /// # Errors
    /// The queue panicked.
    pub async fn word(
        &self,
        clusters: &str,
        job: &EffectId,
        shard: u32,
    ) -> io::Result<(Word, String)> {
        let (lane, job) = (self.lane(clusters), job.clone());
        apart(move || {
            let mut queue = lock(&lane.queue);
            let word = queue.word(&job, shard);
            if word == Word::NotYet {
                lane.asked.notify_one();
            }
            let view = queue.task(&job, shard).unwrap_or_default();
            (word, view.handle)
        })
        .await
    }

    /// Says on screens what a launch waits for before it is submitted.
    pub fn note(&self, job: &EffectId, what: Option<&str>) {
        let mut notes = lock(&self.notes);
        match what {
            Some(what) => _ = notes.insert(job.clone(), what.into()),
            None => _ = notes.remove(job),
        }
    }

    /// Polls that were answered so far: what it says has changed when this has.
    pub fn polls(&self, clusters: &str) -> u32 {
        self.lane(clusters).polls.load(Ordering::Relaxed)
    }

    /// What the scheduler says of a task, for screens: nothing while somebody is at the queue.
    pub fn task(&self, clusters: &str, job: &EffectId, shard: u32) -> Option<TaskView> {
        let lane = lock(&self.lanes).get(clusters).cloned()?;
        lane.queue.try_lock().ok()?.task(job, shard)
    }

    /// What stands in the way of a job's submission, for screens.
    pub fn obstacle(&self, clusters: &str, job: &EffectId) -> Option<String> {
        if let Some(note) = lock(&self.notes).get(job) {
            return Some(note.clone());
        }
        let lane = lock(&self.lanes).get(clusters).cloned()?;
        match lane.queue.try_lock().ok()?.launch(job)? {
            Launch::Pending(why) => why,
            Launch::Refused(text) => Some(text),
            Launch::Done { .. } => None,
        }
    }

    /// How it stands with every controller that is spoken to, for screens.
    pub fn standings(&self) -> Vec<Standing> {
        let lanes: Vec<Arc<Lane>> = lock(&self.lanes).values().cloned().collect();
        let standing = |lane: &Arc<Lane>| {
            let queue = lane.queue.try_lock().ok()?;
            Some(Standing {
                clusters: lane.clusters.clone(),
                contact: queue.contact().clone(),
                calls_left: queue.bucket().calls(),
                jobs: queue.jobs().count(),
            })
        };
        lanes.iter().filter_map(standing).collect()
    }

    /// The program that batch scripts start: a copy of this one beside the state, which stays as it is when campaignd is
    /// replaced, and which the nodes see if they see the state at all.
    async fn program(self: &Arc<Self>) -> io::Result<PathBuf> {
        if let Some(known) = lock(&self.program).clone() {
            return Ok(known);
        }
        let root = self.state.root().join("bin");
        let copied = apart(move || lay_down(&root)).await??;
        *lock(&self.program) = Some(copied.clone());
        Ok(copied)
    }

    fn calls_file(&self) -> PathBuf {
        self.state.root().join("slurm-calls.json")
    }

    fn kept_calls(&self) -> BTreeMap<String, Bucket> {
        let kept = fs::read(self.calls_file()).ok();
        kept.and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn keep_calls(&self, clusters: &str, bucket: Bucket) {
        let mut kept = self.kept_calls();
        kept.insert(clusters.into(), bucket);
        // Lost, it is a burst more at the worst.
        if let Ok(bytes) = serde_json::to_vec(&kept) {
            let _ = write_atomic(&self.calls_file(), &bytes);
        }
    }
}

impl Terms {
    fn pace(self) -> Pace {
        Pace {
            interval: self.interval,
            rate: self.rate,
            largest: self.largest,
        }
    }
}

/// Copies the running program, even if its file was replaced or removed since it started.
fn lay_down(root: &Path) -> io::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    let facts = fs::metadata(own)?;
    let name = format!(
        "campaignd-{}-{:x}-{:x}",
        env!("CARGO_PKG_VERSION"),
        facts.len(),
        facts.mtime()
    );
    let path = root.join(name);
    if fs::metadata(&path).is_ok_and(|there| there.len() == facts.len()) {
        return Ok(path);
    }
    create_dir_private(root)?;
    let made = root.join(format!(".new.{}", std::process::id()));
    fs::copy(own, &made)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o755))?;
    fs::File::open(&made)?.sync_all()?;
    fs::rename(&made, &path)?;
    Ok(path)
}

/// Files may be on the other side of a network: not on the thread of the actors.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|panicked| io::Error::other(format!("SLURM's jobs: {panicked}")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
