//! What is known of every item: its attempts, read from their job directories.

use super::{
    hands::{self, Live, Seen},
    item::{Item, Worker},
    judge::{judge, running_for},
    place::Place,
    tables::Tables,
};
use crate::{
    executor::job_dir::{JobDir, Request},
    experiment::{
        Vocabulary,
        attempts::{Course, Ended, course, smallest, times},
        config::said,
        plan::Plan,
        status::Row,
    },
    ids::EffectId,
    parameters::Assignment,
    time::{Timestamp, two_units},
};
use std::{io, path::Path, time::Duration};

/// An item and its attempts.
#[derive(Clone, Debug)]
pub struct Followed {
    /// What it is.
    pub item: Item,
    /// How its attempts ended; none: it has not.
    pub ends: Vec<Option<Ended>>,
    /// The attempt that has not ended.
    pub(super) live: Option<Live>,
    /// Somebody wants it once more, should it have failed.
    pub(super) again: bool,
    /// Nothing more is done with it.
    pub(super) settled: bool,
    /// Its latest attempt was seen running.
    pub(super) begun: bool,
    /// The log says that its latest attempt was handed in.
    pub(super) told: bool,
    /// What it prints could not be shown.
    pub(super) unshown: bool,
    /// Values of its latest attempt over those planned.
    pub(super) over: Assignment,
    /// An attempt whose job directory is gone, before that is written down.
    pub(super) gone: Option<Ended>,
}

impl Followed {
    /// What is done next.
    pub fn course(&self, words: &Vocabulary, plan: &Plan) -> Course {
        let planned = plan.settings(&self.item.run);
        let halves = self.item.worker == Worker::Torchtune;
        course(words, &planned, &self.ends, (halves, self.again))
    }

    /// Whether its last attempt did what was asked.
    pub fn is_done(&self) -> bool {
        let last = self.ends.last().and_then(Option::as_ref);
        last.is_some_and(|ended| ended.done)
    }

    /// Values over those planned with which its files may be: a batch that was halved as often as memory ran out, or fewer.
    pub fn overs(&self, words: &Vocabulary, plan: &Plan) -> Vec<Assignment> {
        let planned = plan.settings(&self.item.run);
        overs(words, &planned, times(&self.ends))
    }

    /// Whether an attempt that nobody judged yet ended well; none while it has not ended.
    pub(super) fn ended_well(&self, dir: &Path) -> Option<bool> {
        let exit = self.live.as_ref()?.dir.read_exit(0).ok()??;
        Some(exit.cause().is_none() && self.item.missing(dir).is_none())
    }

    /// Whether an attempt has not ended, as far as anybody wrote down.
    pub fn is_open(&self) -> bool {
        self.live.is_some()
    }

    /// Its row, as its job directories say it now: nobody is asked.
    pub fn glance(&self, dir: &Path, row: &Row, now: Timestamp) -> Row {
        let mut row = row.clone();
        let Some(mut live) = self.live.clone() else {
            let last = self.ends.last().cloned().flatten();
            return last.map_or(row, |last| self.row(&last));
        };
        let seen = hands::glance(&mut live);
        let missing = match &seen {
            Seen::Ended(_) => self.item.unproved(dir, live.began),
            _ => None,
        };
        if let Some(mut ended) = judge(&live, &seen, missing) {
            if let Seen::Lost(why) = seen {
                ended.note = why;
            }
            return self.row(&ended);
        }
        if let Seen::Unknown(why) = &seen {
            row.note = self.about(why);
        }
        if seen == Seen::Running {
            row.state = "RUNNING".into();
            row.duration = running_for(&live, now).map(two_units);
        }
        row.job = live.job.or(row.job);
        row
    }

    /// What its row says of an attempt besides its state.
    pub(super) fn about(&self, note: &str) -> String {
        let attempt = match self.ends.len() {
            0 | 1 => String::new(),
            number if self.over.is_empty() => format!("attempt {number}"),
            number => format!("attempt {number}: {}", said(&self.over)),
        };
        let parts = [attempt.as_str(), note];
        let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        said.join("; ")
    }

