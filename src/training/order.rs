//! The order of an epoch: a permutation that is a function of (seed, epoch, number of rows) and of nothing else.
//!
//! So where a run stands is one integer, its step, and a resumed run reads on as if it had never stopped.

use super::philox::philox;

/// What is put in order; each has chance of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Rows of the data set.
    Rows = 0x726f_7773,
    /// Sequences that rows are packed into.
    Sequences = 0x7365_7173,
}

/// The numbers 0 to `count - 1` in the order of an epoch: Fisher and Yates' shuffle, or as they are without `shuffle`.
pub fn order(seed: u64, epoch: u64, of: Of, count: u32, shuffle: bool) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    if shuffle {
        for last in (1..count).rev() {
            let other = below(u64::from(last) + 1, seed, epoch, of, last);
            order.swap(last as usize, other as usize);
        }
    }
    order
}

/// A number below `bound`, by the upper half of a 128-bit product: with 64 random bits no number is likelier than another by
/// more than one in 2^32.
fn below(bound: u64, seed: u64, epoch: u64, of: Of, index: u32) -> u64 {
    let counter = [index, epoch as u32, (epoch >> 32) as u32, of as u32];
    let bits = philox(counter, [seed as u32, (seed >> 32) as u32]);
    let random = u128::from(bits[0]) << 32 | u128::from(bits[1]);
    ((random * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_order_is_this_one_forever() {
        // A checkpoint says only its step: another order here would resume every run wrongly.
        let known = [4, 5, 2, 7, 1, 3, 0, 6];
        assert_eq!(order(42, 0, Of::Rows, 8, true), known);
    }

    #[test]
    fn every_place_is_as_likely_as_another() {
        let mut first = [0_u32; 5];
        for epoch in 0..5000 {
            first[order(7, epoch, Of::Rows, 5, true)[0] as usize] += 1;
        }
        assert!(first.iter().all(|&n| (900..1100).contains(&n)), "{first:?}");
    }

    proptest! {
        #[test]
        fn an_order_is_a_permutation(seed: u64, epoch: u64, count in 0_u32..300) {
            let mut rows = order(seed, epoch, Of::Rows, count, true);
            prop_assert_eq!(&rows, &order(seed, epoch, Of::Rows, count, true));
            if count > 20 {
                prop_assert_ne!(&rows, &order(seed, epoch.wrapping_add(1), Of::Rows, count, true));
                prop_assert_ne!(&rows, &order(seed.wrapping_add(1 << 40), epoch, Of::Rows, count, true));
                prop_assert_ne!(&rows, &order(seed, epoch, Of::Sequences, count, true));
            }
            rows.sort_unstable();
            prop_assert!(rows.into_iter().eq(0..count));
            prop_assert!(order(seed, epoch, Of::Rows, count, false).into_iter().eq(0..count));
        }
    }
}
