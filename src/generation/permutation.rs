//! Order and chance without state: a keyed permutation, draws by (seed, index), shard ranges.
//!
//! A shuffled list would have to be built and shared; a Feistel network answers "which query is the n-th of this seed"
//! alone, in constant time, and being a bijection it makes distinct indexes distinct queries.

use std::ops::Range;

const ROUNDS: u64 = 4;

/// A well mixed 64-bit word of (seed, stream, index): two rounds of SplitMix64's finalizer.
pub fn draw(seed: u64, stream: u64, index: u64) -> u64 {
    let keyed = mix(seed ^ mix(stream.wrapping_add(0x9e37_79b9_7f4a_7c15)));
    mix(keyed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A uniform number in [0, 1) of (seed, stream, index), from the upper 53 bits of `draw`.
pub fn draw_unit(seed: u64, stream: u64, index: u64) -> f64 {
    (draw(seed, stream, index) >> 11) as f64 / (1u64 << 53) as f64
}

/// SplitMix64's output function (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where `index` of `0..size` goes in the permutation keyed by `seed`; `index` must be below `size`.
///
/// A balanced Feistel network over the next power of four, walked until it lands below `size`: fewer than four steps
/// on average.
pub fn permute(seed: u64, index: u64, size: u64) -> u64 {
    debug_assert!(index < size);
    let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mut place = index;
    loop {
        place = feistel(seed, place, half);
        if place < size {
            return place;
        }
    }
}

fn feistel(seed: u64, value: u64, half: u32) -> u64 {
    let mask = (1u64 << half) - 1;
    let (mut left, mut right) = (value >> half, value & mask);
    for round in 0..ROUNDS {
        (left, right) = (right, left ^ (draw(seed, round, right) & mask));
    }
    (left << half) | right
}

/// The indexes of shard `shard` of `shards` when `0..target` is split into contiguous parts whose sizes differ by at most
/// one; empty for a shard that does not exist.
pub fn shard_range(target: u64, shard: u64, shards: u64) -> Range<u64> {
    if shard >= shards {
        return target..target;
    }
    let (share, rest) = (target / shards, target % shards);
    let start = share * shard + shard.min(rest);
    start..start + share + u64::from(shard < rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permutation_is_a_bijection_at_any_size() {
        for size in [1, 2, 3, 4, 5, 16, 17, 190, 1000, 4097] {
            for seed in [0, 1, u64::MAX] {
                let mut places: Vec<u64> = (0..size).map(|i| permute(seed, i, size)).collect();
                places.sort_unstable();
                assert!(
                    places.into_iter().eq(0..size),
                    "size {size}, seed {seed:#x}"
                );
            }
        }
    }

    #[test]
    fn another_seed_gives_another_order() {
        let order = |seed| {
            (0..100)
                .map(|i| permute(seed, i, 1000))
                .collect::<Vec<u64>>()
        };
        assert_ne!(order(1), order(2));
        assert_ne!(order(1), (0..100).collect::<Vec<u64>>());
    }

    #[test]
    fn shards_cover_the_target_once_and_evenly() {
        for target in [0, 1, 7, 190, 34_500, 34_501] {
            for shards in [1, 2, 3, 8, 200] {
                let ranges: Vec<_> = (0..shards)
                    .map(|k| shard_range(target, k, shards))
                    .collect();
                let mut next = 0;
                for range in &ranges {
                    assert_eq!(range.start, next, "target {target}, shards {shards}");
                    next = range.end;
                }
                assert_eq!(next, target);
                let sizes = ranges.iter().map(|range| range.end - range.start);
                let (low, high) = (sizes.clone().min(), sizes.max());
                assert!(high <= low.map(|low| low + 1));
            }
        }
        assert!(shard_range(10, 3, 3).is_empty());
        assert!(shard_range(10, 0, 0).is_empty());
    }

    #[test]
    fn draws_are_uniform_and_streams_differ() {
        let mean = (0..10_000).map(|i| draw_unit(7, 0, i)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert_ne!(draw(7, 0, 3), draw(7, 1, 3));
    }
}
