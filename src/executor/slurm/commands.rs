//! The programs of SLURM: each call is one run of a program, within a time limit.
//!
//! The environment of the daemon must not change a question: whatever it holds of defaults for these programs is left out.

use super::{
    calls::{Answer, Call, Inquiry, Unanswered},
    refusals::sort,
    rows,
};
use crate::time::{Timestamp, two_units};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};

/// Ids, or names, of one run: a command line has room for many more, a controller should not be asked for.
const AT_ONCE: usize = 900;
/// The most that is read of what a program prints: hundreds of thousands of lines.
const MOST_OUTPUT: u64 = 64 << 20;
/// Defaults for these programs, and what a job sees of itself.
const DEFAULTS: [&str; 6] = [
    "SBATCH_",
    "SQUEUE_",
    "SACCT_",
    "SCANCEL_",
    "SCONTROL_",
    "SLURM_",
];
/// How the controller is found and spoken to.
const KEPT: [&str; 4] = [
    "SLURM_CONF",
    "SLURM_CONF_SERVER",
    "SLURM_CLUSTERS",
    "SLURM_JWT",
];
/// The states that accounting is asked for by name. Without them it leaves out who never was to be started.
const STATES: &str = "BF,CA,CD,DL,F,NF,OOM,PD,PR,R,RQ,RS,RV,S,TO";
/// The clocks of accounting and of this machine differ, and nobody minds older rows.
const CLOCKS: Duration = Duration::from_secs(3600);
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Asks SLURM by its programs, found on PATH.
#[derive(Clone, Debug)]
pub struct Commands {
    clusters: String,
    within: Duration,
    path: Option<OsString>,
}

impl Commands {
    /// Programs that are told `--clusters` if it is not empty, and killed if one takes longer than `within`.
    pub fn new(clusters: impl Into<String>, within: Duration) -> Self {
        Self {
            clusters: clusters.into(),
            within,
            path: None,
        }
    }

    /// The same, with another `PATH` than this process's.
    pub fn on_path(self, path: impl Into<OsString>) -> Self {
        Self {
            path: Some(path.into()),
            ..self
        }
    }

    /// Makes one call.
    ///
    /// # Errors
    /// Why there is no answer, and whether something may have been done.
    pub async fn ask(&self, call: &Call) -> Result<Answer, Unanswered> {
        match call {
            Call::Ping => self.ping().await,
            Call::Submit { name, script } => {
                let arguments = ["--parsable".into(), format!("--job-name={name}").into()];
                self.submit(arguments.into_iter().chain([script.into()]).collect())
                    .await
            }
            Call::Queue => {
                let user = user();
                // Without --all, jobs in a hidden partition are not shown.
                let arguments = [
                    "--noheader",
                    "--all",
                    "--states=all",
                    "--user",
                    &user,
                    "--format",
                    rows::QUEUE_FORMAT,
                ];
                let stdout = self.run("squeue", &arguments).await?;
                Ok(Answer::Queue(rows::queue(&stdout)))
            }
            Call::Accounts(inquiry) => self.accounts(inquiry).await,
            Call::Cancel { ids, names } => self.cancel(ids, names).await,
        }
    }

    async fn ping(&self) -> Result<Answer, Unanswered> {
        let stdout = self.run("scontrol", &["ping"]).await?;
        let text = String::from_utf8_lossy(&stdout);
        if text.contains(" is UP") {
            return Ok(Answer::Pong);
        }
        Err(Unanswered::Unsure(
            "scontrol ping names no controller that is up".into(),
        ))
    }

    async fn submit(&self, arguments: Vec<OsString>) -> Result<Answer, Unanswered> {
        let stdout = self.run("sbatch", &arguments).await?;
        let id = rows::submitted(&stdout);
        id.map(|id| Answer::Submitted { id }).ok_or_else(|| {
            Unanswered::Unsure("sbatch ended with status 0 and printed no job id".into())
        })
    }

    /// Ids and names are two questions: accounting takes both as one, about jobs that have such an id and such a name.
    async fn accounts(&self, inquiry: &Inquiry) -> Result<Answer, Unanswered> {
        let mut all = Vec::new();
        for ids in lists(&inquiry.ids) {
            all.push(vec!["--jobs".into(), ids]);
        }
        let since = start_time(inquiry.since);
        for names in lists(&inquiry.names) {
            let asked = ["--user", &user(), "--name", &names, "--starttime", &since];
            // With states and without an end, accounting looks at the one instant of the start.
            let states = ["--endtime", "now+1hour", "--state", STATES];
            let asked = asked.into_iter().chain(states);
            all.push(asked.map(String::from).collect());
        }
        let mut printed = Vec::new();
        for which in all {
            let delimiter = format!("--delimiter={}", rows::SEPARATOR);
            let format = format!("--format={}", rows::ACCOUNT_FORMAT);
            let mut arguments = vec![
                "--noheader".into(),
                "--parsable2".into(),
                "--allocations".into(),
                delimiter,
                format,
            ];
            arguments.extend(which);
            let mut stdout = self.run("sacct", &arguments).await?;
            // A line that was cut must not join the next answer's first.
            let whole = stdout
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            stdout.truncate(whole);
            printed.extend(stdout);
        }
        Ok(Answer::Accounts(rows::accounts(&printed)))
    }

