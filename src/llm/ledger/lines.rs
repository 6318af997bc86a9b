//! The lines of a ledger, and what they add up to.

use super::super::{
    budget::Amount,
    endpoint::{Money, Prices, Tier, Usage},
    json_repair::Repair,
    reply::Finish,
    request::Key,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A request goes out.
    Sent {
        /// Number of the request in this ledger.
        id: u64,
        /// Where to.
        tier: Tier,
        /// Which agent asks.
        purpose: String,
        /// What it may cost.
        estimate: Amount,
    },
    /// It cost nothing.
    Void {
        /// Which.
        id: u64,
        /// Why.
        why: String,
    },
    /// It cost something and brought no answer.
    Cost {
        /// Which.
        id: u64,
        /// Where it was asked.
        tier: Tier,
        /// Which agent asked.
        purpose: String,
        /// Which model.
        model: String,
        /// What was used.
        usage: Usage,
        /// What that cost.
        cost_usd: Money,
        /// By these prices.
        prices: Prices,
        /// Why there is no answer.
        why: String,
    },
    /// It was answered.
    Answer {
        /// Which.
        id: u64,
        /// What the question is known by.
        key: Key,
        /// Where it was asked.
        tier: Tier,
        /// Which agent asked.
        purpose: String,
        /// What was used.
        usage: Usage,
        /// What that cost.
        cost_usd: Money,
        /// By these prices.
        prices: Prices,
        /// The answer.
        kept: Kept,
    },
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// What the model wrote.
    pub text: String,
    /// What it thought aloud, where the server tells.
    pub reasoning: Option<String>,
    /// The JSON in the text, where some was asked.
    pub json: Option<Value>,
    /// What had to be mended to read it.
    pub repairs: Vec<Repair>,
    /// Why it ended.
    pub finish_reason: Finish,
    /// The model, as the server names it.
    pub model: String,
    /// From sending the successful attempt to its end, in milliseconds.
    pub latency_ms: u64,
    /// How often it was sent.
    pub attempts: u32,
}

/// What one tier cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TierSpent {
    /// Answers.
    pub answers: u64,
    /// Requests that cost something and brought no answer.
    pub failed: u64,
    /// Tokens of both.
    pub usage: Usage,
    /// Their cost.
    pub cost_usd: Money,
    /// Requests whose end is not known: in flight, or lost.
    pub unsettled: u64,
    /// What those may have cost.
    pub unsettled_amount: Amount,
}

/// What all tiers cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// By tier; one that was never asked is not there.
    pub tiers: BTreeMap<Tier, TierSpent>,
}

impl Spent {
    /// Everything together, what may have been spent included: this is what a budget is charged.
    pub fn amount(&self) -> Amount {
        let each =
            |tier: &TierSpent| Amount::of(&tier.usage, tier.cost_usd).plus(tier.unsettled_amount);
        self.tiers
            .values()
            .map(each)
            .fold(Amount::default(), Amount::plus)
    }

    /// Adds another ledger's.
    pub fn add(&mut self, other: &Spent) {
        for (tier, more) in &other.tiers {
            let sum = self.tiers.entry(*tier).or_default();
            sum.answers += more.answers;
            sum.failed += more.failed;
            sum.usage = sum.usage.plus(more.usage);
            sum.cost_usd = sum.cost_usd.plus(more.cost_usd);
            sum.unsettled += more.unsettled;
            sum.unsettled_amount = sum.unsettled_amount.plus(more.unsettled_amount);
        }
    }

    pub(super) fn open(&mut self, tier: Tier, estimate: Amount) {
        let sum = self.tiers.entry(tier).or_default();
        sum.unsettled += 1;
        sum.unsettled_amount = sum.unsettled_amount.plus(estimate);
    }

    pub(super) fn close(&mut self, tier: Tier, estimate: Amount) {
        let sum = self.tiers.entry(tier).or_default();
        sum.unsettled -= 1;
        sum.unsettled_amount = sum.unsettled_amount.minus(estimate);
    }

    pub(super) fn pay(&mut self, tier: Tier, usage: Usage, cost: Money, answered: bool) {
        let sum = self.tiers.entry(tier).or_default();
        sum.answers += u64::from(answered);
        sum.failed += u64::from(!answered);
        sum.usage = sum.usage.plus(usage);
        sum.cost_usd = sum.cost_usd.plus(cost);
    }
}
