//! One submission: a part of a job, from the intention to its last task.

use super::{
    Dirs, SchedulerEnd,
    seen::{Doubt, Row, Seen, Stage},
};
use crate::{
    executor::slurm::{
        calls::{AccountRow, Indices, QueueRow},
        handle::Part,
        words::{Meaning, State},
    },
    ids::EffectId,
    machines::job::Cause,
    time::Timestamp,
};
use std::{collections::BTreeSet, io, time::Duration};

/// A part that two polls do not show, though it may have been submitted, was not.
pub const LOOKS_FOR_A_PART: u32 = 2;
/// The scheduler's word for an end counts when it was said twice: a shim's own word may be on its way through the network.
const LOOKS_FOR_AN_END: u32 = 2;
/// So many polls are waited for what the scheduler says of an end that the job directory tells.
pub const LOOKS_FOR_A_WORD: u32 = 2;
/// A task that the queue does not show, that the accounts do not know, and that gives no sign of life, asked so often and
/// over so long, is gone.
const UNKNOWN_TO_ACCOUNTS: (u32, Duration) = (3, Duration::from_secs(180));
/// The same where the accounts do not answer: the queue alone is believed then.
const WITHOUT_ACCOUNTS: (u32, Duration) = (5, Duration::from_secs(300));
/// The same where the accounts say that it runs: they never hear of a job whose end they missed.
const STALE_ACCOUNTS: (u32, Duration) = (10, Duration::from_secs(900));
/// A cancellation that so many polls do not show is sent again.
const LOOKS_FOR_A_CANCEL: u32 = 3;

/// Whose unit it is, and where its directory is.
pub struct Place<'a> {
    /// The job.
    pub job: &'a EffectId,
    /// Shards by index.
    pub shards: &'a [u32],
    /// The directories.
    pub dirs: &'a mut dyn Dirs,
    /// When this is.
    pub now: Timestamp,
}

/// One submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where it is.
    pub stage: Stage,
    /// Its tasks, by index.
    pub tasks: Vec<Seen>,
    /// It was found, not submitted.
    pub adopted: bool,
    /// It is being ended.
    pub ending: bool,
    /// Polls since a cancellation was taken; none before.
    pub cancelled: Option<u32>,
    /// Its id is known to be its own: it was told so, or seen so. Ids on disk may be somebody else's by now.
    pub confirmed: bool,
    /// How often in a row it was submitted again because it was nowhere.
    pub resubmissions: u32,
    /// Further jobs of its name, which are one too many.
    pub extra: BTreeSet<u64>,
}

impl Unit {
    /// What is written down of a part.
    pub fn of(part: &Part, now: Timestamp) -> Self {
        let stage = match (part.id, part.tried_at) {
            (Some(id), _) => Stage::Known(id),
            (None, Some(since)) => Stage::Doubt(Doubt {
                // The clock may have been set back since.
                since: since.min(now),
                why: "campaignd ended while it was being submitted".into(),
                absent: 0,
                not_in_accounts: false,
            }),
            (None, None) => Stage::Fresh(Timestamp(i64::MIN), None),
        };
        Self {
            adopted: !matches!(stage, Stage::Fresh(..)),
            stage,
            tasks: vec![Seen::default(); part.count as usize],
            ending: false,
            cancelled: None,
            confirmed: false,
            resubmissions: 0,
            extra: BTreeSet::new(),
        }
    }

    /// It is to end.
    pub fn end(&mut self) {
        self.ending = true;
        if matches!(self.stage, Stage::Fresh(..)) {
            self.stage = Stage::Dropped;
        }
    }

    /// Whether nothing of it is left.
    pub fn is_ended(&self) -> bool {
        match self.stage {
            Stage::Refused(_) | Stage::Dropped => true,
            Stage::Known(_) => self.settled() && (self.cancelled.is_some() || !self.confirmed),
            _ => false,
        }
    }

    /// Whether every task is over by its job directory.
    pub fn settled(&self) -> bool {
        self.tasks.iter().all(|seen| seen.over)
    }

