//! The history of experiments and what it forbids: `GET /v1/history`, `GET /v1/constraints`, and
//! `POST /v1/constraints/CAMPAIGN` with an [`Act`].

use crate::history::{
    Best,
    constraints::{Constraint, Contradiction},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::history::constraints::Act;

/// The answer of `GET /v1/history?where=E&sort=-eval_loss,r&metric=M,N&limit=20&campaign=C`, as
/// [`answer`](crate::history::query::answer()) makes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// Of the protocol.
    pub version: u32,
    /// How many experiments there are.
    pub total: u64,
    /// How many fit.
    pub matched: u64,
    /// The best of each metric over all experiments.
    #[serde(default)]
    pub best: BTreeMap<String, Best>,
    /// Those that fit, as `training_history.json` has them; at most as many as asked for.
    pub experiments: Vec<serde_json::Value>,
}

/// The answer of `GET /v1/constraints`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConstraintsView {
    /// Of the protocol.
    pub version: u32,
    /// Those in force.
    pub constraints: Vec<Constraint>,
    /// Those that leave a parameter no value.
    #[serde(default)]
    pub contradictions: Vec<Contradiction>,
}

/// The answer of `POST /v1/constraints/CAMPAIGN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActedView {
    /// Of the protocol.
    pub version: u32,
    /// The constraint.
    pub id: String,
    /// What was done, as a sentence.
    pub what: String,
}
