//! The request of an attempt, and where what it prints is shown.

use super::{
    hands::Live,
    item::{Item, Worker},
};
use crate::{
    executor::job_dir::{Request, TaskRequest, Work},
    machines::spec::SlurmSpec,
};
use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

/// What every job is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// What it asks of SLURM; none: it runs here.
    pub slurm: Option<SlurmSpec>,
    /// Its limit here, in seconds; SLURM keeps its own.
    pub time_seconds: Option<u64>,
    /// Variables of who submits that a job elsewhere finds in its environment, besides those of a login there.
    pub environment: Vec<(String, String)>,
}

/// The request of an attempt. `device`: the GPU that it has for itself, where there are several.
pub fn request(
    (experiment, dir): (&str, &Path),
    item: &Item,
    (number, name): (u64, String),
    given: &Given,
    device: Option<&str>,
) -> Request {
    let mut variables: Vec<String> = Vec::new();
    if given.slurm.is_some() {
        let each = given.environment.iter();
        variables.extend(each.map(|(name, value)| format!("{name}={value}")));
    }
    variables.extend(device.map(|device| format!("{DEVICE}={device}")));
    let mut argv: Vec<String> = Vec::new();
    if !variables.is_empty() {
        argv.push("env".into());
        argv.extend(variables);
    }
    argv.extend(["bash".into(), item.script.clone()]);
    Request {
        job: item.attempt(number).to_string(),
        name,
        campaign: experiment.into(),
        phase: match item.worker {
            Worker::Torchtune => "fine_tune".into(),
            Worker::Inspect => "evaluate".into(),
        },
        attempt: u32::try_from(number).unwrap_or(u32::MAX),
        directory: dir.join(&item.run.name).display().to_string(),
        time_seconds: given.time_seconds.filter(|_| given.slurm.is_none()),
        side_by_side: 1,
        work: Work::Command { argv },
        slurm: given.slurm.clone(),
        tasks: vec![TaskRequest {
            shard: 0,
            shards: 1,
            target: 0,
            first: 0,
            output: None,
            seed: 0,
            experience: None,
            ledger: None,
            budget: None,
        }],
    }
}

/// The variable that says which GPUs a process sees.
pub const DEVICE: &str = "CUDA_VISIBLE_DEVICES";

/// The GPU that a job has for itself, by its request.
pub fn device(request: &Request) -> Option<&str> {
    let Work::Command { argv } = &request.work else {
        return None;
    };
    argv.iter()
        .find_map(|word| word.strip_prefix(DEVICE)?.strip_prefix('='))
}

/// Shows what an attempt prints as `slurm-ID.out` or `local-PID.out`, with `.err`, while it prints it: a second name of the same
/// file, or a link to it where the run is on another disk.
///
/// # Errors
/// Those of the file system.
pub fn show(live: &Live, prints: &Path) -> io::Result<()> {
    let Some(job) = &live.job else {
        return Ok(());
    };
    for (file, ending) in [(live.dir.stdout(0), "out"), (live.dir.stderr(0), "err")] {
        let Ok(own) = fs::metadata(&file) else {
            continue;
        };
        let same = |path: &Path| {
            fs::metadata(path)
                .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()))
        };
        // A process id may come again: then the number of the attempt tells the two apart.
        let first = prints.join(format!("{}-{job}.{ending}", live.executor()));
        let second = prints.join(format!("{}-{job}_{}.{ending}", live.executor(), live.id));
        if same(&first) || same(&second) {
            continue;
        }
        let path = if fs::symlink_metadata(&first).is_ok() {
            second
        } else {
            first
        };
        match fs::hard_link(&file, &path) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => symlink(&file, &path)?,
            linked => linked?,
        }
    }
    Ok(())
}
