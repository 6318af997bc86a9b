//! What is wrong with a setting: a sentence, where, and what would be right.

use std::fmt;

/// One problem. Printed as three lines: `error:`, `at`, `right`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// File and line, flag or variable, with key and value.
    pub at: String,
    /// What would be accepted.
    pub right: Option<String>,
    /// The file.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// The key.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\n  at     {}", self.message, self.at)?;
        match &self.right {
            Some(right) => write!(f, "\n  right  {right}"),
            None => Ok(()),
        }
    }
}
