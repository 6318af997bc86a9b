//! The best run against the baseline, item by item: the paired statistics of `evaluate`.

use crate::evaluation::{
    job::{EvaluationSettings, Metric},
    paired::{Comparison, Pair, Resampling, Rules, Share, compare, settle},
};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What a run answered to one item, by metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// The component that the item is of; items of one know of each other.
    pub cluster: String,
    /// What it adds to each metric.
    pub shares: BTreeMap<String, Share>,
}

/// What a run answered, by item.
pub type Items = BTreeMap<String, Answered>;

/// The best run against the baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Versus {
    /// Metric by metric.
    pub comparisons: Vec<Named>,
    /// Why there are none.
    pub why: Option<String>,
}

/// A comparison, and the metric as its evaluation calls it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// `TASK/METRIC`.
    pub metric: String,
    /// What was found; its own metric says only of which kind it is.
    pub found: Comparison,
}

/// Reads `items.jsonl` of an evaluation: what its adapter answered. A line that is none is passed over.
pub fn ours(task: &str, text: &str, into: &mut Items) {
    for line in text.lines() {
        let Ok(row) = serde_json::from_str::<Json>(line) else {
            continue;
        };
        let word = |key: &str| match &row[key] {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut models = row["models"].as_object().into_iter().flatten();
        let Some((_, said)) = models.find(|(name, _)| *name != "base") else {
            continue;
        };
        let id = format!("{task}/{}/{}", word("dataset"), word("id"));
        let item = into.entry(id).or_default();
        item.cluster = format!("{task}/{}", word("cluster"));
        for (metric, value) in said["metrics"].as_object().into_iter().flatten() {
            let share = match value.as_f64() {
                Some(sum) => Some(Share { sum, count: 1.0 }),
                None => value["sum"]
                    .as_f64()
                    .zip(value["count"].as_f64())
                    .map(|(sum, count)| Share { sum, count }),
            };
            item.shares
                .extend(share.map(|share| (format!("{task}/{metric}"), share)));
        }
    }
}

/// A value that a scorer of inspect-ai gives: right and wrong as letters, flags or numbers.
pub fn graded(value: &Json) -> Option<f64> {
    match value {
        Json::String(word) => match word.as_str() {
            "C" => Some(1.0),
            "P" => Some(0.5),
            "I" | "N" => Some(0.0),
            other => other.parse().ok(),
        },
        Json::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Json::Number(number) => number.as_f64(),
        _ => None,
    }
}

/// Compares what two runs answered to the same items.
pub fn versus(base: &Items, best: &Items) -> Versus {
    let mut pairs: BTreeMap<&str, Vec<Pair>> = BTreeMap::new();
    let mut clusters: BTreeMap<&str, u32> = BTreeMap::new();
    for (id, first) in base {
        let Some(second) = best.get(id) else {
            continue;
        };
        let next = clusters.len() as u32;
        let cluster = *clusters.entry(first.cluster.as_str()).or_insert(next);
        for (metric, share) in &first.shares {
            if let Some(other) = second.shares.get(metric) {
                let pair = Pair {
                    base: *share,
                    other: *other,
                    cluster,
                };
                pairs.entry(metric).or_default().push(pair);
            }
        }
    }
    if pairs.is_empty() {
        let why = match (base.is_empty(), best.is_empty()) {
            (false, false) => "the two answered no item in common",
            _ => "there are no answers item by item of both runs",
        };
        return Versus {
            comparisons: Vec::new(),
            why: Some(why.into()),
        };
    }
    let rules = rules();
    let names: Vec<&str> = pairs.keys().copied().collect();
    let mut found: Vec<Comparison> = pairs
        .iter()
        .map(|(name, all)| compare("best", kind(name, all), all, &rules))
        .collect();
    settle(&mut found, &rules);
    let named = names.into_iter().zip(found).map(|(metric, found)| Named {
        metric: metric.into(),
        found,
    });
    Versus {
        comparisons: named.collect(),
        why: None,
    }
}

/// How `evaluate` does it where nobody says otherwise.
fn rules() -> Rules {
    let usual = EvaluationSettings::default();
    Rules {
        resampling: Resampling {
            resamples: usual.resamples,
            seed: usual.seed,
            confidence: usual.confidence,
        },
        least_items: usual.least_items,
    }
}

/// A metric of the same kind: of other people's metrics only the kind is known, right or wrong or a number of which more is
/// better.
fn kind(name: &str, pairs: &[Pair]) -> Metric {
    let own = name
        .rsplit('/')
        .next()
        .and_then(|word| word.parse::<Metric>().ok());
    let binary = |share: Share| share.count == 1.0 && (share.sum == 0.0 || share.sum == 1.0);
    own.unwrap_or_else(|| {
        if crate::history::smaller_is_better(name) {
            Metric::Loss
        } else if pairs
            .iter()
            .all(|pair| binary(pair.base) && binary(pair.other))
        {
            Metric::ExactMatch
        } else {
            Metric::Precision
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::paired::Shown;

    fn items(right: impl Fn(usize) -> bool, n: usize) -> Items {
        let mut all = Items::new();
        for at in 0..n {
            let line = serde_json::json!({
                "id": format!("q{at}"), "dataset": "d", "cluster": at,
                "models": { "base": { "metrics": { "exact_match": 0.0 } },
                            "adapter": { "metrics": { "exact_match": f64::from(u8::from(right(at))), "loss": { "sum": 2.0, "count": 4.0 } } } },
            });
            ours("holdout", &format!("{line}\n{{torn"), &mut all);
        }
        all
    }

    #[test]
    fn pairs_are_of_the_same_items_and_a_gain_is_shown() {
        let (base, best) = (items(|at| at % 2 == 0, 60), items(|at| at % 10 != 1, 80));
        let found = versus(&base, &best);
        let exact = found
            .comparisons
            .iter()
            .find(|one| one.metric == "holdout/exact_match")
            .unwrap();
        assert_eq!(
            (exact.found.items, exact.found.shown),
            (60, Shown::Improved)
        );
        assert_eq!(exact.found.base, Some(0.5));
        let loss = found
            .comparisons
            .iter()
            .find(|one| one.metric == "holdout/loss")
            .unwrap();
        assert_eq!(
            (loss.found.value, loss.found.shown),
            (Some(0.5), Shown::Underpowered)
        );
        assert!(
            versus(&base, &Items::new())
                .why
                .unwrap()
                .contains("no answers")
        );
        let other: Items = best
            .iter()
            .map(|(id, one)| (format!("x{id}"), one.clone()))
            .collect();
        assert!(
            versus(&base, &other)
                .why
                .unwrap()
                .contains("no item in common")
        );
        let few = versus(&items(|_| false, 5), &items(|_| true, 5));
        assert_eq!(few.comparisons[0].found.shown, Shown::Underpowered);
    }

    #[test]
    fn grades_are_numbers() {
        for (value, grade) in [
            (serde_json::json!("C"), Some(1.0)),
            (serde_json::json!("I"), Some(0.0)),
            (serde_json::json!(0.25), Some(0.25)),
            (serde_json::json!(true), Some(1.0)),
            (serde_json::json!("0.5"), Some(0.5)),
            (serde_json::json!({"a": 1}), None),
            (serde_json::json!("maybe"), None),
        ] {
            assert_eq!(graded(&value), grade, "{value}");
        }
    }
}
