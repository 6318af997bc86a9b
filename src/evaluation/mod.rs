//! Evaluation: what a measurement shows, how surely, and what is decided on it.
//!
//! The [`gate`] stands between the pilot and an expensive full generation, and it is the only place
//! in the program where the quality threshold is compared. Everything here is pure: evidence and
//! criteria in, a [`Verdict`] out. How often the gate errs is not claimed but measured: [`simulate`]
//! runs the same `judge` on made-up pilots whose true quality is known. [`paired`] says whether a
//! trained model is better than its base on the same items.

mod bounds;
mod criteria;
mod evidence;
pub mod gate;
pub mod job;
pub mod operating_table;
pub mod paired;
pub mod proportion;
pub mod score_shape;
pub mod scorecard;
pub mod simulate;
pub mod student_t;
mod verdict;
mod wording;

pub use bounds::Estimate;
pub use criteria::{Criteria, FAMILY_ERROR, GateKind, MOST_LOOKS, UnknownGate};
pub use evidence::{Evidence, EvidenceSource};
pub use gate::judge;
pub use verdict::{Check, Decision, Verdict};
