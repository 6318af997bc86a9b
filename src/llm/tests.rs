//! x
pub mod texts;
