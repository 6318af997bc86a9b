//! The batch script of a job: what SLURM is asked for, and one command that becomes the batch process itself.
//!
//! Texts stay data twice: sbatch splits `#SBATCH` lines as a shell would, and bash reads the last line.

use crate::machines::spec::SlurmSpec;
use std::path::Path;

/// What a script is made of.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The job's name: what it is found again by.
    pub name: &'a str,
    /// The job directory, absolute.
    pub job_dir: &'a Path,
    /// This program, absolute.
    pub program: &'a Path,
    /// Position of its first task in `request.toml`.
    pub first: u32,
    /// Tasks, at least 1; more than one are an array.
    pub count: u32,
    /// Tasks that may run at the same time, at least 1.
    pub at_once: u32,
    /// What it asks for.
    pub resources: &'a SlurmSpec,
    /// Directory of what the batch process prints, absolute.
    pub log: &'a Path,
    /// `--time` in seconds, before what the resources say; SLURM rounds up to minutes.
    pub time_seconds: Option<u64>,
    /// The umask of its commands; without one they get what `sbatch` was run with.
    pub umask: Option<u32>,
}

/// sbatch reads an option into a buffer of 8 KiB, and a path is at most half of that.
const LONGEST: usize = 4096;

/// The script's text.
///
/// # Errors
/// One sentence: a text that SLURM or bash would read as something else, or a number that means something else to SLURM.
pub fn render(batch: &Batch) -> Result<String, String> {
    let mut script = String::from("#!/bin/bash\n");
    for option in options(batch)? {
        script.push_str("#SBATCH ");
        script.push_str(&option_word(&option)?);
        script.push('\n');
    }
    // What the command starts by srun shall see the command's environment, not the none that sbatch was told to send.
    script.push_str("unset SLURM_EXPORT_ENV\n");
    if let Some(umask) = batch.umask {
        script.push_str(&format!("export CAMPAIGND_UMASK={umask}\n"));
    }
    script.push_str(&command(batch)?);
    script.push('\n');
    Ok(script)
}

/// All options, ours last: of two that contradict each other the later one counts, and what the rest of the program
/// relies on is not for a campaign file to change.
fn options(batch: &Batch) -> Result<Vec<String>, String> {
    let mut all = batch.resources.extra.clone();
    all.extend(resources(batch)?);
    all.push(format!("--job-name={}", name(batch.name)?));
    all.push(format!("--chdir={}", absolute(batch.job_dir)?));
    all.push(format!("--output={}", log_pattern(batch)?));
    if let Some(array) = array(batch)? {
        all.push(array);
    }
    let fixed = [
        "--open-mode=append",
        // A job that begins again by itself would be a second attempt that nobody counts.
        "--no-requeue",
        // A second job of the same name, submitted in doubt, waits until the first is over.
        "--dependency=singleton",
        "--kill-on-invalid-dep=yes",
        // The job gets a login's environment on its node. The daemon's has what systemd told it and perhaps keys, and SLURM
        // would store it.
        "--export=NONE",
        // Nor its limits: what systemd allows a daemon to lock or open is not what a node allows a job.
        "--propagate=NONE",
    ];
    all.extend(fixed.map(String::from));
    Ok(all)
}

fn resources(batch: &Batch) -> Result<Vec<String>, String> {
    let asked = batch.resources;
    let texts = [
        ("partition", &asked.partition),
        ("account", &asked.account),
        ("qos", &asked.qos),
        ("gres", &asked.gres),
        ("constraint", &asked.constraint),
    ];
    let given = texts.iter().filter(|(_, text)| !text.is_empty());
    let mut all: Vec<String> = given.map(|(key, text)| format!("--{key}={text}")).collect();
    match batch.time_seconds.or(asked.time_seconds) {
        Some(0) => {
            return Err("a time limit of 0 seconds means none to SLURM: write at least 1s".into());
        }
        Some(seconds) => all.push(format!("--time={}", days(seconds))),
        None => {}
    }
    all.extend(asked.mem_mib.map(|mib| format!("--mem={mib}M")));
    all.extend(
        asked
            .cpus_per_task
            .map(|cpus| format!("--cpus-per-task={cpus}")),
    );
    Ok(all)
}

/// `D-HH:MM:SS`.
fn days(seconds: u64) -> String {
    format!(
        "{}-{:02}:{:02}:{:02}",
        seconds / 86_400,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn array(batch: &Batch) -> Result<Option<String>, String> {
    let Some(last) = batch.count.checked_sub(1) else {
        return Err("a job of 0 tasks cannot be submitted".into());
    };
    if batch.at_once == 0 {
        return Err("a job of which 0 tasks may run at once would never begin".into());
    }
    if batch.first.checked_add(last).is_none() {
        return Err(format!("there is no task {} + {last}", batch.first));
    }
    Ok((last > 0).then(|| match batch.at_once {
        at_once if at_once > last => format!("--array=0-{last}"),
        at_once => format!("--array=0-{last}%{at_once}"),
    }))
}

/// Names stand in file names and in lists.
fn name(text: &str) -> Result<&str, String> {
    let odd = |c: char| c.is_control() || matches!(c, '/' | ',' | '\\');
    if text.is_empty() || text.contains(odd) {
        return Err(format!(
            "{text:?} cannot name a job: it has none of / , \\ and control characters"
        ));
    }
    Ok(text)
}

/// Where the batch process prints: SLURM puts in the name and the ids.
fn log_pattern(batch: &Batch) -> Result<String, String> {
    let directory = absolute(batch.log)?;
    if directory.contains('\\') {
        return Err(format!(
            "SLURM cannot write below {directory:?}: there is a \\ in it"
        ));
    }
    let file = match batch.count {
        1 => "%x-%j.out",
        _ => "%x-%A_%a.out",
    };
    Ok(format!("{}/{file}", directory.replace('%', "%%")))
}

/// One argument on an `#SBATCH` line: sbatch takes backslash and quotes as a shell does within double quotes.
fn option_word(text: &str) -> Result<String, String> {
    if text.len() > LONGEST || text.contains(['\n', '\r', '\0']) {
        return Err(format!(
            "{text:?} cannot be an option of sbatch: it is one line of at most {LONGEST} bytes"
        ));
    }
    Ok(format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"")
    ))
}

/// The line that bash becomes: the batch process is then the shim, and gets SLURM's signals.
fn command(batch: &Batch) -> Result<String, String> {
    let position = match batch.count {
        1 => batch.first.to_string(),
        // Without an index nothing may run: the wrong task would.
        _ => format!("\"$(({} + ${{SLURM_ARRAY_TASK_ID:?}}))\"", batch.first),
    };
    Ok(format!(
        "exec {} worker exec {} --position {position}",
        shell_word(absolute(batch.program)?),
        shell_word(absolute(batch.job_dir)?),
    ))
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn absolute(path: &Path) -> Result<&str, String> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(['\n', '\r', '\0']));
    match text {
        Some(text) if path.is_absolute() => Ok(text),
        _ => Err(format!(
            "{path:?} cannot stand in a batch script: it is an absolute path in UTF-8 without a line feed"
        )),
    }
}

#[cfg(test)]
mod tests;
