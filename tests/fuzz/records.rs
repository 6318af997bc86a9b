//! Values of the state database: a version, then bincode, which names nothing and so must be watched.

use crate::{mutation::mutated, property::holds};
use campaignd::{
    config::{Env, Overrides, Settings, Source, load_campaign},
    machines::{
        campaign::Campaign,
        effect::Obligation,
        event::Event,
        job::Job,
        spec::Parts,
        step::step,
        training_run::{State, TrainingRun},
        tree::CampaignTree,
    },
    store::{Fault, Record, wire},
    time::Timestamp,
};
use proptest::{collection::vec, prelude::*};
use std::{fmt::Debug, path::Path};

const NOW: Timestamp = Timestamp(1_772_442_842_000);

fn tree() -> CampaignTree {
    let settings = Settings::load(None).unwrap();
    let (flags, env) = (Overrides::default(), Env::default());
    let spec = load_campaign(&Source::Embedded, &flags, &env, &settings, Path::new("/")).unwrap();
    let event = Event::Submitted {
        spec: Box::new(spec),
        parts: Parts::Whole,
    };
    step(None, &event, NOW).unwrap().tree
}

/// Bytes of a record that was written, then befallen by something; or a version and anything.
fn values(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let huge = prop::sample::select(vec![
        vec![253_u8, 255, 255, 255, 255, 255, 255, 255, 127],
        vec![252, 255, 255, 255, 255],
        vec![251, 255, 255],
    ]);
    let start = 0..valid.len();
    let lengths = (Just(valid.clone()), start, huge).prop_map(|(mut bytes, at, huge)| {
        drop(bytes.splice(at..=at, huge));
        bytes
    });
    prop_oneof![
        mutated(valid),
        // A length that claims more than there is memory.
        lengths,
        vec(any::<u8>(), 0..200),
        (0..2_u8, vec(any::<u8>(), 0..200))
            .prop_map(|(version, body)| [vec![version, 0], body].concat()),
    ]
}

fn is_a_value_or_a_fault<R: Record + PartialEq + Debug>(name: &str, record: &R) {
    let valid = wire::encode(R::VERSION, record);
    let expected = ["value", "newer", "older", "malformed"];
    holds(name, 1, &expected, values(valid), |bytes, seen| {
        match wire::record::<R>(&bytes) {
            Ok(value) => {
                seen.note("value");
                let again = wire::encode(R::VERSION, &value);
                // By bytes: a score that became NaN equals nothing.
                prop_assert_eq!(
                    wire::encode(R::VERSION, &wire::record::<R>(&again).unwrap()),
                    again
                );
            }
            Err(fault) => {
                prop_assert!(!fault.to_string().is_empty());
                seen.note(match fault {
                    Fault::Newer { found, reads } => {
                        prop_assert!(found > reads);
                        "newer"
                    }
                    Fault::Older { .. } => "older",
                    Fault::Malformed(_) => "malformed",
                });
            }
        }
        Ok(())
    });
}

#[test]
fn a_stored_campaign_is_a_value_or_a_fault() {
    is_a_value_or_a_fault("a_stored_campaign", &tree().campaign);
}

#[test]
fn a_stored_job_is_a_value_or_a_fault() {
    is_a_value_or_a_fault::<Job>("a_stored_job", tree().jobs.values().next().unwrap());
}

#[test]
fn a_stored_obligation_is_a_value_or_a_fault() {
    is_a_value_or_a_fault::<Obligation>(
        "a_stored_obligation",
        tree().outbox.values().next().unwrap(),
    );
}

#[test]
fn a_stored_run_is_a_value_or_a_fault() {
    let run = TrainingRun {
        cycle: 1,
        name: "routing".into(),
        stage: 2,
        stages: 3,
        state: State::Running,
        started_at: NOW,
        ended_at: None,
    };
    is_a_value_or_a_fault("a_stored_run", &run);
}

#[test]
fn whatever_is_left_over_shows_that_the_type_is_another() {
    let valid = wire::encode(Campaign::VERSION, &tree().campaign);
    holds(
        "whatever_is_left_over",
        2,
        &["refused"],
        vec(any::<u8>(), 1..9),
        |more, seen| {
            seen.note("refused");
            let bytes = [valid.clone(), more].concat();
            prop_assert!(matches!(
                wire::record::<Campaign>(&bytes),
                Err(Fault::Malformed(_))
            ));
            Ok(())
        },
    );
}

#[test]
fn a_record_cut_anywhere_is_a_fault() {
    let valid = wire::encode(Campaign::VERSION, &tree().campaign);
    for length in 0..valid.len() {
        let cut = wire::record::<Campaign>(&valid[..length]);
        assert!(
            cut.is_err(),
            "the first {length} of {} bytes read as a campaign",
            valid.len()
        );
    }
}
