//! What the monitors see: counts of samples, by campaign, phase and shard. Volatile; read again from the files after a
//! restart, because the samples on disk are the truth.

use crate::{
    artifacts::rows::RowReader,
    generation::{progress::Progress, tally::Tally},
    ids::CampaignId,
    machines::job::Phase,
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// At most this much of one shard is counted in one look, so that a look stays short.
const LOOK_BYTES: u64 = 64 << 20;
/// Rates are taken over the looks of the last this many milliseconds.
const RATE_WINDOW_MS: i64 = 60_000;

/// The samples of one phase, over all its shards.
#[derive(Default)]
pub struct PhaseSeen {
    shards: BTreeMap<u32, (RowReader, Tally)>,
    /// The union over the shards.
    total: Tally,
    looks: VecDeque<(Timestamp, u64)>,
    /// When the count last grew.
    pub grew_at: Option<Timestamp>,
    /// What the jobs' own progress lines say, for phases that count no samples, and for quality that rests on a log.
    pub hint: Option<Progress>,
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
    /// Done and total by the worker's own progress, for phases that count no samples.
    pub hint: Option<(u64, u64)>,
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

impl Seen {
    fn phase(&self, campaign: &CampaignId, phase: Phase) -> Arc<Mutex<PhaseSeen>> {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
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
        let seen = self.phase(campaign, phase);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.look(shard, file, now)
    }

    /// Takes down what a job says of its own progress.
    pub fn hint(&self, campaign: &CampaignId, phase: Phase, progress: Progress, now: Timestamp) {
        let seen = self.phase(campaign, phase);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.hint.as_ref().map(|old| old.done) != Some(progress.done) {
            seen.grew_at = Some(now);
        }
        seen.hint = Some(progress);
    }

    /// The quality that the jobs' own lines state.
    pub fn logged_quality(&self, campaign: &CampaignId, phase: Phase) -> Option<f64> {
        let seen = self.phase(campaign, phase);
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.hint.as_ref().and_then(|hint| hint.quality)
    }

    /// The count of a phase.
    pub fn count(&self, campaign: &CampaignId, phase: Phase) -> Count {
        let seen = self.phase(campaign, phase);
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.count()
    }

    /// One sample's score each, and the counts, as the gate needs them.
    pub fn tally(&self, campaign: &CampaignId, phase: Phase) -> Tally {
        let seen = self.phase(campaign, phase);
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.total.clone()
    }

    /// Ids that stand in more than one shard.
    pub fn shared_ids(&self, campaign: &CampaignId, phase: Phase) -> u64 {
        let seen = self.phase(campaign, phase);
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let each: u64 = seen
            .shards
            .values()
            .map(|(_, tally)| tally.distinct())
            .sum();
        each.saturating_sub(seen.total.distinct())
    }

    /// Forgets a campaign.
    pub fn forget(&self, campaign: &CampaignId) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases.retain(|(id, _), _| id != campaign);
    }
}

impl PhaseSeen {
    fn look(&mut self, shard: u32, file: &Path, now: Timestamp) -> io::Result<ShardCount> {
        let fresh = || (RowReader::new(file), Tally::default());
        let (reader, tally) = self.shards.entry(shard).or_insert_with(fresh);
        let before = self.total.distinct();
        let mut rewritten = false;
        let mut new = Tally::default();
        loop {
            let found = reader.read_new(LOOK_BYTES, |_, line| new.add_line(line))?;
            if found.restarted {
                // The file is another one, or was cut: what it held counts no more.
                (rewritten, *tally, new) = (true, Tally::default(), Tally::default());
            }
            if !found.more {
                break;
            }
        }
        tally.merge(&new);
        let count = ShardCount {
            rows: tally.rows(),
            distinct: tally.distinct(),
            invalid: tally.invalid(),
            duplicates: tally.duplicates(),
        };
        if rewritten {
            self.total = Tally::default();
            self.shards
                .values()
                .for_each(|(_, each)| self.total.merge(each));
        } else {
            self.total.merge(&new);
        }
        if self.total.distinct() > before || self.grew_at.is_none() {
            self.grew_at = Some(now);
        }
        self.looks.push_back((now, self.total.distinct()));
        while self.looks.len() > 2 && now.0 - self.looks[0].0.0 > RATE_WINDOW_MS {
            self.looks.pop_front();
        }
        Ok(count)
    }

    fn count(&self) -> Count {
        let hint = self
            .hint
            .as_ref()
            .and_then(|hint| Some((hint.done?, hint.total?)));
        Count {
            distinct: self.total.distinct(),
            duplicates: self.total.duplicates(),
            invalid: self.total.invalid(),
            accepted: self.total.accepted(),
            quality: self.total.quality(),
            rate_per_second: self.rate(),
            grew_at: self.grew_at,
            hint,
        }
    }

    fn rate(&self) -> Option<f64> {
        let (first, last) = (self.looks.front()?, self.looks.back()?);
        let seconds = last.0.since(first.0).as_secs_f64();
        (seconds > 0.0 && last.1 > first.1).then(|| (last.1 - first.1) as f64 / seconds)
    }
}
