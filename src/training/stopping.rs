//! Which look at the holdout was the best, and when to stop looking: early stopping as a value.

use serde::{Deserialize, Serialize};

/// A look at the holdout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Steps done by then.
    pub step: u64,
    /// Mean loss.
    pub loss: f64,
}

/// What looks have shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stopping {
    /// The best one; of equals the first.
    pub best: Option<Look>,
    /// Looks since then.
    pub since: u32,
}

impl Stopping {
    /// Takes a look; whether it is the best so far. One that is no number never is.
    pub fn look(&mut self, look: Look) -> bool {
        let better = match self.best {
            Some(best) => look.loss < best.loss,
            None => !look.loss.is_nan(),
        };
        if better {
            *self = Self {
                best: Some(look),
                since: 0,
            };
        } else {
            self.since += 1;
        }
        better
    }

    /// Whether it is enough: `patience` looks in a row were not better; 0: never.
    pub fn is_enough(&self, patience: u32) -> bool {
        patience > 0 && self.since >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(losses: &[f64]) -> Stopping {
        let mut stopping = Stopping::default();
        for (step, loss) in (1..).zip(losses) {
            stopping.look(Look { step, loss: *loss });
        }
        stopping
    }

    #[test]
    fn patience_counts_from_the_best_and_equal_is_not_better() {
        let stopping = after(&[3.0, 2.0, 2.0, 2.5]);
        assert_eq!(stopping.best, Some(Look { step: 2, loss: 2.0 }));
        assert!(stopping.is_enough(2) && !stopping.is_enough(3) && !stopping.is_enough(0));
        assert!(!after(&[3.0, 4.0, 2.0]).is_enough(1));
    }

    #[test]
    fn what_is_no_number_is_never_the_best() {
        assert_eq!(after(&[f64::NAN, f64::NAN]).best, None);
        let best = after(&[f64::NAN, 2.0, f64::NAN]).best;
        assert_eq!(best, Some(Look { step: 2, loss: 2.0 }));
    }
}
