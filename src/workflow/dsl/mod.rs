//! Enough of Nextflow's DSL2 to judge a workflow: a lexer that is exact about strings, and a tree of what a file declares.
//!
//! The lexer pairs every opening with its closing, so whoever reads the tree skips a block in one step and nothing here
//! recurses: an input of any depth and any bytes is read in one pass, without a panic.

mod flow;
mod lexer;
mod parser;
mod process;
mod strings;
pub mod token;
pub mod tree;

#[cfg(test)]
pub use lexer::LOOKS;
pub use lexer::{Lexed, Unclosed, lex};
pub use parser::parse;

#[cfg(test)]
mod tests;
