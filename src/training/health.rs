//! Whether the numbers of a step are those of a training that works.
//!
//! A loss or a gradient norm that is no finite number is beyond repair. Everything else is a matter of how much, and for how
//! long: a bad row makes a spike, which clipping makes harmless, and a training that falls apart does not come back. So a step
//! is ill
//!
//! - whose gradient norm is more than [`STEEP`] times the median of the last [`REMEMBERED`] healthy steps; or
//! - whose loss is more than [`HIGH`] times their median and above the first step's, for what has been learned to almost 0 may
//!   well have a row that was not; or
//! - whose loss is more than [`HIGH`] times the first step's, for a training that falls apart at once has no healthy steps.
//!
//! [`PATIENCE`] ill steps in a row are an explosion, and one with a norm above [`EXPLODES`] times the median is one at once.
//! With fewer than [`ENOUGH`] healthy steps, or where a median is 0, there is no median to speak of. Healthy runs stay far
//! below all of it: their norms change by a factor of ten, their spikes of a hundred last a step.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Times the median norm that is an explosion at once.
pub const EXPLODES: f64 = 1e3;
/// Times the median norm that makes a step ill.
pub const STEEP: f64 = 100.0;
/// Times the median loss, or the first, that makes a step ill.
pub const HIGH: f64 = 10.0;
/// Ill steps in a row that are an explosion.
pub const PATIENCE: u32 = 3;
/// Healthy steps whose numbers are kept.
pub const REMEMBERED: usize = 32;
/// Steps before which there is no median to speak of.
pub const ENOUGH: usize = 8;

/// What is wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ailment {
    /// The loss is no finite number.
    Loss(f64),
    /// The gradient norm is none.
    Norm(f64),
    /// The gradient exploded.
    Exploded {
        /// Its norm.
        norm: f64,
        /// What the norm usually is.
        median: f64,
    },
    /// The loss did.
    Diverged {
        /// How high it is.
        loss: f64,
        /// What it was before.
        before: f64,
    },
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(loss) => write!(f, "the loss is {}", said(*loss)),
            Self::Norm(norm) => write!(f, "the gradient norm is {}", said(*norm)),
            Self::Exploded { norm, median } => write!(
                f,
                "the gradient exploded: its norm is {norm:.3e}, where {median:.3e} is usual"
            ),
            Self::Diverged { loss, before } => {
                write!(f, "the loss exploded: it is {loss:.3}, and was {before:.3}")
            }
        }
    }
}

fn said(number: f64) -> &'static str {
    if number.is_nan() {
        "not a number"
    } else {
        "infinite"
    }
}

/// The numbers of the last healthy steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    first: Option<f64>,
    losses: Vec<f64>,
    norms: Vec<f64>,
    ill: u32,
}

impl Health {
    /// Judges a step before anything is changed by it; a healthy one is remembered.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(&mut self, loss: f64, norm: f64) -> Result<(), Ailment> {
        let Some((ailment, at_once)) = self.ailment(loss, norm) else {
            self.ill = 0;
            self.first.get_or_insert(loss);
            remember(&mut self.losses, loss);
            remember(&mut self.norms, norm);
            return Ok(());
        };
        self.ill += 1;
        if at_once || self.ill >= PATIENCE {
            return Err(ailment);
        }
        Ok(())
    }

    /// Ill steps in a row, up to the last one.
    pub fn ill(&self) -> u32 {
        self.ill
    }

    /// What is wrong with a step, and whether it needs no other to be sure.
    fn ailment(&self, loss: f64, norm: f64) -> Option<(Ailment, bool)> {
        if !loss.is_finite() {
            return Some((Ailment::Loss(loss), true));
        }
        if !norm.is_finite() {
            return Some((Ailment::Norm(norm), true));
        }
        if let Some(median) = median(&self.norms)
            && norm > STEEP * median
        {
            return Some((Ailment::Exploded { norm, median }, norm > EXPLODES * median));
        }
        let first = self.first.filter(|first| *first > 0.0)?;
        let before = median(&self.losses).map_or(first, |median| median.min(first));
        let diverged = loss > HIGH * before && loss > first;
        diverged.then_some((Ailment::Diverged { loss, before }, false))
    }
}

fn remember(numbers: &mut Vec<f64>, number: f64) {
    if numbers.len() == REMEMBERED {
        numbers.remove(0);
    }
    numbers.push(number);
}

/// The upper median, if there is one to speak of.
fn median(numbers: &[f64]) -> Option<f64> {
    if numbers.len() < ENOUGH {
        return None;
    }
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(sorted[sorted.len() / 2]).filter(|median| *median > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After so many steps of loss 2 and norm 1.
    fn after(steps: usize) -> Health {
        let mut health = Health::default();
        for _ in 0..steps {
            health.judge(2.0, 1.0).unwrap();
        }
        health
    }

    #[test]
    fn what_is_no_finite_number_is_ill_at_once() {
        let mut health = Health::default();
        assert!(matches!(health.judge(f64::NAN, 1.0), Err(Ailment::Loss(_))));
        let infinite = health.judge(1.0, f64::INFINITY).unwrap_err();
        assert_eq!(infinite.to_string(), "the gradient norm is infinite");
        assert!(health.norms.is_empty(), "an ill step is not remembered");
    }

    #[test]
    fn a_spike_passes_and_an_explosion_does_not() {
        // The first steps have nothing to be compared with.
        let mut health = after(ENOUGH - 1);
        assert_eq!(health.judge(2.0, 1e9), Ok(()));
        let mut health = after(ENOUGH);
        assert_eq!(health.judge(2.0, 999.0), Ok(()));
        assert_eq!(health.judge(2.0, 101.0), Ok(()));
        assert_eq!(health.ill(), 2);
        // A healthy one between them.
        assert_eq!(health.judge(2.0, 99.0), Ok(()));
        assert_eq!(health.ill(), 0);
        for ill in 1..PATIENCE {
            assert_eq!(health.judge(2.0, 101.0), Ok(()));
            assert_eq!(health.ill(), ill);
        }
        let exploded = health.judge(2.0, 101.0).unwrap_err();
        assert!(matches!(exploded, Ailment::Exploded { median, .. } if median == 1.0));
        let at_once = after(ENOUGH).judge(2.0, 1001.0).unwrap_err();
        assert!(matches!(at_once, Ailment::Exploded { .. }));
    }

    #[test]
    fn a_loss_that_stays_high_is_an_explosion_with_and_without_healthy_steps() {
        for steps in [1, ENOUGH] {
            let mut health = after(steps);
            let judged = [21.0, 25.0, 30.0].map(|loss| health.judge(loss, 1.0));
            assert_eq!(judged[..2], [Ok(()), Ok(())], "{steps}");
            let text = judged[2].unwrap_err().to_string();
            assert_eq!(text, "the loss exploded: it is 30.000, and was 2.000");
        }
        // What is learned to almost 0 may meet rows that it has not learned.
        let mut health = after(1);
        for _ in 0..REMEMBERED {
            health.judge(1e-4, 1.0).unwrap();
        }
        for _ in 0..9 {
            assert_eq!(health.judge(1.9, 1.0), Ok(()));
        }
    }

    #[test]
    fn norms_of_zero_are_nothing_to_compare_with_and_old_ones_are_forgotten() {
        let mut health = Health::default();
        for _ in 0..100 {
            health.judge(2.0, 0.0).unwrap();
        }
        assert_eq!(health.norms.len(), REMEMBERED);
        assert_eq!(health.judge(2.0, 1.0), Ok(()));
    }
}
