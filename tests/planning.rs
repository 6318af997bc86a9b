//! What planning tells is kept: in records, which do not describe themselves, and in JSON.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use campaignd::{
    parameters::Domain,
    planning::{
        Acquisition, Ask, Candidate, Mode, Space, Trial,
        approval::{Approval, Cost, Evidence},
        director::{Rules, direct},
        propose,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

fn kept<T: Serialize + DeserializeOwned + PartialEq + Debug>(one: &T) {
    let standard = bincode::config::standard();
    let record = bincode::serde::encode_to_vec(one, standard).unwrap();
    let (read, length): (T, usize) = bincode::serde::decode_from_slice(&record, standard).unwrap();
    assert_eq!(length, record.len());
    assert_eq!(&read, one);
    let json = serde_json::to_string(one).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), one, "{json}");
}

fn evidence(candidate: &Candidate) -> Evidence {
    Evidence {
        violations: vec!["r above 64 ran out of memory 3 times".into()],
        costs: vec![Cost {
            what: "GPU hours".into(),
            estimate: Some(1.5),
            left: 20.0,
        }],
        distance: candidate.distance,
        duplicate: false,
        repeats: false,
        prediction: candidate.prediction,
        incumbent: Some(0.25),
        smaller_is_better: true,
        spread: Some(0.1),
        failing: candidate.failing,
    }
}

#[test]
fn what_is_planned_is_kept() {
    let parameters = [
        ("learning_rate", "1e-5..1e-2:log"),
        ("r", "1..64:int"),
        ("optimizer", "adamw,sgd"),
    ];
    let of = |(name, text): (&str, &str)| (name.to_owned(), Domain::parse(text).unwrap());
    let space = Space::new(parameters.map(of).into()).unwrap();
    let mut observed: Vec<Trial> = Vec::new();
    for at in 0..8 {
        let ask = Ask {
            space: &space,
            observed: &observed,
            pending: &[],
            count: 1,
            smaller_is_better: true,
            acquisition: Acquisition::ExpectedImprovement,
            mode: Mode::Explore,
            allowed: None,
            seed: 3,
            warm: None,
        };
        let answer = propose(&ask).unwrap();
        let candidate = &answer.candidates[0];
        let evidence = evidence(candidate);
        kept(candidate);
        kept(&Approval::of(&evidence));
        kept(&evidence);
        kept(&answer.calibration);
        kept(&answer.hyper);
        let rate = candidate.values["learning_rate"].number().unwrap();
        assert_eq!(candidate.prediction.is_some(), at >= 5);
        observed.push(Trial {
            values: candidate.values.clone(),
            value: Some((rate.log10() + 3.5).powi(2)),
        });
    }
    let values: Vec<f64> = observed.iter().filter_map(|one| one.value).collect();
    kept(&direct(&values, true, 5, Rules::default()).unwrap());
    kept(&Rules::default());
}
