//! What a campaign's models cost: the answer of `GET /v1/campaigns/ID/budget`.

use serde::{Deserialize, Serialize};

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetView {
    /// Of the protocol.
    pub version: u32,
    /// The campaign.
    pub id: String,
    /// Who makes its samples.
    pub brain: String,
    /// The bound in USD; none: no bound.
    pub usd: Option<f64>,
    /// The bound in tokens; none: no bound.
    pub tokens: Option<u64>,
    /// What was spent, what may have been among it, USD.
    pub spent_usd: f64,
    /// The same in tokens that servers worked on.
    pub spent_tokens: u64,
    /// What is left, USD.
    pub left_usd: Option<f64>,
    /// What is left, tokens.
    pub left_tokens: Option<u64>,
    /// By tier; one that was never asked is not there.
    pub tiers: Vec<TierBudget>,
}

/// One tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierBudget {
    /// Its name.
    pub tier: String,
    /// Requests that were answered.
    pub answers: u64,
    /// Requests that cost something and brought no answer.
    pub failed: u64,
    /// Requests whose end is not known: in flight, or lost.
    pub unsettled: u64,
    /// Tokens that models read.
    pub prompt_tokens: u64,
    /// Those among them that servers had cached.
    pub cached_tokens: u64,
    /// Tokens that models wrote.
    pub completion_tokens: u64,
    /// Those among them of reasoning.
    pub reasoning_tokens: u64,
    /// Whether some of this is our own count, because a server told none.
    pub estimated: bool,
    /// What it cost, USD.
    pub cost_usd: f64,
    /// What requests without a known end may have cost, USD.
    pub unsettled_usd: f64,
}