    /// Whether the queue has to be seen for it.
    pub fn is_followed(&self) -> bool {
        match self.stage {
            Stage::Doubt(_) => true,
            Stage::Known(_) => {
                !self.settled() || self.waits_for_a_word() || (self.ending && !self.is_ended())
            }
            _ => false,
        }
    }

    /// Whether it had better be seen soon.
    pub fn is_unsettled(&self) -> bool {
        match self.stage {
            Stage::Doubt(_) => true,
            Stage::Known(_) => {
                self.waits_for_a_word()
                    || (self.ending && !self.settled())
                    || self
                        .tasks
                        .iter()
                        .any(|seen| !seen.over && (seen.ended > 0 || seen.absent > 0))
            }
            _ => false,
        }
    }

    fn waits_for_a_word(&self) -> bool {
        self.tasks.iter().any(Seen::waits_for_a_word)
    }

    /// Whether a cancellation is to be sent: never sent so far, or without effect.
    pub fn wants_cancel(&self) -> bool {
        let sendable = match self.stage {
            Stage::Known(_) => self.confirmed,
            Stage::Doubt(_) => true,
            _ => false,
        };
        let again = self
            .cancelled
            .is_none_or(|polls| polls >= LOOKS_FOR_A_CANCEL && !self.settled());
        self.ending && sendable && again
    }

    /// `918280_3`: a task by the scheduler's id.
    pub fn handle_of(&self, index: u32) -> String {
        match self.stage {
            Stage::Known(id) if self.tasks.len() > 1 => format!("{id}_{index}"),
            Stage::Known(id) => id.to_string(),
            _ => String::new(),
        }
    }

    /// Takes the rows of its name from the queue. Gives whether its id was learned.
    ///
    /// # Errors
    /// The job directory cannot be read or written: the rows are seen again.
    pub fn polled(&mut self, rows: &[&QueueRow], place: &mut Place<'_>) -> io::Result<bool> {
        if let Some(polls) = &mut self.cancelled {
            *polls = polls.saturating_add(1);
        }
        let learned = self.find_itself(rows.iter().map(|row| row.id).collect(), place)?;
        let Stage::Known(id) = self.stage else {
            self.absent_from_a_poll();
            return Ok(false);
        };
        self.confirmed |= rows.iter().any(|row| row.id == id);
        self.note_extra(id, rows, place)?;
        let mine: Vec<&&QueueRow> = rows.iter().filter(|row| row.id == id).collect();
        // A row whose list of tasks was not understood says that any of them may be there.
        let unclear = |row: &&&QueueRow| matches!(row.indices, Indices::Unclear(_));
        let unclear = mine.iter().any(unclear);
        for index in 0..self.tasks.len() {
            let at = index as u32;
            let row = mine.iter().rev().find(|row| row.indices.has(at));
            match row {
                Some(row) => self.task_seen(index, row, place)?,
                None if unclear => {}
                None => self.task_absent(index, place)?,
            }
        }
        Ok(learned)
    }

    /// In doubt, a job of its name, or a claim of one, is it.
    fn find_itself(&mut self, ids: BTreeSet<u64>, place: &mut Place<'_>) -> io::Result<bool> {
        if !matches!(self.stage, Stage::Doubt(_)) {
            return Ok(false);
        }
        let claimed = claimer(place)?;
        let Some(id) = claimed.or_else(|| ids.first().copied()) else {
            return Ok(false);
        };
        self.stage = Stage::Known(id);
        self.adopted = true;
        Ok(true)
    }

    fn absent_from_a_poll(&mut self) {
        let cancelled = self.cancelled.is_some();
        if let Stage::Doubt(doubt) = &mut self.stage {
            doubt.absent += 1;
            if self.ending && cancelled {
                self.stage = Stage::Dropped;
            }
        }
    }

    /// Whether it is certain, as far as that can be, that it was never queued.
    pub fn surely_absent(&self) -> bool {
        matches!(&self.stage, Stage::Doubt(doubt) if doubt.absent >= LOOKS_FOR_A_PART && doubt.not_in_accounts)
    }

