//! What answers mean, and what no answer does not.

use super::{
    Dirs, Followed, Queue,
    seen::{Doubt, Stage},
    unit::{Place, Unit},
};
use crate::{
    executor::slurm::{
        calls::{AccountRow, Answer, Call, QueueRow, Unanswered},
        handle::Part,
    },
    ids::EffectId,
    time::Timestamp,
};
use std::{collections::HashMap, time::Duration};

/// What is nowhere after so many submissions, each with the same words that are no silence, is refused in those words.
const MOST_RESUBMISSIONS: u32 = 4;
/// A job that SLURM does not take for now is offered again after this.
const LATER: Duration = Duration::from_secs(60);

impl Queue {
    /// Takes what came of a call, which took so long.
    pub fn heard(
        &mut self,
        call: &Call,
        heard: Result<Answer, Unanswered>,
        took: Duration,
        dirs: &mut dyn Dirs,
        now: Timestamp,
    ) {
        match &heard {
            Ok(Answer::Pong) => self.contact.is_there(now),
            Ok(_) => self.contact.heard(now, took),
            // The controller said this.
            Err(Unanswered::Refused(_) | Unanswered::Later(_)) => self.contact.heard(now, took),
            Err(no) => self.missed(call, no, now),
        }
        match (call, heard) {
            (Call::Submit { name, .. }, heard) => self.submitted(name, heard, dirs, now),
            (Call::Queue, Ok(Answer::Queue(rows))) => self.polled(&rows, dirs, now),
            (Call::Accounts(_), Ok(Answer::Accounts(rows))) => self.accounted(&rows, dirs, now),
            (Call::Accounts(_), Err(_)) => self.without_accounts(dirs, now),
            (Call::Cancel { .. }, Err(_)) => self.cancel_failed = true,
            (Call::Cancel { ids, names }, Ok(_)) => {
                for followed in self.jobs.values_mut() {
                    for (unit, part) in followed.units.iter_mut().zip(&followed.handle.parts) {
                        unit.extra.retain(|id| !ids.contains(id));
                        let told = match unit.stage {
                            Stage::Known(id) => ids.contains(&id),
                            _ => names.contains(&part.name),
                        };
                        if told {
                            unit.cancelled = Some(0);
                        }
                    }
                }
            }
            _ => {}
        }
        self.save(dirs);
    }

    /// A submission whose caller was gone before the answer came may be queued.
    pub fn give_up(&mut self, now: Timestamp) {
        let units = self.jobs.values_mut().flat_map(|job| &mut job.units);
        for unit in units.filter(|unit| unit.stage == Stage::Asked) {
            unit.stage = doubt(now, "its sbatch was given up".into());
        }
    }

    /// No news. Accounting may be down while the controller answers.
    fn missed(&mut self, call: &Call, no: &Unanswered, now: Timestamp) {
        if !matches!(call, Call::Accounts(_)) {
            self.contact.missed(now, no.text());
        }
        // No program to ask with: no SLURM here, and none after a while either.
        if let (Call::Ping, Unanswered::NotAsked(text)) = (call, no) {
            let units = self.jobs.values_mut().flat_map(|job| &mut job.units);
            for unit in units.filter(|unit| matches!(unit.stage, Stage::Fresh(..))) {
                unit.stage = Stage::Refused(text.clone());
            }
        }
    }

    fn submitted(
        &mut self,
        name: &str,
        heard: Result<Answer, Unanswered>,
        dirs: &mut dyn Dirs,
        now: Timestamp,
    ) {
        let Some((job, followed, part)) = self.named(name) else {
            return;
        };
        let ending = followed.units[part].ending;
        let stage = match heard {
            Ok(Answer::Submitted { id }) => {
                followed.handle.parts[part].id = Some(id);
                followed.unsaved = dirs.write_handle(&job, &followed.handle).is_err();
                Stage::Known(id)
            }
            Err(Unanswered::Refused(text) | Unanswered::NotAsked(text)) => Stage::Refused(text),
            Err(Unanswered::Later(_)) if ending => Stage::Dropped,
            Err(Unanswered::Later(text)) => Stage::Fresh(now.after(LATER), Some(text)),
            Ok(other) => doubt(now, format!("sbatch answered {other:?}")),
            Err(Unanswered::Unsure(text)) => doubt(now, text),
        };
        followed.units[part].confirmed |= matches!(stage, Stage::Known(_));
        followed.units[part].stage = stage;
    }

