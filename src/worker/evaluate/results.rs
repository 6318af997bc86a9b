//! From outcomes to results: each arm's numbers, each adapter against the base, all against the bigram model.

use super::{BASE, arm::Outcome, items::Held};
use crate::evaluation::{
    job::{Arm, Bigram, Inputs, Measure, Measured, Metric, Scored, VERSION},
    paired::{
        self, Comparison, Pair, Resampling, Rules, Share, compare, effective, overall, settle,
    },
    proportion::wilson_effective,
};
use std::collections::{BTreeMap, BTreeSet};

/// The bigram model on the items.
pub struct Baseline {
    /// The sum of each item's losses, and how many they are.
    pub losses: Vec<(f64, u64)>,
    /// Pairs that it was made of.
    pub pairs: u64,
    /// How much the tokens' frequencies count.
    pub strength: f64,
}

/// The results. `outcomes` has the base first, then every adapter of the request.
pub fn results(
    job: &Measure,
    held: &Held,
    outcomes: &[Vec<Outcome>],
    baseline: Option<&Baseline>,
) -> Measured {
    let of = Of {
        held,
        rules: rules(job),
    };
    let adapters = job.adapters.iter();
    let names = std::iter::once((BASE, None))
        .chain(adapters.map(|adapter| (adapter.name.as_str(), Some(adapter.directory.clone()))));
    let arms: Vec<Arm> = names
        .zip(outcomes)
        .map(|((name, directory), outcomes)| Arm {
            name: name.into(),
            directory,
            metrics: of.metrics(outcomes),
        })
        .collect();
    let (mut comparisons, mut verdicts) = (Vec::new(), BTreeMap::new());
    for (arm, others) in arms.iter().zip(outcomes).skip(1) {
        let found = of.against(&arm.name, &outcomes[0], others);
        verdicts.insert(arm.name.clone(), overall(&found));
        comparisons.extend(found);
    }
    let mut datasets: Vec<String> = held.items.iter().map(|item| item.dataset.clone()).collect();
    datasets.sort_unstable();
    datasets.dedup();
    Measured {
        version: VERSION,
        name: job.name.clone(),
        model: job.model.clone(),
        data: held.files.clone(),
        datasets,
        inputs: Inputs::default(),
        settings: job.settings.clone(),
        items: held.counts,
        bigram: baseline.map(|baseline| of.bigram(baseline, &arms, outcomes)),
        arms,
        comparisons,
        verdicts,
    }
}

/// When something is shown.
pub fn rules(job: &Measure) -> Rules {
    Rules {
        resampling: Resampling {
            resamples: job.settings.resamples,
            seed: job.settings.seed,
            confidence: job.settings.confidence,
        },
        least_items: job.settings.least_items,
    }
}

struct Of<'a> {
    held: &'a Held,
    rules: Rules,
}

impl Of<'_> {
    fn metrics(&self, outcomes: &[Outcome]) -> BTreeMap<Metric, Scored> {
        let scored = |metric: &Metric| Some((*metric, self.scored(*metric, outcomes)?));
        Metric::ALL.iter().filter_map(scored).collect()
    }

    /// None where nothing has the metric, or a number is none.
    fn scored(&self, metric: Metric, outcomes: &[Outcome]) -> Option<Scored> {
        let each = outcomes.iter().zip(&self.held.items);
        let (shares, clusters): (Vec<Share>, Vec<u32>) = each
            .filter_map(|(outcome, item)| Some((*outcome.metrics.get(&metric)?, item.cluster)))
            .unzip();
        let (sum, count) = shares.iter().fold((0.0, 0.0), |(sum, count), share| {
            (sum + share.sum, count + share.count)
        });
        let value = sum / count;
        if !value.is_finite() {
            return None;
        }
        let items = shares.len() as u64;
        let resampling = self.rules.resampling;
        let interval = match metric.binary() {
            true => {
                let drawn = paired::level(&shares, &clusters, resampling);
                let error = drawn.map(|interval| interval.error);
                let components = BTreeSet::from_iter(&clusters).len() as u64;
                let telling = effective(items, components, error, value * (1.0 - value));
                wilson_effective(sum as u64, items, telling, resampling.confidence)
            }
            false => paired::level(&shares, &clusters, resampling)
                .map(|interval| (interval.low, interval.high)),
        };
        Some(Scored {
            value,
            items,
            interval,
        })
    }

    /// An adapter against the base, in every metric that both have.
    fn against(&self, name: &str, base: &[Outcome], others: &[Outcome]) -> Vec<Comparison> {
        let pairs = |metric: Metric| -> Vec<Pair> {
            let each = base.iter().zip(others).zip(&self.held.items);
            each.filter_map(|((base, other), item)| {
                Some(Pair {
                    base: *base.metrics.get(&metric)?,
                    other: *other.metrics.get(&metric)?,
                    cluster: item.cluster,
                })
            })
            .collect()
        };
        let all = Metric::ALL.iter().map(|metric| (*metric, pairs(*metric)));
        let measured = all.filter(|(_, pairs)| !pairs.is_empty());
        let mut found: Vec<Comparison> = measured
            .map(|(metric, pairs)| compare(name, metric, &pairs, &self.rules))
            .collect();
        settle(&mut found, &self.rules);
        found
    }

    fn bigram(&self, baseline: &Baseline, arms: &[Arm], outcomes: &[Vec<Outcome>]) -> Bigram {
        let shares: Vec<Share> = baseline
            .losses
            .iter()
            .map(|(sum, n)| Share {
                sum: *sum,
                count: *n as f64,
            })
            .collect();
        let against = |(arm, outcomes): (&Arm, &Vec<Outcome>)| {
            let each = shares.iter().zip(outcomes).zip(&self.held.items);
            let pairs: Vec<Pair> = each
                .filter_map(|((bigram, outcome), item)| {
                    Some(Pair {
                        base: *bigram,
                        other: *outcome.metrics.get(&Metric::Loss)?,
                        cluster: item.cluster,
                    })
                })
                .collect();
            let mut found = [compare(&arm.name, Metric::Loss, &pairs, &self.rules)];
            settle(&mut found, &self.rules);
            let [found] = found;
            found
        };
        let (sum, tokens) = baseline
            .losses
            .iter()
            .fold((0.0, 0), |(sum, n), (loss, tokens)| {
                (sum + loss, n + tokens)
            });
        Bigram {
            loss: sum / tokens as f64,
            tokens,
            pairs: baseline.pairs,
            strength: baseline.strength,
            against: arms.iter().zip(outcomes).map(against).collect(),
        }
    }
}
