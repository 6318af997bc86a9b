//! What failures taught: regions of settings that are not to be tried again, each with its evidence.
//!
//! A constraint says what is allowed, as a choice of bounds: it is broken where every one of them is (`batch_size < 16 or
//! max_seq_length < 4096` forbids large batches of long sequences). [`learn`](fn@learn) derives constraints from the
//! experiments and nothing else, [`apply`] adds what persons ruled, [`check`](fn@check) holds settings to them, and
//! [`contradictions`](fn@contradictions) names those that leave nothing to try.

mod acts;
mod bound;
mod check;
mod confidence;
mod contradictions;
mod grid;
mod learn;
mod lessons;
mod parse;
mod takes;
#[cfg(test)]
mod tests;

pub use acts::{Act, Ruling, apply, rule};
pub use bound::Bound;
pub use check::{Violation, check, in_force, weigh};
pub use confidence::lower_bound;
pub use contradictions::{Contradiction, contradictions};
pub use learn::{Rules, learn};
pub use parse::parse;

use super::FailureCause;
use crate::{time::Timestamp, words::words};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The scope of what holds for every model.
pub const ANY: &str = "any";

words! {
    /// How strictly a constraint is held.
    pub enum Strength {
        /// Settings that break it are refused.
        Hard = "hard",
        /// Settings that break it are doubtful.
        Soft = "soft",
    }
}

words! {
    /// Where a constraint comes from.
    pub enum Origin {
        /// From failed experiments.
        Learned = "learned",
        /// From a person.
        Person = "person",
    }
}

/// One constraint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its id, made from its scope, its cause and its bounds: the same lesson has the same id.
    pub id: String,
    /// The model that it holds for, or `any`.
    pub scope: String,
    /// What is allowed: one of these at least must hold.
    pub bounds: Vec<Bound>,
    /// How strictly it is held.
    pub strength: Strength,
    /// What the failures died of; none for a person's.
    pub cause: Option<FailureCause>,
    /// The experiments that failed where it forbids, oldest first.
    pub evidence: Vec<String>,
    /// How many experiments completed where it forbids; of a learned one none did.
    pub counter_evidence: u64,
    /// How probable a failure there is at least, with 95 % certainty: the lower end of the Beta posterior.
    pub confidence: f64,
    /// When its first evidence ended, or when a person wrote it.
    pub learned_at: Timestamp,
    /// When it is forgotten unless there is new evidence; never where a person wrote or pinned it.
    pub expires_at: Option<Timestamp>,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether a person wants it to stay, whatever is learned.
    pub pinned: bool,
    /// One sentence for people.
    pub reason: String,
}

impl Constraint {
    /// What is allowed, as a person writes it; [`parse()`] reads it again.
    pub fn text(&self) -> String {
        text(&self.bounds)
    }

    /// Whether it is for a model.
    pub fn is_for(&self, model: &str) -> bool {
        self.scope == ANY || self.scope == model
    }
}

/// Bounds of which one must hold, as a person writes them.
fn text(bounds: &[Bound]) -> String {
    let all: Vec<String> = bounds.iter().map(Bound::to_string).collect();
    all.join(" or ")
}

/// The id of a constraint of this content.
fn id_of(scope: &str, cause: Option<FailureCause>, bounds: &[Bound]) -> String {
    let cause = cause.map_or("person", FailureCause::name);
    let digest = Sha256::digest(format!("{scope}\n{cause}\n{}", text(bounds)));
    let hex: Vec<String> = digest
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("c-{}", hex.concat())
}
