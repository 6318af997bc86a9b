//! Questions to the history: which experiments, in which order, with which metrics.
//!
//! `r >= 16 and eval_loss < 1` is read once ([`parser`]), its names are looked up once in the history's columns, and then
//! each condition runs over a column ([`run`]). A value that is missing makes no condition true, its opposite neither.

pub mod answer;
pub(crate) mod columns;
mod conditions;
mod lexer;
pub(super) mod names;
pub mod parser;
pub(super) mod quoted;
pub mod run;
#[cfg(test)]
mod tests;

pub use answer::{Asked, answer};
pub use parser::Expr;
pub use run::{Found, find};

use crate::time::Timestamp;
use std::fmt;

/// A question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Which experiments; all without it.
    pub filter: Option<Expr>,
    /// By what they are sorted, the first thing first, and whether the largest stand first. What has no such value stands
    /// last either way. Without any: the latest first.
    pub sort: Vec<(String, bool)>,
    /// Which metrics are told of them; all without any.
    pub metrics: Vec<String>,
    /// How many at most.
    pub limit: Option<usize>,
    /// What `7d` is counted back from.
    pub now: Timestamp,
}

/// What is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One sentence.
    pub message: String,
    /// Which part of the question: `where`, `sort`, `metric` or `limit`.
    pub part: &'static str,
    /// Where in it, from 1, in characters.
    pub column: Option<usize>,
    /// What would be right.
    pub right: String,
}

impl Problem {
    /// One at a place of a condition.
    pub(super) fn new(column: usize, message: impl Into<String>, right: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            part: "where",
            column: Some(column),
            right: right.into(),
        }
    }

    /// Where it is: `where, column 12`.
    pub fn place(&self) -> String {
        match self.column {
            Some(column) => format!("{}, column {column}", self.part),
            None => self.part.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}
