//! Effects, beside those of another program.

use super::*;

fn variable(name: &str, domain: &str) -> Variable {
    Variable {
        name: name.into(),
        domain: Domain::parse(domain).unwrap(),
    }
}

fn run(values: &[(&str, f64)]) -> Assignment {
    values
        .iter()
        .map(|(name, value)| (name.to_string(), Value::Number(*value)))
        .collect()
}

fn of(found: &Effects, variable: &str, value: Option<f64>) -> Effect {
    let same = |effect: &&Effect| {
        effect.variable == variable && effect.value.as_ref().and_then(Value::number) == value
    };
    found.effects.iter().find(same).unwrap().clone()
}

#[test]
fn effects_agree_with_another_programs_least_squares() {
    // numpy 2: y = [1.10, 0.92, 0.71, 1.02, 0.80, 0.63], columns 1, r is 16, r is 64, log10(lr); t at 2 degrees of freedom.
    let rates = [1e-5, 1e-4, 1e-3, 3e-5, 3e-4, 1e-3];
    let ranks = [8.0, 8.0, 16.0, 16.0, 64.0, 64.0];
    let scores = [1.10, 0.92, 0.71, 1.02, 0.80, 0.63];
    let runs: Vec<Assignment> = (0..6)
        .map(|n| run(&[("r", ranks[n]), ("lr", rates[n])]))
        .collect();
    let seen: Vec<(&Assignment, f64)> = runs.iter().zip(scores).collect();
    let variables = [variable("r", "8,16,64"), variable("lr", "1e-5..1e-3:log")];
    let found = effects(&variables, &seen, Some(&runs[0]));
    assert_eq!((found.runs, found.freedom), (6, 2));
    let slope = of(&found, "lr", None);
    assert!(
        (slope.estimate.unwrap() - SLOPE.0).abs() < 1e-9,
        "{slope:?}"
    );
    let (low, high) = slope.interval.unwrap();
    assert!(
        (low - SLOPE.1).abs() < 1e-6 && (high - SLOPE.2).abs() < 1e-6,
        "{low} {high}"
    );
    let rank = of(&found, "r", Some(64.0));
    assert!((rank.estimate.unwrap() - RANK.0).abs() < 1e-9, "{rank:?}");
    assert!((rank.interval.unwrap().0 - RANK.1).abs() < 1e-6);
    assert_eq!((rank.runs, rank.against.as_str()), (2, "8"));
    assert_eq!(
        of(&found, "r", Some(8.0)).estimate,
        None,
        "that is what others are against"
    );
    assert!(slope.shown() && !rank.shown());
}

#[test]
fn too_few_runs_are_said_to_be_too_few() {
    let runs = [run(&[("r", 8.0)]), run(&[("r", 16.0)])];
    let seen = [(&runs[0], 1.0), (&runs[1], 2.0)];
    let found = effects(&[variable("r", "8,16")], &seen, None);
    assert_eq!(of(&found, "r", Some(16.0)).estimate, Some(1.0));
    assert_eq!(of(&found, "r", Some(16.0)).interval, None);
    assert!(
        found.why[0].contains("not enough runs: 2"),
        "{:?}",
        found.why
    );
    let one = effects(&[variable("r", "8,16")], &seen[..1], None);
    assert!(one.effects.is_empty() && one.why[0].contains("only 8 has results"));
    assert_eq!(effects(&[variable("r", "8,16")], &[], None).effects, []);
}

#[test]
fn variables_that_go_together_are_not_told_apart() {
    let runs: Vec<Assignment> = [(8.0, 1.0), (8.0, 1.0), (16.0, 2.0), (16.0, 2.0)]
        .map(|(r, a)| run(&[("r", r), ("a", a)]))
        .into();
    let seen: Vec<(&Assignment, f64)> = runs.iter().zip([1.0, 1.1, 2.0, 2.1]).collect();
    let found = effects(&[variable("r", "8,16"), variable("a", "1,2")], &seen, None);
    assert_eq!(of(&found, "a", Some(2.0)).estimate, None);
    assert!(
        found
            .why
            .iter()
            .any(|why| why.starts_with("a = 2 cannot be told apart")),
        "{:?}",
        found.why
    );
    assert!((of(&found, "r", Some(16.0)).estimate.unwrap() - 1.0).abs() < 1e-12);
}

const SLOPE: (f64, f64, f64) = (
    -0.206_254_430_020_237_36,
    -0.314_757_064_557_351_36,
    -0.097_751_795_483_123_36,
);
const RANK: (f64, f64) = (-0.039_541_383_758_390_25, -0.237_549_427_384_866_29);
