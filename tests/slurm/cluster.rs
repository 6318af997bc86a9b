//! Clusters for these tests: each is started by the first test that wants it, and stopped when the tests have ended.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

/// Reads from the tests as long as they live, however they end; then stops the cluster and removes it.
const GUARD: &str = "cat >/dev/null; \"$1\" stop \"$2\"; rm -rf \"$2\"";

/// Jobs get a login's environment on their node. Logins one after the other, half a second each, would be most of the time
/// of these tests: with this option the node takes the environment from its cache.
const CACHED: &str = "--conf=GetEnvTimeout=0";
const LOGIN: &str = "HOME=/root\nUSER=root\nLOGNAME=root\nSHELL=/bin/sh\n\
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";

/// A running cluster of one node with 64 pretended processors.
#[derive(Debug)]
pub struct Cluster {
    tool: PathBuf,
    dir: PathBuf,
    /// Holds the pipe that its guard reads.
    _guard: Child,
    /// For who stops its daemons.
    alone: Mutex<()>,
}

type Started = OnceLock<Result<Cluster, String>>;

/// The cluster that is always up; none, with the reason printed, where SLURM cannot run.
pub fn shared(test: &str) -> Option<&'static Cluster> {
    static SHARED: Started = OnceLock::new();
    given(test, &SHARED, &["--accounting", CACHED])
}

/// The cluster whose daemons are stopped, for one test at a time. Its jobs get their environment from a login.
pub fn fragile(test: &str) -> Option<(&'static Cluster, MutexGuard<'static, ()>)> {
    static FRAGILE: Started = OnceLock::new();
    let cluster = given(test, &FRAGILE, &["--accounting"])?;
    let alone = cluster.alone.lock().unwrap_or_else(PoisonError::into_inner);
    // A test that failed may have left something down.
    cluster.start();
    Some((cluster, alone))
}

/// A cluster that holds its jobs to the memory they asked for.
pub fn strict(test: &str) -> Option<&'static Cluster> {
    static STRICT: Started = OnceLock::new();
    given(test, &STRICT, &["--cgroup", CACHED])
}

fn given(test: &str, started: &'static Started, options: &[&str]) -> Option<&'static Cluster> {
    match started.get_or_init(|| Cluster::new(options)) {
        Ok(cluster) => Some(cluster),
        Err(why) => {
            println!("skipped {test}: {why}");
            None
        }
    }
}

/// The program that makes clusters, with SLURM installed; or why there is none.
fn tool() -> Result<PathBuf, String> {
    static TOOL: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = TOOL.get_or_init(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        // A working tree may lie one directory deeper.
        let places = [
            "../shared/slurm/local-slurm",
            "../../shared/slurm/local-slurm",
        ];
        let tool = places.map(|place| sources.join(place));
        let tool = tool.into_iter().find(|path| path.exists());
        let tool = tool.ok_or("no local-slurm beside the checkout")?;
        if !rustix::process::geteuid().is_root() {
            return Err("a cluster needs root".into());
        }
        done(Command::new(&tool).arg("install"))?;
        Ok(tool)
    });
    found.clone()
}

/// What it printed; else how it ended and what it said last.
fn done(command: &mut Command) -> Result<String, String> {
    let output: Output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().last().unwrap_or("it said nothing");
    Err(format!("local-slurm, {}: {last}", output.status))
}

impl Cluster {
    fn new(options: &[&str]) -> Result<Self, String> {
        let tool = tool()?;
        let dir = tempfile::Builder::new().prefix("slurm-").tempdir();
        let dir = dir.map_err(|error| error.to_string())?.keep();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh"]).args([&tool, &dir]);
        guard.stdin(Stdio::piped()).stdout(Stdio::null());
        // A group of its own: it outlives what ends the tests from a terminal.
        guard.stderr(Stdio::null()).process_group(0);
        let guard = guard.spawn().map_err(|error| error.to_string())?;
        let mut start = Command::new(&tool);
        start.arg("start").arg(&dir);
        for option in options {
            if *option == CACHED {
                let cache = dir.join("state/env_cache");
                let written =
                    fs::create_dir_all(&cache).and_then(|()| fs::write(cache.join("root"), LOGIN));
                written.map_err(|error| error.to_string())?;
            }
            // Of `--conf=WORD` it wants two words.
            start.args(option.splitn(2, '='));
        }
        done(&mut start)?;
        Ok(Self {
            tool,
            dir,
            _guard: guard,
            alone: Mutex::new(()),
        })
    }

    /// The variables by which programs find it.
    pub fn env(&self) -> Vec<(String, String)> {
        let conf = self.dir.join("slurm.conf").to_string_lossy().into_owned();
        vec![("SLURM_CONF".into(), conf)]
    }

    /// What a SLURM program printed.
    pub fn say(&self, words: &[&str]) -> String {
        let mut command = Command::new(words[0]);
        let output = command.args(&words[1..]).envs(self.env()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Stops one of its daemons.
    pub fn stop(&self, daemon: &str) {
        let mut stop = Command::new(&self.tool);
        done(stop.arg("stop").arg(&self.dir).arg(daemon)).unwrap();
    }

    /// Kills one of its daemons with SIGKILL.
    pub fn kill(&self, daemon: &str) {
        let file = self.dir.join("run").join(format!("{daemon}.pid"));
        let pid: i32 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Starts what is not up.
    pub fn start(&self) {
        done(Command::new(&self.tool).arg("start").arg(&self.dir)).unwrap();
    }

    /// Starts its node's daemon so that jobs see nothing below `hidden`.
    pub fn start_without_sight_of(&self, hidden: &Path) -> Result<(), String> {
        self.stop("slurmd");
        let mut start = Command::new("unshare");
        start.args(["--mount", "sh", "-c"]);
        start.arg("mount -t tmpfs none \"$1\" && exec \"$2\" start \"$3\"");
        start.arg("sh").args([hidden, &self.tool, &self.dir]);
        done(&mut start).map(drop)
    }
}
