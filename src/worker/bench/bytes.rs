//! Memory of a run: what it is for, what was planned, what was used at most.

use super::{room, shape::Shape};
use crate::{
    lora::{backend::Level, cuda::budget::Budget},
    training::settings::Settings,
};

/// Memory of a run in bytes; none of it is the ceiling's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// The frozen weights.
    pub weights: u64,
    /// Adapters, their gradients and moments.
    pub adapters: u64,
    /// Kept of one token in one layer for the way back.
    pub kept: u64,
    /// How much of the way forward that is.
    level: Level,
    /// All that was reckoned before anything was loaded, by a machine that does.
    pub planned: Option<u64>,
    /// The most that loading and training took, where it can be known: of the machine's own memory, or of this process.
    pub peak: Option<u64>,
}

impl Bytes {
    /// On a machine that plans its memory.
    pub(super) fn planned(plan: &Budget, peak: Option<u64>) -> Self {
        Self {
            weights: plan.weights,
            adapters: plan.adapters,
            kept: plan.kept,
            level: plan.level,
            planned: Some(plan.total()),
            peak,
        }
    }

    /// On the processor, which keeps what is dear to make again and has its memory from the system.
    pub(super) fn of_process(shape: &Shape, settings: &Settings, peak: Option<u64>) -> Self {
        let [weights, adapters, kept] = room::parts(shape, settings);
        Self {
            weights,
            adapters,
            kept,
            level: Level::Selective,
            planned: None,
            peak,
        }
    }

    /// What is computed again on the way back: nothing, cheap rows, or layers.
    pub fn again(&self) -> &'static str {
        match self.level {
            Level::Everything => "nothing",
            Level::Selective => "norms and activations",
            Level::Layer => "whole layers",
        }
    }
}
