//! Local jobs: each task a shim in a session of its own, which outlives the daemon and is found again by its claim.

use super::{
    identity::{Identity, anybody_with, boot_id, session_members, started_with, with_environment},
    job_dir::{Claimed, Exit, JobDir, TRY_AGAIN},
};
use crate::{artifacts::named, points::point};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io,
    process::Stdio,
    sync::OnceLock,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// How many GPUs this machine has, as the driver of NVIDIA says.
pub fn gpus() -> usize {
    std::fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count)
}

/// How long a started shim may take to claim its task. A loaded machine is slow; a broken one is told apart by its exit.
const CLAIM_WITHIN: Duration = Duration::from_secs(30);
/// What systemd tells a service about itself: a job that believed it would speak as the daemon, or ping for it.
const OF_THE_SERVICE: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
];
/// How long killed processes may take to be gone before that is told.
const DEAD_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at something that is about to happen.
const SOON: Duration = Duration::from_millis(5);

/// What commands are to find as this process found it, before it changed it for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// How many open files they may have.
    pub open_files: u64,
    /// The mode bits that their new files do not get.
    pub umask: u32,
}

/// Set once, when a daemon begins.
pub static INHERITED: OnceLock<Inherited> = OnceLock::new();

/// What a launch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Every task was found claimed or over already.
    pub adopted: bool,
}

/// What is known of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nobody has it.
    NotStarted,
    /// Its shim runs.
    Running(Identity),
    /// Its command ended, and its shim says how.
    Ended(Exit),
    /// It will never run: its canceller has the claim.
    Cancelled,
    /// Its shim is gone without a word, its session killed and seen empty.
    Lost {
        /// What is known of that.
        why: String,
    },
    /// No news: it could not be looked at, and may be in any of the other states.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// The local executor. It knows nothing: a job directory says it all.
#[derive(Clone, Copy, Debug)]
pub struct Local;

impl Local {
    /// Starts every task of a job that nobody has, and returns when each is claimed. Safe to call again, and from two
    /// daemons at once: the claim decides.
    ///
    /// # Errors
    /// Why a shim could not be started; tasks that did start go on.
    pub async fn launch(self, dir: &JobDir) -> io::Result<Launched> {
        let request = dir.read_request()?;
        let mut started = Vec::new();
        for task in &request.tasks {
            // A claim that cannot be read is somebody's: who it was is for an observer to find out.
            let free = dir.claimed(task.shard)? == Claimed::Nobody;
            if free && dir.read_exit(task.shard)?.is_none() {
                started.push((task.shard, spawn_shim(dir, task.shard)?));
                point!("launch.spawned");
            }
        }
        let adopted = started.is_empty();
        for (shard, child) in started {
            await_claim(dir, shard, child).await?;
        }
        point!("launch.claimed");
        let claims = request
            .tasks
            .iter()
            .filter_map(|task| Some((task.shard, dir.read_claim(task.shard)?.process)));
        // For people; claims are the evidence, and what runs is not to be ended for want of a note about it.
        let _ = dir.write_handle(&claims.collect::<Vec<_>>());
        point!("launch.handled");
        Ok(Launched { adopted })
    }

    /// Looks at one task. A shim that died without a word has its session killed first: an orphaned command must not
    /// write beside its successor. What cannot be looked at is no news, never a death.
    pub async fn observe(self, dir: &JobDir, shard: u32) -> Observed {
        self.look(dir, shard)
            .await
            .unwrap_or_else(|error| Observed::Unknown {
                why: error.to_string(),
            })
    }

    /// Looks at a task that is known to have been started, though its job directory may not say so any more.
    pub async fn observe_started(self, dir: &JobDir, shard: u32) -> Observed {
        match self.observe(dir, shard).await {
            Observed::NotStarted => by_name(dir, shard, "its job directory is gone")
                .await
                .unwrap_or_else(|error| Observed::Unknown {
                    why: error.to_string(),
                }),
            seen => seen,
        }
    }

