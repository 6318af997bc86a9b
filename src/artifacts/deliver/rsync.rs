//! The system's rsync, as an argument vector: no shell of this machine reads a word of it, and with `--secluded-args` none
//! of the other's does.

use super::{Delivered, Undelivered};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// How rsync reaches the other machine, unless `RSYNC_RSH` says otherwise: it never asks, for nobody is there to answer.
const SSH: &str = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=30";
/// Seconds without a byte after which rsync gives up.
const SILENCE: &str = "--timeout=300";
/// Exit statuses of rsync that say of the network, not of what was asked (rsync(1), EXIT VALUES): socket I/O, protocol
/// stream, two timeouts; and that of an ssh that reached nobody.
const PASSING: [i32; 5] = [10, 12, 30, 35, 255];
/// What is kept of what rsync says.
const MOST_SAID: usize = 500;

/// An rsync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rsync {
    /// Its program.
    pub program: PathBuf,
    /// How it reaches another machine, in its own words; none: `RSYNC_RSH`, else ssh that asks nothing.
    pub shell: Option<String>,
}

impl Default for Rsync {
    fn default() -> Self {
        Self {
            program: "rsync".into(),
            shell: None,
        }
    }
}

impl Rsync {
    /// Sends the files of a directory, then asks what differs: nothing may.
    pub(super) fn send(
        &self,
        from: &Path,
        host: &str,
        path: &str,
    ) -> Result<Delivered, Undelivered> {
        let to = format!("{host}:{path}/");
        let sent = self.run(
            &["--partial", "--delay-updates", "--itemize-changes"],
            from,
            &to,
        )?;
        let differs = self.run(&["--dry-run", "--itemize-changes"], from, &to)?;
        if let Some(first) = differs.lines().next() {
            let message = format!("what is in {to} differs still from what was sent: {first}");
            return Err(Undelivered::Passing(message));
        }
        // A file that is sent is said with `<`; a directory that is made is no news.
        let news = sent.lines().any(|line| line.starts_with('<'));
        Ok(if news {
            Delivered::Now
        } else {
            Delivered::Before
        })
    }

    fn run(&self, how: &[&str], from: &Path, to: &str) -> Result<String, Undelivered> {
        let mut command = Command::new(&self.program);
        // Contents decide, and are all that is sent: times, owners and modes are the other machine's.
        command.args(["--recursive", "--checksum", "--secluded-args", SILENCE]);
        command.args(how).arg("--");
        let mut source = from.as_os_str().to_owned();
        source.push("/");
        command.arg(source).arg(to);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        match &self.shell {
            Some(shell) => command.env("RSYNC_RSH", shell),
            None if std::env::var_os("RSYNC_RSH").is_none() => command.env("RSYNC_RSH", SSH),
            None => &mut command,
        };
        let output = command.output().map_err(|error| {
            let message = format!("{} cannot be started: {error}", self.program.display());
            Undelivered::Final(message)
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failed(to, &output))
    }
}

/// What rsync's status and words say.
fn failed(to: &str, output: &Output) -> Undelivered {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let said: String = said.join("; ").chars().take(MOST_SAID).collect();
    let said = said.replace(char::is_control, " ");
    let status = output.status;
    let message = format!("rsync to {to} ended with {status}: {said}");
    // One that a signal ended was not at fault.
    match status.code() {
        Some(code) if !PASSING.contains(&code) => Undelivered::Final(message),
        _ => Undelivered::Passing(message),
    }
}
