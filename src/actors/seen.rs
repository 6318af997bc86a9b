//! What the monitors see: counts of samples, by campaign, phase and shard. Volatile; read again from the files after a
//! restart, because the samples on disk are the truth.

use super::reported::Reported;
use crate::{
    artifacts::{executions, rows::RowReader},
    generation::{
        progress::Progress,
        tally::{Counted, Line, Tally},
    },
    ids::CampaignId,
    machines::{
        job::{Job, Phase},
        tree::CampaignTree,
    },
    manifest::{CampaignManifest, StateDir},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// So much of a shard is read before it is counted. Reading holds up nobody; counting this much takes less than a
/// millisecond, for which whoever asks for the count waits.
const READ_BYTES: u64 = 1 << 20;
/// So many scores are kept of a campaign that has ended.
const SCORES: usize = 100;
/// Rates are taken over the looks of the last this many milliseconds.
const RATE_WINDOW_MS: i64 = 60_000;

/// The samples of one phase, over all its shards.
#[derive(Default)]
pub struct PhaseSeen {
    shards: BTreeMap<u32, Shard>,
    /// Of all shards together.
    total: Tally,
    looks: VecDeque<(Timestamp, u64)>,
    /// When the count last grew.
    pub grew_at: Option<Timestamp>,
    /// What the jobs' own progress lines say, for quality that rests on a log.
    pub hint: Option<Progress>,
    /// How far workers that make no samples say they are, by the piece of work.
    reported: BTreeMap<String, Reported>,
    /// The round of the phase that they are of.
    round: u32,
    /// What is shown of a campaign that has ended, once its samples are forgotten.
    resting: Option<Resting>,
}

/// What is kept of a phase that nothing is added to: memory is for those that go on.
struct Resting {
    count: Count,
    scores: Vec<f64>,
}

/// One shard's file, and what of it is counted.
struct Shard {
    file: PathBuf,
    /// Held by who reads the file. Another one takes its place when the phase is counted anew.
    reader: Arc<Mutex<RowReader>>,
    count: ShardCount,
    /// Whether it was read to its end once: what stood there before is no speed.
    known: bool,
}

impl Shard {
    fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            reader: Arc::new(Mutex::new(RowReader::new(file))),
            count: ShardCount::default(),
            known: false,
        }
    }
}

/// A count to show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count {
    /// Distinct ids over all shards.
    pub distinct: u64,
    /// Ids that stand more than once.
    pub duplicates: u64,
    /// Lines that are no samples.
    pub invalid: u64,
    /// Rows marked as accepted.
    pub accepted: u64,
    /// Mean quality as the gate defines it.
    pub quality: Option<f64>,
    /// Distinct ids per second, over the last minute.
    pub rate_per_second: Option<f64>,
    /// When the count last grew.
    pub grew_at: Option<Timestamp>,
    /// Done and total by the workers' own progress, by the piece of work, for phases that count no samples.
    pub reported: BTreeMap<String, Reported>,
}

/// A shard's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCount {
    /// Lines.
    pub rows: u64,
    /// Distinct ids within the shard.
    pub distinct: u64,
    /// Lines that are no samples.
    pub invalid: u64,
    /// Ids that stand more than once within the shard.
    pub duplicates: u64,
}

type Key = (CampaignId, Phase);

/// All of it.
#[derive(Default)]
pub struct Seen {
    phases: Mutex<BTreeMap<Key, Arc<Mutex<PhaseSeen>>>>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn phase(&self, campaign: &CampaignId, phase: Phase) -> Arc<Mutex<PhaseSeen>> {
        let mut phases = lock(&self.phases);
        Arc::clone(phases.entry((campaign.clone(), phase)).or_default())
    }

