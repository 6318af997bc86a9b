//! The faulty cluster behind programs, for one test (whose root has the module `cluster`): a directory of programs that are `faulty-slurm`, and an end of everything.

use crate::cluster::{Cluster, Faults};
use nix::fcntl::{Flock, FlockArg};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// The programs and the site behind them. Dropped, it ends the controller and everything that runs.
pub struct Front {
    dir: TempDir,
}

impl Front {
    /// A cluster with these faults; `program` is `env!("CARGO_BIN_EXE_faulty-slurm")`.
    pub fn new(program: &str, faults: &Faults, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("bin")).unwrap();
        fs::create_dir_all(dir.path().join("site")).unwrap();
        for name in ["sbatch", "squeue", "sacct", "scancel", "scontrol"] {
            let site = dir.path().join("site");
            let site = site.display();
            let text = format!("#!/bin/sh\nFAULTY_SLURM='{site}' exec '{program}' {name} \"$@\"\n");
            install(&dir.path().join("bin").join(name), &text);
        }
        fs::write(dir.path().join("site/seed"), seed.to_string()).unwrap();
        let front = Self { dir };
        front.set(faults);
        front
    }

    /// From now on these happen.
    pub fn set(&self, faults: &Faults) {
        let made = self.site().join("faults.new");
        fs::write(&made, serde_json::to_vec(faults).unwrap()).unwrap();
        fs::rename(made, self.site().join("faults.json")).unwrap();
    }

    /// `PATH` with the programs first.
    pub fn path(&self) -> OsString {
        let own = std::env::var_os("PATH").unwrap_or_default();
        let first = self.dir.path().join("bin");
        let all = [first].into_iter().chain(std::env::split_paths(&own));
        std::env::join_paths(all).unwrap()
    }

    /// The directory of the cluster; its programs know it.
    pub fn site(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    /// Every run so far: program and arguments.
    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.site().join("calls")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    /// The cluster as it was last written down.
    pub fn cluster(&self) -> Option<Cluster> {
        let bytes = fs::read(self.site().join("state.json")).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // The controller lets go of its lock when everything is killed.
        let _ = fs::write(self.site().join("stop"), "");
        if let Ok(lock) = File::create(self.site().join("controller")) {
            let _ = Flock::lock(lock, FlockArg::LockExclusive);
        }
    }
}

/// Written by another process: a file that is open for writing in what another test starts is "busy".
pub fn install(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(path);
    let mut child = install.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
