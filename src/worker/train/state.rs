//! How far a training is, besides the numbers that it trains: what a checkpoint keeps, and a resumed one goes on from.

use super::identity::Identity;
use crate::training::{health::Health, stopping::Stopping};
use serde::{Deserialize, Serialize};

/// The cursor and everything that later steps depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What it was started with.
    pub identity: Identity,
    /// Steps done. Order, dropout and learning rate are functions of it.
    pub step: u64,
    /// Tokens that went through the model so far.
    pub tokens: u64,
    /// What looks at the holdout have shown.
    pub stopping: Stopping,
    /// Loss on the holdout before the first step.
    pub eval_loss_before: Option<f64>,
    /// Loss of the first step.
    pub first_loss: Option<f64>,
    /// Loss of the last step.
    pub last_loss: Option<f64>,
    /// Losses and gradient norms of the last steps.
    pub health: Health,
    /// Of a member of a sweep: whether it was left out at this step, and its last look is taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
    /// Bytes of `metrics.jsonl` that tell of these steps.
    pub metrics_bytes: u64,
}

impl State {
    /// Before the first step.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            step: 0,
            tokens: 0,
            stopping: Stopping::default(),
            eval_loss_before: None,
            first_loss: None,
            last_loss: None,
            health: Health::default(),
            left_out: false,
            metrics_bytes: 0,
        }
    }
}
