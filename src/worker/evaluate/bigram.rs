//! The baseline that a tuned model must beat: a model that knows only which token follows which.
//!
//! P(b after a) = (n(a, b) + s u(b)) / (n(a) + s), with u the tokens' own frequencies with one added to each: a Dirichlet
//! prior around them (MacKay and Bauman Peto 1995). The strength s is the one of a geometric grid under which the training
//! pairs are likeliest, each predicted from all others; so nothing held out has a say in it.

use crate::lora::tokens::Example;
use std::collections::HashMap;

/// Strengths that are tried: from nearly none to nearly only the tokens' frequencies.
const STRENGTHS: [f64; 12] = [
    0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0,
];

/// Counts of the tokens that training rows teach, each with the one before it.
#[derive(Debug)]
pub struct Bigram {
    vocabulary: f64,
    pairs: HashMap<(u32, u32), u64>,
    before: HashMap<u32, u64>,
    tokens: HashMap<u32, u64>,
    all: u64,
    strength: f64,
}

impl Bigram {
    /// Of these rows; none where they teach nothing.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Example>, vocabulary: usize) -> Option<Self> {
        let mut found = Self {
            vocabulary: vocabulary as f64,
            pairs: HashMap::new(),
            before: HashMap::new(),
            tokens: HashMap::new(),
            all: 0,
            strength: 1.0,
        };
        for (a, b) in rows.into_iter().flat_map(taught) {
            *found.pairs.entry((a, b)).or_default() += 1;
            *found.before.entry(a).or_default() += 1;
            *found.tokens.entry(b).or_default() += 1;
            found.all += 1;
        }
        (found.all > 0).then(|| {
            found.strength = found.best();
            found
        })
    }

    /// Pairs that it was made of.
    pub fn pairs(&self) -> u64 {
        self.all
    }

    /// How much the tokens' frequencies count.
    pub fn strength(&self) -> f64 {
        self.strength
    }

    /// The sum of the losses of a row's learned tokens in nats, and how many they are.
    pub fn loss(&self, row: &Example) -> (f64, u64) {
        let losses = taught(row).map(|(a, b)| -self.log_p(a, b, self.strength, 0));
        losses.fold((0.0, 0), |(sum, n), loss| (sum + loss, n + 1))
    }

    /// ln P(b after a), as if `less` of these pairs had not been seen.
    fn log_p(&self, a: u32, b: u32, strength: f64, less: u64) -> f64 {
        let of = |n: Option<&u64>| n.map_or(0, |n| n - less) as f64;
        let own = (of(self.tokens.get(&b)) + 1.0) / ((self.all - less) as f64 + self.vocabulary);
        let (pair, before) = (of(self.pairs.get(&(a, b))), of(self.before.get(&a)));
        ((pair + strength * own) / (before + strength)).ln()
    }

    fn best(&self) -> f64 {
        let mut pairs: Vec<(&(u32, u32), &u64)> = self.pairs.iter().collect();
        // A sum of floats has an order, a map has none.
        pairs.sort_unstable();
        let fit = |strength: f64| -> f64 {
            let all = pairs.iter();
            all.map(|((a, b), n)| **n as f64 * self.log_p(*a, *b, strength, 1))
                .sum()
        };
        let fits = STRENGTHS.map(|strength| (strength, fit(strength)));
        let best = fits
            .into_iter()
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(1.0, |(strength, _)| strength)
    }
}

/// Learned tokens with the one before each.
fn taught(row: &Example) -> impl Iterator<Item = (u32, u32)> {
    let pairs = row.ids.windows(2).zip(row.learned.iter().skip(1));
    pairs
        .filter(|(_, learned)| **learned)
        .map(|(pair, _)| (pair[0], pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ids: &[u32]) -> Example {
        let learned = (0..ids.len()).map(|at| at > 0).collect();
        Example {
            ids: ids.into(),
            learned,
        }
    }

    #[test]
    fn probabilities_sum_to_one_after_every_token() {
        let rows = [row(&[1, 2, 3, 2, 3, 1]), row(&[4, 4, 2])];
        let model = Bigram::of(&rows, 7).unwrap();
        for a in 0..7 {
            let sum: f64 = (0..7)
                .map(|b| model.log_p(a, b, model.strength, 0).exp())
                .sum();
            assert!((sum - 1.0).abs() < 1e-12, "after {a}: {sum}");
        }
    }

    #[test]
    fn what_always_follows_is_nearly_sure_and_what_is_new_is_not_impossible() {
        let rows: Vec<Example> = (0..200).map(|_| row(&[1, 2, 1, 2, 1, 2])).collect();
        let model = Bigram::of(&rows, 50).unwrap();
        let (known, n) = model.loss(&row(&[1, 2, 1]));
        assert!(n == 2 && known < 0.02, "{known}");
        let (new, _) = model.loss(&row(&[9, 30]));
        assert!(new.is_finite() && new > 5.0, "{new}");
    }

    #[test]
    fn rows_without_order_lean_on_frequencies_and_rows_with_order_do_not() {
        let ordered: Vec<Example> = (0..50).map(|n| row(&[1, 2, 3, 4, 5, n % 2 + 6])).collect();
        let random: Vec<Example> = (0..50u32)
            .map(|n| {
                let draw = |i| crate::training::philox::philox([n, i, 0, 0], [3, 3])[0] % 30;
                row(&[draw(0), draw(1), draw(2), draw(3), draw(4)])
            })
            .collect();
        let of = |rows: &[Example]| Bigram::of(rows, 40).unwrap().strength();
        assert!(
            of(&ordered) < of(&random),
            "{} {}",
            of(&ordered),
            of(&random)
        );
    }

    #[test]
    fn only_learned_tokens_count_and_without_any_there_is_no_model() {
        let mut silent = row(&[1, 2, 3]);
        silent.learned = vec![false; 3];
        assert!(Bigram::of([&silent], 5).is_none());
        assert!(Bigram::of([], 5).is_none());
        silent.learned[2] = true;
        let model = Bigram::of([&silent], 5).unwrap();
        assert_eq!((model.pairs(), model.loss(&silent).1), (1, 1));
    }
}
