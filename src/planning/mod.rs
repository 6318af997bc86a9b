//! Planning: which experiments to run next, and whether they may.
//!
//! [`director`] says in which mode, [`propose`](propose::propose) finds the settings with the [`surrogate`] and an
//! [`acquisition`], [`approval`] checks each by name, and [`halving`] gives up on the hopeless ones of a packed sweep.
//! All of it is a function of its arguments: the same history, the same seed, the same proposals.

pub mod acquisition;
pub mod approval;
pub mod director;
pub mod halving;
pub mod propose;
pub mod sobol;
pub mod space;
pub mod surrogate;

pub use acquisition::Acquisition;
pub use director::Mode;
pub use propose::{Answer, Ask, Candidate, Kind, Trial, propose};
pub use space::Space;
pub use surrogate::{Calibration, Hyper, Prediction, Surrogate};
