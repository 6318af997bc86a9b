//! Tokens as a model sees them: documents one after the other, without padding.

/// Rows of a batch, one after the other, that one member of a pack learns from with its own adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which member.
    pub member: usize,
    /// Its first row.
    pub first: usize,
    /// Rows.
    pub rows: usize,
}

/// Documents packed into one sequence of rows. M is the number of tokens, S of supervised ones.
///
/// Row i of the hidden states predicts the token after it, so a supervised row is never the last of its document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[M]`.
    pub ids: Vec<u32>,
    /// Place in its document, from 0, `[M]`.
    pub positions: Vec<u32>,
    /// What a token's document is called in the data set, for chance that no layout changes, `[M]`.
    pub examples: Vec<u32>,
    /// Where documents begin, and after the last one M; [documents + 1].
    pub starts: Vec<u32>,
    /// Rows whose next token is learned, ascending, `[S]`.
    pub supervised: Vec<u32>,
    /// The tokens that they should predict, `[S]`.
    pub targets: Vec<u32>,
    /// Whose rows are whose, ascending and apart; rows of nobody go through the base model. Empty: all are the first member's.
    pub spans: Vec<Span>,
}

impl Batch {
    /// Number of tokens, M.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whose rows are whose.
    pub fn spans(&self) -> Vec<Span> {
        if !self.spans.is_empty() {
            return self.spans.clone();
        }
        let rows = self.tokens();
        vec![Span {
            member: 0,
            first: 0,
            rows,
        }]
    }

    /// Appends a document: its tokens, and which of them are learned. The first never is: nothing comes before it.
    ///
    /// # Panics
    /// `ids` and `learned` differ in length.
    pub fn push(&mut self, example: u32, ids: &[u32], learned: &[bool]) {
        assert_eq!(
            ids.len(),
            learned.len(),
            "a mask has an entry for each token"
        );
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        let base = self.ids.len() as u32;
        for (at, (&id, &learned)) in ids.iter().zip(learned).enumerate() {
            self.ids.push(id);
            self.positions.push(at as u32);
            self.examples.push(example);
            if learned && at > 0 {
                self.supervised.push(base + at as u32 - 1);
                self.targets.push(id);
            }
        }
        self.starts.push(self.ids.len() as u32);
    }
}
