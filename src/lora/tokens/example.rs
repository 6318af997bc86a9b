//! Rows as tokens, and rows as a batch.

use crate::lora::batch::Batch;

/// One document: its tokens, and which of them are learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Whether each is learned; the first never is, for nothing comes before it.
    pub learned: Vec<bool>,
}

impl Example {
    /// Tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Tokens that are learned.
    pub fn supervised(&self) -> usize {
        let mask = self.learned.iter().skip(1);
        mask.filter(|learned| **learned).count()
    }

    /// The first `most` tokens. An answer that goes on behind them is not learned: it would teach to stop anywhere. It began
    /// behind the last token that is not learned, or that is in `eos`.
    pub(super) fn cut(&mut self, most: usize, eos: &[u32]) {
        if self.learned.get(most) == Some(&true) {
            let before = most.min(self.len());
            let begun = (0..before)
                .rev()
                .take_while(|at| self.learned[*at] && !eos.contains(&self.ids[*at]))
                .count();
            self.learned[before - begun..before].fill(false);
        }
        self.ids.truncate(most);
        self.learned.truncate(most);
    }

    /// Gives room that is not needed back: a data set is kept whole.
    pub(super) fn shrunk(mut self) -> Self {
        self.ids.shrink_to_fit();
        self.learned.shrink_to_fit();
        self
    }
}

/// One row of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// What is imitated.
    Sft(Example),
    /// Two answers to one prompt; of each only the answer is learned.
    Pair {
        /// The better one.
        chosen: Example,
        /// The worse one.
        rejected: Example,
    },
}

impl Row {
    /// Its documents: one, or chosen and rejected.
    pub fn documents(&self) -> impl Iterator<Item = &Example> {
        let (first, second) = match self {
            Row::Sft(example) => (example, None),
            Row::Pair { chosen, rejected } => (chosen, Some(rejected)),
        };
        std::iter::once(first).chain(second)
    }

    /// Its tokens, those of both answers of a pair.
    pub fn tokens(&self) -> u32 {
        self.documents().map(Example::len).sum::<usize>() as u32
    }

    /// Its tokens that are learned.
    pub fn supervised(&self) -> usize {
        self.documents().map(Example::supervised).sum()
    }
}

/// Rows as a batch of documents. The document of row i has the example number i; the answers of pair i have 2i (chosen) and
/// 2i + 1 (rejected) and stand in that order.
///
/// # Panics
/// `which` names a row that is not there.
pub fn batch(rows: &[Row], which: &[u32]) -> Batch {
    let mut batch = Batch::default();
    for &at in which {
        match &rows[at as usize] {
            Row::Sft(Example { ids, learned }) => batch.push(at, ids, learned),
            Row::Pair { chosen, rejected } => {
                batch.push(2 * at, &chosen.ids, &chosen.learned);
                batch.push(2 * at + 1, &rejected.ids, &rejected.learned);
            }
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(ids: &[u32], learned: &[bool]) -> Example {
        let (ids, learned) = (ids.to_vec(), learned.to_vec());
        Example { ids, learned }
    }

    #[test]
    fn an_answer_that_is_cut_is_not_learned_and_one_before_it_is() {
        let learned = [false, true, true, true, false, true, true];
        let whole = example(&[1, 2, 3, 9, 4, 5, 6], &learned);
        for (most, left) in [
            (6, &[false, true, true, true, false, false][..]),
            (5, &learned[..5]),
            (4, &learned[..4]),
            (3, &[false; 3]),
        ] {
            let mut cut = whole.clone();
            cut.cut(most, &[9]);
            assert_eq!(cut.learned, left, "{most}");
        }
        // Turns that stand side by side: 9 ends the first.
        let mut cut = example(&[1, 2, 9, 5, 6], &[true; 5]);
        cut.cut(4, &[9]);
        assert_eq!(cut.learned, [true, true, true, false]);
    }

    #[test]
    fn rows_become_documents_in_the_order_asked_for() {
        let rows = [
            Row::Sft(example(&[1, 2, 3], &[true, false, true])),
            Row::Pair {
                chosen: example(&[4, 5], &[false, true]),
                rejected: example(&[4, 6], &[false, true]),
            },
        ];
        let both = batch(&rows, &[1, 0]);
        assert_eq!(both.ids, [4, 5, 4, 6, 1, 2, 3]);
        assert_eq!(both.starts, [0, 2, 4, 7]);
        assert_eq!(both.examples, [2, 2, 3, 3, 0, 0, 0]);
        assert_eq!(
            (both.supervised, both.targets),
            (vec![0, 2, 5], vec![5, 6, 3])
        );
        assert_eq!((rows[1].tokens(), rows[0].supervised()), (4, 1));
    }
}
