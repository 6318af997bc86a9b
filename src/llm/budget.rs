//! A hard budget: what a request may cost is set aside before it is sent, and settled when its cost is known.
//!
//! What was sent and never answered may have been billed: it stays charged. So with estimates that are not too low nothing is
//! overshot, and otherwise by no more than the work in flight.

use super::endpoint::{Money, Usage};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// A slice of a campaign's budget. Absent is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slice {
    /// Dollars.
    pub max_usd: Option<f64>,
    /// Tokens that servers work on; cached ones are not counted ([`Usage::worked`]).
    pub max_tokens: Option<u64>,
}

/// Tokens and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Tokens that servers work on.
    pub tokens: u64,
    /// Their price.
    pub cost_usd: Money,
}

impl Amount {
    /// What a known usage amounts to.
    pub fn of(usage: &Usage, cost_usd: Money) -> Self {
        Self {
            tokens: usage.worked(),
            cost_usd,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Amount) -> Amount {
        Amount {
            tokens: self.tokens.saturating_add(other.tokens),
            cost_usd: self.cost_usd.plus(other.cost_usd),
        }
    }

    /// What is left without `other`.
    #[must_use]
    pub fn minus(self, other: Amount) -> Amount {
        Amount {
            tokens: self.tokens.saturating_sub(other.tokens),
            cost_usd: self.cost_usd.minus(other.cost_usd),
        }
    }
}

/// A refusal: the slice does not hold what a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSpent {
    /// What the request may cost.
    pub asked: Amount,
    /// What is charged.
    pub spent: Amount,
    /// What is set aside for requests in flight.
    pub held: Amount,
    /// Whether it would fit, did those in flight cost nothing: waiting may help.
    pub may_fit: bool,
}

impl fmt::Display for BudgetSpent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the budget is spent: ${:.4} and {} tokens are charged, ${:.4} and {} are in flight, and the request may cost ${:.4} and {}",
            self.spent.cost_usd.usd(),
            self.spent.tokens,
            self.held.cost_usd.usd(),
            self.held.tokens,
            self.asked.cost_usd.usd(),
            self.asked.tokens
        )
    }
}

/// One slice, shared by all that spend it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    slice: Slice,
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    spent: Amount,
    held: Amount,
}

impl Budget {
    /// A slice of which nothing is spent.
    pub fn new(slice: Slice) -> Self {
        Self(Arc::new(Inner {
            slice,
            state: Mutex::default(),
            settled: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Amounts are whole after every statement.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges what was spent before, by the ledger of an earlier attempt.
    pub fn charge(&self, amount: Amount) {
        let mut state = self.state();
        state.spent = state.spent.plus(amount);
    }

    /// What is charged, and what is set aside for requests in flight.
    pub fn look(&self) -> (Amount, Amount) {
        let state = self.state();
        (state.spent, state.held)
    }

    /// Sets `estimate` aside.
    ///
    /// # Errors
    /// When the slice does not hold it.
    pub fn reserve(&self, estimate: Amount) -> Result<Reservation, BudgetSpent> {
        let mut state = self.state();
        let fits = |taken: Amount| {
            let slice = &self.0.slice;
            let cost = slice
                .max_usd
                .is_none_or(|most| taken.cost_usd <= Money::from_usd(most));
            cost && slice.max_tokens.is_none_or(|most| taken.tokens <= most)
        };
        let spent = state.spent.plus(estimate);
        if !fits(spent.plus(state.held)) {
            return Err(BudgetSpent {
                asked: estimate,
                spent: state.spent,
                held: state.held,
                may_fit: fits(spent),
            });
        }
        state.held = state.held.plus(estimate);
        Ok(Reservation {
            budget: self.clone(),
            estimate,
            sent: false,
        })
    }

    /// The same, but waits for requests in flight where what they leave may suffice.
    ///
    /// # Errors
    /// When the slice cannot hold it, whatever they cost.
    pub async fn reserve_or_wait(&self, estimate: Amount) -> Result<Reservation, BudgetSpent> {
        loop {
            let mut settled = std::pin::pin!(self.0.settled.notified());
            settled.as_mut().enable();
            match self.reserve(estimate) {
                Err(refused) if refused.may_fit => settled.await,
                done => return done,
            }
        }
    }

    fn settle(&self, estimate: Amount, actual: Amount) {
        let mut state = self.state();
        state.held = state.held.minus(estimate);
        state.spent = state.spent.plus(actual);
        drop(state);
        self.0.settled.notify_waiters();
    }
}

/// Money set aside for one request. Dropped before it was sent it is given back; dropped afterwards it is charged.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    estimate: Amount,
    sent: bool,
}

impl Reservation {
    /// From here on the request may cost something.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// The cost is known.
    pub fn settle(mut self, actual: Amount) {
        // The drop charges what is left of the estimate: all of it becomes the actual amount.
        self.budget.settle(self.estimate, actual);
        (self.estimate, self.sent) = (Amount::default(), false);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let charged = if self.sent {
            self.estimate
        } else {
            Amount::default()
        };
        self.budget.settle(self.estimate, charged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(tokens: u64) -> Amount {
        Amount {
            tokens,
            cost_usd: Money::from_usd(tokens as f64 / 1000.0),
        }
    }

    #[test]
    fn what_is_set_aside_is_settled_released_or_charged() {
        let budget = Budget::new(Slice {
            max_usd: Some(0.1),
            max_tokens: None,
        });
        budget.charge(tokens(10));
        let mut first = budget.reserve(tokens(50)).unwrap();
        let second = budget.reserve(tokens(40)).unwrap();
        let refused = budget.reserve(tokens(1)).unwrap_err();
        assert!(refused.may_fit && refused.held == tokens(90) && refused.spent == tokens(10));
        assert!(!budget.reserve(tokens(91)).unwrap_err().may_fit);
        drop(second);
        assert_eq!(
            budget.look(),
            (tokens(10), tokens(50)),
            "never sent, never charged"
        );
        first.sent();
        drop(first);
        assert_eq!(
            budget.look(),
            (tokens(60), tokens(0)),
            "sent and not answered stays charged"
        );
        let mut third = budget.reserve(tokens(40)).unwrap();
        third.sent();
        third.settle(tokens(15));
        assert_eq!(budget.look(), (tokens(75), tokens(0)));
        let none = Budget::new(Slice::default());
        assert!(none.reserve(tokens(u64::MAX / 2)).is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sixty_four_in_flight_never_overshoot() {
        let budget = Budget::new(Slice {
            max_usd: None,
            max_tokens: Some(1000),
        });
        let tasks: Vec<_> = (0..64_u64)
            .map(|task| {
                let budget = budget.clone();
                tokio::spawn(async move {
                    let mut spent = 0;
                    while let Ok(mut reservation) = budget.reserve_or_wait(tokens(30)).await {
                        reservation.sent();
                        tokio::task::yield_now().await;
                        let (charged, held) = budget.look();
                        assert!(charged.tokens + held.tokens <= 1000);
                        let actual = 10 + (task + spent) % 20;
                        reservation.settle(tokens(actual));
                        spent += actual;
                    }
                    spent
                })
            })
            .collect();
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        assert_eq!(budget.look(), (tokens(total), tokens(0)));
        assert!(
            total <= 1000 && total > 970,
            "{total}: what may still fit is waited for"
        );
    }
}
