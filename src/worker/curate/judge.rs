//! Between the two passes: every row's fate, and the split of those that stay.

use super::{Example, Gone, Job, Made, Tell, Told, scan::Scanned, undone};
use crate::{
    curation::{
        asked::Asked,
        fates::{Fate, Fates},
        near::{self, Banding, Dropped, Found, Signatures},
        row::id_key,
        split::{self, Manifest, Member, Placed},
        words::{Reason, Split},
    },
    worker::Undone,
};
use std::{collections::BTreeMap, thread};

/// Examples that are shown for one reason.
const EXAMPLES: usize = 3;
/// Sets that one thread signs at a time.
const BATCH: usize = 4096;

/// What was decided.
#[derive(Debug)]
pub struct Judged {
    /// Of every row.
    pub fates: Vec<Fate>,
    /// Rows that stay, in the order of their ids.
    pub kept: Vec<u32>,
    /// Where each of these belongs.
    pub placed: Placed,
    /// What later data sets are not to train on.
    pub manifest: Manifest,
    /// The similarity of each of these to the nearest other that stays.
    pub nearest: Vec<f32>,
    /// Which split has which question.
    pub asked: Asked,
    /// Pairs that were not compared because a row had too many.
    pub unchecked: u64,
}

/// Decides.
///
/// # Errors
/// Those of the spill file.
pub fn judge(job: &Job, scanned: &Scanned, tell: Tell<'_>) -> Result<Judged, Undone> {
    let settings = &job.settings;
    let keys = &scanned.keys;
    let mut fates = Fates::new(keys);
    let mut say = |stage: &'static str, fates: &Fates<'_>| {
        let standing = fates.standing().len() as u64;
        tell(Told {
            stage,
            done: standing,
            total: standing,
        });
    };
    say("duplicates", &fates);
    fates.ids();
    fates.contaminated(&scanned.contaminated);
    fates.structures();
    fates.texts();
    say("similar", &fates);
    let found = similar(job, scanned, &fates)?;
    fates.near(&found.dropped);
    say("balance", &fates);
    fates.balance(settings.max_failure_share);
    fates.diversity(settings.max_type_share);
    say("split", &fates);
    let mut kept = fates.standing().to_vec();
    kept.sort_unstable_by(|a, b| keys[*a as usize].id.cmp(&keys[*b as usize].id));
    let mut place = vec![u32::MAX; keys.len()];
    for (at, row) in (0..).zip(&kept) {
        place[*row as usize] = at;
    }
    let members: Vec<Member> = kept.iter().map(|row| scanned.member(*row)).collect();
    let ties = near::bridged(&found.ties, |row| {
        Some(place[row as usize]).filter(|at| *at != u32::MAX)
    });
    let split = split::Settings {
        shares: settings.split,
        seed: job.seed,
        unseen_template: settings.unseen_templates,
        keep_out: scanned.against.frozen.keep_out.clone(),
        ..split::Settings::default()
    };
    let placed = split::place(&members, &ties, &split);
    Ok(Judged {
        nearest: kept
            .iter()
            .map(|row| found.nearest[*row as usize])
            .collect(),
        fates: fates.all().to_vec(),
        manifest: Manifest::new(&members, &placed, &split, scanned.against.manifest.as_ref()),
        asked: asked(scanned, &kept, &placed),
        kept,
        placed,
        unchecked: found.unchecked,
    })
}

fn asked(scanned: &Scanned, kept: &[u32], placed: &Placed) -> Asked {
    let mut asked = Asked::default();
    for question in &scanned.against.questions {
        asked.tested(*question);
    }
    for (row, split) in kept.iter().zip(&placed.split) {
        let key = &scanned.keys[*row as usize];
        for said in scanned.said(*row) {
            asked.ask(said.question, id_key(&key.id), *split, key.frozen.is_some());
        }
    }
    asked
}

