//! The shim around every task: claims it, runs the command, keeps its time limit, passes signals on, says how it ended.
//!
//! The same locally and in a batch script, so exit status, signals and progress have one code path.

use crate::{
    artifacts::{create_dir_private, is_starved, jsonl::cut_torn_tail, named, room, sync_dir},
    executor::{
        identity::{Identity, group_members, with_environment},
        job_dir::{Exit, JobDir, Request, Scheduled, TRY_AGAIN, TaskRequest, Usage, Work},
    },
    points::point,
    time::Timestamp,
};
use nix::{
    sys::{
        resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
        signal::{SigSet, Signal, killpg},
        stat::{Mode, umask},
    },
    unistd::{Pid, setsid},
};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::{
        fs::OpenOptionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long a command that is asked to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// NFS keeps what it knows of a directory for 60 s at most by default (`acdirmax`, nfs(5)).
const VISIBLE_WITHIN: Duration = Duration::from_secs(90);
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(30);
/// Between two looks at a job directory that is not there yet.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Between two looks at processes that are about to be gone.
const SOON: Duration = Duration::from_millis(2);

/// What a shim waits for.
pub(super) enum Happened {
    /// The command has ended.
    Ended(io::Result<ExitStatus>),
    /// A signal asks to end it.
    Told,
}

/// Which task of a job is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The task of a shard.
    Shard(u32),
    /// The task at a position in the request: what a batch script knows.
    Position(u32),
}

/// Runs one task of a job directory. The exit status is 0 when the task has an `exit.json`, this shim's or another's.
pub fn exec(job_dir: &Path, which: Which) -> ExitCode {
    let scheduled = scheduled();
    // What SLURM started it ends by session where it has no control groups. A local task is none of that, though the daemon
    // may itself run within a SLURM job.
    if matches!(which, Which::Shard(_)) {
        // Fails only for the leader of a group; the session is then its own.
        let _ = setsid();
    }
    let theirs = restore();
    // Before any thread exists, so that every thread inherits it and the signals wait for the one that asks.
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
        .into_iter()
        .collect();
    if signals.thread_block().is_err() {
        return ExitCode::FAILURE;
    }
    let dir = JobDir::new(job_dir);
    match run(&dir, which, scheduled, signals, theirs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("campaignd: {which:?} of {}: {error}", job_dir.display());
            if is_starved(&error) {
                ExitCode::from(TRY_AGAIN)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Commands get what the daemon was started with: its limit of open files, for more than 1,024 breaks programs that use
/// select(2), and its umask, which is the result. What the shim itself makes is private.
fn restore() -> Mode {
    let told = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let found = umask(Mode::from_bits_truncate(0o077));
    let wanted = told("CAMPAIGND_OPEN_FILES");
    if let (Some(wanted), Ok((_, hard))) = (wanted, getrlimit(Resource::RLIMIT_NOFILE)) {
        // A limit that cannot be lowered does no harm.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
    }
    let told = told("CAMPAIGND_UMASK").and_then(|bits| u32::try_from(bits).ok());
    told.map_or(found, Mode::from_bits_truncate)
}

/// The run of a SLURM job that this process is, by what SLURM says in its environment.
fn scheduled() -> Option<Scheduled> {
    let told = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let job = told("SLURM_ARRAY_JOB_ID").or_else(|| told("SLURM_JOB_ID"))?;
    let restarts = told("SLURM_RESTART_COUNT").unwrap_or(0);
    Some(Scheduled {
        job,
        restarts: u32::try_from(restarts).unwrap_or(u32::MAX),
    })
}

/// A node may see a job directory later than the machine that wrote it: shared file systems remember for a while that
/// something was not there.
fn read_request(dir: &JobDir, elsewhere: bool) -> io::Result<Request> {
    let until = Instant::now() + VISIBLE_WITHIN;
    loop {
        match dir.read_request() {
            Err(error)
                if elsewhere
                    && error.kind() == io::ErrorKind::NotFound
                    && Instant::now() < until =>
            {
                thread::sleep(BETWEEN_LOOKS);
            }
            read => return read,
        }
    }
}

fn run(
    dir: &JobDir,
    which: Which,
    scheduled: Option<Scheduled>,
    signals: SigSet,
    theirs: Mode,
) -> io::Result<()> {
    point!("shim.started");
    let request = read_request(dir, scheduled.is_some())?;
    let task = match which {
        Which::Shard(shard) => request.tasks.iter().find(|task| task.shard == shard),
        Which::Position(position) => request.tasks.get(position as usize),
    };
    let task = task.ok_or_else(|| io::Error::other("no such task in request.toml"))?;
    let shard = task.shard;
    // A local job may be made from within a SLURM job, and is none of that one's.
    let scheduled = scheduled.filter(|_| request.slurm.is_some());
    // A scheduler may start a task again that is over, or was ended on its own word.
    if dir.read_exit(shard)?.is_some() {
        return Ok(());
    }
    let me = Identity::own()?;
    if !dir.take_claim_of(shard, me, "shim", scheduled)? {
        return Ok(());
    }
    point!("shim.claimed");
    let started_at = clock();
    // A child inherits the mask. A signal in this instant ends the shim, which is then found lost: safe, if abrupt.
    let unblocked = signals.thread_unblock();
    let started = patiently(|| start(dir, &request, task, theirs));
    signals.thread_block().and(unblocked)?;
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            let exit = Exit {
                cannot_start: Some(error.to_string()),
                started_at,
                ended_at: clock(),
                ..Exit::default()
            };
            return patiently(|| dir.write_exit(shard, &exit));
        }
    };
    point!("shim.spawned");
    if scheduled.is_some() {
        give_signs_of_life(dir.clone(), shard);
    }
    let limit = request.time_seconds.map(Duration::from_secs);
    let (status, told, timed_out) = attend(child, signals, limit, &dir.mark(shard));
    let status = status?;
    let exit = Exit {
        status: status.code(),
        signal: status.signal(),
        timed_out,
        stopped: told,
        cannot_start: None,
        started_at,
        ended_at: clock(),
        used: used(),
        scheduler: None,
    };
    point!("shim.ended");
    if let Some(output) = &task.output {
        patiently(|| make_durable(Path::new(output)))?;
    }
    // A command that ended has done its work: a full disk must not make it count as lost.
    let said = patiently(|| dir.write_exit(shard, &exit));
    point!("shim.told");
    said
}

/// What the ended children of this process used (getrusage(2), `RUSAGE_CHILDREN`).
fn used() -> Option<Usage> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let time = usage.user_time() + usage.system_time();
    let ms = time.tv_sec() * 1_000 + time.tv_usec() / 1_000;
    Some(Usage {
        cpu_ms: u64::try_from(ms).ok()?,
        max_rss_kib: u64::try_from(usage.max_rss()).ok()?,
    })
}

