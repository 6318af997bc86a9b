//! A fine-tune that ran out of memory goes again with half the batch and twice the accumulation, so that a step learns from the
//! same rows.
//!
//! What is tried is a function of what was planned and of how often memory ran out, not of what was tried last: whoever does it
//! twice, or once more after a crash, comes to the same.

use super::{
    log::{Block, Event},
    vocabulary::Vocabulary,
};
use crate::parameters::{Assignment, Value};

/// How often a fine-tune goes again.
pub const MOST: u32 = 3;

/// What is done with a fine-tune that ran out of memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Retry {
    /// It goes again with these values over those planned.
    Again(Assignment),
    /// It does not; why.
    Exhausted(String),
}

/// What is done after memory ran out `times` times, the latest included.
pub fn after_oom(words: &Vocabulary, planned: &Assignment, times: u32) -> Retry {
    let named = |word: &str| words.named(word).ok().map(String::from);
    let whole = |name: &str| {
        let value = planned.get(name).or(words.defaults.get(name))?.number()?;
        (value >= 1.0 && value.fract() == 0.0).then_some(value as i64)
    };
    let both = named("per_device_train_batch_size").zip(named("gradient_accumulation_steps"));
    let Some((batch, accumulation)) = both else {
        return Retry::Exhausted(format!("{} has no batch to halve", words.back_end));
    };
    let Some((rows, steps)) = whole(&batch).zip(whole(&accumulation)) else {
        return Retry::Exhausted(format!("{batch} and {accumulation} are not known"));
    };
    if times > MOST {
        return Retry::Exhausted(format!(
            "out of memory {times} times, {MOST} retries are made"
        ));
    }
    let halves = 1_i64 << times;
    if rows % halves != 0 {
        return Retry::Exhausted(format!("{batch} = {rows} cannot be halved {times} times"));
    }
    Retry::Again(
        [
            (batch, Value::Whole(rows / halves)),
            (accumulation, Value::Whole(steps.saturating_mul(halves))),
        ]
        .into(),
    )
}

/// What the log says of it.
pub fn block(run: &str, times: u32, retry: &Retry) -> Block {
    match retry {
        Retry::Again(values) => {
            let details = format!("retry {times} of {MOST}: {}", super::config::said(values));
            Block::done(Event::OomRetry, run, details)
        }
        Retry::Exhausted(why) => {
            Block::done(Event::OomExhausted, run, why.clone()).with_result("failed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        experiment::tests::words,
        parameters::{Domain, Parameter},
    };

    #[test]
    fn the_batch_is_halved_at_most_three_times_and_a_step_stays_as_large() {
        let mut words = words();
        for name in ["per_device_train_batch_size", "gradient_accumulation_steps"] {
            words.schema.parameters.push(Parameter {
                name: name.into(),
                domain: Domain::parse("1..128:int").unwrap(),
                about: String::new(),
            });
        }
        let planned = |batch| -> Assignment {
            let both = [
                ("per_device_train_batch_size", batch),
                ("gradient_accumulation_steps", 2),
            ];
            both.map(|(name, value)| (name.to_string(), Value::Whole(value)))
                .into()
        };
        for (times, rows, steps) in [(1, 4, 4), (2, 2, 8), (3, 1, 16), (3, 1, 16)] {
            let Retry::Again(values) = after_oom(&words, &planned(8), times) else {
                panic!("{times}");
            };
            assert_eq!(values["per_device_train_batch_size"], Value::Whole(rows));
            assert_eq!(values["gradient_accumulation_steps"], Value::Whole(steps));
        }
        let told = |batch, times| match after_oom(&words, &planned(batch), times) {
            Retry::Exhausted(why) => why,
            Retry::Again(values) => panic!("{values:?}"),
        };
        assert!(told(64, 4).contains("3 retries are made"));
        assert!(told(1, 1).contains("cannot be halved"));
        assert!(told(6, 2).contains("cannot be halved 2 times"));
        let block = block("rank8", 1, &after_oom(&words, &planned(8), 1));
        let text = block.text(crate::time::Timestamp(0));
        assert!(text.contains("OOM_RETRY: rank8\nDetails: retry 1 of 3: gradient_accumulation_steps = 4, per_device_train_batch_size = 4\n"), "{text}");
    }
}