/// Near-duplicates among the texts that no template made, by the numbers of rows.
fn similar(job: &Job, scanned: &Scanned, fates: &Fates<'_>) -> Result<Found, Undone> {
    let settings = near::Settings {
        drop_at: job.settings.near_duplicate,
        tie_at: job.settings.same_split,
        ..near::Settings::default()
    };
    settings.check()?;
    let free = &scanned.free;
    let order: Vec<u32> = fates
        .standing()
        .iter()
        .map(|row| scanned.set_of[*row as usize])
        .filter(|set| *set != u32::MAX)
        .collect();
    let fixed: Vec<bool> = free
        .iter()
        .map(|row| scanned.keys[*row as usize].frozen.is_some())
        .collect();
    let signatures = signatures(scanned, settings.banding());
    let found = near::dedup(&order, &fixed, signatures, &scanned.sets, &settings);
    scanned
        .sets
        .check()
        .map_err(|error| undone("what was put aside cannot be read", &error))?;
    let row = |set: u32| free[set as usize];
    let mut nearest = vec![0.0; scanned.keys.len()];
    for (set, similarity) in found.nearest.iter().enumerate() {
        nearest[free[set] as usize] = *similarity;
    }
    let dropped = found.dropped.iter().map(|dropped| Dropped {
        row: row(dropped.row),
        partner: row(dropped.partner),
        ..*dropped
    });
    Ok(Found {
        dropped: dropped.collect(),
        ties: found.ties.iter().map(|(a, b)| (row(*a), row(*b))).collect(),
        nearest,
        ..found
    })
}

/// Of all sets, by as many threads as the machine has; the same whatever their number.
fn signatures(scanned: &Scanned, banding: Banding) -> Signatures {
    use crate::curation::near::Sets;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let all = scanned.free.len();
    let mut signatures = Signatures::new(banding);
    signatures.reserve(all);
    let sign = |range: std::ops::Range<usize>| {
        let mut some = Signatures::new(banding);
        let mut set = Vec::new();
        for number in range {
            scanned.sets.set(number as u32, &mut set);
            some.push(&set);
        }
        some
    };
    let mut start = 0;
    while start < all {
        let batches: Vec<_> = (0..threads)
            .map(|n| (start + n * BATCH).min(all)..(start + (n + 1) * BATCH).min(all))
            .collect();
        start = batches.last().map_or(all, |last| last.end);
        let signed: Vec<Signatures> = thread::scope(|scope| {
            let sign = &sign;
            let running: Vec<_> = batches
                .into_iter()
                .map(|batch| scope.spawn(move || sign(batch)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().expect("signing does not panic"))
                .collect()
        });
        for some in signed {
            signatures.append(some);
        }
    }
    signatures
}

impl Judged {
    /// The split of the kept row at a place.
    pub fn split(&self, at: usize) -> Split {
        self.placed.split[at]
    }

    /// Rows that go, in the order of their ids.
    pub fn dropped(&self, scanned: &Scanned) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..)
            .zip(&self.fates)
            .filter(|(_, fate)| **fate != Fate::Kept)
            .map(|(row, _)| row)
            .collect();
        let key = |row: u32| {
            let key = &scanned.keys[row as usize];
            (&key.id, key.content)
        };
        rows.sort_by(|a, b| key(*a).cmp(&key(*b)));
        rows
    }

    /// The counts, with a few examples of what goes.
    pub fn summary(&self, scanned: &Scanned) -> Made {
        let mut removed: BTreeMap<Reason, Gone> = BTreeMap::new();
        let mut go = |reason: Reason, example: &dyn Fn() -> Example| {
            let gone = removed.entry(reason).or_default();
            gone.rows += 1;
            if gone.examples.len() < EXAMPLES {
                gone.examples.push(example());
            }
        };
        for unread in &scanned.unread {
            go(unread.reason, &|| Example {
                id: format!("{}:{}", unread.file, unread.line),
                partner: None,
                similarity: None,
                detail: Some(unread.why.clone()),
            });
        }
        for row in self.dropped(scanned) {
            let Fate::Dropped {
                reason,
                partner,
                similarity,
            } = self.fates[row as usize]
            else {
                continue;
            };
            go(reason, &|| Example {
                id: scanned.keys[row as usize].id.to_string(),
                partner: partner.map(|row| scanned.keys[row as usize].id.to_string()),
                similarity,
                detail: scanned.missing(row).map(|what| format!("no {what}")),
            });
        }
        let mut splits = BTreeMap::new();
        for split in &self.placed.split {
            *splits.entry(split.name()).or_insert(0) += 1;
        }
        Made {
            rows_in: (scanned.keys.len() + scanned.unread.len()) as u64,
            kept: self.kept.len() as u64,
            removed,
            splits,
            ..Made::default()
        }
    }
}
