//! Whatever is asked, proposals belong to the space, are allowed, are all different, and end.

use super::*;
use crate::parameters::{Domain, Value};
use proptest::prelude::*;

fn space(parameters: &[(&str, &str)]) -> Space {
    let of = |(name, text): &(&str, &str)| (name.to_string(), Domain::parse(text).unwrap());
    Space::new(parameters.iter().map(of).collect()).unwrap()
}

const MIXED: [(&str, &str); 4] = [
    ("learning_rate", "1e-5..1e-2:log"),
    ("r", "1..64:log:int"),
    ("optimizer", "adamw,sgd,lion"),
    ("dropout", "0..0.5"),
];

fn domains(space: &[(&str, &str)]) -> Vec<(String, Domain)> {
    space
        .iter()
        .map(|(name, text)| (name.to_string(), Domain::parse(text).unwrap()))
        .collect()
}

/// A loss of whatever numbers there are.
fn loss(values: &Assignment) -> f64 {
    let one = |(at, value): (usize, &Value)| match value.number() {
        Some(number) => (number.abs() + 1e-6).ln() * (at as f64 + 1.0) / 10.0,
        None => value.to_string().len() as f64 / 10.0,
    };
    let sum: f64 = values.values().enumerate().map(one).sum();
    (sum - 0.3).powi(2)
}

fn ask<'a>(space: &'a Space, observed: &'a [Trial], pending: &'a [Assignment]) -> Ask<'a> {
    Ask {
        space,
        observed,
        pending,
        count: 1,
        smaller_is_better: true,
        acquisition: Acquisition::ExpectedImprovement,
        mode: Mode::Explore,
        allowed: None,
        seed: 7,
        warm: None,
    }
}

/// That many trials at points of Sobol's sequence; every `failing`-th without a result.
fn trials(space: &Space, count: usize, failing: usize) -> Vec<Trial> {
    let sobol = crate::planning::sobol::Sobol::new(space.dims(), 99);
    let one = |at: usize| {
        let values = space.decode(&sobol.point(at as u32));
        let value = (at % failing != failing - 1).then(|| loss(&values));
        Trial { values, value }
    };
    (0..count).map(one).collect()
}

/// A constraint that some settings break.
fn cheap(values: &Assignment) -> bool {
    values["r"].number().unwrap_or(0.0) <= 48.0 && values["dropout"].number().unwrap_or(1.0) < 0.4
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn batches_are_in_the_space_allowed_and_without_duplicates(
        (results, waiting, count) in (0..30_usize, 0..4_usize, 1..9_usize),
        failing in 3..9_usize,
        (mode, acquisition) in (0..3_usize, 0..2_usize),
        smaller: bool,
        seed: u64,
    ) {
        let space = space(&MIXED);
        let observed = trials(&space, results, failing);
        let pending: Vec<Assignment> =
            trials(&space, results + waiting, 99).split_off(results).into_iter().map(|one| one.values).collect();
        let asked = Ask {
            count,
            smaller_is_better: smaller,
            acquisition: Acquisition::ALL[acquisition],
            mode: Mode::ALL[mode],
            allowed: Some(&cheap),
            seed,
            ..ask(&space, &observed, &pending)
        };
        let answer = propose(&asked).unwrap();
        prop_assert!(answer.candidates.len() <= count);
        prop_assert_eq!(answer.candidates.len() < count, answer.short.is_some());
        let noisy = answer.hyper.as_ref().is_some_and(|hyper| hyper.noise >= NOISY);
        let mut taken: Vec<Vec<f64>> = pending.iter().map(|one| space.encode(one).unwrap()).collect();
        if !noisy {
            taken.extend(observed.iter().map(|one| space.encode(&one.values).unwrap()));
        }
        for candidate in &answer.candidates {
            for (name, domain) in domains(&MIXED) {
                prop_assert!(domain.holds(&candidate.values[&name]), "{:?}", candidate);
            }
            prop_assert_eq!(candidate.values.len(), MIXED.len());
            prop_assert!(cheap(&candidate.values));
            let point = space.encode(&candidate.values).unwrap();
            prop_assert!(taken.iter().all(|other| !space.near(&point, other)), "{:?}", candidate);
            taken.push(point);
            let sound = |one: Prediction| one.mean.is_finite() && one.sd.is_finite() && one.sd > 0.0;
            prop_assert!(candidate.prediction.is_none_or(sound));
            prop_assert!(candidate.acquisition.is_none_or(f64::is_finite));
            prop_assert!((0.0..=1.0).contains(&candidate.failing) && (0.0..=1.0).contains(&candidate.distance));
        }
        prop_assert_eq!(propose(&asked).unwrap(), answer, "the same seed, another answer");
    }

    #[test]
    fn a_small_space_is_tried_out_and_ends(count in 1..6_usize, seed: u64, mode in 0..3_usize) {
        let space = space(&[("r", "8,16,64"), ("optimizer", "adamw,sgd"), ("layers", "1..3:int")]);
        let allowed = |values: &Assignment| !(values["r"].same(&Value::Whole(64)) && values["layers"].same(&Value::Whole(3)));
        let mut observed: Vec<Trial> = Vec::new();
        // The region of a mode may end before the space does.
        let modes = [Mode::ALL[mode], Mode::Explore];
        for mode in modes {
            for _ in 0..40 {
                let answer = propose(&Ask { count, seed, mode, allowed: Some(&allowed), ..ask(&space, &observed, &[]) }).unwrap();
                for candidate in &answer.candidates {
                    prop_assert!(allowed(&candidate.values));
                    prop_assert!(observed.iter().all(|one| one.values != candidate.values));
                    let value = Some(loss(&candidate.values));
                    observed.push(Trial { values: candidate.values.clone(), value });
                }
                if answer.candidates.is_empty() {
                    prop_assert!(answer.short.unwrap().contains("of 18 settings 16 are allowed"));
                    break;
                }
            }
        }
        prop_assert_eq!(observed.len(), 16);
    }
}