    /// Everything is tried, whatever became of what was tried before.
    async fn cancel(
        &self,
        ids: &BTreeSet<u64>,
        names: &BTreeSet<String>,
    ) -> Result<Answer, Unanswered> {
        let mut failed = None;
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        for some in ids.chunks(AT_ONCE) {
            failed = failed.or(self.run("scancel", some).await.err());
        }
        for name in names {
            let arguments = ["--user".into(), user(), format!("--name={name}")];
            failed = failed.or(self.run("scancel", &arguments).await.err());
        }
        failed.map_or(Ok(Answer::Cancelled), Err)
    }

    /// What a program printed that ended well.
    async fn run(
        &self,
        program: &str,
        arguments: &[impl AsRef<OsStr>],
    ) -> Result<Vec<u8>, Unanswered> {
        let mut command = Command::new(program);
        if !self.clusters.is_empty() {
            command.arg(format!("--clusters={}", self.clusters));
        }
        command.args(arguments);
        for (key, _) in env::vars_os() {
            if is_default(&key) {
                command.env_remove(key);
            }
        }
        command.envs(self.path.iter().map(|path| ("PATH", path)));
        // sbatch passes nothing of this on: its scripts say --export=NONE.
        command.envs([("LC_ALL", "C"), ("SLURM_BITSTR_LEN", "0")]);
        if program == "sacct" {
            command.envs([("TZ", "UTC0"), ("SLURM_TIME_FORMAT", "%s")]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A group of its own: a site's wrapper goes together with what it started.
        let child = command.process_group(0).kill_on_drop(true).spawn();
        let child = child.map_err(|error| not_started(program, &error))?;
        self.finish(program, child).await
    }

    async fn finish(&self, program: &str, mut child: Child) -> Result<Vec<u8>, Unanswered> {
        let group = child.id();
        match timeout(self.within, end(&mut child)).await {
            Ok(Ok(end)) => {
                sort(
                    program,
                    end.status.code(),
                    &String::from_utf8_lossy(&end.stderr),
                )?;
                Ok(end.stdout)
            }
            Ok(Err(error)) => Err(Unanswered::Unsure(format!(
                "{program} cannot be read: {error}"
            ))),
            Err(_) => {
                if let Some(group) = group.and_then(|id| i32::try_from(id).ok()) {
                    // It may have ended by itself at this moment; it has not been waited for, so the id is still its own.
                    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                }
                let _ = child.start_kill();
                let _ = child.wait().await;
                let limit = two_units(self.within);
                Err(Unanswered::Unsure(format!(
                    "{program} did not end within {limit}"
                )))
            }
        }
    }
}

struct End {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

async fn end(child: &mut Child) -> io::Result<End> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(read(stdout), read(stderr))?;
    let status = child.wait().await?;
    Ok(End {
        status,
        stdout,
        stderr,
    })
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MOST_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > MOST_OUTPUT {
        return Err(io::Error::other("it prints more than 64 MiB"));
    }
    Ok(bytes)
}

/// `--starttime`, in UTC as accounting is asked; the first day of all would be read as today.
fn start_time(since: Timestamp) -> String {
    let clocks = i64::try_from(CLOCKS.as_millis()).unwrap_or(i64::MAX);
    let since = Timestamp(since.0.saturating_sub(clocks).max(DAY_MS));
    since.to_string().trim_end_matches('Z').into()
}

/// A machine that is short of something for a moment still has SLURM.
fn not_started(program: &str, error: &io::Error) -> Unanswered {
    match error.kind() {
        io::ErrorKind::NotFound => Unanswered::NotAsked(format!("there is no {program} on PATH")),
        _ if program == "sbatch" => {
            Unanswered::Later(format!("{program} could not be started: {error}"))
        }
        _ => Unanswered::Unsure(format!("{program} could not be started: {error}")),
    }
}

fn is_default(key: &OsStr) -> bool {
    let Some(key) = key.to_str() else {
        return false;
    };
    DEFAULTS.iter().any(|head| key.starts_with(head)) && !KEPT.contains(&key)
}

/// Comma-separated lists of at most [`AT_ONCE`].
fn lists<T: ToString>(all: &BTreeSet<T>) -> Vec<String> {
    let texts: Vec<String> = all.iter().map(T::to_string).collect();
    texts.chunks(AT_ONCE).map(|some| some.join(",")).collect()
}

/// This user, by number: names are for people.
fn user() -> String {
    rustix::process::getuid().as_raw().to_string()
}

#[cfg(test)]
mod tests;
