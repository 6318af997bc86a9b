//! Near-duplicates that are right for short, templated text: which rows say what a better row already says.
//!
//! Texts of 6 to 15 words have next to no word 5-grams in common and no 12-grams at all, and a band that collides proves
//! nothing about two rows of one template. So similarity is the Jaccard index of character 4-grams, MinHash only proposes
//! pairs, and every pair is verified on the sets themselves. A row goes only for a row that stays: chains drop nobody.
//!
//! The way of a text: [`text::normalised`], [`text::shingles`], [`signature::Signatures`] (a pure function of one row, for
//! as many threads as there are), [`dedup::dedup`]. [`contamination`] asks the same sets about evaluation texts.

pub mod contamination;
pub mod dedup;
mod index;
pub mod signature;
#[cfg(test)]
mod tests;
pub mod text;

pub use contamination::Contamination;
pub use dedup::{Dropped, Found, Sets, Settings, bridged, dedup};
pub use signature::{Banding, Signatures};
pub use text::{jaccard, normalised, shingles, text_key};