    async fn look(self, dir: &JobDir, shard: u32) -> io::Result<Observed> {
        if let Some(exit) = dir.read_exit(shard)? {
            return Ok(Observed::Ended(exit));
        }
        let claim = match dir.claimed(shard)? {
            Claimed::Nobody => return Ok(Observed::NotStarted),
            Claimed::Unreadable => return by_name(dir, shard, "its claim cannot be read").await,
            Claimed::By(claim) => claim,
        };
        if claim.by == "canceller" {
            return Ok(Observed::Cancelled);
        }
        if claim.alive()? {
            return Ok(Observed::Running(claim.process));
        }
        let why = if claim.boot_id == boot_id()? {
            kill_session(&claim.process).await?;
            kill_runaways(dir, shard).await?;
            format!("PID {} is gone and left no exit.json", claim.pid)
        } else {
            format!("the machine was started anew since PID {} ran", claim.pid)
        };
        last_word(dir, shard, why)
    }

    /// Returns when the task's shim has ended, or after `at_most`.
    pub async fn changed(self, shim: &Identity, at_most: Duration) {
        if let Ok(Err(_)) = tokio::time::timeout(at_most, shim.ended()).await {
            // It cannot be waited for now: looked at soon instead.
            tokio::time::sleep(at_most.min(Duration::from_secs(1))).await;
        }
    }

