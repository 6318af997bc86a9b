//! The gate on made-up evidence: its decisions, its sentences, and the properties that hold for
//! any.

use proptest::prelude::*;

use super::*;

fn criteria(gate: GateKind) -> Criteria {
    Criteria {
        gate,
        quality_threshold: 0.75,
        min_pilot_samples: 150,
        pilot_target: 190,
        max_pilot_samples: 570,
    }
}

fn confidence() -> Criteria {
    criteria(GateKind::Confidence)
}

fn point() -> Criteria {
    criteria(GateKind::Point)
}

/// `n` scores of which every second is `mean + spread`, the others `mean - spread`.
fn spread(n: usize, mean: f64, spread: f64) -> Evidence {
    let scores = (0..n)
        .map(|i| {
            if i % 2 == 0 {
                mean + spread
            } else {
                mean - spread
            }
        })
        .collect();
    Evidence::from_scores(scores, n as u64)
}

fn outcomes(verdict: &Verdict) -> Vec<(&str, Option<bool>)> {
    verdict
        .checks
        .iter()
        .map(|check| (check.check.as_str(), check.passed))
        .collect()
}

#[test]
fn a_good_pilot_is_approved_with_its_bounds() {
    let verdict = judge(&spread(190, 0.81, 0.16), &confidence(), 1);
    assert_eq!(verdict.decision, Decision::Approve);
    assert!(verdict.approved());
    assert_eq!(
        verdict.reason,
        "0.810 (0.785 to 0.835) on 190 samples: the lower bound reaches 0.75"
    );
    assert_eq!(verdict.recommendation, "launch the full generation");
    assert_eq!(
        verdict.headline(),
        "0.810 (0.785 to 0.835): 0.75 is reached"
    );
    assert_eq!((verdict.look, verdict.max_looks, verdict.n), (1, 3, 190));
    let passed = [
        ("completion", Some(true)),
        ("min_samples", Some(true)),
        ("quality", Some(true)),
    ];
    assert_eq!(outcomes(&verdict), passed);
    let shown: Vec<String> = verdict.checks.iter().map(Check::shown).collect();
    assert_eq!(shown, ["190", "190", "0.810 (0.785 to 0.835)"]);
}

#[test]
fn a_bad_pilot_is_refused_at_the_first_look() {
    let verdict = judge(&spread(190, 0.60, 0.3), &confidence(), 1);
    assert_eq!(verdict.decision, Decision::Reject);
    assert_eq!(
        verdict.reason,
        "the upper bound is below 0.75; the bounds hold over all looks"
    );
    assert_eq!(verdict.headline(), "0.600 (0.553 to 0.647): 0.75 is above");
    assert_eq!(
        verdict.recommendation,
        "improve the generator, or amend quality_threshold if 0.553 is enough"
    );
    let amended = Criteria {
        quality_threshold: 0.553,
        ..confidence()
    };
    assert!(
        judge(&spread(190, 0.60, 0.3), &amended, 1).approved(),
        "the advice must hold"
    );
}

#[test]
fn an_undecided_pilot_is_extended_before_the_last_look_only() {
    for (look, n) in [(1, 190), (2, 380)] {
        let verdict = judge(&spread(n, 0.75, 0.25), &confidence(), look);
        assert_eq!(verdict.decision, Decision::Extend, "look {look}");
        assert!(
            verdict
                .reason
                .ends_with(&format!("on {n} samples: 0.75 is inside")),
            "{}",
            verdict.reason
        );
        assert!(
            verdict.headline().ends_with("): 0.75 is inside"),
            "{}",
            verdict.headline()
        );
        let next = format!(
            "190 more samples, look {} of 3; at 570 it is final",
            look + 1
        );
        assert_eq!(verdict.recommendation, next);
        assert_eq!(verdict.checks[2].outcome(), "open");
    }
    for look in [3, 4, u32::MAX] {
        let verdict = judge(&spread(570, 0.75, 0.25), &confidence(), look);
        assert_eq!(verdict.decision, Decision::Reject, "look {look}");
        assert!(
            verdict
                .reason
                .starts_with("not shown: 0.750 (0.728 to 0.772) on 570"),
            "{}",
            verdict.reason
        );
        assert_eq!(verdict.checks[2].outcome(), "no");
        assert!(verdict.max_looks >= verdict.look);
    }
}

