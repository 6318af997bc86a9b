//! What goes over the control socket about training runs and what their adapters are worth.

use serde::{Deserialize, Serialize};

/// A training run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Its key, and the name of its directory: `run-1-routing`.
    pub run: String,
    /// What the fine-tune is called.
    pub name: String,
    /// Which cycle it belongs to.
    pub cycle: u32,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// The stage under way, or the last.
    pub stage: u32,
    /// How many there are.
    pub stages: u32,
    /// Rank of its adapter.
    pub rank: u32,
    /// How long it took or takes.
    pub duration_seconds: f64,
    /// What the last stage came to, once it is done.
    pub trained: Option<TrainedView>,
    /// Every comparison of its adapter with its base, once it is evaluated.
    pub comparisons: Vec<ComparisonView>,
    /// What is shown of it over all metrics: `improved`, `regressed` or `underpowered`.
    pub verdict: Option<String>,
}

/// What a training came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainedView {
    /// The adapter's directory.
    pub adapter: String,
    /// Merged weights, where they were asked for.
    pub merged: Option<String>,
    /// Rows that were learned from.
    pub rows: u64,
    /// Steps done.
    pub steps: u64,
    /// Steps planned: more when it stopped early.
    pub planned_steps: u64,
    /// The step whose adapter is kept.
    pub best_step: u64,
    /// Numbers that were trained.
    pub trainable_parameters: u64,
    /// Loss of the first step.
    pub first_loss: Option<f64>,
    /// Loss of the last.
    pub last_loss: Option<f64>,
    /// Loss on the holdout before the first step.
    pub eval_loss_before: Option<f64>,
    /// Loss on the holdout of what is kept.
    pub eval_loss: Option<f64>,
}

/// An adapter against its base in one metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ComparisonView {
    /// `loss`, `ranking_accuracy`, ...
    pub metric: String,
    /// The base's number.
    pub base: Option<f64>,
    /// The adapter's.
    pub adapter: Option<f64>,
    /// The adapter's less the base's.
    pub difference: Option<f64>,
    /// Lower bound of the difference.
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
    /// Items that both answered.
    pub n: u64,
    /// The corrected p.
    pub p: f64,
    /// Whether it is a share of items that are right or wrong.
    pub share: bool,
    /// `improved`, `regressed` or `underpowered`.
    pub verdict: String,
}
