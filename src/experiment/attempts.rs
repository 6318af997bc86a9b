//! The attempts of one run or evaluation, and what is done next: a function of how they ended, so that whoever asks again after
//! a crash comes to the same.
//!
//! Attempt k + 1 exists only where attempt k ended out of memory, or where a person asked for it again.

use super::{
    retry::{MOST, Retry, after_oom},
    vocabulary::Vocabulary,
};
use crate::parameters::Assignment;
use serde::{Deserialize, Serialize};

/// How an attempt ended: `end.json` of its job directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// In the scheduler's words: `COMPLETED`, `FAILED`, `TIMEOUT`, `OUT_OF_MEMORY`, `CANCELLED`, or another of its own.
    pub state: String,
    /// It did what was asked, and what it was to make is there.
    pub done: bool,
    /// Memory was short, the machine's or a GPU's.
    pub out_of_memory: bool,
    /// The scheduler's number, or the process.
    pub job: Option<String>,
    /// How long it ran, in seconds, where that is known.
    pub seconds: Option<u64>,
    /// What it ended of.
    pub note: String,
}

impl Ended {
    /// Of an attempt whose directory somebody removed: a later attempt says that memory was short in it.
    pub fn gone() -> Self {
        Self {
            state: "OUT_OF_MEMORY".into(),
            out_of_memory: true,
            note: "its job directory is gone".into(),
            ..Self::default()
        }
    }
}

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Course {
    /// This attempt is launched, with these values over those planned.
    Launch {
        /// Which, from 1.
        number: u64,
        /// How often memory ran out before.
        times: u32,
        /// Values over those planned.
        over: Assignment,
    },
    /// This attempt has not ended.
    Live(u64),
    /// This attempt did what was asked.
    Done(u64),
    /// The last attempt did not, and there is no other; where batches were halved until now, why no more.
    Over(Option<String>),
}

/// What is done next, after these attempts: none where one has not ended. `halves`: whether a batch can be halved at all;
/// `again`: whether a person asks for one more.
pub fn course(
    words: &Vocabulary,
    planned: &Assignment,
    attempts: &[Option<Ended>],
    (halves, again): (bool, bool),
) -> Course {
    let number = attempts.len() as u64;
    let Some(last) = attempts.last() else {
        return Course::Launch {
            number: 1,
            times: 0,
            over: Assignment::new(),
        };
    };
    let Some(last) = last else {
        return Course::Live(number);
    };
    if last.done {
        return Course::Done(number);
    }
    let times = times(attempts);
    let retried = (halves && last.out_of_memory).then(|| after_oom(words, planned, times));
    match retried {
        Some(Retry::Again(over)) => Course::Launch {
            number: number + 1,
            times,
            over,
        },
        _ if again => Course::Launch {
            number: number + 1,
            times,
            over: match halves {
                true => smallest(words, planned, times),
                false => Assignment::new(),
            },
        },
        Some(Retry::Exhausted(why)) => Course::Over(Some(why)),
        None => Course::Over(None),
    }
}

/// In how many of these attempts memory was short.
pub fn times(attempts: &[Option<Ended>]) -> u32 {
    let short = attempts.iter().flatten().filter(|one| one.out_of_memory);
    u32::try_from(short.count()).unwrap_or(u32::MAX)
}

/// The values after so many times, or the last ones that there were.
pub fn smallest(words: &Vocabulary, planned: &Assignment, times: u32) -> Assignment {
    let tries = (1..=times.min(MOST)).rev();
    let found = tries.map(|times| after_oom(words, planned, times));
    let mut again = found.filter_map(|retry| match retry {
        Retry::Again(over) => Some(over),
        Retry::Exhausted(_) => None,
    });
    again.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        experiment::tests::words,
        parameters::{Domain, Parameter, Value},
    };

    fn vocabulary() -> Vocabulary {
        let mut words = words();
        for name in ["per_device_train_batch_size", "gradient_accumulation_steps"] {
            words.schema.parameters.push(Parameter {
                name: name.into(),
                domain: Domain::parse("1..128:int").unwrap(),
                about: String::new(),
            });
        }
        words
    }

    fn ended(state: &str) -> Option<Ended> {
        Some(Ended {
            state: state.into(),
            done: state == "COMPLETED",
            out_of_memory: state == "OUT_OF_MEMORY",
            ..Ended::default()
        })
    }

    fn next(states: &[&str], batch: i64, again: bool) -> Course {
        let both = [
            ("per_device_train_batch_size", batch),
            ("gradient_accumulation_steps", 1),
        ];
        let planned = both.map(|(name, value)| (name.to_string(), Value::Whole(value)));
        let attempts: Vec<Option<Ended>> = states
            .iter()
            .map(|state| if state.is_empty() { None } else { ended(state) })
            .collect();
        course(&vocabulary(), &planned.into(), &attempts, (true, again))
    }

    fn launched(course: Course) -> (u64, u32, Option<f64>) {
        match course {
            Course::Launch {
                number,
                times,
                over,
            } => {
                let batch = over.get("per_device_train_batch_size");
                (number, times, batch.and_then(Value::number))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_attempt_follows_only_memory_that_ran_out_or_a_word() {
        let oom = "OUT_OF_MEMORY";
        assert_eq!(launched(next(&[], 8, false)), (1, 0, None));
        assert_eq!(next(&[""], 8, false), Course::Live(1));
        assert_eq!(launched(next(&[oom], 8, false)), (2, 1, Some(4.0)));
        assert_eq!(next(&[oom, ""], 8, true), Course::Live(2));
        assert_eq!(launched(next(&[oom, oom], 8, false)), (3, 2, Some(2.0)));
        assert_eq!(next(&[oom, oom, "COMPLETED"], 8, true), Course::Done(3));
        for state in ["FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"] {
            assert_eq!(next(&[state], 8, false), Course::Over(None), "{state}");
            assert_eq!(launched(next(&[state], 8, true)), (2, 0, None), "{state}");
        }
        // What is asked for again keeps the batch that it had.
        assert_eq!(launched(next(&[oom, "FAILED"], 8, true)), (3, 1, Some(4.0)));
    }

    #[test]
    fn it_ends_and_goes_on_where_a_person_wants() {
        let oom = "OUT_OF_MEMORY";
        let Course::Over(Some(why)) = next(&[oom, oom, oom, oom], 64, false) else {
            panic!("it does not end");
        };
        assert!(why.contains("3 retries are made"), "{why}");
        assert_eq!(
            launched(next(&[oom, oom, oom, oom], 64, true)),
            (5, 4, Some(8.0))
        );
        let Course::Over(Some(why)) = next(&[oom], 1, false) else {
            panic!("a batch of 1 is halved");
        };
        assert!(why.contains("cannot be halved"), "{why}");
        assert_eq!(launched(next(&[oom], 1, true)), (2, 1, None));
        let planned = Assignment::new();
        let evaluation = course(&vocabulary(), &planned, &[ended(oom)], (false, false));
        assert_eq!(evaluation, Course::Over(None), "an evaluation has no batch");
    }
}
