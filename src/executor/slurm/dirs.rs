//! Real job directories, as [`super::queue`] borrows them.

use super::{
    handle::Handle,
    queue::{Dirs, SchedulerEnd},
    script::{Batch, render},
};
use crate::{
    artifacts::{create_dir_private, named, write_atomic},
    executor::{
        job_dir::{Claimed, JobDir},
        local::INHERITED,
    },
    ids::EffectId,
    manifest::StateDir,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// SLURM's limit lies so far behind the shim's own, which knows how to end a command and to say so.
const BEHIND: u64 = 120;

/// Where scripts go besides, and what they start.
#[derive(Clone, Debug)]
pub struct JobDirs {
    /// Where the job directories are.
    pub state: StateDir,
    /// The program that batch scripts start.
    pub program: PathBuf,
    /// Tasks of one array at the same time.
    pub at_once: u32,
}

impl JobDirs {
    fn dir(&self, job: &EffectId) -> JobDir {
        JobDir::new(self.state.job(job))
    }
}

impl Dirs for JobDirs {
    fn handle(&self, job: &EffectId) -> io::Result<Option<Handle>> {
        let path = self.dir(job).handle();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(named(error, "read", &path)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let text = format!("{}: {error}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    fn write_handle(&mut self, job: &EffectId, handle: &Handle) -> io::Result<()> {
        write_atomic(&self.dir(job).handle(), &serde_json::to_vec(handle)?)
    }

    fn script(&mut self, job: &EffectId, part: u32, handle: &Handle) -> io::Result<PathBuf> {
        let dir = self.dir(job);
        let request = dir.read_request()?;
        let slurm = request
            .slurm
            .as_ref()
            .ok_or_else(|| io::Error::other(format!("{job} asks nothing of SLURM")))?;
        let planned = handle.parts.get(part as usize);
        let planned = planned.ok_or_else(|| io::Error::other("there is no such part"))?;
        let log = match slurm.log_dir.as_str() {
            "" => dir.root().to_path_buf(),
            given => {
                let log = Path::new(given).to_path_buf();
                create_dir_private(&log)?;
                log
            }
        };
        let text = render(&Batch {
            name: &planned.name,
            job_dir: dir.root(),
            program: &self.program,
            first: planned.first,
            count: planned.count,
            // Its arrays run side by side.
            at_once: (self.at_once / handle.parts.len().max(1) as u32).max(1),
            resources: slurm,
            log: &log,
            time_seconds: request
                .time_seconds
                .map(|limit| limit.saturating_add(BEHIND)),
            umask: INHERITED.get().map(|inherited| inherited.umask),
        })
        .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let path = dir.root().join(format!("batch.{part}.sh"));
        // Synced before sbatch reads it, which may be on another machine.
        write_atomic(&path, text.as_bytes())?;
        Ok(path)
    }

    fn claimed_by(&self, job: &EffectId, shard: u32) -> io::Result<Option<u64>> {
        Ok(match self.dir(job).claimed(shard)? {
            Claimed::By(claim) => claim.scheduled.map(|run| run.job),
            _ => None,
        })
    }

    fn is_over(&self, job: &EffectId, shard: u32) -> io::Result<bool> {
        let dir = self.dir(job);
        if dir.read_exit(shard)?.is_some() {
            return Ok(true);
        }
        Ok(matches!(dir.claimed(shard)?, Claimed::By(claim) if claim.by == "canceller"))
    }

    fn beat(&self, job: &EffectId, shard: u32) -> io::Result<Option<i64>> {
        self.dir(job).read_beat(shard)
    }

    fn tell_end(&mut self, job: &EffectId, shard: u32, end: &SchedulerEnd) -> io::Result<()> {
        self.dir(job).write_end(shard, end)
    }
}