#[test]
fn nothing_is_extended_that_could_not_grow() {
    // Amended to fewer looks' worth of samples than were already asked for.
    let amended = Criteria {
        pilot_target: 150,
        max_pilot_samples: 380,
        ..confidence()
    };
    assert_eq!(
        judge(&spread(380, 0.75, 0.25), &amended, 2).decision,
        Decision::Reject
    );
}

#[test]
fn the_point_gate_is_inclusive_and_never_extends() {
    let cases = [
        (spread(190, 0.75, 0.0), true),
        (spread(190, 0.75, 0.05), true), // 0.7 and 0.8: the sum is rounded
        (spread(190, 0.75, 0.25), true),
        (spread(190, 0.7499, 0.0), false),
        (spread(190, 0.75 - 1e-6, 0.1), false),
    ];
    for (evidence, approved) in cases {
        for look in [1, 2] {
            let verdict = judge(&evidence, &point(), look);
            let expected = if approved {
                Decision::Approve
            } else {
                Decision::Reject
            };
            assert_eq!(verdict.decision, expected, "{}", verdict.reason);
            assert_eq!((verdict.low, verdict.high), (None, None));
        }
    }
    let verdict = judge(&spread(190, 0.7499, 0.0), &point(), 1);
    assert_eq!(verdict.reason, "0.7499 on 190 samples is below 0.75");
    assert_eq!(verdict.headline(), "0.7499: 0.75 is above");
    let verdict = judge(&spread(190, 0.75, 0.0), &point(), 1);
    assert_eq!(verdict.reason, "0.750 on 190 samples reaches 0.75");
}

#[test]
fn the_rounding_of_a_sum_decides_nothing() {
    for hundredths in 1..100 {
        let threshold = f64::from(hundredths) / 100.0;
        let criteria = Criteria {
            quality_threshold: threshold,
            ..point()
        };
        let verdict = judge(&spread(190, threshold, 0.0), &criteria, 1);
        assert!(
            verdict.approved(),
            "190 scores of exactly {threshold}: {}",
            verdict.reason
        );
    }
}

#[test]
fn perfect_scores_are_approved_with_a_bound_below_one() {
    let enough = Criteria {
        pilot_target: 150,
        max_pilot_samples: 450,
        ..confidence()
    };
    let verdict = judge(&spread(150, 1.0, 0.0), &enough, 1);
    assert!(verdict.approved());
    assert!(verdict.low.unwrap() < 0.98, "{:?}", verdict.low);
}