    /// Ends these tasks of a job: those not begun will never begin, those running are asked, then killed. Returns how
    /// each ended; nothing of them runs any more.
    ///
    /// # Errors
    /// A task could not be claimed, looked at or signalled: it may still begin or run, and this is to be called again.
    pub async fn end(
        self,
        dir: &JobDir,
        shards: &[u32],
        grace: Duration,
    ) -> io::Result<Vec<(u32, Observed)>> {
        let me = Identity::own()?;
        // One task that cannot be dealt with does not keep the others from being ended.
        let mut failed = None;
        for &shard in shards {
            // Where a shim has the claim already, or the task is over, this takes nothing.
            if let Err(error) = dir.take_claim(shard, me.clone(), "canceller") {
                failed.get_or_insert(error);
            }
            // Many tasks are many waits for the disk: others have their turn between them.
            tokio::task::yield_now().await;
        }
        // One look at all processes says whether any can be left that no claim names.
        let strays = anybody_with(&dir.root().to_string_lossy())?;
        for &shard in shards {
            match self.look_closely(dir, shard, strays).await {
                Ok(Observed::Running(shim)) => {
                    shim.signal(rustix::process::Signal::TERM)?;
                }
                Ok(_) => {}
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        point!("end.asked");
        let deadline = Instant::now() + grace;
        let mut ends = Vec::new();
        for &shard in shards {
            match self.end_of(dir, shard, deadline, strays).await {
                Ok(end) => ends.push((shard, end)),
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        failed.map_or(Ok(ends), Err)
    }

    /// A claim taken to cancel a task says nothing of a shim whose job directory was removed under it: it is looked for
    /// by name.
    async fn look_closely(self, dir: &JobDir, shard: u32, strays: bool) -> io::Result<Observed> {
        match self.look(dir, shard).await? {
            Observed::Cancelled if strays => Ok(match by_name(dir, shard, "").await? {
                Observed::Lost { .. } => Observed::Cancelled,
                found => found,
            }),
            seen => Ok(seen),
        }
    }

    /// Asks every running task of a job to end, and waits for it. Tasks not begun are left to be begun later.
    ///
    /// # Errors
    /// A task could not be looked at or signalled; it goes on.
    pub async fn stop(self, dir: &JobDir, grace: Duration) -> io::Result<()> {
        let request = dir.read_request()?;
        let mut asked = Vec::new();
        for task in &request.tasks {
            if let Claimed::By(claim) = dir.claimed(task.shard)?
                && claim.by == "shim"
            {
                claim.signal(rustix::process::Signal::TERM)?;
                asked.push(task.shard);
            }
        }
        let deadline = Instant::now() + grace;
        for shard in asked {
            self.end_of(dir, shard, deadline, true).await?;
        }
        Ok(())
    }

    async fn end_of(
        self,
        dir: &JobDir,
        shard: u32,
        deadline: Instant,
        strays: bool,
    ) -> io::Result<Observed> {
        loop {
            match self.look_closely(dir, shard, strays).await? {
                Observed::Running(shim) if Instant::now() < deadline => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.changed(&shim, left).await;
                }
                Observed::Running(shim) => {
                    shim.signal(rustix::process::Signal::KILL)?;
                    shim.ended().await?;
                }
                over => return Ok(over),
            }
        }
    }
}

/// Starts a shim: this very binary, even if its file has been replaced meanwhile. It makes a session of its own.
fn spawn_shim(dir: &JobDir, shard: u32) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    if let Some(inherited) = INHERITED.get() {
        command.env("CAMPAIGND_OPEN_FILES", inherited.open_files.to_string());
        command.env("CAMPAIGND_UMASK", inherited.umask.to_string());
    }
    for name in OF_THE_SERVICE {
        command.env_remove(name);
    }
    command
        .args(["worker", "exec"])
        .arg(dir.root())
        .arg(shard.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(dir.root())
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| named(error, "start the shim of", &dir.task(shard)))
}

async fn await_claim(dir: &JobDir, shard: u32, mut child: Child) -> io::Result<()> {
    let deadline = Instant::now() + CLAIM_WITHIN;
    loop {
        let claimed = || dir.claimed(shard).map(|claimed| claimed != Claimed::Nobody);
        if claimed()? {
            // Reaped when it ends, as long as this daemon lives; afterwards by init.
            tokio::spawn(async move { child.wait().await });
            return Ok(());
        }
        if let Some(status) = child.try_wait()?
            && !claimed()?
        {
            let kind = if status.code() == Some(TRY_AGAIN.into()) {
                io::ErrorKind::StorageFull
            } else {
                io::ErrorKind::Other
            };
            let text = format!("the shim of task {shard} ended without a claim: {status}");
            return Err(io::Error::new(kind, text));
        }
        if Instant::now() > deadline {
            // Not begun and in nobody's way: were it to wake up later, the next attempt's claim would stop it.
            child.start_kill()?;
            let text = format!("the shim of task {shard} did not claim it in time");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        tokio::time::sleep(SOON).await;
    }
}

/// Kills what is left of a dead shim's session and returns when it is empty. While a session has members its id cannot
/// be given to a new process, so members under a dead leader are the shim's own; under a living one they are not.
async fn kill_session(shim: &Identity) -> io::Result<()> {
    let deadline = Instant::now() + DEAD_WITHIN;
    loop {
        let members = session_members(shim.pid)?;
        // Asked after the listing: what was listed under a leader that is another process now is that one's.
        if members.is_empty() || shim.recycled()? {
            return Ok(());
        }
        for pid in &members {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        pause_until(deadline, &members).await?;
    }
}

/// What a task's command started in sessions of its own, found by the environment that it inherited.
async fn kill_runaways(dir: &JobDir, shard: u32) -> io::Result<()> {
    let deadline = Instant::now() + DEAD_WITHIN;
    loop {
        let left = with_environment(&dir.mark(shard))?;
        if left.is_empty() {
            return Ok(());
        }
        for process in &left {
            process.signal(rustix::process::Signal::KILL)?;
        }
        let pids: Vec<i32> = left.iter().map(|process| process.pid).collect();
        pause_until(deadline, &pids).await?;
    }
}

/// A moment for processes to be gone; an error when they had many.
async fn pause_until(deadline: Instant, pids: &[i32]) -> io::Result<()> {
    if Instant::now() > deadline {
        return Err(io::Error::other(format!(
            "processes {pids:?} of a dead task do not end, though they are killed"
        )));
    }
    tokio::time::sleep(SOON).await;
    Ok(())
}

/// Looks for a task by what its processes were started with, where its claim does not say who they are: a living shim is
/// adopted, what a dead one left is killed.
async fn by_name(dir: &JobDir, shard: u32, why: &str) -> io::Result<Observed> {
    let root = dir.root().to_string_lossy().into_owned();
    let shim = started_with(&["worker", "exec", &root, &shard.to_string()])?;
    if let Some(shim) = shim.into_iter().next() {
        return Ok(Observed::Running(shim));
    }
    kill_runaways(dir, shard).await?;
    last_word(dir, shard, why.into())
}

/// A shim may have said how its task ended between two looks.
fn last_word(dir: &JobDir, shard: u32, why: String) -> io::Result<Observed> {
    Ok(match dir.read_exit(shard)? {
        Some(exit) => Observed::Ended(exit),
        None => Observed::Lost { why },
    })
}
