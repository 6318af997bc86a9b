//! The cluster bootstrap: components are drawn whole, with replacement, and what is asked is computed of each draw.
//!
//! The percentiles of a bootstrap of few components are too narrow, because a drawn spread lacks what the mean took from it.
//! They are taken further out, as far as Student's t lies further out than the normal (Hesterberg 2015, "expanded
//! percentile"); with many components that is nothing.

use super::normal::upper_tail;
use crate::{evaluation::student_t, training::philox::philox};
use serde::{Deserialize, Serialize};

/// What one item adds to a quotient of sums: to a mean its value and 1, to a loss a token the loss and the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// To the sum above.
    pub sum: f64,
    /// To the sum below.
    pub count: f64,
}

impl Share {
    fn add(&mut self, other: Share) {
        self.sum += other.sum;
        self.count += other.count;
    }

    fn value(self) -> f64 {
        self.sum / self.count
    }
}

/// How it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Draws.
    pub resamples: u32,
    /// Root of all chance.
    pub seed: u64,
    /// Of the interval.
    pub confidence: f64,
}

/// What the draws say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Standard error.
    pub error: f64,
    /// Two-sided p of no difference: twice the smaller share of the draws beyond 0, with the seen one among them.
    pub p: f64,
}

/// The difference second - first of two quotients over the same items. `clusters` has the component of each item, numbered
/// from 0. None for fewer than two components, and where a quotient does not exist.
pub fn difference(
    first: &[Share],
    second: &[Share],
    clusters: &[u32],
    how: Resampling,
) -> Option<Interval> {
    assert!(
        first.len() == second.len() && first.len() == clusters.len(),
        "every item is of both and has a component"
    );
    let paired = first.iter().zip(second).map(|(a, b)| [*a, *b]);
    resample(&sums(paired, clusters), how, |[first, second]| {
        second.value() - first.value()
    })
}

/// One quotient by itself.
pub fn level(items: &[Share], clusters: &[u32], how: Resampling) -> Option<Interval> {
    assert_eq!(items.len(), clusters.len(), "every item has a component");
    let items = items.iter().map(|item| [*item]);
    resample(&sums(items, clusters), how, |[item]| item.value())
}

/// Items added up by component, in the order of the components.
fn sums<const N: usize>(
    items: impl Iterator<Item = [Share; N]>,
    clusters: &[u32],
) -> Vec<[Share; N]> {
    let most = clusters.iter().max().map_or(0, |most| *most as usize + 1);
    let mut sums = vec![None; most];
    for (item, cluster) in items.zip(clusters) {
        let sum = sums[*cluster as usize].get_or_insert([Share::default(); N]);
        for (sum, share) in sum.iter_mut().zip(item) {
            sum.add(share);
        }
    }
    sums.into_iter().flatten().collect()
}

fn resample<const N: usize>(
    clusters: &[[Share; N]],
    how: Resampling,
    asked: impl Fn([Share; N]) -> f64,
) -> Option<Interval> {
    let n = clusters.len();
    if n < 2 || how.resamples == 0 {
        return None;
    }
    let key = [how.seed as u32, (how.seed >> 32) as u32];
    let mut draws = Vec::with_capacity(how.resamples as usize);
    for resample in 0..how.resamples {
        let mut drawn = [Share::default(); N];
        for block in 0..n.div_ceil(4) {
            let numbers = philox([block as u32, resample, STREAM, 0], key);
            for number in numbers.into_iter().take(n - block * 4) {
                let at = (u64::from(number) * n as u64) >> 32;
                for (sum, share) in drawn.iter_mut().zip(clusters[at as usize]) {
                    sum.add(share);
                }
            }
        }
        let value = asked(drawn);
        // A draw without anything to count says nothing.
        if value.is_finite() {
            draws.push(value);
        }
    }
    // Where most draws have nothing to count, neither have the others.
    (draws.len() * 2 > how.resamples as usize).then(|| interval(draws, n, how.confidence))
}

/// Keeps these draws apart from others of the same seed.
const STREAM: u32 = 0x626f_6f74;

fn interval(mut draws: Vec<f64>, clusters: usize, confidence: f64) -> Interval {
    draws.sort_unstable_by(f64::total_cmp);
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let square = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let (below, above) = (
        draws.iter().filter(|x| **x <= 0.0).count() as f64,
        draws.iter().filter(|x| **x >= 0.0).count() as f64,
    );
    let tail = expanded(0.5 - confidence / 2.0, clusters);
    Interval {
        low: percentile(&draws, tail),
        high: percentile(&draws, 1.0 - tail),
        error: square.sqrt(),
        p: (2.0 * (below.min(above) + 1.0) / (n + 1.0)).min(1.0),
    }
}

/// The tail of the draws beyond which `tail` of the truth lies, with so many components.
fn expanded(tail: f64, clusters: usize) -> f64 {
    let n = clusters as f64;
    let t = student_t::quantile(1.0 - tail, n - 1.0);
    upper_tail(t * (n / (n - 1.0)).sqrt()).min(tail)
}

/// The value below which `share` of the sorted draws lie, between two of them in proportion.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}
