//! What is encoded is decoded; what does not belong is refused.

use super::*;
use proptest::prelude::*;

fn space(parameters: &[(&str, &str)]) -> Space {
    let of = |(name, text): &(&str, &str)| (name.to_string(), Domain::parse(text).unwrap());
    Space::new(parameters.iter().map(of).collect()).unwrap()
}

fn mixed() -> Space {
    space(&[
        ("learning_rate", "1e-6..1e-2:log"),
        ("r", "1..256:log:int"),
        ("batch", "8,64,16,32"),
        ("optimizer", "adamw,sgd,lion"),
        ("dropout", "0..0.9"),
        ("warm", "true,false"),
        ("layers", "-3..3:int"),
    ])
}

fn values(pairs: &[(&str, Value)]) -> Assignment {
    let own = |(name, value): &(&str, Value)| (name.to_string(), value.clone());
    pairs.iter().map(own).collect()
}

#[test]
fn factors_are_evenly_spaced_and_levels_are_in_order() {
    let space = mixed();
    let mut point = vec![0.5; 7];
    let middle = space.decode(&point);
    assert!((middle["learning_rate"].number().unwrap().ln() - 1e-4_f64.ln()).abs() < 1e-9);
    point[2] = 0.9;
    assert_eq!(space.decode(&point)["batch"], Value::Whole(64));
    assert_eq!(
        space.words(),
        [false, false, false, true, false, true, false]
    );
}

#[test]
fn what_does_not_belong_is_refused() {
    let space = space(&[("r", "4..64:int"), ("optimizer", "adamw,sgd")]);
    let word = || Value::Text("sgd".into());
    let told = |pairs: &[(&str, Value)]| space.encode(&values(pairs)).unwrap_err().message;
    assert_eq!(told(&[("r", Value::Whole(8))]), "optimizer has no value");
    for (name, value, message) in [
        ("r", Value::Whole(3), "r = 3 is out of range"),
        ("r", Value::Number(8.5), "r = 8.5 is out of range"),
        ("r", Value::Number(f64::NAN), "r = NaN is out of range"),
        ("rank", Value::Whole(8), "there is no parameter rank"),
    ] {
        assert_eq!(told(&[(name, value), ("optimizer", word())]), message);
    }
    assert!(Space::new(Vec::new()).is_err());
    let twice = |text: &str| ("r".to_owned(), Domain::parse(text).unwrap());
    assert!(Space::new(vec![twice("1,2"), twice("1..3")]).is_err());
    let empty = Domain::Choice(Vec::new());
    assert!(Space::new(vec![("r".into(), empty)]).is_err());
}

#[test]
fn small_spaces_are_counted_and_every_setting_is_another() {
    let space = space(&[("a", "1..3:int"), ("b", "1..4:log:int"), ("c", "x,y")]);
    assert_eq!(space.settings(), Some(24));
    let mut all: Vec<Assignment> = (0..24).map(|at| space.decode(&space.setting(at))).collect();
    all.dedup();
    assert_eq!(all.len(), 24);
    for at in 0..24 {
        let mut point = space.setting(at);
        let before = point.clone();
        space.snap(&mut point);
        assert!(space.near(&point, &before));
        assert!((0..at).all(|other| !space.near(&point, &space.setting(other))));
    }
    assert_eq!(mixed().settings(), None);
}

#[test]
fn the_nearest_is_told_and_whether_it_is_the_same() {
    let space = space(&[("rate", "0..1"), ("optimizer", "adamw,sgd")]);
    let of = |rate: f64, word: &str| {
        values(&[
            ("rate", Value::Number(rate)),
            ("optimizer", Value::Text(word.into())),
        ])
    };
    let here = of(0.5, "sgd");
    let near = |others: &[Assignment]| space.nearest(&here, others).unwrap();
    assert_eq!(near(&[]), (1.0, false));
    let (distance, duplicate) = near(&[of(0.52, "sgd"), of(0.5, "adamw")]);
    assert!((distance - 0.02 / 2.0_f64.sqrt()).abs() < 1e-12 && !duplicate);
    assert!(near(&[of(0.5009, "sgd")]).1 && !near(&[of(0.5011, "sgd")]).1);
    let (distance, duplicate) = near(&[of(0.5, "adamw")]);
    assert!((distance - 1.0 / 2.0_f64.sqrt()).abs() < 1e-12 && !duplicate);
    assert!(space.nearest(&here, &[Assignment::new()]).is_err());
}

#[test]
fn ends_as_far_as_numbers_go_are_ends() {
    let space = space(&[("a", "-1e308..1e308"), ("b", "1e-300..1e300:log")]);
    for at in [0.0, 0.3, 1.0] {
        let point = space.encode(&space.decode(&[at, at])).unwrap();
        assert!(point.iter().all(|one| (one - at).abs() < 1e-9), "{point:?}");
    }
}

proptest! {
    #[test]
    fn a_point_snaps_to_what_it_is_read_as(point in prop::collection::vec(0.0..=1.0_f64, 7)) {
        let space = mixed();
        let read = space.decode(&point);
        let again = space.encode(&read).unwrap();
        let mut snapped = point.clone();
        space.snap(&mut snapped);
        for (one, two) in again.iter().zip(&snapped) {
            prop_assert!((one - two).abs() < 1e-9);
        }
        let same = space.decode(&snapped);
        let alike = |(name, value): (&String, &Value)| match (value.number(), same[name].number()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs(),
            _ => *value == same[name],
        };
        prop_assert!(read.iter().all(alike));
    }
}
