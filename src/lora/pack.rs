//! The batches of several members put together into one, and apart again.
//!
//! On a machine that computes any number of rows alike, members' rows just follow one another. On the others, where the way a
//! product is computed is chosen for its shape, batches are filled up with tokens that nobody learns from: those of one
//! fine-tune to one of a few lengths, so that few shapes are met; those of a sweep so that every member has a slot of its own,
//! always at the same rows, and every product the same shape in every step, whoever is there.

use super::batch::{Batch, Span};
use std::ops::Range;

/// Tokens of a document that fills up, at most.
const FILLER: usize = 128;

/// Lengths that the batches of one fine-tune have, at most.
const LENGTHS: usize = 8;

/// Where members' rows stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One member's after the other's.
    Dense,
    /// The same, filled up.
    Steps {
        /// What a batch is filled up to a multiple of.
        step: usize,
        /// Positions that the model knows.
        context: usize,
    },
    /// Each in a slot of its own.
    Slots {
        /// What a member's rows are filled up to a multiple of.
        grain: usize,
        /// Rows of each member's slot.
        rows: Vec<usize>,
        /// Positions that the model knows.
        context: usize,
    },
}

impl Layout {
    /// Slots for members whose batches have at most so many tokens.
    pub fn slots(grain: usize, most: &[usize], context: usize) -> Self {
        Self::Slots {
            grain,
            rows: most
                .iter()
                .map(|most| most.next_multiple_of(grain))
                .collect(),
            context,
        }
    }

    /// Few lengths, each a multiple of `grain`, for batches of at most so many tokens.
    pub fn steps(grain: usize, most: usize, context: usize) -> Self {
        let step = most.div_ceil(LENGTHS).next_multiple_of(grain).max(grain);
        Self::Steps { step, context }
    }

    /// The same way for batches of one member alone, of at most so many tokens.
    pub fn alone(&self, most: usize) -> Self {
        match *self {
            Self::Dense => Self::Dense,
            Self::Steps { step, context } => Self::Steps { step, context },
            Self::Slots { grain, context, .. } => Self::steps(grain, most, context),
        }
    }

    /// Rows of a batch that has at most so many tokens.
    pub fn most(&self, tokens: usize) -> usize {
        match self {
            Self::Dense => tokens,
            Self::Steps { step, .. } => tokens.next_multiple_of(*step),
            Self::Slots { rows, .. } => rows.iter().sum(),
        }
    }
}

/// Several members' batches as one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    /// What a machine is given.
    pub batch: Batch,
    /// Which of its supervised rows are of each part.
    pub supervised: Vec<Range<usize>>,
    /// Which of its documents.
    pub documents: Vec<Range<usize>>,
}

/// Puts batches together, each with its member, in the order of the members; a member may have none.
///
/// # Panics
/// A batch that is larger than its member's slot: slots are made of the largest.
pub fn pack(parts: &[(usize, &Batch)], layout: &Layout) -> Packed {
    let mut packed = Packed::default();
    packed.batch.starts.push(0);
    match layout {
        Layout::Dense => parts.iter().for_each(|part| packed.push(*part, 1, 1)),
        Layout::Steps { step, context } => {
            parts.iter().for_each(|part| packed.push(*part, 1, 1));
            let tokens = packed.batch.tokens();
            packed.fill(tokens.next_multiple_of(*step), *context);
        }
        Layout::Slots {
            grain,
            rows,
            context,
        } => {
            let mut end = 0;
            for (member, rows) in rows.iter().enumerate() {
                end += rows;
                if let Some(part) = parts.iter().find(|(of, _)| *of == member) {
                    packed.push(*part, *grain, *context);
                }
                assert!(packed.batch.tokens() <= end, "a slot holds every batch");
                packed.fill(end, *context);
            }
        }
    }
    packed
}

impl Packed {
    /// Appends a part, filled up to a multiple of `grain`.
    fn push(&mut self, (member, part): (usize, &Batch), grain: usize, context: usize) {
        let batch = &mut self.batch;
        let (first, documents) = (batch.tokens(), batch.documents());
        let supervised = batch.supervised.len();
        let from = first as u32;
        batch.ids.extend(&part.ids);
        batch.positions.extend(&part.positions);
        batch.examples.extend(&part.examples);
        let ends = part.starts.iter().skip(1).map(|end| from + end);
        batch.starts.extend(ends);
        batch
            .supervised
            .extend(part.supervised.iter().map(|row| from + row));
        batch.targets.extend(&part.targets);
        self.supervised.push(supervised..batch.supervised.len());
        self.documents.push(documents..batch.documents());
        self.fill(first + part.tokens().next_multiple_of(grain), context);
        let rows = self.batch.tokens() - first;
        self.batch.spans.push(Span {
            member,
            first,
            rows,
        });
    }

