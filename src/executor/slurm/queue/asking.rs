//! Which call is next: what ends jobs first, then what is seen of them, then new ones, as far as the budget goes.

use super::{Dirs, Next, Queue, seen::Stage, unit::Unit};
use crate::{
    executor::slurm::calls::{Call, Inquiry},
    time::Timestamp,
};
use std::{collections::BTreeSet, io, time::Duration};

/// The first early poll comes after this; each further one after twice as long, up to the interval.
const HURRY: Duration = Duration::from_secs(5);
/// What cannot be written down now is tried again after this.
const SOON: Duration = Duration::from_secs(5);
/// The share of the budget's burst that early polls leave alone.
const RESERVE: u32 = 4;
/// Accounting is asked about names from this long before their submission: clocks differ.
const BEFORE: Duration = Duration::from_secs(3600);

impl Queue {
    /// The next call, or when to ask again. The caller makes one call at a time.
    pub fn next(&mut self, dirs: &mut dyn Dirs, now: Timestamp) -> Next {
        self.bucket.fill(self.pace.rate, now);
        self.save(dirs);
        if let Some(silence) = &self.contact.silence
            && now < silence.next
            && self.has_work()
        {
            return Next::Wait(silence.next);
        }
        // A ping costs nothing; what follows is decided again when it was answered.
        match self.wanted(dirs, now, !self.contact.stale(now)) {
            Next::Call(_) if self.contact.stale(now) => Next::Call(Call::Ping),
            next => next,
        }
    }

    fn units(&self) -> impl Iterator<Item = &Unit> {
        self.jobs.values().flat_map(|followed| &followed.units)
    }

    fn has_work(&self) -> bool {
        let idle = |unit: &Unit| {
            let fresh = matches!(unit.stage, Stage::Fresh(..));
            !unit.is_followed() && !fresh && !unit.wants_cancel() && unit.extra.is_empty()
        };
        !self.units().all(idle)
    }

    /// What there is to do; nothing is noted as begun unless `really`.
    fn wanted(&mut self, dirs: &mut dyn Dirs, now: Timestamp, really: bool) -> Next {
        if let Some(cancel) = self.cancellation() {
            if really {
                self.bucket.spend();
            }
            return Next::Call(cancel);
        }
        let calls = self.bucket.calls();
        let poll_due = self.poll_due(now);
        let mut wait = poll_due;
        let soonest = |wait: &mut Option<Timestamp>, at: Timestamp| {
            *wait = Some(wait.map_or(at, |other| other.min(at)));
        };
        if calls == 0 {
            return match self.has_work() {
                true => Next::Wait(self.bucket.when(1, self.pace.rate)),
                false => Next::Idle,
            };
        }
        if poll_due.is_some_and(|due| due <= now) {
            if really {
                self.bucket.spend();
            }
            return Next::Call(Call::Queue);
        }
        if let Some(inquiry) = self.inquiry() {
            if really {
                self.bucket.spend();
            }
            return Next::Call(Call::Accounts(inquiry));
        }
        let due = self.next_submission();
        if let Some(at) = due {
            // One call is left for the poll, unless nothing is there to poll.
            let needed = if poll_due.is_some() { 2 } else { 1 };
            if at > now {
                soonest(&mut wait, at);
            } else if calls < needed {
                soonest(&mut wait, self.bucket.when(needed, self.pace.rate));
            } else if !really {
                return Next::Call(Call::Queue);
            } else {
                match self.submit(dirs, now) {
                    Some(call) => {
                        self.bucket.spend();
                        return Next::Call(call);
                    }
                    None => soonest(&mut wait, now.after(SOON)),
                }
            }
        }
        wait.map_or(Next::Idle, Next::Wait)
    }

