//! Two models on the same items: how they differ, how surely, and what is decided on it.
//!
//! Items of one component know of each other (near duplicates, one source), so the interval of a difference comes from a
//! bootstrap that draws components whole. For items that are right or wrong McNemar's exact test stands beside it: it is
//! exact for few items, where a bootstrap is not, but takes items for independent, which the bootstrap does not. A
//! difference is shown where both say so.

mod bootstrap;
mod compare;
mod design;
mod holm;
mod mcnemar;
mod normal;
mod power;

pub use bootstrap::{Interval, Resampling, Share, difference, level};
pub use compare::{Comparison, Discordance, Pair, Rules, Shown, compare, overall, settle};
pub use design::effective;
pub use holm::holm;
pub use mcnemar::{McNemar, mcnemar};
pub use normal::quantile;
pub use power::{detectable, pairs_needed};

#[cfg(test)]
mod tests;