    /// A second job of its name is one too many: the one that has no claim goes.
    fn note_extra(&mut self, id: u64, rows: &[&QueueRow], place: &mut Place<'_>) -> io::Result<()> {
        let live = |row: &&&QueueRow| matches!(row.state.meaning(), Meaning::Waits | Meaning::Runs);
        let others: BTreeSet<u64> = rows
            .iter()
            .filter(|row| row.id != id)
            .filter(live)
            .map(|row| row.id)
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        if let Some(other) = claimer(place)?.filter(|other| others.contains(other)) {
            self.stage = Stage::Known(other);
            self.extra = others;
            self.extra.remove(&other);
            self.extra.insert(id);
        } else {
            self.extra = others;
        }
        Ok(())
    }

    fn task_seen(&mut self, index: usize, row: &QueueRow, place: &mut Place<'_>) -> io::Result<()> {
        let seen = &mut self.tasks[index];
        (seen.absent, seen.unknown, seen.stale) = (0, 0, 0);
        let known = seen.row.take().map(|row| row.state);
        let state = match (&row.state, known) {
            (State::Cancelled { by: None }, Some(known @ State::Cancelled { .. })) => known,
            (state, _) => state.clone(),
        };
        seen.row = Some(Row {
            state,
            reason: row.reason.clone(),
            nodes: row.nodes.clone(),
            partition: row.partition.clone(),
        });
        match row.state.meaning() {
            Meaning::Over(_) => self.task_over(index, place),
            Meaning::Waits | Meaning::Runs => {
                seen.ended = 0;
                Ok(())
            }
            Meaning::Unclear => Ok(()),
        }
    }

    /// The scheduler calls a task over. Its job directory has the first word; when it has none a second time, the
    /// scheduler's is written there.
    fn task_over(&mut self, index: usize, place: &mut Place<'_>) -> io::Result<()> {
        let shard = place.shards[index];
        if self.tasks[index].over || place.dirs.is_over(place.job, shard)? {
            self.tasks[index].over = true;
            return Ok(());
        }
        self.tasks[index].ended += 1;
        // Accounting, which knows who cancelled it, hears of young jobs some seconds late.
        let looks = match self.tasks[index].is_cancelled_by_nobody() {
            true => 2 * LOOKS_FOR_AN_END,
            false => LOOKS_FOR_AN_END,
        };
        if self.tasks[index].ended < looks {
            return Ok(());
        }
        let row = self.tasks[index].row.clone();
        let row = row.unwrap_or_else(|| Row {
            state: State::Unknown(String::new()),
            reason: String::new(),
            nodes: String::new(),
            partition: String::new(),
        });
        let cause = match row.state.meaning() {
            Meaning::Over(Some(cause)) => cause,
            // It ended, and its shim has not said how: it never began, or its word was lost.
            _ => Cause::Lost,
        };
        self.tell(index, row.state.to_string(), row.reason, cause, place)
    }

    fn tell(
        &mut self,
        index: usize,
        state: String,
        reason: String,
        cause: Cause,
        place: &mut Place<'_>,
    ) -> io::Result<()> {
        let end = SchedulerEnd {
            state,
            reason,
            task: self.handle_of(index as u32),
            cause,
        };
        place.dirs.tell_end(place.job, place.shards[index], &end)?;
        self.tasks[index].over = true;
        Ok(())
    }

    fn task_absent(&mut self, index: usize, place: &mut Place<'_>) -> io::Result<()> {
        let seen = &mut self.tasks[index];
        seen.over = seen.over || place.dirs.is_over(place.job, place.shards[index])?;
        if seen.over && seen.word_since.is_none() {
            return Ok(());
        }
        // Whoever gives signs of life is not gone, whatever the scheduler shows.
        let beat = place.dirs.beat(place.job, place.shards[index])?;
        if seen.absent == 0 || beat != seen.beat {
            (seen.unknown, seen.stale, seen.absent) = (0, 0, 0);
            seen.absent_since = place.now;
            seen.beat = beat;
        }
        seen.absent = seen.absent.saturating_add(1);
        Ok(())
    }

