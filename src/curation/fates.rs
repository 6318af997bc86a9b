//! What becomes of every row: one filter after the other, the best rows first.
//!
//! The result is a function of the set of rows: neither the order of the input nor its shards can change it. A row is
//! dropped for another only if that other one stands when it is judged.

use super::{
    filters::{balance, diversity},
    near::Dropped,
    words::{Reason, Split},
};
use std::{
    cmp::Ordering,
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

/// A row by what its fate hangs on; about 130 bytes beside its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its id.
    pub id: Box<str>,
    /// All of it, hashed.
    pub content: u64,
    /// Its quality.
    pub score: Option<f32>,
    /// Template and slots, hashed.
    pub structure: Option<u128>,
    /// What it says, normalised and hashed.
    pub text: Option<u128>,
    /// The trajectory that it is or repairs, hashed.
    pub source: u128,
    /// Number of its template.
    pub template: Option<u32>,
    /// Number of its analysis type.
    pub kind: Option<u32>,
    /// Analysis type, outcome and complexity, hashed.
    pub stratum: u64,
    /// Whether what it tells of went well.
    pub success: Option<bool>,
    /// Why it is not wanted, whatever the others are.
    pub refused: Option<Reason>,
    /// Where an earlier data set tests on it.
    pub frozen: Option<Split>,
}

impl Key {
    /// What an earlier data set tests on first, then the best score, then id and content: a full order.
    pub fn rank(&self, other: &Key) -> Ordering {
        let score = |key: &Key| key.score.unwrap_or(-1.0);
        other
            .frozen
            .is_some()
            .cmp(&self.frozen.is_some())
            .then_with(|| score(other).total_cmp(&score(self)))
            .then_with(|| self.id.cmp(&other.id))
            .then_with(|| self.content.cmp(&other.content))
    }
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It stays.
    Kept,
    /// It goes.
    Dropped {
        /// Why.
        reason: Reason,
        /// The row that it goes for.
        partner: Option<u32>,
        /// How similar they are, 0 to 1.
        similarity: Option<f32>,
    },
}

/// The fates of all rows, in the order given.
#[derive(Debug)]
pub struct Fates<'a> {
    keys: &'a [Key],
    fates: Vec<Fate>,
    /// Best first; those that stand.
    order: Vec<u32>,
}

impl<'a> Fates<'a> {
    /// Those that are refused whatever the others are have theirs already.
    pub fn new(keys: &'a [Key]) -> Self {
        let fate = |key: &Key| match key.refused {
            Some(reason) => alone(reason),
            None => Fate::Kept,
        };
        let fates: Vec<Fate> = keys.iter().map(fate).collect();
        let mut order: Vec<u32> = (0..u32::try_from(keys.len()).expect("rows are counted by u32"))
            .filter(|row| fates[*row as usize] == Fate::Kept)
            .collect();
        order.sort_unstable_by(|a, b| keys[*a as usize].rank(&keys[*b as usize]));
        Self { keys, fates, order }
    }

    /// Those that stand, best first.
    pub fn standing(&self) -> &[u32] {
        &self.order
    }

    /// The fate of every row.
    pub fn all(&self) -> &[Fate] {
        &self.fates
    }

    /// An id is kept once.
    pub fn ids(&mut self) {
        self.once(Reason::DuplicateId, |key| Some(&*key.id));
    }

    /// Template and slots are kept once.
    pub fn structures(&mut self) {
        self.once(Reason::DuplicateStructure, |key| key.structure);
    }

    /// A text is kept once, among rows that no template made: those are told apart by their slots.
    pub fn texts(&mut self) {
        self.once(Reason::DuplicateText, |key| {
            key.text.filter(|_| key.structure.is_none())
        });
    }

    /// Rows that overlap with an evaluation set go, each with its similarity.
    pub fn contaminated(&mut self, found: &HashMap<u32, f32>) {
        for (row, similarity) in found {
            let fate = &mut self.fates[*row as usize];
            if *fate == Fate::Kept {
                *fate = Fate::Dropped {
                    reason: Reason::Contaminated,
                    partner: None,
                    similarity: Some(*similarity),
                };
            }
        }
        self.go_on();
    }

    /// Those that are nearly the same as a better one go.
    pub fn near(&mut self, found: &[Dropped]) {
        for dropped in found {
            self.fates[dropped.row as usize] = Fate::Dropped {
                reason: Reason::NearDuplicate,
                partner: Some(dropped.partner),
                similarity: Some(dropped.jaccard as f32),
            };
        }
        self.go_on();
    }

