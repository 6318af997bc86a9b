//! Reads progress from one line that is a JSON object.
//!
//! Our own `progress.jsonl` has `done`, `total`, `quality`, `acceptance`, `rate_per_second`, `stage`; the other names are those that generators
//! in the field use for the same. An object with an `id` and no counter is a sample that somebody prints, not progress. A line that begins
//! like an object and is not valid JSON (torn, or with Python's `NaN`) says nothing: its strings may hold any text.

use serde::Deserialize;
use serde_json::Value;

use super::number::{self, Count};
use super::{Fraction, Reading, Stage};

/// The keys that are looked at. Kept as values, so that a key of an unexpected type spoils only itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Keys {
    id: Value,
    done: Value,
    completed: Value,
    progress: Value,
    current: Value,
    total: Value,
    target: Value,
    quality: Value,
    quality_score: Value,
    estimated_quality: Value,
    mean_quality: Value,
    acceptance: Value,
    acceptance_rate: Value,
    accepted: Value,
    rejected: Value,
    rate_per_second: Value,
    rate: Value,
    samples_per_second: Value,
    stage: Value,
    domain: Value,
}

/// Adds to `reading` what the object on the line says.
pub(super) fn read(line: &[u8], reading: &mut Reading) {
    let Ok(keys) = serde_json::from_slice::<Keys>(line) else {
        return;
    };
    let done = first_of(
        [&keys.done, &keys.completed, &keys.progress, &keys.current],
        Value::as_u64,
    );
    if done.is_none() && !keys.id.is_null() {
        return;
    }
    let total = first_of([&keys.total, &keys.target], Value::as_u64);
    match (done.and_then(Count::exact), total.and_then(Count::exact)) {
        (Some(done), Some(total)) => reading.fractions.push(Fraction {
            done,
            total,
            rate: None,
        }),
        (Some(done), None) => reading.bare_done = Some(done.value),
        (None, _) => {}
    }
    let quality = [
        &keys.quality,
        &keys.quality_score,
        &keys.estimated_quality,
        &keys.mean_quality,
    ];
    reading.quality = first_of(quality, share);
    reading.acceptance = first_of([&keys.acceptance, &keys.acceptance_rate], share)
        .or_else(|| accepted_share(&keys));
    reading.rate = first_of(
        [&keys.rate_per_second, &keys.rate, &keys.samples_per_second],
        speed,
    );
    reading.stage = first_of([&keys.stage, &keys.domain], name);
}

/// The first of several values that is of the kind asked for.
fn first_of<'a, T, const N: usize>(
    values: [&'a Value; N],
    kind: impl Fn(&'a Value) -> Option<T>,
) -> Option<T> {
    values.into_iter().find_map(kind)
}

fn share(value: &Value) -> Option<f64> {
    value.as_f64().and_then(number::share)
}

fn speed(value: &Value) -> Option<f64> {
    value.as_f64().and_then(number::speed)
}

fn name(value: &Value) -> Option<Stage> {
    value
        .as_str()
        .filter(|name| !name.is_empty())
        .map(|name| Stage::Part(name.chars().take(64).collect()))
}

fn accepted_share(keys: &Keys) -> Option<f64> {
    let (accepted, rejected) = (keys.accepted.as_u64()?, keys.rejected.as_u64()?);
    let judged = accepted
        .checked_add(rejected)
        .filter(|&judged| judged > 0)?;
    number::share(accepted as f64 / judged as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(line: &str) -> Reading {
        let mut reading = Reading::default();
        read(line.as_bytes(), &mut reading);
        reading
    }

    #[test]
    fn our_own_line_is_read_whole() {
        let line = r#"{"done":47,"total":190,"quality":0.82,"acceptance":0.87,"rate_per_second":12.5,"stage":"asm","more":[1]}"#;
        let read = reading(line);
        assert_eq!(read.fractions.len(), 1);
        assert_eq!(
            (read.quality, read.acceptance, read.rate),
            (Some(0.82), Some(0.87), Some(12.5))
        );
        assert_eq!(read.stage, Some(Stage::Part("asm".into())));
    }

    #[test]
    fn one_bad_value_spoils_only_itself() {
        let read = reading(
            r#"{"done":47,"total":-1,"quality":7,"acceptance":"high","accepted":0,"rejected":190,"stage":3}"#,
        );
        assert_eq!(
            (read.bare_done, read.quality, read.acceptance, read.stage),
            (Some(47), None, Some(0.0), None)
        );
    }

    #[test]
    fn samples_and_torn_lines_say_nothing() {
        for line in [
            r#"{"id":"a1","quality_score":0.9,"text":"Progress: 38/38"}"#,
            r#"{"done":47,"total":190"#,
            r#"{"done":47,"total":190,"quality":NaN}"#,
            r#"{"text":"Quality: 0.9"}"#,
            "{\"a\"\u{1}",
        ] {
            assert_eq!(reading(line), Reading::default(), "{line:?}");
        }
    }
}
