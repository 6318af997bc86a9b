//! Each check refuses by itself, each number raises the risk, and records keep it all.

use super::*;

/// A candidate that nothing is wrong with.
fn plain() -> Evidence {
    Evidence {
        violations: Vec::new(),
        costs: vec![Cost {
            what: "GPU hours".into(),
            estimate: Some(1.0),
            left: 10.0,
        }],
        distance: 0.1,
        duplicate: false,
        repeats: false,
        prediction: Some(Prediction {
            mean: 0.5,
            sd: 0.02,
        }),
        incumbent: Some(0.52),
        smaller_is_better: true,
        spread: Some(0.1),
        failing: 0.0,
    }
}

/// The checks that refuse it.
fn refused(evidence: &Evidence) -> Vec<CheckName> {
    let all = Approval::of(evidence).checks.into_iter();
    all.filter(|check| !check.passed)
        .map(|check| check.name)
        .collect()
}

#[test]
fn each_check_refuses_for_its_own_reason() {
    assert_eq!(refused(&plain()), []);
    let cost = |estimate: Option<f64>| Evidence {
        costs: vec![Cost {
            what: "GPU hours".into(),
            estimate,
            left: 0.5,
        }],
        ..plain()
    };
    let predicted = |mean: f64, sd: f64| Evidence {
        prediction: Some(Prediction { mean, sd }),
        ..plain()
    };
    for (evidence, name, words) in [
        (
            Evidence {
                violations: vec!["r above 64 ran out of memory 3 times".into()],
                ..plain()
            },
            CheckName::Constraints,
            "3 times",
        ),
        (
            cost(Some(1.0)),
            CheckName::Budget,
            "1.0000 GPU hours and 0.5000 are left",
        ),
        (cost(None), CheckName::Budget, "cannot be estimated"),
        (cost(Some(f64::NAN)), CheckName::Budget, "NaN GPU hours"),
        (
            Evidence {
                duplicate: true,
                ..plain()
            },
            CheckName::Novelty,
            "no number differs by 0.001",
        ),
        (
            Evidence {
                distance: f64::NAN,
                ..plain()
            },
            CheckName::Novelty,
            "NaN",
        ),
        (
            predicted(0.6, 0.02),
            CheckName::PredictedGain,
            "it does not beat",
        ),
        (predicted(f64::NAN, 0.02), CheckName::PredictedGain, "NaN"),
        (predicted(0.4, f64::NAN), CheckName::PredictedGain, "NaN"),
    ] {
        let approval = Approval::of(&evidence);
        assert_eq!(refused(&evidence), [name]);
        let check = approval
            .checks
            .iter()
            .find(|check| check.name == name)
            .unwrap();
        assert!(check.reason.contains(words), "{}", check.reason);
        for released in [None, Some(Risk::Low), Some(Risk::High)] {
            assert_eq!(approval.ruling(released), Ruling::Refused);
        }
    }
    assert_eq!(refused(&predicted(0.6, 0.05)), [], "it may be better");
    let auc = Evidence {
        smaller_is_better: false,
        ..predicted(0.6, 0.02)
    };
    assert_eq!(refused(&auc), []);
    assert_eq!(
        refused(&Evidence {
            duplicate: true,
            repeats: true,
            ..plain()
        }),
        []
    );
    assert_eq!(
        refused(&Evidence {
            prediction: None,
            costs: Vec::new(),
            ..plain()
        }),
        []
    );
}

#[test]
fn the_highest_risk_counts_and_what_is_released_runs() {
    assert_eq!(Approval::of(&plain()).risk, Risk::Low);
    let cost = |estimate| {
        vec![Cost {
            what: "GPU hours".into(),
            estimate: Some(estimate),
            left: 10.0,
        }]
    };
    for (evidence, risk) in [
        (
            Evidence {
                failing: 0.3,
                ..plain()
            },
            Risk::Medium,
        ),
        (
            Evidence {
                failing: 0.6,
                ..plain()
            },
            Risk::High,
        ),
        (
            Evidence {
                failing: f64::NAN,
                ..plain()
            },
            Risk::High,
        ),
        (
            Evidence {
                distance: 0.3,
                ..plain()
            },
            Risk::Medium,
        ),
        (
            Evidence {
                distance: 0.5,
                ..plain()
            },
            Risk::High,
        ),
        (
            Evidence {
                costs: cost(3.0),
                ..plain()
            },
            Risk::Medium,
        ),
        (
            Evidence {
                costs: cost(6.0),
                ..plain()
            },
            Risk::High,
        ),
        (
            Evidence {
                prediction: Some(Prediction {
                    mean: 0.5,
                    sd: 0.08,
                }),
                ..plain()
            },
            Risk::Medium,
        ),
        (
            Evidence {
                prediction: Some(Prediction { mean: 0.5, sd: 0.2 }),
                ..plain()
            },
            Risk::High,
        ),
        (
            Evidence {
                prediction: None,
                ..plain()
            },
            Risk::Medium,
        ),
        (
            Evidence {
                failing: 0.3,
                distance: 0.5,
                ..plain()
            },
            Risk::High,
        ),
    ] {
        let approval = Approval::of(&evidence);
        assert_eq!(approval.risk, risk, "{:?}", approval.risks);
        assert!(!approval.risks.is_empty());
        let released = |most| approval.ruling(Some(most)) == Ruling::Automatic;
        assert!(released(Risk::High) && released(risk) && !released(Risk::Low));
        assert_eq!(approval.ruling(None), Ruling::Waits);
    }
}

#[test]
fn nothing_checked_passes_nothing() {
    let empty = Approval {
        checks: Vec::new(),
        risk: Risk::Low,
        risks: Vec::new(),
    };
    assert_eq!(empty.ruling(Some(Risk::High)), Ruling::Refused);
}

#[test]
fn records_and_json_keep_it_all() {
    let (evidence, approval) = (plain(), Approval::of(&plain()));
    let json = serde_json::to_string(&(&evidence, &approval)).unwrap();
    assert!(
        json.contains(r#""name":"predicted_gain","passed":true"#),
        "{json}"
    );
    assert_eq!(
        serde_json::from_str::<(Evidence, Approval)>(&json).unwrap(),
        (evidence, approval)
    );
}
