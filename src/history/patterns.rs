//! What the successful have in common: settings that are more frequent among them than among the others.

use super::{Experiment, History, Status, direction::Direction};
use crate::parameters::Value;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A setting that successful experiments share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pattern {
    /// The parameter.
    pub parameter: String,
    /// Its value.
    pub value: Value,
    /// Its share among the successful, 0 to 1.
    pub frequency: f64,
    /// How many of them have it.
    pub count: u64,
    /// How many of them there are.
    pub of: u64,
    /// How many of the others have it.
    pub other_count: u64,
    /// How many others there are.
    pub other_of: u64,
    /// By which factor it is more frequent among the successful, each share with half a case added so that few cases say
    /// little; none where there are no others.
    pub lift: Option<f64>,
}

/// A value by which equal ones fall together: 8 and 8.0 do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Flag(bool),
    /// The bits of a number, in the order of numbers.
    Number(u64),
    Text(&'a str),
}

/// The key of a value.
pub(super) fn key(value: &Value) -> Key<'_> {
    match (value, value.number()) {
        (Value::Text(text), _) => Key::Text(text),
        (Value::Flag(flag), _) => Key::Flag(*flag),
        (_, number) => {
            // 0.0 and -0.0 are the same number.
            let bits = (number.unwrap_or(0.0) + 0.0).to_bits();
            let negative = bits >> 63 == 1;
            Key::Number(if negative { !bits } else { bits | 1 << 63 })
        }
    }
}

/// How often a setting was seen.
struct Seen<'a> {
    value: &'a Value,
    good: u64,
    other: u64,
}

impl History {
    /// The settings that successful experiments share, the most frequent first. Without a metric the completed ones are
    /// beside those that failed; with one, the better half of the completed that have it beside the rest of them. A
    /// parameter that never varied, and a value that one experiment alone has, are no patterns.
    pub fn patterns(&self, metric: Option<&str>) -> Vec<Pattern> {
        let (good, other) = match metric {
            None => {
                let failed = self.experiments().iter();
                let failed = failed.filter(|one| one.status == Status::Failed && one.teaches());
                (self.completed().collect(), failed.collect())
            }
            Some(metric) => self.halves(metric),
        };
        patterns(&good, &other)
    }

    fn halves(&self, metric: &str) -> (Vec<&Experiment>, Vec<&Experiment>) {
        let direction = Direction::of(metric);
        let all = self.completed();
        let mut all: Vec<(f64, &Experiment)> = all
            .filter_map(|one| Some((*one.metrics.get(metric)?, one)))
            .collect();
        // Equal ones stay in the order of time.
        all.sort_by(|a, b| direction.gain(a.0, b.0).total_cmp(&0.0).reverse());
        let mut all: Vec<&Experiment> = all.into_iter().map(|(_, one)| one).collect();
        let other = all.split_off(all.len().div_ceil(2));
        (all, other)
    }
}

fn patterns(good: &[&Experiment], other: &[&Experiment]) -> Vec<Pattern> {
    let mut seen: BTreeMap<&str, BTreeMap<Key<'_>, Seen<'_>>> = BTreeMap::new();
    for (group, is_good) in [(good, true), (other, false)] {
        for (name, value) in group.iter().flat_map(|one| &one.config) {
            let of = seen.entry(name).or_default();
            let of = of.entry(key(value)).or_insert(Seen {
                value,
                good: 0,
                other: 0,
            });
            *(if is_good { &mut of.good } else { &mut of.other }) += 1;
        }
    }
    let (of, other_of) = (good.len() as u64, other.len() as u64);
    let varied = seen.into_iter().filter(|(_, values)| values.len() > 1);
    let all = varied.flat_map(|(parameter, values)| {
        let values = values.into_values().filter(|seen| seen.good > 1);
        values.map(move |seen| pattern(parameter, &seen, of, other_of))
    });
    let mut all: Vec<Pattern> = all.collect();
    all.sort_by(|a, b| {
        let frequency = b.frequency.total_cmp(&a.frequency);
        let lift = |one: &Pattern| one.lift.unwrap_or(1.0);
        let lift = lift(b).total_cmp(&lift(a));
        let by_name = (&a.parameter, key(&a.value)).cmp(&(&b.parameter, key(&b.value)));
        frequency.then(lift).then(by_name)
    });
    all
}

