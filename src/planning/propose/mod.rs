//! The next settings to try: a batch that knows what was measured, what failed and what is still running.
//!
//! Before there are [`enough`] results the space is filled evenly; then the surrogate's acquisition is maximised, and
//! every setting that is taken is believed before the next is sought, so that a batch spreads. Small finite spaces are
//! looked through setting by setting, and end.

mod filling;
mod judge;
mod pool;
mod search;

use super::{
    acquisition::{Acquisition, Worth},
    director::Mode,
    space::Space,
    surrogate::{Calibration, Data, Effort, Feasibility, Hyper, Prediction, Surrogate},
};
use crate::{
    parameters::{Assignment, Fault},
    words::words,
};
use judge::Judge;
use serde::{Deserialize, Serialize};

/// The most candidates of one answer.
pub const MOST: usize = 256;
/// Results that are repeated may differ by so much of their variance before settings near a tried one are proposed again.
const NOISY: f64 = 0.05;

words! {
    /// What a candidate is for.
    pub enum Kind {
        /// To see every part of the space, before there is a model.
        SpaceFilling = "space_filling",
        /// To learn: it is worth trying for its uncertainty.
        Explore = "explore",
        /// To gain: the model expects it to beat the best so far.
        Exploit = "exploit",
        /// To start anew, far from the best so far.
        Recover = "recover",
    }
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What was set: every parameter of the space and no other.
    pub values: Assignment,
    /// What was measured; none for a run that failed because of what was set.
    pub value: Option<f64>,
}

/// What is asked.
pub struct Ask<'a> {
    /// The space.
    pub space: &'a Space,
    /// The runs that have ended, oldest first. Leave out failures that teach nothing, as those of a node.
    pub observed: &'a [Trial],
    /// Settings that are running or waiting.
    pub pending: &'a [Assignment],
    /// How many candidates are wanted.
    pub count: usize,
    /// Which way the metric is better.
    pub smaller_is_better: bool,
    /// How the worth of a run is reckoned.
    pub acquisition: Acquisition,
    /// Where to look.
    pub mode: Mode,
    /// Whether a setting keeps all hard constraints; none where there are none.
    pub allowed: Option<&'a dyn Fn(&Assignment) -> bool>,
    /// What chance is made of.
    pub seed: u64,
    /// What an earlier surrogate of the same space had learned, to start from.
    pub warm: Option<&'a Hyper>,
}

/// A setting to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What is to be set.
    pub values: Assignment,
    /// What the surrogate expects; none before there is one.
    pub prediction: Option<Prediction>,
    /// Its worth by the acquisition, in the metric's own units.
    pub acquisition: Option<f64>,
    /// The probability that it fails, from the runs that did; 0 where none did.
    pub failing: f64,
    /// How far the nearest setting lies that was tried, is pending, or comes before it in the batch; from 0 to 1, and 1
    /// where there is none.
    pub distance: f64,
    /// What it is for.
    pub kind: Kind,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// At most as many as were asked for, in the order in which they were found.
    pub candidates: Vec<Candidate>,
    /// Why there are fewer than were asked for, as a sentence.
    pub short: Option<String>,
    /// How far the surrogate can be trusted; none where there is none.
    pub calibration: Option<Calibration>,
    /// What the surrogate has learned, to start the next one from.
    pub hyper: Option<Hyper>,
    /// What the surrogate expects of the best setting so far.
    pub incumbent: Option<Prediction>,
}

/// How many results a surrogate needs for a space of so many parameters; before, the space is filled.
pub fn enough(dims: usize) -> usize {
    (dims + 2).clamp(4, 12)
}

/// The points of an ask, checked.
struct Known {
    /// Of the runs with a result.
    points: Vec<Vec<f64>>,
    values: Vec<f64>,
    /// Of all runs that have ended, and whether they failed.
    ended: Vec<Vec<f64>>,
    failed: Vec<bool>,
    pending: Vec<Vec<f64>>,
}