    /// Documents that nobody learns from, up to so many rows; an even number of them, since documents may be pairs.
    fn fill(&mut self, to: usize, context: usize) {
        let most = FILLER.min(context).max(1);
        let mut fillers = 0;
        while self.batch.tokens() < to {
            let rows = most.min(to - self.batch.tokens());
            self.batch.push(0, &vec![0; rows], &vec![false; rows]);
            fillers += 1;
        }
        if fillers % 2 == 1 {
            self.batch.push(0, &[], &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[usize]) -> Batch {
        let mut batch = Batch::default();
        for (example, &len) in (7..).zip(lengths) {
            let ids: Vec<u32> = (1..=len as u32).collect();
            batch.push(example, &ids, &vec![true; len]);
        }
        batch
    }

    fn span(member: usize, first: usize, rows: usize) -> Span {
        Span {
            member,
            first,
            rows,
        }
    }

    #[test]
    fn rows_that_follow_one_another() {
        let (one, two) = (batch(&[3, 2]), batch(&[4]));
        let packed = pack(&[(0, &one), (2, &two)], &Layout::Dense);
        let Packed {
            batch,
            supervised,
            documents,
        } = packed;
        assert_eq!(batch.ids, [1, 2, 3, 1, 2, 1, 2, 3, 4]);
        assert_eq!(batch.examples, [7, 7, 7, 8, 8, 7, 7, 7, 7]);
        assert_eq!(batch.starts, [0, 3, 5, 9]);
        assert_eq!(batch.supervised, [0, 1, 3, 5, 6, 7]);
        assert_eq!(batch.targets, [2, 3, 2, 2, 3, 4]);
        assert_eq!(batch.spans, [span(0, 0, 5), span(2, 5, 4)]);
        assert_eq!(
            (supervised, documents),
            (vec![0..3, 3..6], vec![0..2, 2..3])
        );
    }

    #[test]
    fn slots_stay_where_they_are() {
        let layout = Layout::slots(4, &[5, 3, 9], 3);
        assert_eq!(layout.most(17), 8 + 4 + 12);
        assert_eq!(
            layout.alone(9),
            Layout::Steps {
                step: 4,
                context: 3
            }
        );
        let (one, two) = (batch(&[3, 2]), batch(&[5, 4]));
        let Packed {
            batch: all,
            supervised,
            documents,
        } = pack(&[(0, &one), (2, &two)], &layout);
        assert_eq!(all.tokens(), 24);
        assert_eq!(all.spans, [span(0, 0, 8), span(2, 12, 12)]);
        assert_eq!(
            (supervised, documents.clone()),
            (vec![0..3, 3..10], vec![0..2, 6..8])
        );
        assert!(documents.iter().all(|range| range.start % 2 == 0));
        assert_eq!(all.documents() % 2, 0);
        // What a member reads is the same, whoever is there.
        let Packed { batch: alone, .. } = pack(&[(2, &two)], &layout);
        assert_eq!((alone.tokens(), &alone.spans[0]), (24, &all.spans[1]));
        assert_eq!(alone.ids[12..], all.ids[12..]);
        assert_eq!(alone.supervised, all.supervised[3..]);
        // No filler is longer than the model's positions, and none is learned.
        assert!(all.positions[5..12].iter().all(|&position| position < 3));
        assert!(all.supervised.iter().all(|row| !(5..12).contains(row)));
    }

    #[test]
    fn one_fine_tune_has_few_lengths() {
        let layout = Layout::steps(128, 5000, 64);
        let lengths = (1..=5000).map(|tokens| layout.most(tokens));
        let lengths: std::collections::BTreeSet<usize> = lengths.collect();
        assert!(lengths.len() <= LENGTHS, "{lengths:?}");
        assert!(lengths.iter().all(|length| length % 128 == 0));
        let one = batch(&[3, 2]);
        let Packed {
            batch: all,
            supervised,
            documents,
        } = pack(&[(1, &one)], &Layout::steps(8, 5, 3));
        assert_eq!((all.tokens(), &all.spans), (8, &vec![span(1, 0, 5)]));
        assert_eq!((&supervised[0], &documents[0]), (&(0..3), &(0..2)));
        assert_eq!(all.supervised, one.supervised);
        assert_eq!(all.documents() % 2, 0);
        let none = pack(&[(0, &Batch::default())], &Layout::steps(8, 5, 3));
        assert_eq!(none.batch.tokens(), 0, "what is empty stays so");
    }

    #[test]
    #[should_panic = "a slot holds every batch"]
    fn a_slot_is_large_enough() {
        let large = batch(&[9]);
        pack(&[(0, &large)], &Layout::slots(4, &[8], 64));
    }
}