    /// Reads what a shard's file has gained. Blocking.
    ///
    /// # Errors
    /// Those of reading the file; a file that is not there yet is no error.
    pub fn look(
        &self,
        campaign: &CampaignId,
        phase: Phase,
        shard: u32,
        file: &Path,
        now: Timestamp,
    ) -> io::Result<ShardCount> {
        let phase = self.phase(campaign, phase);
        let mut waiting = vec![(shard, file.to_owned())];
        let mut count = ShardCount::default();
        let mut failed = None;
        while let Some((number, file)) = waiting.pop() {
            match read_on(&phase, number, &file, now) {
                Ok(Look::Counted(found)) if number == shard => count = found,
                Ok(Look::Counted(_)) => {}
                Ok(Look::Overtaken) => waiting.push((number, file)),
                // What the file held counts no more, nor does what it made a duplicate in another one.
                Ok(Look::AnotherFile(all)) => waiting = all,
                // The others are read all the same: they may have been forgotten a moment ago.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(count), Err)
    }

    /// Counts every shard that a campaign's jobs have made: after a restart those of ended tasks too, which nobody
    /// watches any more. Of an ended campaign the counts alone are kept. Blocking.
    pub fn recount(&self, tree: &CampaignTree, state: &StateDir, now: Timestamp) {
        let dirs = state.campaign(&tree.campaign.id);
        let jobs = tree.jobs.values().filter(|job| job.phase.makes_samples());
        let shards: BTreeSet<(Phase, u32)> = jobs
            .flat_map(|job| job.tasks.iter().map(|task| (job.phase, task.shard)))
            .collect();
        for (phase, shard) in shards {
            let file = dirs.shard(phase.name(), shard);
            if let Err(error) = self.look(&tree.campaign.id, phase, shard, &file, now) {
                tracing::warn!(campaign = %tree.campaign.id, "{error}");
            }
        }
        self.recount_executions(tree, &dirs, now);
        if tree.campaign.state.ended() {
            self.rest(&tree.campaign.id);
        }
    }

    /// Tasks of the execution that have ended say nothing more: what they did stands in their summaries.
    fn recount_executions(&self, tree: &CampaignTree, dirs: &CampaignManifest, now: Timestamp) {
        let phase = Phase::Execute;
        let jobs = tree.jobs.values().filter(|job| job.phase == phase);
        let ended = |job: &Job| {
            let tasks = job.tasks.iter().filter(|task| task.end.is_some());
            tasks.map(|task| task.shard).collect::<Vec<u32>>()
        };
        let shards: BTreeSet<u32> = jobs.flat_map(ended).collect();
        for shard in shards {
            if let Ok(Some(found)) = executions::summary(&dirs.execution_summary(shard)) {
                let (done, total) = (found.run, found.given);
                let said = Reported { done, total };
                let round = tree.campaign.round(phase);
                self.report(
                    &tree.campaign.id,
                    (phase, round),
                    &shard.to_string(),
                    said,
                    now,
                );
            }
        }
    }

    /// Keeps the counts of a campaign that has ended and forgets its samples; the next look at one of its shards counts
    /// them all again.
    pub fn rest(&self, campaign: &CampaignId) {
        let phases = lock(&self.phases);
        for (_, phase) in phases.iter().filter(|((id, _), _)| id == campaign) {
            lock(phase).rest();
        }
    }

    /// Takes down what a job says of its own progress.
    pub fn hint(&self, campaign: &CampaignId, phase: Phase, progress: Progress, now: Timestamp) {
        let seen = self.phase(campaign, phase);
        let mut seen = lock(&seen);
        if seen.hint.as_ref().map(|old| old.done) != Some(progress.done) {
            seen.grew_at = Some(now);
        }
        seen.hint = Some(progress);
    }

    /// Takes down how far a worker says it is with a piece of the phase's work. A new round forgets the one before.
    pub fn report(
        &self,
        campaign: &CampaignId,
        (phase, round): (Phase, u32),
        piece: &str,
        said: Reported,
        now: Timestamp,
    ) {
        let seen = self.phase(campaign, phase);
        let mut seen = lock(&seen);
        if std::mem::replace(&mut seen.round, round) != round {
            seen.reported.clear();
        }
        let before = seen.reported.insert(piece.into(), said);
        if before == Some(said) {
            return;
        }
        seen.grew_at = Some(now);
        // Another stage, or steps that an interrupted worker does again: no speed.
        if before.is_none_or(|before| before.total != said.total || before.done > said.done) {
            seen.looks.clear();
        }
        let done = seen.reported.values().map(|said| said.done).sum();
        seen.look_at(done, now);
    }

    /// How far the worker of a piece of the phase's work says it is.
    pub fn reported(&self, campaign: &CampaignId, phase: Phase, piece: &str) -> Option<Reported> {
        let seen = self.phase(campaign, phase);
        let seen = lock(&seen);
        seen.reported.get(piece).copied()
    }

    /// The quality that the jobs' own lines state.
    pub fn logged_quality(&self, campaign: &CampaignId, phase: Phase) -> Option<f64> {
        let seen = self.phase(campaign, phase);
        let seen = lock(&seen);
        seen.hint.as_ref().and_then(|hint| hint.quality)
    }

    /// The count of a phase.
    pub fn count(&self, campaign: &CampaignId, phase: Phase) -> Count {
        lock(&self.phase(campaign, phase)).count()
    }

    /// One sample's score each, and the counts, as the gate needs them after its look.
    pub fn tally(&self, campaign: &CampaignId, phase: Phase) -> Tally {
        lock(&self.phase(campaign, phase)).total.clone()
    }

    /// The scores of the latest `most` samples.
    pub fn latest_scores(&self, campaign: &CampaignId, phase: Phase, most: usize) -> Vec<f64> {
        let seen = self.phase(campaign, phase);
        let seen = lock(&seen);
        match &seen.resting {
            Some(resting) => resting.scores[resting.scores.len().saturating_sub(most)..].to_vec(),
            None => seen.total.latest_scores(most),
        }
    }

    /// Ids that stand in more than one shard.
    pub fn shared_ids(&self, campaign: &CampaignId, phase: Phase) -> u64 {
        lock(&self.phase(campaign, phase)).total.shared()
    }

    /// Forgets a campaign.
    pub fn forget(&self, campaign: &CampaignId) {
        lock(&self.phases).retain(|(id, _), _| id != campaign);
    }
}

/// How a look at one shard ended.
enum Look {
    /// At the end of the file.
    Counted(ShardCount),
    /// The phase is being counted anew; what was in hand is not to be counted.
    Overtaken,
    /// The file is another one, or was cut, or the phase was at rest: it is to be counted anew, from these shards.
    AnotherFile(Vec<(u32, PathBuf)>),
}

/// Reads a shard to its end. The phase is held only while what was read is counted.
fn read_on(phase: &Mutex<PhaseSeen>, shard: u32, file: &Path, now: Timestamp) -> io::Result<Look> {
    let reader = {
        let mut seen = lock(phase);
        let reader = Arc::clone(&seen.shard(shard, file).reader);
        if seen.resting.take().is_some() {
            return Ok(Look::AnotherFile(seen.start_over()));
        }
        reader
    };
    let mut rows = lock(&reader);
    let mut lines = Vec::new();
    loop {
        lines.clear();
        let found = rows.read_new(READ_BYTES, |_, line| lines.push(Line::read(line)))?;
        let mut seen = lock(phase);
        if !Arc::ptr_eq(&seen.shard(shard, file).reader, &reader) {
            return Ok(Look::Overtaken);
        }
        if found.restarted {
            return Ok(Look::AnotherFile(seen.start_over()));
        }
        seen.add(shard, file, &lines, now);
        if !found.more {
            return Ok(Look::Counted(seen.looked(shard, file, now)));
        }
    }
}

impl PhaseSeen {
    fn shard(&mut self, shard: u32, file: &Path) -> &mut Shard {
        self.shards.entry(shard).or_insert_with(|| Shard::new(file))
    }

    /// Forgets every count; gives the files to count again.
    fn start_over(&mut self) -> Vec<(u32, PathBuf)> {
        self.total = Tally::default();
        let shards = self.shards.iter_mut();
        shards
            .map(|(number, shard)| {
                let file = shard.file.clone();
                *shard = Shard::new(&file);
                (*number, file)
            })
            .collect()
    }

    fn rest(&mut self) {
        if self.resting.is_some() || self.shards.is_empty() {
            return;
        }
        self.looks.clear();
        self.resting = Some(Resting {
            count: self.count(),
            scores: self.total.latest_scores(SCORES),
        });
        self.start_over();
    }

    fn add(&mut self, shard: u32, file: &Path, lines: &[Line], now: Timestamp) {
        let before = self.total.distinct();
        let mut count = self.shard(shard, file).count;
        for line in lines {
            match self.total.add(shard, *line) {
                Counted::Blank => continue,
                Counted::Invalid => count.invalid += 1,
                Counted::Distinct => count.distinct += 1,
                Counted::Repeated => count.duplicates += 1,
            }
            count.rows += 1;
        }
        self.shard(shard, file).count = count;
        if self.total.distinct() > before {
            self.grew_at = Some(now);
        }
    }

    /// Takes down that a shard was read to its end.
    fn looked(&mut self, shard: u32, file: &Path, now: Timestamp) -> ShardCount {
        self.grew_at.get_or_insert(now);
        if !std::mem::replace(&mut self.shard(shard, file).known, true) {
            self.looks.clear();
        }
        self.look_at(self.total.distinct(), now);
        self.shard(shard, file).count
    }

    /// Takes down a count, for the speed.
    fn look_at(&mut self, done: u64, now: Timestamp) {
        self.looks.push_back((now, done));
        while self.looks.len() > 2 && now.0 - self.looks[0].0.0 > RATE_WINDOW_MS {
            self.looks.pop_front();
        }
    }

    fn count(&self) -> Count {
        let reported = self.reported.clone();
        if let Some(Resting { count, .. }) = &self.resting {
            return Count {
                reported,
                ..count.clone()
            };
        }
        Count {
            distinct: self.total.distinct(),
            duplicates: self.total.duplicates(),
            invalid: self.total.invalid(),
            accepted: self.total.accepted(),
            quality: self.total.quality(),
            rate_per_second: self.rate(),
            grew_at: self.grew_at,
            reported,
        }
    }

    fn rate(&self) -> Option<f64> {
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let seconds = last.0.since(first.0).as_secs_f64();
        (seconds > 0.0 && last.1 > first.1).then(|| (last.1 - first.1) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests;
