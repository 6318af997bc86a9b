//! Rows that must stay together: union-find over the keys that they share.
//!
//! Keys are matched by sorting, not in hash maps: some 50 bytes a row in place of a hundred and more, and no order that
//! changes from run to run.

use super::Member;
use serde::{Deserialize, Serialize};

/// How many times each rule joined two components that the rules before it had left apart. None of the counts depends on
/// the order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ties {
    /// The same template and slots.
    pub structure: u32,
    /// The same free text.
    pub text: u32,
    /// The same source trajectory.
    pub source: u32,
    /// Nearly the same free text.
    pub near: u32,
    /// Pairs that were passed over since one of the two was generated.
    pub passed_over: u32,
}

/// The components of rows.
pub(super) struct Components {
    /// The component of each row.
    pub component: Vec<u32>,
    pub ties: Ties,
    /// The rows, component by component.
    rows: Vec<u32>,
    /// Where each component begins in `rows`, and the end.
    starts: Vec<u32>,
}

impl Components {
    pub fn of(members: &[Member], near: &[(u32, u32)]) -> Self {
        let mut forest = Forest::new(members.len());
        let mut ties = Ties::default();
        let free = |row: u32| members[row as usize].structure.is_none();
        ties.structure = forest.tie(members.len(), |row| (members[row].structure, row));
        ties.text = forest.tie(members.len(), |row| {
            (members[row].text.filter(|_| free(row as u32)), row)
        });
        // A row is tied to those that come from it, whether or not it names itself as its source.
        ties.source = forest.tie(2 * members.len(), |at| match members.get(at) {
            Some(member) => (Some(member.id), at),
            None => (members[at - members.len()].source, at - members.len()),
        });
        for (a, b) in near {
            if free(*a) && free(*b) {
                ties.near += u32::from(forest.join(*a, *b));
            } else {
                ties.passed_over += 1;
            }
        }
        Self::numbered(members, &mut forest, ties)
    }

    /// Numbers components by their smallest id.
    fn numbered(members: &[Member], forest: &mut Forest, ties: Ties) -> Self {
        let count = u32::try_from(members.len()).expect("rows are fewer than 2^32");
        let order = sorted(count, |row| Some(members[row as usize].id));
        let mut number = vec![u32::MAX; members.len()];
        let (mut starts, mut next) = (Vec::new(), 0);
        let mut component = vec![0; members.len()];
        for row in order.iter().copied() {
            let root = forest.root(row) as usize;
            if number[root] == u32::MAX {
                number[root] = next;
                next += 1;
                starts.push(0);
            }
            component[row as usize] = number[root];
            starts[number[root] as usize] += 1;
        }
        let mut end = 0;
        for start in &mut starts {
            (*start, end) = (end, end + *start);
        }
        starts.push(end);
        // Within a component the rows stay in the order of their ids.
        let (mut rows, mut free) = (vec![0; members.len()], starts.clone());
        for row in order {
            let at = &mut free[component[row as usize] as usize];
            rows[*at as usize] = row;
            *at += 1;
        }
        Self {
            component,
            ties,
            rows,
            starts,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Rows of a component.
    pub fn rows(&self, component: usize) -> u32 {
        self.starts[component + 1] - self.starts[component]
    }

    /// The rows of a component, smallest id first.
    pub fn of_component(&self, component: usize) -> impl Iterator<Item = usize> {
        let (from, to) = (self.starts[component], self.starts[component + 1]);
        self.rows[from as usize..to as usize]
            .iter()
            .map(|row| *row as usize)
    }

    /// The smallest id in a component, which is its name.
    pub fn key(&self, members: &[Member], component: usize) -> u128 {
        let first = self.rows[self.starts[component] as usize];
        members[first as usize].id
    }
}

/// Those of `count` numbers that have a key, in the order of their keys, and of themselves where keys are equal. Only
/// heads of keys are moved and mostly compared: they fit the cache where rows do not.
fn sorted(count: u32, key: impl Fn(u32) -> Option<u128>) -> Vec<u32> {
    let head = |number| Some(((key(number)? >> 64) as u64, number));
    let mut heads: Vec<(u64, u32)> = (0..count).filter_map(head).collect();
    heads.sort_unstable_by(|a, b| {
        let whole = |number| (key(number), number);
        a.0.cmp(&b.0).then_with(|| whole(a.1).cmp(&whole(b.1)))
    });
    heads.into_iter().map(|(_, number)| number).collect()
}

/// Sets of rows that are being joined.
struct Forest(Vec<u32>);

impl Forest {
    fn new(rows: usize) -> Self {
        Self((0..u32::try_from(rows).expect("rows are fewer than 2^32")).collect())
    }

    fn root(&mut self, mut row: u32) -> u32 {
        while self.0[row as usize] != row {
            let above = self.0[row as usize];
            // Halving the way keeps later searches short.
            self.0[row as usize] = self.0[above as usize];
            row = above;
        }
        row
    }

    /// Joins two sets; false if they are one already.
    fn join(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
        a != b
    }

    /// Joins the rows of equal keys among `count` pairs of a key and a row; returns how often it joined.
    fn tie(&mut self, count: usize, entry: impl Fn(usize) -> (Option<u128>, usize)) -> u32 {
        let mut joined = 0;
        for pair in sorted(count as u32, |at| entry(at as usize).0).windows(2) {
            let (key, row) = entry(pair[0] as usize);
            let (other_key, other) = entry(pair[1] as usize);
            if key == other_key {
                joined += u32::from(self.join(row as u32, other as u32));
            }
        }
        joined
    }
}