    /// The indices of tasks that the accounts are to be asked about.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        let wanted = |seen: &Seen| {
            let waits = seen.waits_for_a_word();
            let hidden = seen.absent > 0 && (!seen.over || waits);
            hidden || (seen.is_cancelled_by_nobody() && (waits || (!seen.over && seen.ended > 0)))
        };
        let known = matches!(self.stage, Stage::Known(_));
        let tasks = self.tasks.iter().enumerate();
        tasks
            .filter(move |(_, seen)| known && wanted(seen))
            .map(|(index, _)| index)
    }

    /// Takes the rows of its name from the accounts. Gives whether its id was learned.
    ///
    /// # Errors
    /// The job directory cannot be read or written: the accounts are asked again.
    pub fn accounted(&mut self, rows: &[&AccountRow], place: &mut Place<'_>) -> io::Result<bool> {
        let learned = self.find_itself(rows.iter().map(|row| row.id).collect(), place)?;
        let id = match &mut self.stage {
            Stage::Doubt(doubt) => {
                // An answer that was on its way before the first look is none about this.
                doubt.not_in_accounts |= doubt.absent > 0;
                return Ok(false);
            }
            Stage::Known(id) => *id,
            _ => return Ok(false),
        };
        if learned {
            // Whether its tasks are in the queue, the next poll shows.
            return Ok(true);
        }
        for index in self.missing().collect::<Vec<_>>() {
            let at = index as u32;
            let latest = rows.iter().rev();
            let row = latest
                .into_iter()
                .find(|row| row.id == id && row.indices.has(at));
            self.task_accounted(index, row.copied(), place)?;
        }
        Ok(learned)
    }

    fn task_accounted(
        &mut self,
        index: usize,
        row: Option<&AccountRow>,
        place: &mut Place<'_>,
    ) -> io::Result<()> {
        let seen = &mut self.tasks[index];
        let meaning = row.map(|row| row.state.meaning());
        match (row, meaning) {
            (Some(row), Some(Meaning::Over(_))) => {
                seen.row = Some(Row {
                    state: row.state.clone(),
                    reason: String::new(),
                    nodes: row.nodes.clone(),
                    partition: String::new(),
                });
                // Of what the queue shows as well, its word counts: this one tells who cancelled it.
                if seen.absent == 0 {
                    return Ok(());
                }
                self.task_over(index, place)
            }
            _ if seen.absent == 0 => Ok(()),
            (Some(_), _) => {
                seen.stale += 1;
                let gone = seen.gone(seen.stale, STALE_ACCOUNTS, place.now);
                self.gone_if(gone, index, place)
            }
            (None, _) => {
                seen.unknown += 1;
                let gone = seen.gone(seen.unknown, UNKNOWN_TO_ACCOUNTS, place.now);
                self.gone_if(gone, index, place)
            }
        }
    }

    /// The accounts did not answer.
    ///
    /// # Errors
    /// The job directory cannot be written.
    pub fn without_accounts(&mut self, place: &mut Place<'_>) -> io::Result<()> {
        if let Stage::Doubt(doubt) = &mut self.stage {
            // Claims say whether it ever ran; the queue has shown for a while that it does not.
            doubt.not_in_accounts = doubt.absent >= LOOKS_FOR_A_PART;
        }
        for index in self.missing().collect::<Vec<_>>() {
            let seen = &self.tasks[index];
            let gone = seen.gone(seen.absent, WITHOUT_ACCOUNTS, place.now);
            self.gone_if(gone, index, place)?;
        }
        Ok(())
    }

    /// SLURM, asked over and over, knows nothing of a task that it had.
    fn gone_if(&mut self, gone: bool, index: usize, place: &mut Place<'_>) -> io::Result<()> {
        if !gone || self.tasks[index].over {
            return Ok(());
        }
        if place.dirs.is_over(place.job, place.shards[index])? {
            self.tasks[index].over = true;
            return Ok(());
        }
        self.tell(index, String::new(), String::new(), Cause::Lost, place)
    }
}

/// The SLURM job that took a claim of the part.
fn claimer(place: &mut Place<'_>) -> io::Result<Option<u64>> {
    for shard in place.shards {
        if let Some(id) = place.dirs.claimed_by(place.job, *shard)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