    fn named(&mut self, name: &str) -> Option<(EffectId, &mut Followed, usize)> {
        for (job, followed) in &mut self.jobs {
            let found = followed
                .handle
                .parts
                .iter()
                .position(|part| part.name == name);
            if let Some(part) = found {
                return Some((job.clone(), followed, part));
            }
        }
        None
    }

    fn polled(&mut self, rows: &[QueueRow], dirs: &mut dyn Dirs, now: Timestamp) {
        self.hurried = if self.units_unsettled() {
            self.hurried.saturating_add(1)
        } else {
            0
        };
        self.polled_at = Some(now);
        self.polls = self.polls.wrapping_add(1);
        self.accounts_asked = false;
        self.cancel_failed = false;
        let by_name = by_name(rows, |row| &row.name);
        self.each_unit(dirs, now, |unit, part, place| {
            let mine = by_name.get(part.name.as_str());
            unit.polled(mine.map_or(&[], Vec::as_slice), place)
        });
    }

    fn units_unsettled(&self) -> bool {
        let mut units = self.jobs.values().flat_map(|followed| &followed.units);
        units.any(Unit::is_unsettled)
    }

    fn accounted(&mut self, rows: &[AccountRow], dirs: &mut dyn Dirs, now: Timestamp) {
        self.accounts_asked = true;
        let by_name = by_name(rows, |row| &row.name);
        self.each_unit(dirs, now, |unit, part, place| {
            let mine = by_name.get(part.name.as_str());
            unit.accounted(mine.map_or(&[], Vec::as_slice), place)
        });
    }

    fn without_accounts(&mut self, dirs: &mut dyn Dirs, now: Timestamp) {
        self.accounts_asked = true;
        self.each_unit(dirs, now, |unit, _, place| {
            unit.without_accounts(place).map(|()| false)
        });
    }

    /// Shows every unit what it is told by `tell`, which gives whether the unit learned its id. A job directory that cannot be
    /// read or written now is no news either: the same is told again with the next poll.
    fn each_unit(
        &mut self,
        dirs: &mut dyn Dirs,
        now: Timestamp,
        tell: impl Fn(&mut Unit, &Part, &mut Place<'_>) -> std::io::Result<bool>,
    ) {
        for (job, followed) in &mut self.jobs {
            let parts = followed.handle.parts.clone();
            for (number, (unit, part)) in followed.units.iter_mut().zip(&parts).enumerate() {
                let shards = &followed.shards[part.first as usize..][..part.count as usize];
                let mut place = Place {
                    job,
                    shards,
                    dirs: &mut *dirs,
                    now,
                };
                if matches!(tell(unit, part, &mut place), Ok(true)) {
                    followed.unsaved = true;
                }
                if let Stage::Known(id) = unit.stage {
                    followed.unsaved |= part.id != Some(id);
                    followed.handle.parts[number].id = Some(id);
                }
                if unit.surely_absent() {
                    let again = match &unit.stage {
                        Stage::Doubt(doubt) => doubt.why.clone(),
                        _ => String::new(),
                    };
                    unit.adopted = false;
                    unit.resubmissions += 1;
                    let refused = unit.resubmissions >= MOST_RESUBMISSIONS && !is_silence(&again);
                    unit.stage = match (unit.ending, refused) {
                        (true, _) => Stage::Dropped,
                        (false, true) => Stage::Refused(again),
                        (false, false) => Stage::Fresh(now, Some(again)),
                    };
                }
            }
        }
    }

    /// Writes down what was learned and could not be written at once.
    pub(super) fn save(&mut self, dirs: &mut dyn Dirs) {
        for (job, followed) in &mut self.jobs {
            if followed.unsaved {
                followed.unsaved = dirs.write_handle(job, &followed.handle).is_err();
            }
        }
    }
}

/// Words of who was not heard, by which nobody refuses anything.
fn is_silence(text: &str) -> bool {
    [
        "did not end",
        "imed out",
        "ime out",
        "contact",
        "onnection",
        "took longer",
        "campaignd ended",
        "given up",
    ]
    .iter()
    .any(|words| text.contains(words))
}

fn doubt(since: Timestamp, why: String) -> Stage {
    Stage::Doubt(Doubt {
        since,
        why,
        absent: 0,
        not_in_accounts: false,
    })
}

fn by_name<R>(rows: &[R], name: impl Fn(&R) -> &String) -> HashMap<&str, Vec<&R>> {
    let mut found: HashMap<&str, Vec<&R>> = HashMap::new();
    for row in rows {
        found.entry(name(row).as_str()).or_default().push(row);
    }
    found
}