fn pattern(parameter: &str, seen: &Seen<'_>, of: u64, other_of: u64) -> Pattern {
    let share = |count: u64, of: u64| (count as f64 + 0.5) / (of as f64 + 1.0);
    Pattern {
        parameter: parameter.into(),
        value: seen.value.clone(),
        frequency: seen.good as f64 / of as f64,
        count: seen.good,
        of,
        other_count: seen.other,
        other_of,
        lift: (other_of > 0).then(|| share(seen.good, of) / share(seen.other, other_of)),
    }
}

/// The names of all parameters that have more than one value among some experiments.
pub fn varied<'a>(experiments: &[&'a Experiment]) -> BTreeSet<&'a str> {
    let mut first: BTreeMap<&str, (&Value, usize, bool)> = BTreeMap::new();
    for (name, value) in experiments.iter().flat_map(|one| &one.config) {
        let of = first.entry(name).or_insert((value, 0, false));
        of.1 += 1;
        of.2 |= !of.0.same(value);
    }
    // One that only some have varies, too.
    let all = first.into_iter();
    all.filter(|(_, (_, seen, differs))| *differs || *seen < experiments.len())
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    fn set(id: usize, status: Status, auc: f64, optimizer: &str, r: Value) -> Experiment {
        let mut made = one(&format!("e{id:02}"), 1, status, auc, id as i64);
        made.config
            .insert("optimizer".into(), Value::Text(optimizer.into()));
        made.config.insert("r".into(), r);
        made
    }

    #[test]
    fn a_pattern_has_its_counts_and_its_lift() {
        let history = History::new(vec![
            set(1, Status::Completed, 0.9, "adam", Value::Whole(8)),
            set(2, Status::Completed, 0.8, "adam", Value::Number(8.0)),
            set(3, Status::Completed, 0.7, "adam", Value::Whole(16)),
            set(4, Status::Completed, 0.6, "sgd", Value::Whole(32)),
            set(5, Status::Failed, 0.9, "sgd", Value::Whole(8)),
            set(6, Status::Failed, 0.9, "sgd", Value::Whole(16)),
            set(7, Status::Cancelled, 0.9, "sgd", Value::Whole(16)),
        ]);
        let found = history.patterns(None);
        let first = &found[0];
        assert_eq!(
            (first.parameter.as_str(), first.value.to_string()),
            ("optimizer", "adam".into())
        );
        assert_eq!(
            (first.count, first.of, first.other_count, first.other_of),
            (3, 4, 0, 2)
        );
        assert!((first.frequency - 0.75).abs() < 1e-12);
        assert!((first.lift.unwrap() - 0.7 / (0.5 / 3.0)).abs() < 1e-12);
        assert_eq!(
            (
                found[1].parameter.as_str(),
                found[1].count,
                found[1].other_count
            ),
            ("r", 2, 1)
        );
        assert_eq!(
            found.len(),
            2,
            "what never varied and what one alone has are none: {found:?}"
        );
    }

    #[test]
    fn with_a_metric_the_better_half_is_beside_the_rest() {
        let of = |losses: [f64; 4]| {
            let all = losses.iter().enumerate().map(|(at, loss)| {
                let name = if *loss < 1.0 { "adam" } else { "sgd" };
                let mut made = set(at, Status::Completed, 0.5, name, Value::Whole(8));
                made.metrics.insert("eval_loss".into(), *loss);
                made
            });
            History::new(all.collect()).patterns(Some("eval_loss"))
        };
        let found = of([1.5, 0.5, 1.6, 0.4]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (
                found[0].value.to_string(),
                found[0].frequency,
                found[0].other_count
            ),
            ("adam".into(), 1.0, 0)
        );
        assert_eq!(History::default().patterns(Some("auc")), []);
        assert_eq!(History::default().patterns(None), []);
    }

    #[test]
    fn keys_are_in_the_order_of_numbers() {
        let keys = [-2.0, -0.5, 0.0, 1e-9, 3.0].map(Value::Number);
        assert!(keys.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
        assert_eq!(key(&Value::Whole(8)), key(&Value::Number(8.0)));
        assert_eq!(key(&Value::Number(-0.0)), key(&Value::Whole(0)));
        assert_ne!(key(&Value::Text("8".into())), key(&Value::Whole(8)));
    }

    #[test]
    fn what_only_some_have_varies() {
        let a = set(1, Status::Completed, 0.5, "adam", Value::Whole(8));
        let mut b = set(2, Status::Completed, 0.5, "adam", Value::Number(8.0));
        assert_eq!(varied(&[&a, &b]), BTreeSet::new());
        b.config.remove("optimizer");
        assert_eq!(varied(&[&a, &b]), BTreeSet::from(["optimizer"]));
    }
}
