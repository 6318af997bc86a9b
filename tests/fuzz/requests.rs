//! What arrives on the control socket.

use crate::{
    mutation::{anything, mutated, reworded},
    property::{Seen, holds},
};
use campaignd::{
    config::{Env, Overrides, Settings, Source, load_campaign},
    control::api::{ActRequest, StopRequest, SubmitRequest},
    machines::{
        event::Event,
        spec::Parts,
        step::{Refused, step},
    },
    time::Timestamp,
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, path::Path};

const NOW: Timestamp = Timestamp(1_772_442_842_000);

fn submit() -> SubmitRequest {
    let settings = Settings::load(None).unwrap();
    let (flags, env) = (Overrides::default(), Env::default());
    let mut spec =
        load_campaign(&Source::Embedded, &flags, &env, &settings, Path::new("/")).unwrap();
    spec.provenance.truncate(2);
    SubmitRequest {
        spec,
        parts: Parts::SkipPilot,
        amend: false,
    }
}

/// A value that reads back from its own bytes, or a sentence.
fn reads<T>(bytes: &[u8], seen: &Seen) -> Result<Option<T>, TestCaseError>
where
    T: DeserializeOwned + Serialize + PartialEq + Debug,
{
    match serde_json::from_slice::<T>(bytes) {
        Ok(value) => {
            seen.note("accepted");
            let again: T = serde_json::from_slice(&serde_json::to_vec(&value).unwrap()).unwrap();
            prop_assert_eq!(&again, &value);
            Ok(Some(value))
        }
        Err(error) => {
            seen.note("refused");
            prop_assert!(!error.to_string().is_empty());
            Ok(None)
        }
    }
}

#[test]
fn a_verb_or_a_stop_is_a_value_or_a_sentence() {
    let act = br#"{"why":"not good enough","quality_threshold":0.8}"#.to_vec();
    let stop = br#"{"interrupt":true}"#.to_vec();
    let input = prop_oneof![anything(), mutated(act), mutated(stop)];
    holds(
        "a_verb",
        1,
        &["accepted", "refused"],
        input,
        |bytes, seen| {
            reads::<ActRequest>(&bytes, seen)?;
            reads::<StopRequest>(&bytes, seen)?;
            Ok(())
        },
    );
}

/// What the daemon does with a campaign that the parser took: it begins, with a bounded number of tasks, or is refused.
fn begins(request: SubmitRequest, seen: &Seen) -> TestCaseResult {
    let SubmitRequest { spec, parts, .. } = request;
    let event = Event::Submitted {
        spec: Box::new(spec),
        parts,
    };
    match step(None, &event, NOW) {
        Ok(outcome) => {
            seen.note("begun");
            let tasks = outcome.tree.jobs.values().map(|job| job.tasks.len());
            prop_assert!(
                tasks.clone().all(|tasks| (1..=10_000).contains(&tasks)),
                "{:?}",
                tasks.max()
            );
            let asked = outcome
                .tree
                .jobs
                .values()
                .flat_map(|job| &job.tasks)
                .map(|task| task.target)
                .sum::<u64>();
            prop_assert!(asked > 0, "a job without samples would be done at once");
        }
        Err(Refused::Pointless(sentence)) => {
            seen.note("refused by the machine");
            prop_assert!(!sentence.is_empty());
        }
        Err(other) => prop_assert!(false, "{}", other),
    }
    Ok(())
}

/// Campaigns that the parser takes whatever their numbers are.
fn odd_numbers() -> impl Strategy<Value = Vec<u8>> {
    let edges = vec![0, 1, 2, 190, 10_000, 10_001, 1 << 40, u64::MAX];
    let number = || prop::sample::select(edges.clone());
    let shards = prop::sample::select(vec![0, 1, 8, 10_000, 10_001, u32::MAX]);
    let share = prop::sample::select(vec![-0.1, 0.0, 0.75, 1.0, 1.5, 1e300]);
    let input = (shards, number(), number(), number(), share, any::<bool>());
    input.prop_map(|(shards, target, pilot, seconds, share, all)| {
        let mut request = submit();
        request.spec.generator.shards = shards;
        request.spec.generator.time_seconds = Some(seconds);
        if all {
            request.spec.campaign_target = target;
            request.spec.criteria.pilot_target = pilot;
            request.spec.generator.faults = share;
        }
        serde_json::to_vec(&request).unwrap()
    })
}

#[test]
fn a_submitted_campaign_begins_or_is_refused() {
    let valid = serde_json::to_string_pretty(&submit()).unwrap();
    let input = prop_oneof![
        anything(),
        odd_numbers(),
        mutated(valid.clone().into_bytes()),
        reworded(&valid, ':').prop_map(String::into_bytes),
    ];
    let expected = ["accepted", "refused", "begun", "refused by the machine"];
    holds(
        "a_submitted_campaign",
        1,
        &expected,
        input,
        |bytes, seen| match reads::<SubmitRequest>(&bytes, seen)? {
            Some(request) => begins(request, seen),
            None => Ok(()),
        },
    );
}

#[test]
fn deep_nesting_ends_no_process() {
    let pairs = [
        ("[", "]"),
        ("{\"a\":", "}"),
        ("{\"why\":", "}"),
        ("{\"spec\":", "}"),
    ];
    let key = prop::sample::select(vec!["unknown", "why", "spec", "quality_threshold"]);
    let input = (
        200..200_000_usize,
        key,
        prop::sample::select(pairs.to_vec()),
        any::<bool>(),
    );
    holds(
        "deep_nesting",
        4,
        &["refused", "passed over"],
        input,
        |(depth, key, (open, close), closed), seen| {
            let end = if closed {
                close.repeat(depth)
            } else {
                String::new()
            };
            let text = format!("{{\"{key}\":{}1{end}}}", open.repeat(depth));
            let act = serde_json::from_str::<ActRequest>(&text);
            // A key that nobody knows is passed over, however deep, so that newer clients are understood.
            let unknown = key == "unknown" || key == "spec";
            prop_assert_eq!(act.is_ok(), unknown && closed);
            seen.note(if act.is_ok() {
                "passed over"
            } else {
                "refused"
            });
            prop_assert!(serde_json::from_str::<SubmitRequest>(&text).is_err());
            Ok(())
        },
    );
}
