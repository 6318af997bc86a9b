//! Who goes on from a rung of a halved sweep: a function of what its members have to show there, and of nothing else.

use super::rung::{LeftOut, Shown};
use crate::{
    planning::halving::{Outcome, Rung, judge, rungs},
    training::job::Halving,
};
use serde::{Deserialize, Serialize};

/// A rung that was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Steps up to it.
    pub step: u64,
    /// Those that came to it, in the order of the request.
    pub runs: Vec<Run>,
}

/// A member at a rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What it is called.
    pub name: String,
    /// Steps that it had done by the look that counts: those of the rung, or those of its own end before.
    pub step: u64,
    /// Its loss on the holdout, nats; none: no finite number.
    pub eval_loss: Option<f64>,
    /// Whether it had ended by itself: by its last planned step, early stopping, or its own numbers.
    pub over: bool,
    /// Whether it went on.
    pub went_on: bool,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Judged {
    /// How many went on.
    pub fn kept(&self) -> usize {
        self.runs.iter().filter(|run| run.went_on).count()
    }

    /// The ends that the rung made: not of those that had ended before.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, LeftOut)> {
        let ended = |run: &&Run| !run.went_on && !run.over;
        self.runs.iter().filter(ended).map(|run| {
            let (step, kept, all) = (self.step, self.kept(), self.runs.len());
            let loss = run.eval_loss.map_or("none".into(), |l| format!("{l:.4}"));
            let why = format!("left out at step {step}: eval_loss {loss}, {kept} of {all} went on");
            (run.name.as_str(), LeftOut { step, why })
        })
    }
}

/// Who goes on from a rung, by what each has to show, in the order of the request.
pub fn decide(rung: Rung, shown: &[(&str, Shown)]) -> Judged {
    let losses: Vec<Option<f64>> = shown.iter().map(|(_, shown)| Some(shown.loss)).collect();
    let (kept, dropped) = match judge(&losses, rung.keep, true) {
        Ok(Outcome::Judged { kept, dropped }) => (kept, dropped),
        Ok(Outcome::Waiting(_)) => unreachable!("all have reported"),
        // Nobody has a number, so nobody goes on.
        Err(why) => (
            vec![],
            (0..shown.len()).map(|at| (at, why.clone())).collect(),
        ),
    };
    let run = |(at, (name, shown)): (usize, &(&str, Shown))| Run {
        name: (*name).into(),
        step: shown.step,
        eval_loss: Some(shown.loss).filter(|loss| loss.is_finite()),
        over: shown.over,
        went_on: kept.contains(&at),
        why: dropped
            .iter()
            .find(|(of, _)| *of == at)
            .map(|(_, why)| why.clone()),
    };
    Judged {
        step: rung.resource,
        runs: shown.iter().enumerate().map(run).collect(),
    }
}

/// The rungs at which members are compared, where they have so many steps planned: all but the last, from which nobody goes on.
///
/// # Errors
/// A sentence: there is nothing to compare, or no rung before the last step.
pub fn judged_rungs(halving: Halving, planned: &[u64]) -> Result<Vec<Rung>, String> {
    let least = halving.min_resource;
    let most = planned.iter().copied().max().unwrap_or(0);
    if planned.len() < 2 {
        return Err("a sweep of one member cannot be halved: there is none to compare with".into());
    }
    if least >= most {
        return Err(format!(
            "halving.min_resource = {least} is wrong: a first rung before the last step, which is step {most}"
        ));
    }
    let mut all = rungs(planned.len(), least, most, halving.reduction_factor)?;
    all.pop();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(step: u64, loss: f64, over: bool) -> Shown {
        Shown { step, loss, over }
    }

    fn rung(keep: usize) -> Rung {
        Rung {
            resource: 9,
            runs: 4,
            keep,
        }
    }

    fn on(judged: &Judged) -> Vec<&str> {
        let on = judged.runs.iter().filter(|run| run.went_on);
        on.map(|run| run.name.as_str()).collect()
    }

    #[test]
    fn the_better_ones_go_on_and_of_the_others_only_those_end_there_that_had_not_ended() {
        let judged = decide(
            rung(2),
            &[
                ("early", shown(6, 2.5, true)),
                ("good", shown(9, 2.0, false)),
                ("done", shown(4, 1.5, true)),
                ("bad", shown(9, 2.25, false)),
                ("wild", shown(7, f64::NAN, true)),
                ("odd", shown(9, f64::INFINITY, false)),
            ],
        );
        assert_eq!(on(&judged), ["good", "done"]);
        assert_eq!((judged.step, judged.kept()), (9, 2));
        let ends: Vec<(&str, LeftOut)> = judged.left_out().collect();
        let why = "left out at step 9: eval_loss 2.2500, 2 of 6 went on";
        assert_eq!(
            ends[0],
            (
                "bad",
                LeftOut {
                    step: 9,
                    why: why.into()
                }
            )
        );
        assert_eq!((ends.len(), ends[1].0), (2, "odd"));
        assert!(
            ends[1].1.why.contains("eval_loss none"),
            "{}",
            ends[1].1.why
        );
        assert_eq!(judged.runs[4].eval_loss, None);
        let why = |at: usize| judged.runs[at].why.as_deref();
        assert_eq!(why(1), None);
        assert!(
            why(3).unwrap().starts_with("2.25 against 2 "),
            "{:?}",
            why(3)
        );
        assert!(why(4).unwrap().contains("no finite number"));
        // What is read back is the same to the last bit.
        let text = serde_json::to_string(&judged).unwrap();
        assert_eq!(serde_json::from_str::<Judged>(&text).unwrap(), judged);
    }

    #[test]
    fn of_equals_the_earlier_goes_on_and_without_a_number_nobody() {
        let same = ["a", "b", "c"].map(|name| (name, shown(9, 2.0, false)));
        assert_eq!(on(&decide(rung(1), &same)), ["a"]);
        let none = ["a", "b"].map(|name| (name, shown(9, f64::NAN, false)));
        let judged = decide(rung(1), &none);
        assert_eq!((judged.kept(), judged.left_out().count()), (0, 2));
    }

    #[test]
    fn what_cannot_be_halved_is_refused_with_its_reason() {
        let halving = |min_resource| Halving {
            min_resource,
            reduction_factor: 2,
        };
        let steps = |rungs: &[Rung]| -> Vec<(u64, usize, usize)> {
            let each = rungs.iter().map(|one| (one.resource, one.runs, one.keep));
            each.collect()
        };
        // As far as the longest goes; from the last rung nobody goes on.
        let rungs = judged_rungs(halving(3), &[4, 24, 12, 12]).unwrap();
        assert_eq!(steps(&rungs), [(3, 4, 2), (6, 2, 1)]);
        let rungs = judged_rungs(halving(11), &[12, 12, 12, 12]).unwrap();
        assert_eq!(steps(&rungs), [(11, 4, 2)]);
        let why = judged_rungs(halving(12), &[4, 12]).unwrap_err();
        assert!(
            why.contains("min_resource = 12") && why.contains("step 12"),
            "{why}"
        );
        let why = judged_rungs(halving(1), &[4]).unwrap_err();
        assert!(why.contains("one member"), "{why}");
    }
}