#[test]
fn the_space_is_filled_until_there_are_enough_results() {
    let space = space(&MIXED);
    assert_eq!([1, 2, 4, 20].map(enough), [4, 4, 6, 12]);
    let kinds = |results: usize| {
        let observed = trials(&space, results, 99);
        let answer = propose(&Ask {
            count: 2,
            ..ask(&space, &observed, &[])
        })
        .unwrap();
        answer
            .candidates
            .into_iter()
            .map(|one| (one.kind, one.prediction.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(5), [(Kind::SpaceFilling, false); 2]);
    assert!(
        kinds(6)
            .iter()
            .all(|(kind, predicted)| *kind != Kind::SpaceFilling && *predicted)
    );
}

#[test]
fn the_last_setting_is_found_before_there_is_a_model() {
    let space = space(&[("steps", "1..2000:int")]);
    let value = |at: i64| Assignment::from([("steps".to_owned(), Value::Whole(at))]);
    let pending: Vec<Assignment> = (1..=2000).filter(|at| *at != 1234).map(value).collect();
    let answer = propose(&Ask {
        count: 2,
        ..ask(&space, &[], &pending)
    });
    let answer = answer.unwrap();
    assert_eq!(answer.candidates.len(), 1);
    assert_eq!(answer.candidates[0].values, value(1234));
    assert!(answer.short.is_some());
}

#[test]
fn modes_look_where_they_should() {
    let space = space(&[("a", "0..1"), ("b", "0..1")]);
    let valley = |values: &Assignment| {
        let at = |name: &str| values[name].number().unwrap() - 0.3;
        at("a").powi(2) + at("b").powi(2)
    };
    let observed: Vec<Trial> = trials(&space, 20, 99)
        .into_iter()
        .map(|one| Trial {
            value: Some(valley(&one.values)),
            ..one
        })
        .collect();
    let best = observed
        .iter()
        .min_by(|a, b| a.value.partial_cmp(&b.value).unwrap())
        .unwrap();
    let best = space.encode(&best.values).unwrap();
    let found = |mode| {
        let answer = propose(&Ask {
            mode,
            count: 4,
            ..ask(&space, &observed, &[])
        })
        .unwrap();
        assert_eq!(answer.candidates.len(), 4);
        answer.candidates
    };
    for candidate in found(Mode::Recover) {
        assert_eq!(candidate.kind, Kind::Recover);
        assert!(space.distance(&space.encode(&candidate.values).unwrap(), &best) >= judge::AWAY);
    }
    for candidate in found(Mode::Exploit) {
        let point = space.encode(&candidate.values).unwrap();
        assert!(
            point
                .iter()
                .zip(&best)
                .all(|(a, b)| (a - b).abs() <= judge::CLOSE)
        );
    }
    let first = &found(Mode::Explore)[0];
    assert!(valley(&first.values) < 0.01, "{first:?}");
    assert_eq!(first.kind, Kind::Exploit);
}

#[test]
fn failures_are_kept_away_from() {
    let space = space(&[("a", "0..1"), ("b", "0..1")]);
    let at = |values: &Assignment, name: &str| values[name].number().unwrap();
    // The best lies where runs fail.
    let observed: Vec<Trial> = trials(&space, 32, 99)
        .into_iter()
        .map(|one| Trial {
            value: (at(&one.values, "a") < 0.6).then(|| -at(&one.values, "a")),
            ..one
        })
        .collect();
    let answer = propose(&Ask {
        count: 4,
        ..ask(&space, &observed, &[])
    })
    .unwrap();
    for candidate in &answer.candidates {
        assert!(at(&candidate.values, "a") < 0.75, "{candidate:?}");
        assert!(candidate.failing < 0.7, "{candidate:?}");
    }
    let all_failed: Vec<Trial> = observed
        .iter()
        .map(|one| Trial {
            value: None,
            ..one.clone()
        })
        .collect();
    let answer = propose(&Ask {
        count: 3,
        ..ask(&space, &all_failed, &[])
    })
    .unwrap();
    assert!(
        answer
            .candidates
            .iter()
            .all(|one| one.kind == Kind::SpaceFilling && one.failing > 0.5)
    );
}

#[test]
fn pending_runs_count_as_if_they_had_been_as_expected() {
    let space = space(&[("a", "0..1"), ("b", "0..1")]);
    let wave = |values: &Assignment| {
        let at = |name: &str| values[name].number().unwrap();
        (9.0 * at("a")).sin() + (7.0 * at("b")).cos()
    };
    let observed: Vec<Trial> = trials(&space, 9, 99)
        .into_iter()
        .map(|one| Trial {
            value: Some(wave(&one.values)),
            ..one
        })
        .collect();
    let batch = propose(&Ask {
        count: 4,
        ..ask(&space, &observed, &[])
    })
    .unwrap()
    .candidates;
    let points: Vec<Vec<f64>> = batch
        .iter()
        .map(|one| space.encode(&one.values).unwrap())
        .collect();
    for (at, point) in points.iter().enumerate() {
        assert!(
            points[..at]
                .iter()
                .all(|other| space.distance(point, other) > 0.03),
            "{points:?}"
        );
    }
    let pending = [batch[0].values.clone()];
    let next = &propose(&ask(&space, &observed, &pending))
        .unwrap()
        .candidates[0];
    let gap = space.distance(&space.encode(&next.values).unwrap(), &points[0]);
    assert!(gap > 0.03, "{next:?}");
}

#[test]
fn what_belongs_to_no_space_and_what_is_no_number_is_refused() {
    let space = space(&MIXED);
    let good = trials(&space, 8, 99);
    for odd in [f64::NAN, f64::INFINITY] {
        let mut observed = good.clone();
        observed[3].value = Some(odd);
        for known in [&observed[..], &observed[..4]] {
            let refused = propose(&ask(&space, known, &[])).unwrap_err();
            assert_eq!(refused.parameter, "value");
        }
    }
    let mut foreign = good[0].values.clone();
    foreign.insert("rank".into(), Value::Whole(8));
    assert!(propose(&ask(&space, &good, &[foreign.clone()])).is_err());
    assert!(propose(&ask(&space, &good, &[space.part(&foreign)])).is_ok());
}

#[test]
fn nothing_allowed_is_said_and_many_are_bounded() {
    let space = space(&MIXED);
    for results in [0, 20] {
        let observed = trials(&space, results, 99);
        let nothing = Ask {
            allowed: Some(&|_| false),
            ..ask(&space, &observed, &[])
        };
        let answer = propose(&nothing).unwrap();
        assert!(answer.candidates.is_empty());
        assert!(
            answer
                .short
                .unwrap()
                .starts_with("after 0 settings no other")
        );
    }
    let answer = propose(&Ask {
        count: 1_000_000,
        ..ask(&space, &[], &[])
    })
    .unwrap();
    assert_eq!(answer.candidates.len(), MOST);
    assert!(answer.short.unwrap().contains("at most 256"));
    assert_eq!(
        propose(&Ask {
            count: 0,
            ..ask(&space, &[], &[])
        })
        .unwrap(),
        Answer::default()
    );
}