impl Known {
    fn of(ask: &Ask<'_>) -> Result<Self, Fault> {
        let mut known = Self {
            points: Vec::new(),
            values: Vec::new(),
            ended: Vec::new(),
            failed: Vec::new(),
            pending: Vec::new(),
        };
        for trial in ask.observed {
            let point = ask.space.encode(&trial.values)?;
            if let Some(value) = trial.value {
                if !value.is_finite() {
                    return Err(Fault {
                        parameter: "value".into(),
                        message: format!("a result is {value}"),
                        right: "a finite number, or none for a run that failed".into(),
                    });
                }
                known.points.push(point.clone());
                known.values.push(value);
            }
            known.failed.push(trial.value.is_none());
            known.ended.push(point);
        }
        for values in ask.pending {
            known.pending.push(ask.space.encode(values)?);
        }
        Ok(known)
    }
}

/// Proposes settings.
///
/// # Errors
/// A trial or a pending setting that does not belong to the space, or a result that is no finite number.
pub fn propose(ask: &Ask<'_>) -> Result<Answer, Fault> {
    let known = Known::of(ask)?;
    let mut judge = Judge::new(ask.space, ask.allowed, &known.ended, &known.pending);
    let feasibility = Feasibility::learn(ask.space.words(), &known.ended, &known.failed, ask.seed);
    let count = ask.count.min(MOST);
    let mut answer = if known.values.len() < enough(ask.space.dims()) {
        filling::fill(&mut judge, feasibility.as_ref(), count, ask.seed)
    } else {
        model(ask, &known, &mut judge, feasibility.as_ref(), count)?
    };
    if answer.candidates.len() < count && answer.short.is_none() {
        answer.short = Some(judge.why(answer.candidates.len()));
    } else if ask.count > MOST && answer.short.is_none() {
        answer.short = Some(format!("at most {MOST} settings are proposed at once"));
    }
    Ok(answer)
}

/// How long hyperparameters are searched for: from those of an earlier surrogate a few steps lead on.
fn effort(results: usize, warm: bool) -> Effort {
    match (results, warm) {
        (0..=60, _) => Effort {
            restarts: 2,
            steps: 50,
        },
        (61..=150, true) => Effort {
            restarts: 0,
            steps: 20,
        },
        (_, false) => Effort {
            restarts: 1,
            steps: 30,
        },
        (_, true) => Effort {
            restarts: 0,
            steps: 5,
        },
    }
}

fn model(
    ask: &Ask<'_>,
    known: &Known,
    judge: &mut Judge<'_>,
    feasibility: Option<&Feasibility>,
    count: usize,
) -> Result<Answer, Fault> {
    let data = Data {
        words: ask.space.words(),
        points: &known.points,
        values: &known.values,
        smaller_is_better: ask.smaller_is_better,
    };
    let effort = effort(known.values.len(), ask.warm.is_some());
    let mut surrogate =
        Surrogate::fit(data, ask.warm, effort, ask.seed).map_err(|message| Fault {
            parameter: "value".into(),
            message,
            right: "finite results of settings within the space".into(),
        })?;
    let mut answer = Answer {
        calibration: surrogate.calibration(),
        hyper: Some(surrogate.hyper().clone()),
        ..Answer::default()
    };
    let best = surrogate.point(surrogate.incumbent().0);
    answer.incumbent = Some(surrogate.predict(&best));
    judge.set_noisy(surrogate.hyper().noise >= NOISY);
    judge.set_centre(ask.mode, &best);
    known
        .pending
        .iter()
        .for_each(|point| surrogate.believe(point));
    let seed = ask.seed.wrapping_add(judge.taken() as u64);
    let pool = search::pool(judge, &surrogate, seed);
    for _ in 0..count {
        let worth = Worth::of(ask.acquisition, &surrogate);
        let search = search::Search {
            judge,
            surrogate: &surrogate,
            feasibility,
            worth,
        };
        let Some(point) = search.best(&pool) else {
            break;
        };
        let candidate = search.candidate(&point, ask.mode);
        answer.candidates.push(candidate);
        judge.take(&point);
        surrogate.believe(&point);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
