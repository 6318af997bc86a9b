//! How small a difference a number of items could show, and how many items a difference takes (Connor 1987): for items that
//! are right or wrong in pairs, from the share on which the two differ.

use super::normal::quantile;

/// The chance to show a difference that is there.
const POWER: f64 = 0.8;

/// Pairs of items that show a difference of `difference` (share of items, above 0) with 80 % power at this two-sided
/// confidence, when the two differ on `discordant` of them. None where no number does: a difference cannot be larger than
/// the share on which there is one.
pub fn pairs_needed(difference: f64, discordant: f64, confidence: f64) -> Option<u64> {
    let (difference, sense) = (difference.abs(), quantile(0.5 + confidence / 2.0));
    let possible = difference > 0.0 && difference <= discordant && discordant <= 1.0;
    if !possible || sense.is_nan() {
        return None;
    }
    let root = sense * discordant.sqrt()
        + quantile(POWER) * (discordant - difference * difference).max(0.0).sqrt();
    Some((root / difference).powi(2).ceil() as u64)
}

/// The smallest difference that `pairs` show with 80 % power, when the two differ on `discordant` of them; none where they
/// could show none at all.
pub fn detectable(pairs: u64, discordant: f64, confidence: f64) -> Option<f64> {
    let shown = |difference| {
        pairs_needed(difference, discordant, confidence).is_some_and(|needed| needed <= pairs)
    };
    if !shown(discordant) {
        return None;
    }
    let (mut below, mut above) = (0.0, discordant);
    for _ in 0..60 {
        let middle = 0.5 * (below + above);
        if shown(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    Some(above)
}

/// The smallest difference of something measured that an estimate of this standard error shows with 80 % power.
pub fn detectable_by(error: f64, confidence: f64) -> Option<f64> {
    let found = (quantile(0.5 + confidence / 2.0) + quantile(POWER)) * error;
    (found.is_finite() && error > 0.0).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_the_numbers_of_the_plan() {
        assert_eq!(pairs_needed(0.05, 0.2, 0.95), Some(626));
        assert_eq!(pairs_needed(0.1, 0.2, 0.95), Some(155));
        assert_eq!(pairs_needed(0.2, 0.3, 0.95), Some(57));
        let found = detectable(626, 0.2, 0.95).unwrap();
        assert!((found - 0.05).abs() < 1e-4, "{found}");
    }

    #[test]
    fn what_cannot_be_shown_is_not_said() {
        assert_eq!(pairs_needed(0.3, 0.2, 0.95), None);
        assert_eq!(pairs_needed(0.0, 0.2, 0.95), None);
        assert_eq!(pairs_needed(f64::NAN, 0.2, 0.95), None);
        assert_eq!(detectable(3, 0.2, 0.95), None);
        assert_eq!(detectable(100, 0.0, 0.95), None);
        assert_eq!(detectable_by(f64::NAN, 0.95), None);
    }

    proptest! {
        #[test]
        fn what_is_detectable_needs_no_more_pairs(pairs in 20u64..5000, discordant in 0.05f64..1.0) {
            if let Some(found) = detectable(pairs, discordant, 0.95) {
                prop_assert!(pairs_needed(found, discordant, 0.95).unwrap() <= pairs);
                prop_assert!(detectable(pairs * 2, discordant, 0.95).unwrap() <= found + 1e-9);
            }
        }
    }
}
