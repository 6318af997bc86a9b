//! Curation: which raw samples make the data sets, in which split they belong, and what is said of them. Pure;
//! `worker/curate` reads and writes.
//!
//! The result is a function of the set of rows, the settings and the seed: neither the order of the input nor its shards can
//! change it.

pub mod asked;
pub mod card;
pub mod fates;
pub mod filters;
pub mod format;
pub mod near;
pub mod part;
pub mod row;
pub mod schema;
pub mod select;
pub mod sets;
pub mod split;
pub mod stats;
pub mod value;
pub mod words;