    /// All cancellations at once.
    fn cancellation(&self) -> Option<Call> {
        if self.cancel_failed {
            return None;
        }
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for followed in self.jobs.values() {
            for (unit, part) in followed.units.iter().zip(&followed.handle.parts) {
                ids.extend(unit.extra.iter().copied());
                match unit.stage {
                    Stage::Known(id) if unit.wants_cancel() => _ = ids.insert(id),
                    Stage::Doubt(_) if unit.wants_cancel() => _ = names.insert(part.name.clone()),
                    _ => {}
                }
            }
        }
        (!ids.is_empty() || !names.is_empty()).then_some(Call::Cancel { ids, names })
    }

    /// When the queue is to be seen next; none while nothing needs it.
    fn poll_due(&self, now: Timestamp) -> Option<Timestamp> {
        if !self.units().any(Unit::is_followed) {
            return None;
        }
        let Some(last) = self.polled_at else {
            return Some(self.earliest_doubt().unwrap_or(now));
        };
        let regular = last.after(self.pace.interval * self.contact.stretch);
        let unsettled = self.units().any(Unit::is_unsettled);
        if !unsettled || self.bucket.calls() <= self.pace.rate.burst / RESERVE {
            return Some(regular);
        }
        let pause = HURRY.saturating_mul(1 << self.hurried.min(10));
        let early = last.after(pause.min(self.pace.interval)).min(regular);
        let doubt = self.earliest_doubt();
        Some(doubt.map_or(early, |at| early.max(at)).min(regular))
    }

    /// A submission that timed out may still be on its way: a look before this would see nothing. None without one.
    fn earliest_doubt(&self) -> Option<Timestamp> {
        let doubts = self.units().filter_map(|unit| match &unit.stage {
            Stage::Doubt(doubt) => Some(doubt.since.after(HURRY)),
            _ => None,
        });
        doubts.min()
    }

    /// What accounting is to be asked, once after each poll.
    fn inquiry(&self) -> Option<Inquiry> {
        if self.accounts_asked {
            return None;
        }
        let mut inquiry = Inquiry {
            since: Timestamp(i64::MAX),
            ..Inquiry::default()
        };
        for followed in self.jobs.values() {
            for (unit, part) in followed.units.iter().zip(&followed.handle.parts) {
                match &unit.stage {
                    Stage::Doubt(doubt) if doubt.absent > 0 && !doubt.not_in_accounts => {
                        inquiry.names.insert(part.name.clone());
                        let from = doubt.since.0.saturating_sub(BEFORE.as_millis() as i64);
                        inquiry.since = inquiry.since.min(Timestamp(from));
                    }
                    Stage::Known(id) if unit.missing().next().is_some() => {
                        inquiry.ids.insert(*id);
                    }
                    _ => {}
                }
            }
        }
        (!inquiry.ids.is_empty() || !inquiry.names.is_empty()).then_some(inquiry)
    }

    fn next_submission(&self) -> Option<Timestamp> {
        let fresh = self.units().filter_map(|unit| match unit.stage {
            Stage::Fresh(not_before, _) => Some(not_before),
            _ => None,
        });
        fresh.min()
    }

    /// Notes durably that a part is about to be submitted; then it may be.
    fn submit(&mut self, dirs: &mut dyn Dirs, now: Timestamp) -> Option<Call> {
        for (job, followed) in &mut self.jobs {
            for part in 0..followed.units.len() {
                let Stage::Fresh(not_before, _) = followed.units[part].stage else {
                    continue;
                };
                if not_before > now {
                    continue;
                }
                let mut handle = followed.handle.clone();
                handle.parts[part].tried_at = Some(now);
                let written = dirs
                    .script(job, part as u32, &handle)
                    .and_then(|script| dirs.write_handle(job, &handle).map(|()| script));
                match written {
                    Ok(script) => {
                        followed.handle = handle;
                        followed.units[part].stage = Stage::Asked;
                        return Some(Call::Submit {
                            name: followed.handle.parts[part].name.clone(),
                            script,
                        });
                    }
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                        followed.units[part].stage = Stage::Refused(error.to_string());
                    }
                    Err(error) => {
                        let why = Some(error.to_string());
                        followed.units[part].stage = Stage::Fresh(now.after(SOON), why);
                    }
                }
            }
        }
        None
    }
}
