//! Tasks as processes: a step process per task starts the batch script in a session of its own and writes down how it ended.
//!
//! Who belongs to a task is told by the variables that SLURM sets, as its own `proctrack/linuxproc` would by descent.

use crate::{
    cluster::{Exit, Nodes, Run},
    site::clock,
};
use campaignd::time::Timestamp;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    os::unix::{
        ffi::OsStrExt,
        fs::PermissionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// The processes of the site in a directory.
pub struct Processes {
    dir: PathBuf,
}

impl Processes {
    /// Those of this directory.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    fn place(&self, run: &Run) -> PathBuf {
        let index = run.index.unwrap_or(0);
        let name = format!("{}.{index}.{}", run.serial, run.restarts);
        self.dir.join("tasks").join(name)
    }

    fn signal(&self, run: &Run, signal: Signal) {
        let wanted = [
            variable("FAULTY_SLURM", self.dir.as_os_str()),
            variable("FAULTY_SLURM_TASK", self.place(run).as_os_str()),
        ];
        for pid in with(&wanted) {
            // It may be gone by now.
            let _ = kill(pid, signal);
        }
    }

    /// Kills everything that was started for a directory.
    pub fn kill_all(dir: &OsStr) {
        for pid in with(&[variable("FAULTY_SLURM", dir), b"ENVIRONMENT=BATCH".to_vec()]) {
            // It may be gone by now.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

fn variable(name: &str, value: &OsStr) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_bytes()].concat()
}

/// The processes that were started with all of these variables.
fn with(wanted: &[Vec<u8>]) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let (Some(pid), Ok(variables)) = (pid, fs::read(entry.path().join("environ"))) else {
            continue;
        };
        let has = |one: &Vec<u8>| {
            variables
                .split(|byte| *byte == 0)
                .any(|variable| variable == one)
        };
        if wanted.iter().all(has) {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}

impl Nodes for Processes {
    fn start(&mut self, run: &Run, _: Timestamp) {
        let place = self.place(run);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("script"), &run.script).unwrap();
        let variables = serde_json::to_vec(&variables(run, &self.dir, &place)).unwrap();
        fs::write(place.join("environment"), variables).unwrap();
        fs::write(place.join("output"), output_of(run)).unwrap();
        let chdir = run.options.get("chdir").map_or("/", String::as_str);
        fs::write(place.join("directory"), chdir).unwrap();
        let mut step = Command::new("/proc/self/exe");
        step.arg0("faulty-slurm")
            .arg("step")
            .arg(&place)
            .process_group(0);
        step.current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // It outlives this process, and is init's then.
        drop(step.spawn().unwrap());
    }

    fn look(&mut self, run: &Run, _: Timestamp) -> Option<Exit> {
        let text = fs::read_to_string(self.place(run).join("end")).ok()?;
        let (status, signal) = text.trim().split_once(' ')?;
        Some(Exit {
            status: status.parse().ok()?,
            signal: signal.parse().ok()?,
        })
    }

    fn term(&mut self, run: &Run, _: Timestamp) {
        self.signal(run, Signal::SIGCONT);
        self.signal(run, Signal::SIGTERM);
    }

    fn kill(&mut self, run: &Run, _: Timestamp) {
        // Whoever is not there yet starts nothing any more.
        let _ = fs::write(self.place(run).join("killed"), clock().to_string());
        self.signal(run, Signal::SIGKILL);
    }
}

/// What a job sees of itself. Nothing of the environment of `sbatch` is among it (`--export=NONE`).
fn variables(run: &Run, dir: &Path, place: &Path) -> Vec<(String, String)> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut all = vec![
        ("FAULTY_SLURM".into(), text(dir)),
        ("FAULTY_SLURM_TASK".into(), text(place)),
        ("ENVIRONMENT".into(), "BATCH".into()),
        ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
        (
            "HOME".into(),
            std::env::var("HOME").unwrap_or_else(|_| "/".into()),
        ),
        ("SLURM_JOB_ID".into(), run.raw.to_string()),
        ("SLURM_JOBID".into(), run.raw.to_string()),
        ("SLURM_JOB_NAME".into(), run.name.clone()),
        ("SLURM_JOB_NODELIST".into(), run.node.clone()),
        ("SLURMD_NODENAME".into(), run.node.clone()),
        ("SLURM_CLUSTER_NAME".into(), "faulty".into()),
        ("SLURM_EXPORT_ENV".into(), "NONE".into()),
    ];
    if let Some(index) = run.index {
        all.push(("SLURM_ARRAY_JOB_ID".into(), run.id.to_string()));
        all.push(("SLURM_ARRAY_TASK_ID".into(), index.to_string()));
        all.push(("SLURM_ARRAY_TASK_COUNT".into(), run.count.to_string()));
    }
    if run.restarts > 0 {
        all.push(("SLURM_RESTART_COUNT".into(), run.restarts.to_string()));
    }
    all
}

/// `--output` with its symbols filled in.
fn output_of(run: &Run) -> String {
    let pattern = run
        .options
        .get("output")
        .map_or("slurm-%j.out", String::as_str);
    let (mut path, mut symbols) = (String::new(), pattern.chars());
    while let Some(c) = symbols.next() {
        match (c, if c == '%' { symbols.next() } else { None }) {
            (_, None) => path.push(c),
            (_, Some('%')) => path.push('%'),
            (_, Some('x')) => path.push_str(&run.name),
            (_, Some('j')) => path.push_str(&run.raw.to_string()),
            (_, Some('A')) => path.push_str(&run.id.to_string()),
            (_, Some('a')) => path.push_str(&run.index.unwrap_or(u32::MAX - 1).to_string()),
            (_, Some(other)) => path.extend(['%', other]),
        }
    }
    path
}

/// One task from its beginning to its end, as slurmstepd.
pub fn step(dir: &Path, arguments: &[String]) -> ExitCode {
    let place = Path::new(&arguments[0]);
    let read = |name: &str| fs::read_to_string(place.join(name)).unwrap();
    let variables: Vec<(String, String)> = serde_json::from_str(&read("environment")).unwrap();
    let directory = PathBuf::from(read("directory"));
    let directory = if directory.is_dir() {
        directory
    } else {
        "/tmp".into()
    };
    let mut options = OpenOptions::new();
    let output = options
        .create(true)
        .append(true)
        .open(directory.join(read("output")));
    let (Ok(output), true) = (output, dir.is_dir()) else {
        return end(place, 0, 53);
    };
    let script = place.join("script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new("setsid");
    // Waits, so that its end is the script's; the session is the script's own.
    command
        .arg("--wait")
        .arg("bash")
        .arg(&script)
        .env_clear()
        .envs(variables);
    command.current_dir(&directory).stdin(Stdio::null());
    command.stdout(output.try_clone().unwrap()).stderr(output);
    if place.join("killed").exists() {
        return end(place, 0, 9);
    }
    match command.status() {
        Ok(status) => match status.signal() {
            Some(signal) => end(place, 0, signal),
            None => end(place, status.code().unwrap_or(0), 0),
        },
        Err(_) => end(place, 0, 53),
    }
}

fn end(place: &Path, status: i32, signal: i32) -> ExitCode {
    let made = place.join("end.new");
    let written = fs::write(&made, format!("{status} {signal}"));
    match written.and_then(|()| fs::rename(&made, place.join("end"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