/// Where nobody can look at this process, it says by itself that it lives: until it ends.
fn give_signs_of_life(dir: JobDir, shard: u32) {
    thread::spawn(move || {
        loop {
            // A sign that cannot be given now is given later: it is believed for minutes.
            let _ = dir.beat(shard);
            thread::sleep(BEAT);
        }
    });
}

/// Says nothing while it waits: a shim has nobody to say it to, and the daemon notices the same want by itself.
fn patiently<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    room::patiently(|_| (), attempt)
}

fn clock() -> i64 {
    Timestamp::from(SystemTime::now()).0
}

/// Starts the command in a process group of its own inside the shim's session; an error is a sentence.
fn start(dir: &JobDir, request: &Request, task: &TaskRequest, theirs: Mode) -> io::Result<Child> {
    if let Some(output) = &task.output {
        prepare_output(Path::new(output))
            .map_err(|error| named(error, "prepare", Path::new(output)))?;
    }
    let argv = argv(dir, request, task);
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("the command is empty"))?;
    let log = |path: PathBuf| append(&path).map_err(|error| named(error, "open", &path));
    append(&dir.progress(task.shard))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&request.directory)
        .envs(environment(dir, request, task))
        .env_remove("CAMPAIGND_OPEN_FILES")
        .env_remove("CAMPAIGND_UMASK")
        .stdin(Stdio::null())
        .stdout(log(dir.stdout(task.shard))?)
        .stderr(log(dir.stderr(task.shard))?)
        .process_group(0);
    // There is no other thread yet.
    let mine = umask(theirs);
    let started = command.spawn();
    umask(mine);
    started.map_err(|error| cannot_start(error, program, &request.directory))
}