    /// Its row after an attempt ended.
    pub(super) fn row(&self, ended: &Ended) -> Row {
        Row {
            name: self.item.name.clone(),
            state: ended.state.clone(),
            job: ended.job.clone(),
            duration: ended
                .seconds
                .map(|seconds| two_units(Duration::from_secs(seconds))),
            note: self.about(&ended.note),
        }
    }
}

/// Values over those planned after none and up to so many times out of memory, each once.
pub(super) fn overs(words: &Vocabulary, planned: &Assignment, times: u32) -> Vec<Assignment> {
    let mut all = vec![Assignment::new()];
    for times in 1..=times {
        let over = smallest(words, planned, times);
        if !all.contains(&over) {
            all.push(over);
        }
    }
    all
}

/// An attempt that has not ended.
pub(super) fn live(id: EffectId, dir: JobDir, request: Request) -> Live {
    Live {
        id,
        dir,
        request,
        launched: false,
        job: None,
        began: None,
        shim: None,
    }
}

/// Every item with its attempts, and attempts that have not ended and are of none of them.
///
/// # Errors
/// Those of reading the job directories.
pub(super) fn all(
    place: &Place,
    tables: &Tables,
    words: &Vocabulary,
    again: bool,
) -> io::Result<(Vec<Followed>, Vec<EffectId>)> {
    let mut found = place.attempts()?;
    let mut all = Vec::new();
    for item in Item::all(tables.plan()) {
        let numbers = found.remove(&item.stem).unwrap_or_default();
        let mut one = one(place, tables, (item, numbers), again)?;
        if one.item.worker == Worker::Torchtune {
            let earlier = one.ends.len().saturating_sub(1);
            let planned = tables.plan().settings(&one.item.run);
            one.over = smallest(words, &planned, times(&one.ends[..earlier]));
        }
        all.push(one);
    }
    let mut strangers = Vec::new();
    for (stem, numbers) in found {
        for number in numbers {
            let id = stem.effect(number);
            if place.ended(&id)?.is_none() && place.job(&id).read_exit(0)?.is_none() {
                strangers.push(id);
            }
        }
    }
    Ok((all, strangers))
}

fn one(
    place: &Place,
    tables: &Tables,
    (item, numbers): (Item, Vec<u64>),
    again: bool,
) -> io::Result<Followed> {
    let (mut ends, mut open, mut gone) = (Vec::new(), None, None);
    let last = numbers.last().copied().unwrap_or(0);
    for number in 1..=last {
        let id = item.attempt(number);
        let ended = match numbers.contains(&number) {
            true => place.ended(&id)?,
            false => Some(Ended::gone()),
        };
        if ended.is_none() && number < last {
            // A later attempt says that this one ended, of memory or on a word; nobody wrote down how.
            ends.push(Some(Ended::gone()));
            continue;
        }
        if ended.is_none() {
            let dir = place.job(&id);
            let request = dir.read_request()?;
            open = Some(live(id, dir, request));
        }
        ends.push(ended);
    }
    let row = tables.row(&item);
    if last == 0 && row.job.is_some() {
        // It was launched, says the table, and nothing of it is left to look at.
        let ended = Ended {
            state: match row.state.as_str() {
                "PENDING" | "RUNNING" | "COMPLETED" => "FAILED".into(),
                state => state.into(),
            },
            job: row.job.clone(),
            note: "its job directory is gone; --again launches it once more".into(),
            ..Ended::default()
        };
        gone = Some(ended.clone());
        ends.push(Some(ended));
    }
    // What still runs, should it fail, was not asked for again.
    let again = again && open.is_none();
    Ok(Followed {
        over: Assignment::new(),
        item,
        ends,
        live: open,
        again,
        settled: false,
        begun: false,
        told: false,
        unshown: false,
        gone,
    })
}