    /// Failures are at most a share of what stays.
    pub fn balance(&mut self, max_failure_share: f64) {
        let keys = self.keys;
        let dropped = balance(
            &self.order,
            |row| keys[row as usize].success,
            max_failure_share,
        );
        self.drop_all(&dropped, Reason::OutcomeBalance);
    }

    /// One analysis type is at most a share of what stays.
    pub fn diversity(&mut self, max_type_share: f64) {
        let keys = self.keys;
        let dropped = diversity(&self.order, |row| keys[row as usize].kind, max_type_share);
        self.drop_all(&dropped, Reason::Diversity);
    }

    fn drop_all(&mut self, rows: &[u32], reason: Reason) {
        for row in rows {
            // What an earlier data set tests on is no matter of taste.
            if self.keys[*row as usize].frozen.is_none() {
                self.fates[*row as usize] = alone(reason);
            }
        }
        self.go_on();
    }

    fn once<K: Eq + Hash>(&mut self, reason: Reason, of: impl Fn(&'a Key) -> Option<K>) {
        let mut first = HashMap::new();
        for row in &self.order {
            let Some(key) = of(&self.keys[*row as usize]) else {
                continue;
            };
            match first.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(*row);
                }
                Entry::Occupied(taken) => {
                    self.fates[*row as usize] = Fate::Dropped {
                        reason,
                        partner: Some(*taken.get()),
                        similarity: Some(1.0),
                    };
                }
            }
        }
        self.go_on();
    }

    fn go_on(&mut self) {
        let fates = &self.fates;
        self.order.retain(|row| fates[*row as usize] == Fate::Kept);
    }
}

fn alone(reason: Reason) -> Fate {
    Fate::Dropped {
        reason,
        partner: None,
        similarity: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, score: f32) -> Key {
        Key {
            id: id.into(),
            content: 0,
            score: Some(score),
            structure: None,
            text: None,
            source: 0,
            template: None,
            kind: None,
            stratum: 0,
            success: None,
            refused: None,
            frozen: None,
        }
    }

    fn for_another(reason: Reason, partner: u32) -> Fate {
        Fate::Dropped {
            reason,
            partner: Some(partner),
            similarity: Some(1.0),
        }
    }

    #[test]
    fn the_best_of_those_that_say_the_same_stays_in_any_order() {
        let mut keys = vec![key("a", 0.8), key("b", 0.9), key("c", 0.7), key("b", 0.2)];
        (keys[0].text, keys[1].text) = (Some(1), Some(1));
        keys[2].refused = Some(Reason::Trivial);
        let judge = |keys: &[Key]| {
            let mut fates = Fates::new(keys);
            fates.ids();
            fates.structures();
            fates.texts();
            fates.all().to_vec()
        };
        let fates = judge(&keys);
        assert_eq!(
            fates,
            vec![
                for_another(Reason::DuplicateText, 1),
                Fate::Kept,
                alone(Reason::Trivial),
                for_another(Reason::DuplicateId, 1),
            ]
        );
        keys.reverse();
        let turned = judge(&keys);
        assert_eq!(turned[2], Fate::Kept);
        assert_eq!(turned[3], for_another(Reason::DuplicateText, 2));
    }

    #[test]
    fn what_goes_takes_nobody_with_it() {
        // b goes for its id, so that a, which says what b says, stays.
        let mut keys = vec![key("a", 0.5), key("b", 0.6), key("b", 0.9)];
        (keys[0].text, keys[1].text) = (Some(1), Some(1));
        let mut fates = Fates::new(&keys);
        fates.ids();
        fates.texts();
        assert_eq!(fates.standing(), [2, 0]);
    }

    #[test]
    fn texts_of_one_template_are_told_apart_by_their_slots() {
        let mut keys = vec![key("a", 0.5), key("b", 0.6), key("c", 0.7)];
        for (key, structure) in keys.iter_mut().zip([1, 2, 1]) {
            (key.text, key.structure) = (Some(9), Some(structure));
        }
        let mut fates = Fates::new(&keys);
        fates.structures();
        fates.texts();
        assert_eq!(fates.standing(), [2, 1]);
    }

    #[test]
    fn an_earlier_test_row_is_better_than_any_score() {
        let mut keys = vec![key("a", 0.9), key("b", 0.1)];
        for key in &mut keys {
            key.text = Some(1);
        }
        keys[1].frozen = Some(Split::Test);
        let mut fates = Fates::new(&keys);
        fates.texts();
        assert_eq!(fates.standing(), [1]);
    }
}
