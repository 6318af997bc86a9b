//! Tokens as a model sees them: documents one after the other, without padding.

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