fn cannot_start(error: io::Error, program: &str, directory: &str) -> io::Error {
    if is_starved(&error) {
        return error;
    }
    io::Error::other(if Path::new(directory).is_dir() {
        format!("\"{program}\" cannot be started: {error}")
    } else {
        format!("the directory {directory} cannot be entered: {error}")
    })
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// The directory of the samples exists, and a line torn by an earlier attempt's end is cut.
fn prepare_output(output: &Path) -> io::Result<()> {
    if let Some(parent) = output.parent() {
        create_dir_private(parent)?;
    }
    if output.exists() {
        cut_torn_tail(output).map(drop)
    } else {
        // Made here, so that it is private whatever the command's umask is.
        append(output).map(drop)
    }
}

/// Samples are on the disk before anybody says that they are made: few generators wait for it by themselves.
fn make_durable(output: &Path) -> io::Result<()> {
    let synced = File::open(output).and_then(|file| file.sync_all());
    match synced {
        // A command may have removed what it was asked to make.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(named(error, "sync", output)),
        Ok(()) => output.parent().map_or(Ok(()), sync_dir),
    }
}

/// The argument vector: a foreign command's with its placeholders filled in, or this very binary's for built-in work.
fn argv(dir: &JobDir, request: &Request, task: &TaskRequest) -> Vec<String> {
    let kind = match &request.work {
        Work::Command { argv } => {
            let values = values(request, task);
            return argv.iter().map(|word| fill(word, &values)).collect();
        }
        Work::Generate { .. } => "generate",
        Work::Execute { .. } => "execute",
        Work::Curate { .. } => "curate",
        Work::Train { .. } => "train",
        Work::Evaluate { .. } => "evaluate",
    };
    let dir = dir.root().to_string_lossy().into_owned();
    vec![
        "/proc/self/exe".into(),
        "worker".into(),
        kind.into(),
        dir,
        task.shard.to_string(),
    ]
}

/// What a command may ask for, as `{name}` in its words and as `CAMPAIGND_NAME` in its environment.
fn values(request: &Request, task: &TaskRequest) -> [(&'static str, String); 6] {
    [
        ("phase", request.phase.clone()),
        ("target", task.target.to_string()),
        ("shard", task.shard.to_string()),
        ("shards", task.shards.to_string()),
        ("output", task.output.clone().unwrap_or_default()),
        ("seed", task.seed.to_string()),
    ]
}

/// One pass from left to right, so that a value that happens to hold braces is never filled in again.
pub(super) fn fill(word: &str, values: &[(&str, String)]) -> String {
    let (mut filled, mut rest) = (String::new(), word);
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        filled += before;
        let found = values.iter().find_map(|(name, value)| {
            let behind = from
                .strip_prefix('{')?
                .strip_prefix(name)?
                .strip_prefix('}')?;
            Some((value, behind))
        });
        match found {
            Some((value, behind)) => {
                filled += value;
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = &from[1..];
            }
        }
    }
    filled + rest
}

/// Where a task is told how many like it share the machine.
pub(super) const SIDE_BY_SIDE: &str = "CAMPAIGND_SIDE_BY_SIDE";

fn environment(dir: &JobDir, request: &Request, task: &TaskRequest) -> Vec<(String, String)> {
    let named = values(request, task)
        .map(|(name, value)| (format!("CAMPAIGND_{}", name.to_uppercase()), value));
    let progress = dir.progress(task.shard).to_string_lossy().into_owned();
    named
        .into_iter()
        .chain([
            ("CAMPAIGND_PROGRESS".into(), progress),
            (SIDE_BY_SIDE.into(), request.side_by_side.to_string()),
        ])
        .collect()
}

/// Waits for the command's end: (status, whether the shim was told to end it, whether its time was over). What is left
/// of its process group afterwards is killed: nothing of a task may write after its end is told.
fn attend(
    mut child: Child,
    signals: SigSet,
    limit: Option<Duration>,
    mark: &str,
) -> (io::Result<ExitStatus>, bool, bool) {
    let group = i32::try_from(child.id()).map(Pid::from_raw).ok();
    let (happened, happenings) = channel();
    let told = happened.clone();
    thread::spawn(move || {
        while signals.wait().is_ok() {
            if told.send(Happened::Told).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        // The receiver lives until this is sent.
        let _ = happened.send(Happened::Ended(child.wait()));
    });
    let (status, told, timed_out) = follow(&happenings, group, limit);
    empty(group, mark);
    (status, told, timed_out)
}

/// Kills what is left of the command: its process group, and what it started in groups and sessions of its own, found by
/// the environment that it inherited. Returns when nothing of it lives: a signal sent is not yet a death.
pub(super) fn empty(group: Option<Pid>, mark: &str) {
    loop {
        signal(group, Signal::SIGKILL);
        let members = group.map_or(Ok(Vec::new()), |group| group_members(group.as_raw()));
        let runaways = with_environment(mark);
        // What cannot be looked at for now may live.
        if let (Ok(members), Ok(runaways)) = (members, &runaways)
            && members.is_empty()
            && runaways.is_empty()
        {
            return;
        }
        for process in runaways.unwrap_or_default() {
            // It is looked for again.
            let _ = process.signal(rustix::process::Signal::KILL);
        }
        thread::sleep(SOON);
    }
}

/// Waits for a command's end; after its limit, or when told to, its group is asked to end and then made to.
pub(super) fn follow(
    happenings: &Receiver<Happened>,
    group: Option<Pid>,
    limit: Option<Duration>,
) -> (io::Result<ExitStatus>, bool, bool) {
    let (mut told, mut timed_out) = (false, false);
    // A limit beyond the clock's reach is none.
    let mut due = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let happened = match due {
            Some(at) => happenings.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => happenings
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        match happened {
            Ok(Happened::Ended(status)) => return (status, told, timed_out),
            Ok(Happened::Told) => {
                told = true;
                signal(group, Signal::SIGTERM);
                due = Some(Instant::now() + GRACE);
            }
            Err(RecvTimeoutError::Timeout) if told || timed_out => {
                signal(group, Signal::SIGKILL);
                due = None;
            }
            Err(RecvTimeoutError::Timeout) => {
                timed_out = true;
                signal(group, Signal::SIGTERM);
                due = Some(Instant::now() + GRACE);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return (
                    Err(io::Error::other("nobody waits for the command")),
                    told,
                    timed_out,
                );
            }
        }
    }
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // An empty group is as good.
        let _ = killpg(group, signal);
    }
}
