//! McNemar's test of two classifiers on the same items: among the items on which they differ, is one right oftener than by
//! tossing a coin?

use serde::{Deserialize, Serialize};

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// The exact two-sided p: never says more than it knows, and a little less where few items differ.
    pub exact: f64,
    /// The mid-p (Fagerland, Lydersen and Laake 2013): half of what was seen counts, so that on average it errs as often as it says.
    pub mid: f64,
}

/// The test of `worse` items that only the first has right against `better` ones that only the second has. Where they never
/// differ nothing is shown: 1.
pub fn mcnemar(worse: u64, better: u64) -> McNemar {
    let (n, least) = (worse.saturating_add(better), worse.min(better));
    if n == 0 {
        return McNemar {
            exact: 1.0,
            mid: 1.0,
        };
    }
    // Terms of the binomial from the seen one downwards: relative to it, so that no large number is made.
    let seen = log_coin(n, least);
    let (mut term, mut sum) = (1.0, 1.0);
    for k in (1..=least).rev() {
        term *= k as f64 / (n - k + 1) as f64;
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
    }
    let (seen, tail) = (seen.exp(), (seen + f64::ln(sum)).exp());
    McNemar {
        exact: (2.0 * tail).min(1.0),
        mid: (2.0 * tail - seen).clamp(0.0, 1.0),
    }
}

/// The logarithm of `P(X = k)` for n tosses of a coin.
fn log_coin(n: u64, k: u64) -> f64 {
    let choose: f64 = (1..=k).map(|i| ((n - k + i) as f64 / i as f64).ln()).sum();
    choose - n as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Only the first right, only the second; `statsmodels` 0.15 `mcnemar(..., exact=True)`, and by scipy 1.17
    /// `2 * binom.cdf(m, n, .5) - binom.pmf(m, n, .5)`.
    const SCIPY: [(u64, u64, f64, f64); 9] = [
        (0, 1, 1.0, 0.5),
        (2, 9, 0.065_429_687_5, 0.038_574_218_75),
        (5, 5, 1.0, 1.0),
        (10, 4, 0.179_565_429_687_5, 0.118_469_238_281_25),
        (101, 121, 0.202_134_320_659_958_43, 0.180_344_607_820_927_73),
        (
            59,
            6,
            4.964_650_327_128_616e-12,
            2.725_803_198_606_886_7e-12,
        ),
        (3, 25, 2.744_048_833_847_046e-5, 1.523_643_732_070_925_2e-5),
        (
            400,
            480,
            0.007_707_305_043_339_153,
            0.006_999_455_634_076_815,
        ),
        (0, 8, 0.007_812_5, 0.003_906_25),
    ];

    #[test]
    fn agrees_with_scipy() {
        SCIPY.iter().for_each(|(worse, better, exact, mid)| {
            let found = mcnemar(*worse, *better);
            let near = |found: f64, right: f64| (found - right).abs() <= 1e-10 * right;
            assert!(
                near(found.exact, *exact) && near(found.mid, *mid),
                "{worse} against {better}: {found:?}"
            );
        });
    }

    proptest! {
        #[test]
        fn a_p_is_a_probability_and_takes_no_side(worse in 0u64..3000, better in 0u64..3000) {
            let found = mcnemar(worse, better);
            prop_assert!((0.0..=1.0).contains(&found.exact) && (0.0..=found.exact + 1e-12).contains(&found.mid));
            prop_assert_eq!(found, mcnemar(better, worse));
        }

        #[test]
        fn more_of_one_side_shows_more(worse in 0u64..200, better in 0u64..200) {
            let (low, high) = (worse.min(better), worse.max(better));
            prop_assert!(mcnemar(low, high + 1).exact <= mcnemar(low, high).exact + 1e-12);
        }
    }
}
