//! Settings that hold from the next look on: one place that every actor reads, so that a reload needs no restart.

use super::Pace;
use crate::{
    executor::slurm::desk::Terms,
    machines::{
        admission::Limits,
        spec::{RetryTimes, SlurmSpec},
    },
};
use std::sync::{Arc, PoisonError, RwLock};

/// What a reload may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuned {
    /// Limits over all campaigns.
    pub limits: Limits,
    /// How often to look, for jobs under way too.
    pub pace: Pace,
    /// How often jobs are started again, in campaigns submitted from now on: a campaign keeps what it began with.
    pub retry: RetryTimes,
    /// What the site's jobs ask of SLURM where a campaign leaves it open.
    pub site: SlurmSpec,
    /// How SLURM is treated.
    pub slurm: Terms,
}

/// What holds now; every clone is the same.
#[derive(Clone, Debug)]
pub struct Tuning(Arc<RwLock<Tuned>>);

impl Tuning {
    /// What holds at the start.
    pub fn new(tuned: Tuned) -> Self {
        Self(Arc::new(RwLock::new(tuned)))
    }

    /// What holds now.
    pub fn get(&self) -> Tuned {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on this holds.
    pub fn set(&self, tuned: Tuned) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tuned;
    }
}
