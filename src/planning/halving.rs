//! Successive halving of the runs of a packed sweep: all train for a little, the better ones for longer, and so on
//! (Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016).
//!
//! Synchronous: a rung is judged when every run of it has reported, so the outcome does not depend on who was first.

use serde::{Deserialize, Serialize};

/// Up to where runs go before they are compared, and how many go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// How far every run has come when it is compared, in whatever is counted: steps, samples, epochs.
    pub resource: u64,
    /// How many runs take part.
    pub runs: usize,
    /// How many go on; at the last rung, which are told to be best.
    pub keep: usize,
}

/// What becomes of the runs of a rung, by their places in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// These have not reported.
    Waiting(Vec<usize>),
    /// All have.
    Judged {
        /// Those that go on, the best first.
        kept: Vec<usize>,
        /// Those that do not, the best first, each with the reason.
        dropped: Vec<(usize, String)>,
    },
}

/// The rungs of so many runs: from `least` on, each `factor` times as far with one `factor`-th of the runs, and at last as
/// far as `most`.
///
/// # Errors
/// A sentence: no run, a factor below 2, or ends that are 0 or the wrong way round.
pub fn rungs(runs: usize, least: u64, most: u64, factor: u64) -> Result<Vec<Rung>, String> {
    if runs == 0 {
        return Err("there is no run to halve".into());
    }
    if factor < 2 {
        return Err(format!(
            "a factor of {factor} leaves none out: it is at least 2"
        ));
    }
    if least == 0 || most < least {
        return Err(format!(
            "rungs from {least} to {most} are none: the first is at least 1 and at most the last"
        ));
    }
    let (mut all, mut left, mut resource) = (Vec::new(), runs, least);
    loop {
        let last = resource >= most || left == 1;
        let resource_here = if last { most } else { resource };
        let keep = usize::try_from(left as u64 / factor).unwrap_or(left).max(1);
        all.push(Rung {
            resource: resource_here,
            runs: left,
            keep: if last { 1 } else { keep },
        });
        if last {
            return Ok(all);
        }
        (left, resource) = (keep, resource.saturating_mul(factor));
    }
}

/// Who goes on from a rung. Of each run what it reported: none yet, or a value; one that is no number is out whatever the
/// others did. Of equal values the earlier run goes on. At least one goes on while any has a number.
///
/// # Errors
/// A sentence: there is no run, or all have reported and none has a number.
pub fn judge(
    reported: &[Option<f64>],
    keep: usize,
    smaller_is_better: bool,
) -> Result<Outcome, String> {
    if reported.is_empty() {
        return Err("there is no run to judge".into());
    }
    let waiting: Vec<usize> = (0..reported.len())
        .filter(|at| reported[*at].is_none())
        .collect();
    if !waiting.is_empty() {
        return Ok(Outcome::Waiting(waiting));
    }
    let values: Vec<f64> = reported
        .iter()
        .map(|value| value.unwrap_or(f64::NAN))
        .collect();
    let (mut sound, odd): (Vec<usize>, Vec<usize>) =
        (0..values.len()).partition(|at| values[*at].is_finite());
    if sound.is_empty() {
        return Err(format!(
            "none of {} runs has a number to be judged by",
            values.len()
        ));
    }
    sound.sort_by(|a, b| {
        let (a, b) = (values[*a], values[*b]);
        // The sort is stable: equal values stay in their order.
        if smaller_is_better {
            a.total_cmp(&b)
        } else {
            b.total_cmp(&a)
        }
    });
    let rest = sound.split_off(keep.clamp(1, sound.len()));
    let last = values[sound[sound.len() - 1]];
    let mut dropped: Vec<(usize, String)> = rest
        .into_iter()
        .map(|at| {
            let equal = if values[at] == last {
                ", and it is the later one"
            } else {
                ""
            };
            (
                at,
                format!(
                    "{} against {last} of the last of {} that go on{equal}",
                    values[at],
                    sound.len()
                ),
            )
        })
        .collect();
    dropped.extend(
        odd.into_iter()
            .map(|at| (at, format!("{} is no finite number", values[at]))),
    );
    Ok(Outcome::Judged {
        kept: sound,
        dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rung(resource: u64, runs: usize, keep: usize) -> Rung {
        Rung {
            resource,
            runs,
            keep,
        }
    }

    #[test]
    fn rungs_grow_as_runs_shrink() {
        let told = rungs(9, 100, 900, 3).unwrap();
        assert_eq!(told, [rung(100, 9, 3), rung(300, 3, 1), rung(900, 1, 1)]);
        let told = rungs(8, 10, 35, 2).unwrap();
        assert_eq!(told, [rung(10, 8, 4), rung(20, 4, 2), rung(35, 2, 1)]);
        assert_eq!(rungs(1, 5, 50, 4).unwrap(), [rung(50, 1, 1)]);
        for (runs, least, most, factor) in [(0, 1, 9, 2), (4, 0, 9, 2), (4, 9, 3, 2), (4, 1, 9, 1)]
        {
            assert!(rungs(runs, least, most, factor).is_err());
        }
        assert!(rungs(usize::MAX, u64::MAX / 2, u64::MAX, u64::MAX).is_ok());
    }

    #[test]
    fn ties_go_to_the_earlier_and_what_is_no_number_is_out() {
        let reported = [
            Some(0.5),
            Some(f64::NAN),
            Some(0.3),
            Some(0.5),
            Some(f64::NEG_INFINITY),
        ];
        let Outcome::Judged { kept, dropped } = judge(&reported, 2, true).unwrap() else {
            panic!("all have reported");
        };
        assert_eq!(kept, [2, 0]);
        let told: Vec<usize> = dropped.iter().map(|(at, _)| *at).collect();
        assert_eq!(told, [3, 1, 4]);
        assert!(dropped[0].1.ends_with("it is the later one") && dropped[1].1.starts_with("NaN"));
        assert_eq!(
            judge(&[Some(1.0), None], 1, true),
            Ok(Outcome::Waiting(vec![1]))
        );
        assert!(judge(&[Some(f64::NAN); 3], 1, true).is_err() && judge(&[], 1, true).is_err());
    }

    proptest! {
        #[test]
        fn somebody_goes_on_and_nobody_is_lost(
            values in prop::collection::vec(prop_oneof![4 => -3..3_i32, 1 => Just(99)], 1..20),
            keep in 0..25_usize,
            smaller: bool,
        ) {
            let value = |one: &i32| if *one == 99 { f64::NAN } else { f64::from(*one) };
            let reported: Vec<Option<f64>> = values.iter().map(|one| Some(value(one))).collect();
            match judge(&reported, keep, smaller) {
                Err(_) => prop_assert!(values.iter().all(|one| *one == 99)),
                Ok(Outcome::Waiting(_)) => prop_assert!(false),
                Ok(Outcome::Judged { kept, dropped }) => {
                    prop_assert!(!kept.is_empty() && kept.len() <= keep.max(1));
                    prop_assert_eq!(kept.len() + dropped.len(), values.len());
                    let worst = values[kept[kept.len() - 1]];
                    for (at, _) in dropped {
                        let better = if smaller { values[at] < worst } else { values[at] > worst };
                        prop_assert!(values[at] == 99 || !better);
                    }
                }
            }
        }
    }
}