#[test]
fn what_is_no_evidence_is_refused_with_the_reason() {
    let with = |score| Evidence {
        scores: std::iter::once(score).chain(vec![1.0; 189]).collect(),
        ..spread(190, 1.0, 0.0)
    };
    let cases = [
        (Evidence::from_scores(Vec::new(), 0), "no valid samples"),
        (Evidence::from_scores(Vec::new(), 190), "no valid samples"),
        (
            with(f64::NAN),
            "1 of 190 scores are not between 0 and 1, such as NaN",
        ),
        (with(f64::INFINITY), "such as inf"),
        (with(1.01), "such as 1.01"),
        (with(-0.01), "such as -0.01"),
        (
            Evidence {
                distinct: 191,
                ..spread(190, 1.0, 0.0)
            },
            "191 distinct samples have 190 scores",
        ),
        (
            Evidence {
                asked: 191,
                invalid: 1,
                ..spread(190, 1.0, 0.0)
            },
            "190 of 191 samples (1 invalid)",
        ),
        (
            Evidence {
                asked: 0,
                ..spread(190, 1.0, 0.0)
            },
            "no samples were asked for",
        ),
        (
            spread(149, 1.0, 0.0),
            "too few samples: 149, at least 150 needed",
        ),
        (
            Evidence::from_log(None, 190, 190),
            "the log names no quality",
        ),
        (
            Evidence::from_log(Some(f64::NAN), 190, 190),
            "the log's quality NaN",
        ),
        (Evidence::from_log(Some(0.9), 0, 190), "no valid samples"),
        (
            Evidence::from_log(Some(0.9), 189, 190),
            "189 of 190 samples",
        ),
    ];
    for (evidence, words) in cases {
        for criteria in [confidence(), point()] {
            let verdict = judge(&evidence, &criteria, 1);
            assert_eq!(verdict.decision, Decision::Reject, "{words}");
            assert!(
                verdict.reason.contains(words),
                "{words}: {}",
                verdict.reason
            );
            assert_eq!(verdict.headline(), verdict.reason);
            assert!(
                verdict
                    .checks
                    .iter()
                    .any(|check| check.passed == Some(false)),
                "{words}: {verdict:?}"
            );
            assert!(!verdict.recommendation.is_empty());
        }
    }
}

#[test]
fn no_samples_pass_no_check() {
    let lenient = Criteria {
        quality_threshold: 0.0,
        min_pilot_samples: 0,
        ..point()
    };
    let verdict = judge(&Evidence::from_scores(Vec::new(), 0), &lenient, 1);
    let failed = [
        ("completion", Some(false)),
        ("min_samples", Some(false)),
        ("quality", Some(false)),
    ];
    assert_eq!(outcomes(&verdict), failed);
}

#[test]
fn a_threshold_that_is_none_approves_nothing() {
    for quality_threshold in [f64::NAN, -0.1, 1.1, f64::NEG_INFINITY] {
        for gate in [confidence(), point()] {
            let verdict = judge(
                &spread(190, 1.0, 0.0),
                &Criteria {
                    quality_threshold,
                    ..gate
                },
                1,
            );
            assert_eq!(verdict.decision, Decision::Reject, "{quality_threshold}");
            assert!(
                verdict.reason.contains("is not between 0 and 1"),
                "{}",
                verdict.reason
            );
            assert_eq!(verdict.checks[2].passed, Some(false));
        }
    }
}

#[test]
fn a_verdict_on_a_log_says_so() {
    let verdict = judge(&Evidence::from_log(Some(0.87), 190, 190), &confidence(), 1);
    assert!(verdict.approved() && verdict.rests_on_log);
    assert!(
        verdict
            .reason
            .ends_with("; it rests on a log, not on the samples"),
        "{}",
        verdict.reason
    );
    // Binary variance: 0.80 is not yet shown on 190 samples, though narrow scores would show it.
    assert_eq!(
        judge(&Evidence::from_log(Some(0.80), 190, 190), &confidence(), 1).decision,
        Decision::Extend
    );
    assert!(judge(&spread(190, 0.80, 0.05), &confidence(), 1).approved());
    assert!(!judge(&spread(190, 0.80, 0.05), &confidence(), 1).rests_on_log);
}

#[test]
fn a_verdict_survives_json() {
    let verdict = judge(&spread(190, 0.75, 0.25), &confidence(), 1);
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(
        (&json["decision"], &json["gate"]),
        (&"EXTEND".into(), &"confidence".into())
    );
    assert_eq!(json["checks"][2]["check"], "quality");
    assert_eq!(json["checks"][2]["passed"], serde_json::Value::Null);
    assert_eq!(serde_json::from_value::<Verdict>(json).unwrap(), verdict);
}

fn any_scores() -> impl Strategy<Value = Vec<f64>> {
    // Around the threshold, binary, narrow or anywhere, so that all three decisions occur.
    let score = prop_oneof![2 => 0.0..=1.0, 5 => 0.7..=0.9, 2 => Just(1.0), 1 => Just(0.0)];
    let narrow = (0.6..0.95).prop_flat_map(|low| prop::collection::vec(low..low + 0.05, 150..250));
    prop_oneof![prop::collection::vec(score, 150..250), narrow]
}

