//! A second model against a first, metric by metric, and what is shown.

use super::{
    bootstrap::{Resampling, Share, difference},
    design::effective,
    holm::holm,
    mcnemar::mcnemar,
    power::{detectable, detectable_by, pairs_needed},
};
use crate::{
    evaluation::{job::Metric, proportion::wilson},
    words::words,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

words! {
    /// What a comparison shows.
    pub enum Shown {
        /// The second is better: the interval of the difference is on the better side of 0 and the corrected p is below the
        /// error that is allowed.
        Improved = "improved",
        /// It is worse, by the same rule.
        Regressed = "regressed",
        /// Neither is shown: the interval holds 0, the test disagrees, or there is too little to say anything.
        Underpowered = "underpowered",
    }
}

/// One item, as both answered it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// What it adds to the first's quotient.
    pub base: Share,
    /// To the second's.
    pub other: Share,
    /// Its component.
    pub cluster: u32,
}

/// When something is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// How the bootstrap draws, and how sure it is to be.
    pub resampling: Resampling,
    /// Items below which nothing is shown.
    pub least_items: u64,
}

/// The items on which two models differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Discordance {
    /// Only the base has them right.
    pub only_base: u64,
    /// Only the adapter has.
    pub only_adapter: u64,
    /// McNemar's exact two-sided p.
    pub exact_p: f64,
    /// Its mid-p.
    pub mid_p: f64,
}

/// An adapter against its base in one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The adapter.
    pub adapter: String,
    /// What is compared.
    pub metric: Metric,
    /// Items that both answered.
    pub items: u64,
    /// Components that they are of.
    pub clusters: u64,
    /// The base's number; none of no items.
    pub base: Option<f64>,
    /// The adapter's.
    pub value: Option<f64>,
    /// The adapter's less the base's.
    pub difference: Option<f64>,
    /// Its interval, of the cluster bootstrap.
    pub interval: Option<(f64, f64)>,
    /// On which items they differ, for metrics that are right or wrong.
    pub discordance: Option<Discordance>,
    /// The larger of the bootstrap's p and McNemar's exact one; 1 where nothing is known.
    pub p: f64,
    /// The same by Holm's correction over the adapter's metrics.
    pub corrected_p: f64,
    /// The smallest difference that so many items show with 80 % power, less what they tell because they know of each other.
    pub detectable: Option<f64>,
    /// Items, as alike as these, that show a difference as large as the seen one with 80 % power, for metrics that are right
    /// or wrong.
    pub items_needed: Option<u64>,
    /// What is shown.
    pub shown: Shown,
    /// Why nothing is.
    pub why: Option<String>,
}

/// Compares; `p` is not corrected yet and nothing is [`Shown`]: [`settle`] does both over all of an adapter's metrics.
pub fn compare(adapter: &str, metric: Metric, pairs: &[Pair], rules: &Rules) -> Comparison {
    let clusters: BTreeSet<u32> = pairs.iter().map(|pair| pair.cluster).collect();
    let mut found = Comparison {
        adapter: adapter.into(),
        metric,
        items: pairs.len() as u64,
        clusters: clusters.len() as u64,
        base: quotient(pairs.iter().map(|pair| pair.base)),
        value: quotient(pairs.iter().map(|pair| pair.other)),
        difference: None,
        interval: None,
        discordance: None,
        p: 1.0,
        corrected_p: 1.0,
        detectable: None,
        items_needed: None,
        shown: Shown::Underpowered,
        why: None,
    };
    let (Some(base), Some(value)) = (found.base, found.value) else {
        found.why = Some(match pairs.len() {
            0 => "no item was measured".into(),
            _ => "a number is missing or not finite".into(),
        });
        return found;
    };
    found.difference = Some(value - base);
    let (first, second): (Vec<Share>, Vec<Share>) =
        pairs.iter().map(|pair| (pair.base, pair.other)).unzip();
    let of = renumbered(pairs, &clusters);
    let Some(interval) = difference(&first, &second, &of, rules.resampling) else {
        found.why = Some("the items are of fewer than two components".into());
        return found;
    };
    found.interval = Some((interval.low, interval.high));
    found.p = interval.p;
    let confidence = rules.resampling.confidence;
    if metric.binary() {
        let seen = discordance(pairs);
        found.p = found.p.max(seen.exact_p);
        let differ = seen.only_base + seen.only_adapter;
        // The variance of an item's difference, which is -1, 0 or 1.
        let seen_share = differ as f64 / found.items as f64;
        let alone = seen_share - (value - base).powi(2);
        let telling = effective(found.items, found.clusters, Some(interval.error), alone);
        // Where none differs, the share that could: the upper end of its interval.
        let share = match differ {
            0 => wilson(0, telling as u64, confidence).map_or(1.0, |(_, high)| high),
            _ => seen_share,
        };
        found.detectable = detectable(telling as u64, share, confidence);
        let design = found.items as f64 / telling;
        found.items_needed = pairs_needed(value - base, share, confidence)
            .map(|needed| (needed as f64 * design).ceil() as u64);
        found.discordance = Some(seen);
    } else {
        found.detectable = detectable_by(interval.error, confidence);
    }
    found
}

