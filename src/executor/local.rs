//! Local jobs: each task a shim in a session of its own, which outlives the daemon and is found again by its claim.

use super::{
    identity::{Identity, boot_id, session_members},
    job_dir::{Exit, JobDir},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// How long a started shim may take to claim its task. A loaded machine is slow; a broken one is told apart by its exit.
const CLAIM_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at something that is about to happen.
const SOON: Duration = Duration::from_millis(5);

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
        let request = dir.read_request().map_err(io::Error::other)?;
        let mut started = Vec::new();
        for task in &request.tasks {
            if dir.read_claim(task.shard).is_none() && dir.read_exit(task.shard).is_none() {
                started.push((task.shard, spawn_shim(dir, task.shard)?));
            }
        }
        let adopted = started.is_empty();
        for (shard, child) in started {
            await_claim(dir, shard, child).await?;
        }
        let claims = request
            .tasks
            .iter()
            .filter_map(|task| Some((task.shard, dir.read_claim(task.shard)?.process)));
        dir.write_handle(&claims.collect::<Vec<_>>())?;
        Ok(Launched { adopted })
    }

    /// Looks at one task. A shim that died without a word has its session killed first: an orphaned command must not
    /// write beside its successor.
    pub async fn observe(self, dir: &JobDir, shard: u32) -> Observed {
        if let Some(exit) = dir.read_exit(shard) {
            return Observed::Ended(exit);
        }
        let Some(claim) = dir.read_claim(shard) else {
            return Observed::NotStarted;
        };
        if claim.by == "canceller" {
            return Observed::Cancelled;
        }
        if claim.alive() {
            return Observed::Running(claim.process);
        }
        let why = if claim.boot_id == boot_id() {
            kill_session(&claim.process).await;
            format!("PID {} is gone and left no exit.json", claim.pid)
        } else {
            format!("the machine was started anew since PID {} ran", claim.pid)
        };
        // It may have said its last word between the two looks.
        match dir.read_exit(shard) {
            Some(exit) => Observed::Ended(exit),
            None => Observed::Lost { why },
        }
    }

    /// Returns when the task's shim has ended, or after `at_most`.
    pub async fn changed(self, shim: &Identity, at_most: Duration) {
        // Over time there is simply nothing new.
        let _ = tokio::time::timeout(at_most, shim.ended()).await;
    }

    /// Ends every task of a job: those not begun will never begin, those running are asked, then killed. Returns how
    /// each ended; nothing of the job runs any more.
    pub async fn end(self, dir: &JobDir, grace: Duration) -> Vec<(u32, Observed)> {
        let Ok(request) = dir.read_request() else {
            return Vec::new();
        };
        let me = i32::try_from(std::process::id())
            .ok()
            .and_then(Identity::of);
        for task in &request.tasks {
            if dir.read_exit(task.shard).is_some() {
                continue;
            }
            // Where a shim has the claim already this does nothing.
            let cancelled = me
                .clone()
                .map(|me| dir.take_claim(task.shard, me, "canceller"));
            if matches!(cancelled, Some(Ok(true))) {
                continue;
            }
            if let Some(claim) = dir.read_claim(task.shard) {
                claim.signal(rustix::process::Signal::TERM);
            }
        }
        let deadline = Instant::now() + grace;
        let mut ends = Vec::new();
        for task in &request.tasks {
            ends.push((task.shard, self.end_of(dir, task.shard, deadline).await));
        }
        ends
    }

    /// Asks every running task of a job to end, and waits for it. Tasks not begun are left to be begun later.
    pub async fn stop(self, dir: &JobDir, grace: Duration) {
        let Ok(request) = dir.read_request() else {
            return;
        };
        let claims = |shard: u32| dir.read_claim(shard).filter(|claim| claim.by == "shim");
        for claim in request.tasks.iter().filter_map(|task| claims(task.shard)) {
            claim.signal(rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + grace;
        for task in request
            .tasks
            .iter()
            .filter(|task| claims(task.shard).is_some())
        {
            self.end_of(dir, task.shard, deadline).await;
        }
    }

    async fn end_of(self, dir: &JobDir, shard: u32, deadline: Instant) -> Observed {
        loop {
            match self.observe(dir, shard).await {
                Observed::Running(shim) if Instant::now() < deadline => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.changed(&shim, left).await;
                }
                Observed::Running(shim) => {
                    shim.signal(rustix::process::Signal::KILL);
                    shim.ended().await;
                }
                over => return over,
            }
        }
    }
}

/// Starts a shim: this very binary, even if its file has been replaced meanwhile. It makes a session of its own.
fn spawn_shim(dir: &JobDir, shard: u32) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .args(["worker", "exec"])
        .arg(dir.root())
        .arg(shard.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(dir.root())
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the shim of task {shard} cannot be started: {error}"),
            )
        })
}

async fn await_claim(dir: &JobDir, shard: u32, mut child: Child) -> io::Result<()> {
    let deadline = Instant::now() + CLAIM_WITHIN;
    loop {
        if dir.read_claim(shard).is_some() {
            // Reaped when it ends, as long as this daemon lives; afterwards by init.
            tokio::spawn(async move { child.wait().await });
            return Ok(());
        }
        if let Some(status) = child.try_wait()?
            && dir.read_claim(shard).is_none()
        {
            let text = format!("the shim of task {shard} ended without a claim: {status}");
            return Err(io::Error::other(text));
        }
        if Instant::now() > deadline {
            // Not begun and in nobody's way: were it to wake up later, the next attempt's claim would stop it.
            child.start_kill()?;
            return Err(io::Error::other(format!(
                "the shim of task {shard} did not claim it in time"
            )));
        }
        tokio::time::sleep(SOON).await;
    }
}

/// Kills what is left of a dead shim's session and returns when it is empty. While a session has members its id cannot
/// be given to a new process, so members under a dead leader are the shim's own; under a living one they are not.
async fn kill_session(shim: &Identity) {
    loop {
        if shim.recycled() {
            return;
        }
        let members = session_members(shim.pid);
        if members.is_empty() {
            return;
        }
        for pid in members {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        tokio::time::sleep(SOON).await;
    }
}
