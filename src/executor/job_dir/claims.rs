//! Claims: who has a task. Taken exclusively, and completely from the first instant the name is there.

use super::{JobDir, read_file};
use crate::{
    artifacts::{create_dir_private, write_atomic},
    executor::identity::Identity,
    points::point,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fs, io, path::PathBuf, time::SystemTime};

/// Who has a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The process.
    #[serde(flatten)]
    pub process: Identity,
    /// `shim`, or `canceller`: then nothing will ever run.
    pub by: String,
    /// When, in milliseconds.
    pub at: i64,
    /// The scheduler's job that it belongs to; none on this machine.
    #[serde(default)]
    pub scheduled: Option<Scheduled>,
    /// The host that the process is on; none in claims of before this was said.
    #[serde(default)]
    pub host: Option<String>,
}

/// What this machine calls itself, where it says so.
pub fn host() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = text.trim();
    (!name.is_empty()).then(|| name.to_string())
}

/// A run of a scheduler's job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Its id; of an array, the array's.
    pub job: u64,
    /// How often the scheduler has started it again.
    pub restarts: u32,
}

/// What is known of who has a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Nobody ever took it.
    Nobody,
    /// This process took it.
    By(Claim),
    /// Somebody took it, and the file no longer says who.
    Unreadable,
}

impl std::ops::Deref for Claim {
    type Target = Identity;
    fn deref(&self) -> &Identity {
        &self.process
    }
}

impl JobDir {
    /// Takes a task exclusively and completely, as a run of a scheduler's job where it is one. A later run of the same job
    /// takes it over from the earlier one: the scheduler starts a job again only when nothing of it runs any more.
    ///
    /// # Errors
    /// Those of the file system. `Ok(false)`: somebody else has it.
    pub fn take_claim_of(
        &self,
        shard: u32,
        process: Identity,
        by: &str,
        scheduled: Option<Scheduled>,
    ) -> io::Result<bool> {
        let mine = self.write_claim(shard, process, by, scheduled)?;
        let claim = self.task(shard).join("claim");
        let linked = fs::hard_link(&mine, &claim);
        point!("claim.linked");
        let exists = matches!(&linked, Err(error) if error.kind() == io::ErrorKind::AlreadyExists);
        if exists && self.was_mine(shard, scheduled)? {
            fs::rename(&mine, &claim)?;
            return Ok(true);
        }
        fs::remove_file(&mine)?;
        match linked {
            Ok(()) => Ok(true),
            Err(_) if exists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether an earlier run of the same scheduler's job has the task.
    fn was_mine(&self, shard: u32, scheduled: Option<Scheduled>) -> io::Result<bool> {
        let Some(me) = scheduled else {
            return Ok(false);
        };
        let Claimed::By(claim) = self.claimed(shard)? else {
            return Ok(false);
        };
        let earlier = |other: Scheduled| other.job == me.job && other.restarts < me.restarts;
        Ok(claim.by == "shim" && claim.scheduled.is_some_and(earlier))
    }

    /// Takes a task exclusively and completely: the content is there from the first instant the name is.
    ///
    /// # Errors
    /// Those of the file system. `Ok(false)`: somebody else has it.
    pub fn take_claim(&self, shard: u32, process: Identity, by: &str) -> io::Result<bool> {
        self.take_claim_of(shard, process, by, None)
    }

    /// A claim under a name of its own.
    fn write_claim(
        &self,
        shard: u32,
        process: Identity,
        by: &str,
        scheduled: Option<Scheduled>,
    ) -> io::Result<PathBuf> {
        let dir = self.task(shard);
        create_dir_private(&dir)?;
        let at = Timestamp::from(SystemTime::now()).0;
        let mine = dir.join(format!(
            "claim.{}.{}.{}",
            process.pid, process.start_time, process.boot_id
        ));
        let claim = Claim {
            process,
            by: by.into(),
            at,
            scheduled,
            host: host(),
        };
        write_atomic(&mine, &serde_json::to_vec(&claim)?)?;
        point!("claim.written");
        Ok(mine)
    }

    /// Who has the task.
    ///
    /// # Errors
    /// Those of reading: nothing is known then, least of all that nobody has it.
    pub fn claimed(&self, shard: u32) -> io::Result<Claimed> {
        Ok(match read_file(&self.task(shard).join("claim"))? {
            None => Claimed::Nobody,
            Some(bytes) => serde_json::from_slice(&bytes).map_or(Claimed::Unreadable, Claimed::By),
        })
    }

    /// Gives a sign of life of a task.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn beat(&self, shard: u32) -> io::Result<()> {
        let at = Timestamp::from(SystemTime::now()).0;
        fs::write(self.task(shard).join("beat"), at.to_string())
    }

    /// The latest sign of life of a task: a number that changes with each.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read_beat(&self, shard: u32) -> io::Result<Option<i64>> {
        let bytes = read_file(&self.task(shard).join("beat"))?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }

    /// Who has the task, where that can be read, for screens.
    pub fn read_claim(&self, shard: u32) -> Option<Claim> {
        match self.claimed(shard) {
            Ok(Claimed::By(claim)) => Some(claim),
            _ => None,
        }
    }
}
