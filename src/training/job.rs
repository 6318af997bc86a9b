//! What one fine-tune is asked to do: the whole input of the training worker.

use super::{
    base::BaseSettings,
    settings::Settings,
    words::{Device, Start},
};
use serde::{Deserialize, Serialize};

/// One fine-tune, or one stage of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FineTune {
    /// What it is called, in cards and messages.
    pub name: String,
    /// A Hugging Face model directory.
    pub model: String,
    /// How the model is made where it is not there, with a tokenizer of the rows in `data`; none: it must be there.
    #[serde(default)]
    pub make: Option<BaseSettings>,
    /// Files of training rows.
    pub data: Vec<String>,
    /// Files of rows that are only looked at; empty: nothing is.
    pub holdout: Vec<String>,
    /// Without a stage: the adapter's directory, with all that belongs to it. With one: the run's directory, whose
    /// `run-manifest.json` says where everything is.
    pub output: String,
    /// A PEFT directory to start from; none: a fresh adapter. A later stage starts from the one before it by itself.
    pub adapter_init: Option<String>,
    /// Whether merged weights are written as well.
    pub merge: bool,
    /// Which stage of a run; none: there is no run.
    pub stage: Option<StageOf>,
    /// With fewer rows that can be learned from it is refused before its first step; 0: any number is enough.
    #[serde(default)]
    pub minimum: u64,
    /// Hyperparameters.
    pub settings: Settings,
    /// Where is computed.
    pub device: Device,
}

/// One stage among those of its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageOf {
    /// Which one, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// Share of the rows that are replayed from the stages before, 0 to below 1.
    pub replay_share: f64,
    /// What it starts from; nothing to the first stage.
    pub start: Start,
}

/// Fine-tunes that are computed together over one frozen base, each with an output of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The directory that has the members' outputs, and what compares them.
    pub output: String,
    /// Its members: of one model, device and loss.
    pub members: Vec<FineTune>,
    /// The one that is to be computed; none: all.
    pub only: Option<String>,
    /// How members are left out on the way; none: all go to their end.
    pub halving: Option<Halving>,
}

/// Successive halving: members are compared on the holdout at rungs, and the better ones go on (Jamieson and Talwalkar 2016).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halving {
    /// Steps up to the first rung; at least 1.
    pub min_resource: u64,
    /// One in so many goes on from a rung, and the next rung is so many times as far; at least 2.
    pub reduction_factor: u64,
}

impl std::fmt::Display for Halving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (least, factor) = (self.min_resource, self.reduction_factor);
        write!(f, "min_resource {least} and reduction_factor {factor}")
    }
}

impl Sweep {
    /// Whether a member is to be computed now.
    pub fn asks(&self, member: &FineTune) -> bool {
        self.only.as_ref().is_none_or(|name| member.name == *name)
    }
}

/// What all matrix products of a sweep are shaped by, on a machine where numbers depend on it. A member that is computed alone
/// under the same key has the same products, and so the same numbers, as in the pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanKey {
    /// Rows of every micro-batch.
    pub padded_rows: u64,
    /// Rows of each member's part of it.
    pub slots: Vec<u64>,
    /// Columns that the adapters of all members have beside a group's weights, in the layer that has most: of queries, keys and
    /// values; of attention's output; of gate and up; of down.
    pub rank_bucket: [u64; 4],
    /// Of each member: the highest rank, rounded up to a tile of the matrix units.
    pub aligned_ranks: Vec<u64>,
    /// Of each member: whether it has dropout, which enters the product of the way back in another way.
    pub drops: Vec<bool>,
    /// SHA-256 of all ranks, by layer, module and member: where every adapter stands beside the weights.
    pub borders: String,
}
