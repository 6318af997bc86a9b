//! What a task says: its log, read as it grows.

use crate::{
    actors::{reported::ReportReader, seen::Seen},
    artifacts::follow::Follower,
    executor::job_dir::JobDir,
    generation::progress::ProgressReader,
    ids::CampaignId,
    machines::job::Phase,
    time::Timestamp,
};
use std::sync::{Mutex, PoisonError};

/// At most this much of a task's output is read in one look.
const LOOK_BYTES: u64 = 256 << 20;

/// What one task says of itself.
pub(super) struct TaskLog {
    pub(super) shard: u32,
    stdout: Follower,
    stderr: Follower,
    own: Follower,
    reader: ProgressReader,
    steps: ReportReader,
    pub(super) spoke_at: Timestamp,
}

impl TaskLog {
    pub(super) fn new(dir: &JobDir, shard: u32, target: u64, at: Timestamp) -> Self {
        Self {
            shard,
            stdout: Follower::new(&dir.stdout(shard)),
            stderr: Follower::new(&dir.stderr(shard)),
            own: Follower::new(&dir.progress(shard)),
            reader: ProgressReader::new(target),
            steps: ReportReader::default(),
            spoke_at: at,
        }
    }

    /// Takes down what the task has said since the last look. A generator's own lines are a hint of its samples, and never
    /// the progress of a piece of work.
    pub(super) fn look(
        &mut self,
        seen: &Seen,
        campaign: &CampaignId,
        (phase, round): (Phase, u32),
        piece: &str,
        at: Timestamp,
    ) {
        let new = self.read(at);
        if phase.makes_samples() {
            if new {
                seen.hint(campaign, phase, self.reader.progress(), at);
            }
        } else if let Some(said) = self.steps.latest() {
            seen.report(campaign, (phase, round), piece, said, at);
        }
    }

    /// Feeds what is new to the reader; whether there was anything.
    fn read(&mut self, at: Timestamp) -> bool {
        let reader = &mut self.reader;
        let mut bytes: u64 = 0;
        let steps = &mut self.steps;
        let own = self.own.read_new(LOOK_BYTES, |chunk| {
            reader.feed(chunk);
            steps.feed(chunk);
        });
        let mut followed = vec![own];
        for follower in [&mut self.stdout, &mut self.stderr] {
            followed.push(follower.read_new(LOOK_BYTES, |chunk| reader.feed(chunk)));
        }
        // Unreadable output is no news; the samples are the evidence.
        bytes += followed.iter().flatten().map(|one| one.bytes).sum::<u64>();
        if bytes > 0 {
            self.spoke_at = at;
        }
        bytes > 0
    }
}

pub(super) fn lock(log: &Mutex<TaskLog>) -> std::sync::MutexGuard<'_, TaskLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
