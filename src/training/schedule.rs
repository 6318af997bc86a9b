//! The learning rate of each step, as Hugging Face's `get_scheduler` has it: a linear warmup from 0, then the chosen way down.
//!
//! A step counts from 0, so a run with a warmup begins with a step at rate 0: that is what theirs does, and a loss curve laid
//! over one of theirs fits.

use super::{settings::Settings, words::Scheduler};
use std::f64::consts::PI;

/// Steps of warmup among `steps`: `warmup_steps`, else `warmup_ratio` of all, rounded up.
pub fn warmup(settings: &Settings, steps: u64) -> u64 {
    match settings.warmup_steps {
        0 => (settings.warmup_ratio * steps as f64).ceil() as u64,
        given => given,
    }
}

/// The learning rate of `step`, from 0, among `steps`.
pub fn learning_rate(settings: &Settings, step: u64, steps: u64) -> f64 {
    let warmup = warmup(settings, steps);
    let warm = settings.lr_scheduler_type != Scheduler::Constant;
    let share = if warm && step < warmup {
        step as f64 / warmup as f64
    } else {
        let left = steps.saturating_sub(warmup).max(1) as f64;
        match settings.lr_scheduler_type {
            Scheduler::Constant | Scheduler::ConstantWithWarmup => 1.0,
            Scheduler::Linear => steps.saturating_sub(step) as f64 / left,
            Scheduler::Cosine => {
                let done = step.saturating_sub(warmup) as f64 / left;
                (0.5 * (1.0 + (PI * done).cos())).max(0.0)
            }
        }
    };
    settings.learning_rate * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(kind: Scheduler, warmup_steps: u64, warmup_ratio: f64) -> Settings {
        Settings {
            lr_scheduler_type: kind,
            warmup_steps,
            warmup_ratio,
            learning_rate: 2e-3,
            ..Settings::default()
        }
    }

    fn rates(settings: &Settings, steps: u64) -> Vec<f64> {
        (0..=steps)
            .map(|step| learning_rate(settings, step, steps))
            .collect()
    }

    fn near(left: &[f64], right: &[f64]) {
        assert_eq!(left.len(), right.len());
        for (at, (l, r)) in left.iter().zip(right).enumerate() {
            assert!((l - r).abs() <= 1e-12 * r.abs().max(1e-3), "{at}: {l} {r}");
        }
    }

    /// The lists were made by `transformers.get_scheduler` with 2 warmup steps of 6 and a rate of 2e-3.
    #[test]
    fn each_kind_is_that_of_hugging_face() {
        let cosine = [
            0.0,
            1e-3,
            2e-3,
            1.707_106_781_186_547_5e-3,
            1e-3,
            2.928_932_188_134_524e-4,
            0.0,
        ];
        near(&rates(&settings(Scheduler::Cosine, 2, 0.0), 6), &cosine);
        let linear = [0.0, 1e-3, 2e-3, 1.5e-3, 1e-3, 5e-4, 0.0];
        near(&rates(&settings(Scheduler::Linear, 2, 0.0), 6), &linear);
        let flat = [0.0, 1e-3, 2e-3, 2e-3, 2e-3, 2e-3, 2e-3];
        near(
            &rates(&settings(Scheduler::ConstantWithWarmup, 2, 0.0), 6),
            &flat,
        );
        near(
            &rates(&settings(Scheduler::Constant, 2, 0.0), 6),
            &[2e-3; 7],
        );
    }

    #[test]
    fn a_ratio_is_rounded_up_and_steps_come_before_it() {
        assert_eq!(warmup(&settings(Scheduler::Cosine, 0, 0.03), 34), 2);
        assert_eq!(warmup(&settings(Scheduler::Cosine, 0, 0.03), 1), 1);
        assert_eq!(warmup(&settings(Scheduler::Cosine, 7, 0.5), 10), 7);
        assert_eq!(warmup(&settings(Scheduler::Cosine, 0, 0.0), 10), 0);
    }

    #[test]
    fn a_warmup_longer_than_the_run_ends_within_it() {
        let settings = settings(Scheduler::Cosine, 10, 0.0);
        near(&rates(&settings, 2), &[0.0, 2e-4, 4e-4]);
    }
}
