//! How sure a failure is: the lower end of a Beta posterior.

/// The probability that is left below the bound.
const BELOW: f64 = 0.05;

/// The probability of a failure that holds at least with 95 % certainty after `failures` and `successes`, from a uniform
/// prior: the 5 % quantile of Beta(1 + failures, 1 + successes). One failure alone gives 0.22, two 0.37, ten 0.76.
pub fn lower_bound(failures: u64, successes: u64) -> f64 {
    if failures == 0 {
        return 0.0;
    }
    // With whole parameters the distribution function is a sum of binomial terms: of n + 1 trials more than `failures`.
    let n = failures
        .saturating_add(successes)
        .saturating_add(1)
        .min(100_000);
    let successes = successes.min(n - 1);
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(successes, n, middle) < BELOW {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The probability of at most `misses` misses in `n` trials that each hit with probability `p`.
fn at_most(misses: u64, n: u64, p: f64) -> f64 {
    let (hit, miss) = (p.ln(), (1.0 - p).ln());
    // The logarithm of n choose k, carried along.
    let (mut choose, mut sum) = (0.0, 0.0);
    for k in 0..=misses {
        let term: f64 = choose + (n - k) as f64 * hit + k as f64 * miss;
        sum += term.exp();
        choose += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_quantile_of_the_posterior() {
        for failures in 1..20 {
            let closed = 0.05_f64.powf(1.0 / (failures as f64 + 1.0));
            assert!(
                (lower_bound(failures, 0) - closed).abs() < 1e-9,
                "{failures}"
            );
        }
        // Beta(3, 2) and Beta(11, 4): by exact binomial sums.
        assert!(
            (lower_bound(2, 1) - 0.248_604_5).abs() < 1e-6,
            "{}",
            lower_bound(2, 1)
        );
        assert!(
            (lower_bound(10, 3) - 0.534_343_4).abs() < 1e-6,
            "{}",
            lower_bound(10, 3)
        );
        assert_eq!(lower_bound(0, 5), 0.0);
        assert!(lower_bound(5, 0) > lower_bound(5, 1) && lower_bound(6, 1) > lower_bound(5, 1));
        assert!(lower_bound(u64::MAX, 0) > 0.999);
    }
}