/// A sum over a sum; none of nothing, and where a number is not finite.
fn quotient(shares: impl Iterator<Item = Share>) -> Option<f64> {
    let (sum, count) = shares.fold((0.0, 0.0), |(sum, count), share| {
        (sum + share.sum, count + share.count)
    });
    let value: f64 = sum / count;
    (count > 0.0 && value.is_finite()).then_some(value)
}

/// Components numbered from 0 without gaps.
fn renumbered(pairs: &[Pair], clusters: &BTreeSet<u32>) -> Vec<u32> {
    let numbers: BTreeMap<u32, u32> = clusters.iter().copied().zip(0..).collect();
    pairs.iter().map(|pair| numbers[&pair.cluster]).collect()
}

fn discordance(pairs: &[Pair]) -> Discordance {
    let right = |share: Share| share.sum > 0.5 * share.count;
    let of = |base: bool| {
        let differ = pairs
            .iter()
            .filter(|pair| right(pair.base) == base && right(pair.other) != base);
        differ.count() as u64
    };
    let (only_base, only_adapter) = (of(true), of(false));
    let test = mcnemar(only_base, only_adapter);
    Discordance {
        only_base,
        only_adapter,
        exact_p: test.exact,
        mid_p: test.mid,
    }
}

/// Corrects the p-values of one adapter's metrics and says what each shows.
pub fn settle(comparisons: &mut [Comparison], rules: &Rules) {
    let p: Vec<f64> = comparisons.iter().map(|found| found.p).collect();
    for (found, corrected) in comparisons.iter_mut().zip(holm(&p)) {
        found.corrected_p = corrected;
        (found.shown, found.why) = match shown(found, rules) {
            Ok(shown) => (shown, None),
            Err(why) => (Shown::Underpowered, Some(why)),
        };
    }
}

fn shown(found: &Comparison, rules: &Rules) -> Result<Shown, String> {
    if let Some(why) = &found.why {
        return Err(why.clone());
    }
    if found.items < rules.least_items {
        let (n, least) = (found.items, rules.least_items);
        return Err(format!("{n} items, at least {least} are asked for"));
    }
    let (low, high) = found.interval.ok_or("there is no interval")?;
    let up = low > 0.0;
    if !(up || high < 0.0) {
        return Err("the interval of the difference holds 0".into());
    }
    let error = 1.0 - rules.resampling.confidence;
    // Written so that a p that is no number shows nothing.
    let sure = found.corrected_p < error;
    if !sure {
        return Err(format!(
            "the corrected p is {:.3}, not below {error:.3}",
            found.corrected_p
        ));
    }
    Ok(match up == found.metric.higher_is_better() {
        true => Shown::Improved,
        false => Shown::Regressed,
    })
}

/// What an adapter's metrics show together: a regression in any is one; else an improvement in any is one.
pub fn overall<'a>(comparisons: impl IntoIterator<Item = &'a Comparison>) -> Shown {
    let shown: BTreeSet<Shown> = comparisons.into_iter().map(|found| found.shown).collect();
    [Shown::Regressed, Shown::Improved]
        .into_iter()
        .find(|word| shown.contains(word))
        .unwrap_or(Shown::Underpowered)
}
