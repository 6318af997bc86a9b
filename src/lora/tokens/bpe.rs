//! Byte-pair encoding learned from texts (Sennrich et al. 2016), over bytes: the same texts make the same merges, always.
//!
//! Ties are broken by the smaller pair, and nothing depends on the order of a hash map, which is more than trainers that count
//! in threads promise.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Two symbols that stand side by side: numbers below 256 are bytes, the rest what merges made, in their order.
type Pair = (u32, u32);

/// What is put together, left and right, as bytes.
pub type Merge = [Vec<u8>; 2];

/// Words as symbols, with what is known of their pairs.
struct Words {
    words: Vec<(Vec<u32>, u64)>,
    counts: HashMap<Pair, u64>,
    /// Where a pair was seen; it may be gone from there.
    places: HashMap<Pair, BTreeSet<usize>>,
    /// Pairs by how often they occur, the smaller pair the greater entry.
    ranked: BTreeSet<(u64, Reverse<Pair>)>,
}

/// Merges that make at most `most` new symbols, each of the pair that occurs most often; fewer where no pair occurs twice any
/// more. Words come with how often they occur. Two merges may make one symbol: `a` + `bc` and `ab` + `c`.
pub fn merges(words: &BTreeMap<Vec<u8>, u64>, most: usize) -> Vec<Merge> {
    let mut words = Words::new(words);
    let mut symbols = Symbols::new();
    let mut merges = Vec::new();
    while symbols.texts.len() < 256 + most {
        let Some(&(count, Reverse(pair))) = words.ranked.last() else {
            break;
        };
        if count < 2 {
            break;
        }
        let (merge, symbol) = symbols.merge(pair);
        words.merge(pair, symbol);
        merges.push(merge);
    }
    merges
}

/// What symbols say.
struct Symbols {
    texts: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, u32>,
}

impl Symbols {
    fn new() -> Self {
        let texts: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        let numbers = texts.iter().cloned().zip(0..).collect();
        Self { texts, numbers }
    }

    /// A pair as bytes, and the symbol of both together.
    fn merge(&mut self, pair: Pair) -> (Merge, u32) {
        let merge = [pair.0, pair.1].map(|symbol| self.texts[symbol as usize].clone());
        let next = self.texts.len() as u32;
        let symbol = *self.numbers.entry(merge.concat()).or_insert(next);
        if symbol == next {
            self.texts.push(merge.concat());
        }
        (merge, symbol)
    }
}

impl Words {
    fn new(counted: &BTreeMap<Vec<u8>, u64>) -> Self {
        let symbols = |word: &Vec<u8>| word.iter().map(|byte| u32::from(*byte)).collect();
        let words = counted.iter().map(|(word, count)| (symbols(word), *count));
        let mut all = Self {
            words: words.collect(),
            counts: HashMap::new(),
            places: HashMap::new(),
            ranked: BTreeSet::new(),
        };
        for at in 0..all.words.len() {
            let (word, count) = all.words[at].clone();
            for pair in word.windows(2).map(|two| (two[0], two[1])) {
                *all.counts.entry(pair).or_default() += count;
                all.places.entry(pair).or_default().insert(at);
            }
        }
        let ranked = all.counts.iter();
        all.ranked = ranked
            .map(|(pair, count)| (*count, Reverse(*pair)))
            .collect();
        all
    }

    /// Puts one symbol in the place of a pair, everywhere.
    fn merge(&mut self, pair: Pair, symbol: u32) {
        for at in self.places.remove(&pair).unwrap_or_default() {
            let (before, count) = self.words[at].clone();
            let after = merged(&before, pair, symbol);
            for pair in before.windows(2).map(|two| (two[0], two[1])) {
                self.count(pair, |known| known - count);
            }
            for pair in after.windows(2).map(|two| (two[0], two[1])) {
                self.count(pair, |known| known + count);
                self.places.entry(pair).or_default().insert(at);
            }
            self.words[at].0 = after;
        }
    }

    fn count(&mut self, pair: Pair, change: impl Fn(u64) -> u64) {
        let count = self.counts.entry(pair).or_default();
        self.ranked.remove(&(*count, Reverse(pair)));
        *count = change(*count);
        if *count > 0 {
            self.ranked.insert((*count, Reverse(pair)));
        }
    }
}

/// A word with one symbol for each of its pairs, from the left.
fn merged(word: &[u32], pair: Pair, symbol: u32) -> Vec<u32> {
    let mut out = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        if word[at] == pair.0 && word.get(at + 1) == Some(&pair.1) {
            out.push(symbol);
            at += 2;
        } else {
            out.push(word[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by counting everything anew for each merge.
    fn plainly(words: &BTreeMap<Vec<u8>, u64>, most: usize) -> Vec<Merge> {
        let mut words = Words::new(words).words;
        let mut symbols = Symbols::new();
        let mut merges = Vec::new();
        while symbols.texts.len() < 256 + most {
            let mut counts = BTreeMap::new();
            for (word, count) in &words {
                for two in word.windows(2) {
                    *counts.entry((two[0], two[1])).or_insert(0) += count;
                }
            }
            let ranked = counts
                .into_iter()
                .map(|(pair, count)| (count, Reverse(pair)));
            let Some((2.., Reverse(pair))) = ranked.max() else {
                break;
            };
            let (merge, symbol) = symbols.merge(pair);
            for (word, _) in &mut words {
                *word = merged(word, pair, symbol);
            }
            merges.push(merge);
        }
        merges
    }

    #[test]
    fn the_textbook_example() {
        let words = [("low", 5), ("lower", 2), ("newest", 6), ("widest", 3)];
        let words = words.map(|(word, count)| (word.as_bytes().to_vec(), count));
        let made = merges(&words.into(), 3);
        let made: Vec<_> = made
            .into_iter()
            .map(|[a, b]| [a, b].map(|part| String::from_utf8(part).unwrap()))
            .collect();
        assert_eq!(made, [["e", "s"], ["es", "t"], ["l", "o"]]);
    }

    proptest! {
        #[test]
        fn counting_as_one_goes_is_counting_anew(words in prop::collection::btree_map(
            prop::collection::vec(prop::sample::select(b"abc".to_vec()), 0..9), 1_u64..5, 0..12)) {
            prop_assert_eq!(merges(&words, 30), plainly(&words, 30));
        }
    }
}
