//! A state directory with the real programs on it, for tests that use them as a user does.
#![allow(dead_code, reason = "each test file uses a part of it")]

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

/// A state directory with files beside it, and perhaps a daemon on it.
pub struct House {
    dir: PathBuf,
    /// Removed with everything in it, where the house is not in a directory of somebody else's.
    _temporary: Option<tempfile::TempDir>,
    pub daemon: Option<Child>,
    /// The daemon's program.
    pub program: PathBuf,
    /// Variables of the daemon, and so of everything that it starts.
    pub env: Vec<(String, String)>,
    /// Variables of the clients.
    pub client_env: Vec<(String, String)>,
    /// What is written before `campaignd`, as `prlimit --nofile=64`.
    pub wrapper: Vec<String>,
}

impl Drop for House {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            // No job of a test outlives it.
            self.ctl(&["stop", "--cancel-jobs", "--yes"]);
            self.kill();
        }
    }
}

impl House {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut house = Self::within(temporary.path());
        house._temporary = Some(temporary);
        house
    }

    /// A house in a directory that is there.
    pub fn within(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            _temporary: None,
            daemon: None,
            program: env!("CARGO_BIN_EXE_campaignd").into(),
            env: Vec::new(),
            client_env: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// The same with settings for its daemon.
    pub fn with_settings(self, text: &str) -> Self {
        fs::write(self.path("campaignd.toml"), text).unwrap();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("CAMPAIGND_STATE_DIR", self.path("state"));
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
    }

    pub fn campaignd(&self, args: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_campaignd"))
            .args(args)
            .output()
            .unwrap()
    }

    pub fn ctl(&self, args: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_campaignctl"))
            .envs(self.client_env.iter().cloned())
            .args(args)
            .output()
            .unwrap()
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.ctl(&[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
    }

    /// Starts a daemon, and returns when it answers.
    pub fn serve(&mut self) {
        self.spawn();
        self.until("the daemon answers", || self.answers());
    }

    pub fn answers(&self) -> bool {
        self.ctl(&["status"]).status.success()
    }

    /// Starts a daemon.
    pub fn spawn(&mut self) {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.path("daemon.log"))
            .unwrap();
        let mut words = self.wrapper.clone();
        words.push(self.program.to_string_lossy().into_owned());
        let mut command = self.command(&words[0]);
        command.args(&words[1..]).arg("serve");
        if self.path("campaignd.toml").exists() {
            command.arg("--config").arg(self.path("campaignd.toml"));
        }
        command.envs(self.env.iter().cloned());
        let started = command.stderr(log).stdout(Stdio::null()).spawn();
        self.daemon = Some(started.unwrap());
    }

    /// How the daemon ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.daemon.as_mut()?.try_wait().unwrap()?;
        self.daemon = None;
        Some(status)
    }

    /// Waits for the daemon to end by itself; its exit status.
    pub fn exit_status(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.ended() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The daemon's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// The state of a campaign, as the daemon says.
    pub fn state(&self, id: &str) -> String {
        let status = self.json(&["status", id]);
        status["campaigns"][0]["state"]
            .as_str()
            .unwrap_or("")
            .into()
    }

    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds() {
            if Instant::now() > deadline {
                panic!("not within 60 s: {what}\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A campaign file of a shell generator that writes a ledger line a launch and a sample every so often.
    pub fn campaign(&self, name: &str, extra: &str, script: &str) -> String {
        fs::write(self.path(&format!("{name}.sh")), script).unwrap();
        let text = format!(
            "name = \"{name}\"\npilot_target = 8\nmin_pilot_samples = 8\ncampaign_target = 40\ngate = \"point\"\n{extra}\n\
             [generator]\nshards = 2\ncommand = [\"sh\", \"{name}.sh\", \"{{output}}\", \"{{target}}\", \"{{phase}}\", \"{{shard}}\"]\n"
        );
        let file = self.path(&format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        file.to_string_lossy().into_owned()
    }
}

/// Goes on from the lines that are there; `$1` output, `$2` target, `$3` phase, `$4` shard; $PAUSE between samples.
pub fn generator(pause: &str, quality: &str) -> String {
    format!(
        "echo \"launch $3 $4\" >> ledger\n\
         n=0; [ -f \"$1\" ] && n=$(wc -l < \"$1\")\n\
         while [ \"$n\" -lt \"$2\" ]; do\n\
           echo \"{{\\\"id\\\":\\\"$3-$4-$n\\\",\\\"text\\\":\\\"$3 $4 $n\\\",\\\"quality_score\\\":{quality}}}\" >> \"$1\"\n\
           n=$((n+1)); echo \"Progress: $n/$2\"; sleep {pause}\n\
         done\n"
    )
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn ledger(house: &House) -> Vec<String> {
    let text = fs::read_to_string(house.path("ledger")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    lines.sort();
    lines
}

/// Every process but this one that works in a directory or below it.
pub fn processes_below(dir: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok());
        let inside = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        found.extend(pid.filter(|pid| inside && i64::from(*pid) != i64::from(std::process::id())));
    }
    found
}
