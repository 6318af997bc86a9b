//! Which rows go, and which of those that stay are so similar that they belong in one split.
//!
//! Greedy, best row first: a row goes only if it is verified to be similar enough to a row that stays. So every dropped row
//! has a partner in the data set, a chain a ~ b ~ c cannot drop c for the sake of b, and nothing depends on anything but the
//! order of the rows and their sets.

use super::{
    index::Index,
    signature::{Banding, Signatures, reach},
    text::jaccard,
};

/// Places that are looked at for each pair that may be verified. Of a million short rows, a third of them crowded into 24
/// templates, twice as many of both found one duplicate in 3,000 more.
const LOOKS: usize = 8;

use std::collections::{BTreeMap, btree_map::Entry};

/// Where the sets of the rows are: in memory, or in a file.
pub trait Sets {
    /// Overwrites `into` with the set of a row, ascending and distinct.
    fn set(&self, row: u32, into: &mut Vec<u32>);
}

impl Sets for [Vec<u32>] {
    fn set(&self, row: u32, into: &mut Vec<u32>) {
        into.clone_from(&self[row as usize]);
    }
}

/// What counts as similar, and how much work that may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Jaccard index from which the worse of two rows goes.
    pub drop_at: f64,
    /// Jaccard index from which two rows that stay are tied to one split; not above `drop_at`.
    pub tie_at: f64,
    /// Most pairs that are verified for one row, the most promising ones; 8 times as many places are looked at.
    pub most_checked: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            drop_at: 0.85,
            tie_at: 0.7,
            most_checked: 16,
        }
    }
}

impl Settings {
    /// # Errors
    /// Names the value that makes no sense.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            drop_at, tie_at, ..
        } = *self;
        if !(drop_at > 0.0 && drop_at <= 1.0) {
            return Err(format!("drop_at is {drop_at}, not above 0 and at most 1"));
        }
        if !(tie_at > 0.0 && tie_at <= drop_at) {
            return Err(format!(
                "tie_at is {tie_at}, not above 0 and at most drop_at, {drop_at}"
            ));
        }
        if self.most_checked == 0 {
            return Err("most_checked is 0, so no row would ever be similar".into());
        }
        Ok(())
    }

    /// The banding that finds what these settings ask for.
    pub fn banding(&self) -> Banding {
        Banding::at(self.tie_at)
    }
}

/// A row that goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropped {
    /// It.
    pub row: u32,
    /// The row that stays for it: the most similar one, of several the best.
    pub partner: u32,
    /// How similar they are, verified.
    pub jaccard: f64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Rows that go, best first.
    pub dropped: Vec<Dropped>,
    /// Verified pairs of rows that stay, the better one first. They span the components of similar rows: a pair that would
    /// tie what is tied already is left out, so that there are fewer pairs than rows.
    pub ties: Vec<(u32, u32)>,
    /// Pairs that met and were neither ruled out nor verified, because one row had too many; a pair that met several times
    /// beyond the limit counts as often.
    pub unchecked: u64,
    /// Rows of which that is true.
    pub cut_short: u32,
    /// For each row by its number, its highest verified similarity to a row that stays; 0 where none was verified, and for
    /// rows that go (they have [`Dropped::jaccard`]).
    pub nearest: Vec<f32>,
}

/// Decides on the rows of `order`, best first.
///
/// `signatures` and `fixed` are indexed by row; `order` names each row at most once and may leave some out. Rows that are
/// `fixed` never go; put them first, and whatever is similar to them does. The outcome is the same whatever the rows'
/// numbers are, as long as the order is. It takes at most 250 bytes a row at the default settings, with the signatures and
/// without the sets.
pub fn dedup<S: Sets + ?Sized>(
    order: &[u32],
    fixed: &[bool],
    mut signatures: Signatures,
    sets: &S,
    settings: &Settings,
) -> Found {
    let index = Index::new(order, &mut signatures);
    let mut search = Search {
        order,
        sketches: order
            .iter()
            .map(|row| signatures.sketches[*row as usize])
            .collect(),
        sizes: order
            .iter()
            .map(|row| signatures.sizes[*row as usize])
            .collect(),
        sets,
        settings,
        drop_reach: reach(settings.drop_at),
        tie_reach: reach(settings.tie_at),
        index,
        tied: Components::new(order.len()),
        candidates: Vec::new(),
        verified: Vec::new(),
        groups: Vec::new(),
        own: Vec::new(),
        other: Vec::new(),
        found: Found {
            dropped: Vec::new(),
            ties: Vec::new(),
            unchecked: 0,
            cut_short: 0,
            nearest: vec![0.0; fixed.len()],
        },
    };
    drop(signatures);
    for (place, row) in order.iter().enumerate() {
        search.judge(place as u32, fixed[*row as usize]);
    }
    search.found
}

struct Search<'a, S: ?Sized> {
    order: &'a [u32],
    // By place, as they are looked at.
    sketches: Vec<u128>,
    sizes: Vec<u32>,
    sets: &'a S,
    settings: &'a Settings,
    drop_reach: u32,
    tie_reach: u32,
    index: Index,
    tied: Components,
    // Of the row at hand; here so that no row allocates.
    /// Rows that share a band, most promising first: bits in which the sketches differ, above the place. One number, for it
    /// is sorted faster than two.
    candidates: Vec<u64>,
    verified: Vec<(u32, f64)>,
    groups: Vec<u32>,
    own: Vec<u32>,
    other: Vec<u32>,
    found: Found,
}

