//! inspect-ai's `.eval` logs: evaluations in the format that its viewer, its analyses and other people's tools read.
//!
//! A log is a zip of JSON files; [`log`] says what is in them as far as it is used here. It is [`write`](write()) in the order in which a
//! running evaluation would have (the header last, so that a torn log has none), deflated, which every unzip reads. It is
//! [`read`](read()) in both layouts and both compressions that inspect has used.

pub mod log;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Log, read};
pub use write::{Sample, Stopped, identifier, write};
