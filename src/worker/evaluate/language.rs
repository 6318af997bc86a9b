//! Rows as tokens and tokens as text: what an evaluation needs of a tokenizer.

use crate::lora::tokens::Row;
use serde_json::Value;

/// A model's own way to write.
pub trait Language {
    /// A row of a data set, its learned tokens marked as in training.
    ///
    /// # Errors
    /// Why it cannot be used.
    fn row(&self, row: &Value) -> Result<Row, String>;

    /// The text of tokens, without those that only mark something.
    fn text(&self, ids: &[u32]) -> String;

    /// The tokens that end an answer.
    fn ends(&self) -> &[u32];
}
