//! The cluster in a directory: one process at a time has it, and a controller process keeps time.

use crate::{
    cluster::{Cluster, Faults},
    processes::Processes,
};
use campaignd::time::Timestamp;
use nix::{
    fcntl::{Flock, FlockArg},
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
};
use std::{
    env,
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, SystemTime},
};

/// The controller looks so often.
const TICK: Duration = Duration::from_millis(50);

/// The cluster, held under the directory's lock.
pub struct Site {
    dir: PathBuf,
    /// The cluster.
    pub cluster: Cluster,
    before: Option<Vec<u8>>,
    _lock: Flock<File>,
}

/// Now.
pub fn clock() -> Timestamp {
    SystemTime::now().into()
}

impl Site {
    /// Waits for the directory, reads its faults and lets time go on; none once the directory is gone.
    pub fn open(dir: &Path) -> Option<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .open(dir.join("lock"))
            .ok()?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).ok()?;
        let state = fs::read(dir.join("state.json")).ok();
        let mut cluster = match &state {
            Some(bytes) => serde_json::from_slice(bytes).unwrap(),
            None => Cluster::new(Faults::default(), seed(dir)),
        };
        if let Ok(bytes) = fs::read(dir.join("faults.json")) {
            cluster.faults = serde_json::from_slice(&bytes)
                .unwrap_or_else(|error| panic!("faults.json: {error}"));
        }
        let mut site = Self {
            dir: dir.into(),
            cluster,
            before: state,
            _lock: lock,
        };
        site.advance();
        Some(site)
    }

    /// Lets time go on.
    pub fn advance(&mut self) {
        let mut processes = Processes::new(&self.dir);
        self.cluster.advance(clock(), &mut processes);
    }

    /// Keeps what became of it; whether the directory is still there.
    pub fn close(mut self) -> bool {
        self.advance();
        let made = self.dir.join("state.new");
        let bytes = serde_json::to_vec(&self.cluster).unwrap();
        if self.before.as_ref() == Some(&bytes) {
            return true;
        }
        fs::write(&made, bytes)
            .and_then(|()| fs::rename(&made, self.dir.join("state.json")))
            .is_ok()
    }
}

/// `seed` in the directory, or 0.
fn seed(dir: &Path) -> u64 {
    let text = fs::read_to_string(dir.join("seed")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Starts a controller where there is none: who is second finds the lock taken and goes.
pub fn ensure_controller() {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("faulty-slurm").arg("controller");
    command.current_dir("/").process_group(0);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // What a test has open stays the test's: std opens everything so that a child does not get it.
    drop(command.spawn());
}

/// Keeps time until the directory is gone or holds a file `stop`, and takes everything that runs with it.
pub fn control(dir: &Path) -> ExitCode {
    let Ok(file) = File::create(dir.join("controller")) else {
        return ExitCode::FAILURE;
    };
    let Ok(_mine) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        return ExitCode::SUCCESS;
    };
    let mark = env::var_os("FAULTY_SLURM").unwrap_or_default();
    while !dir.join("stop").exists() && Site::open(dir).is_some_and(Site::close) {
        sleep(TICK);
        reap();
    }
    Processes::kill_all(&mark);
    ExitCode::SUCCESS
}

/// Steps that this process started end without anybody who waits for them.
fn reap() {
    let next = || waitpid(None, Some(WaitPidFlag::WNOHANG));
    while next().is_ok_and(|status| status != WaitStatus::StillAlive) {}
}