fn any_criteria() -> impl Strategy<Value = Criteria> {
    let gate = prop_oneof![Just(GateKind::Point), Just(GateKind::Confidence)];
    (gate, 0.0..=1.0).prop_map(|(gate, quality_threshold)| Criteria {
        quality_threshold,
        ..criteria(gate)
    })
}

fn judged(scores: &[f64], criteria: &Criteria, look: u32) -> Verdict {
    judge(
        &Evidence::from_scores(scores.to_vec(), scores.len() as u64),
        criteria,
        look,
    )
}

/// REJECT by the bounds < EXTEND < APPROVE.
fn rank(verdict: &Verdict) -> u8 {
    match verdict.decision {
        Decision::Reject => 0,
        Decision::Extend => 1,
        Decision::Approve => 2,
    }
}

proptest! {
    #[test]
    fn better_scores_are_never_judged_worse(
        scores in any_scores(),
        raises in prop::collection::vec(prop_oneof![Just(0.0), 0.0..=1.0], 250),
        criteria in any_criteria(),
        look in 1u32..=3,
    ) {
        let raise = |(score, by): (&f64, &f64)| score + by * (1.0 - score);
        let raised: Vec<f64> = scores.iter().zip(&raises).map(raise).collect();
        let (before, after) = (judged(&scores, &criteria, look), judged(&raised, &criteria, look));
        prop_assert!(rank(&after) >= rank(&before), "{} became {}", before.reason, after.reason);
    }

    #[test]
    fn the_order_of_the_scores_changes_nothing(
        (scores, shuffled) in any_scores()
            .prop_flat_map(|scores| (Just(scores.clone()), Just(scores).prop_shuffle())),
        criteria in any_criteria(),
        look in 1u32..=3,
    ) {
        prop_assert_eq!(judged(&scores, &criteria, look), judged(&shuffled, &criteria, look));
    }

    #[test]
    fn any_evidence_gets_a_verdict_and_only_whole_evidence_an_approval(
        scores in prop::collection::vec(any::<f64>(), 0..4),
        (asked, distinct) in (any::<u64>(), any::<u64>()),
        logged_quality in any::<Option<f64>>(),
        log in any::<bool>(),
        quality_threshold in any::<f64>(),
        (pilot_target, max_pilot_samples) in (any::<u64>(), any::<u64>()),
        (min_pilot_samples, look) in (any::<u64>(), any::<u32>()),
        point in any::<bool>(),
    ) {
        let source = if log { EvidenceSource::Log } else { EvidenceSource::Samples };
        let (invalid, duplicates) = (0, 0);
        let evidence =
            Evidence { scores, asked, distinct, invalid, duplicates, source, logged_quality };
        let gate = if point { GateKind::Point } else { GateKind::Confidence };
        let criteria = Criteria {
            gate,
            quality_threshold,
            min_pilot_samples,
            pilot_target,
            max_pilot_samples,
        };
        let verdict = judge(&evidence, &criteria, look);
        let whole = distinct > 0 && asked > 0 && distinct >= asked && distinct >= min_pilot_samples;
        prop_assert!(whole || verdict.decision == Decision::Reject, "{:?}", verdict);
        prop_assert!(!verdict.reason.is_empty() && !verdict.recommendation.is_empty());
        let all_passed = verdict.checks.iter().all(|check| check.passed == Some(true));
        prop_assert_eq!(verdict.approved(), all_passed, "{:?}", verdict);
    }

    #[test]
    fn extend_only_where_a_look_is_left(
        scores in any_scores(), criteria in any_criteria(), look in any::<u32>(),
    ) {
        let verdict = judged(&scores, &criteria, look);
        let may = criteria.gate == GateKind::Confidence && verdict.look < criteria.looks();
        prop_assert!(may || verdict.decision != Decision::Extend, "{:?}", verdict);
    }
}