impl<S: Sets + ?Sized> Search<'_, S> {
    fn judge(&mut self, place: u32, fixed: bool) {
        let row = self.order[place as usize];
        let unseen = self.gather(place);
        let unverified = self.verify(place, fixed);
        if unseen + unverified > 0 {
            self.found.unchecked += unseen + unverified;
            self.found.cut_short += 1;
        }
        let best = self.verified.iter().copied().reduce(|best, next| {
            let nearer = next.1 > best.1 || (next.1 == best.1 && next.0 < best.0);
            if nearer { next } else { best }
        });
        match best {
            Some((partner, jaccard)) if !fixed && jaccard >= self.settings.drop_at => {
                self.found.dropped.push(Dropped {
                    row,
                    partner: self.order[partner as usize],
                    jaccard,
                });
            }
            _ => self.keep(place, row),
        }
    }

    /// Rows that share a band and are not ruled out by size or sketch. Says how many were not looked at.
    fn gather(&mut self, place: u32) -> u64 {
        let Self {
            sketches,
            sizes,
            candidates,
            ..
        } = self;
        let (sketch, size) = (sketches[place as usize], f64::from(sizes[place as usize]));
        candidates.clear();
        let most = self.settings.most_checked as usize * LOOKS;
        let unseen = self.index.meet(place, most, |other| {
            let differs = (sketch ^ sketches[other as usize]).count_ones();
            if differs > self.tie_reach {
                return;
            }
            let other_size = f64::from(sizes[other as usize]);
            // No two sets are more similar than their sizes.
            if size.min(other_size) / size.max(other_size) >= self.settings.tie_at {
                candidates.push(u64::from(differs) << 32 | u64::from(other));
            }
        });
        candidates.sort_unstable();
        // Who shares several bands came several times.
        candidates.dedup();
        unseen
    }

    /// Compares sets, the most promising first. Says how many candidates are left over.
    fn verify(&mut self, place: u32, fixed: bool) -> u64 {
        self.verified.clear();
        self.groups.clear();
        if self.candidates.is_empty() {
            return 0;
        }
        self.sets.set(self.order[place as usize], &mut self.own);
        let (mut checked, mut left) = (0, 0);
        let size = f64::from(self.sizes[place as usize]);
        for candidate in &self.candidates {
            let (differs, other) = ((candidate >> 32) as u32, *candidate as u32);
            let other_size = f64::from(self.sizes[other as usize]);
            let drops = !fixed
                && differs <= self.drop_reach
                && size.min(other_size) / size.max(other_size) >= self.settings.drop_at;
            let group = self.tied.of(other);
            // A second tie into one component says nothing new.
            if !drops && self.groups.contains(&group) {
                continue;
            }
            if checked == self.settings.most_checked {
                left += 1;
                continue;
            }
            checked += 1;
            self.sets.set(self.order[other as usize], &mut self.other);
            let jaccard = jaccard(&self.own, &self.other);
            self.verified.push((other, jaccard));
            if jaccard >= self.settings.tie_at && !self.groups.contains(&group) {
                self.groups.push(group);
            }
        }
        left
    }

    fn keep(&mut self, place: u32, row: u32) {
        self.index.put(place);
        for (other, jaccard) in &self.verified {
            let other_row = self.order[*other as usize];
            for row in [row, other_row] {
                let nearest = &mut self.found.nearest[row as usize];
                *nearest = nearest.max(*jaccard as f32);
            }
            if *jaccard >= self.settings.tie_at && self.tied.tie(place, *other) {
                self.found.ties.push((other_row, row));
            }
        }
    }
}

/// Ties among the rows that are left when others have gone since, by their new numbers (`left`; none for who is gone). Ties span
/// components sparely: who is gone may have been all that held two others together, so their component is spanned anew.
pub fn bridged(ties: &[(u32, u32)], left: impl Fn(u32) -> Option<u32>) -> Vec<(u32, u32)> {
    let rows = ties.iter().map(|(a, b)| *a.max(b) as usize + 1).max();
    let mut components = Components::new(rows.unwrap_or(0));
    for (a, b) in ties {
        components.tie(*a, *b);
    }
    let mut first: BTreeMap<u32, u32> = BTreeMap::new();
    let mut bridged = Vec::new();
    for row in 0..components.0.len() as u32 {
        let Some(number) = left(row) else { continue };
        let root = components.of(row);
        match first.entry(root) {
            Entry::Vacant(free) => {
                free.insert(number);
            }
            Entry::Occupied(one) => bridged.push((*one.get(), number)),
        }
    }
    bridged
}

/// Rows that are tied, directly or through others, by their places.
struct Components(Vec<u32>);

impl Components {
    fn new(places: usize) -> Self {
        Self((0..places as u32).collect())
    }

    /// The first place of a component.
    fn of(&mut self, mut place: u32) -> u32 {
        while self.0[place as usize] != place {
            let above = self.0[place as usize];
            self.0[place as usize] = self.0[above as usize];
            place = above;
        }
        place
    }

    /// Whether that made one component of two.
    fn tie(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.of(a), self.of(b));
        self.0[a.max(b) as usize] = a.min(b);
        a != b
    }
}
