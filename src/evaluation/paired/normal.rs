//! The normal distribution: its tail and its quantiles.

/// `P(Z > z)`, to about 1e-14 of itself: a series near the middle, a continued fraction in the tail (Abramowitz and Stegun
/// 26.2.11 and 26.2.14).
pub fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let density = density(z);
    if z < 3.0 {
        let (mut term, mut sum, mut n) = (z, z, 1.0);
        while term > sum * 1e-17 {
            n += 2.0;
            term *= z * z / n;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    let fraction = (1..=200).rev().fold(z, |below, n| z + f64::from(n) / below);
    density / fraction
}

fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The z with `P(Z <= z) = probability`; NaN unless it is between 0 and 1.
pub fn quantile(probability: f64) -> f64 {
    if !(probability > 0.0 && probability < 1.0) {
        return f64::NAN;
    }
    if probability < 0.5 {
        return -quantile(1.0 - probability);
    }
    let tail = 1.0 - probability;
    let (mut below, mut above) = (0.0, 40.0);
    // The bracket halves; 60 times is every bit there is.
    for _ in 0..60 {
        let middle = 0.5 * (below + above);
        if upper_tail(middle) > tail {
            below = middle;
        } else {
            above = middle;
        }
    }
    0.5 * (below + above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.norm.sf and .ppf.
        let tails = [
            (0.0, 0.5),
            (1.0, 0.158_655_253_931_457_05),
            (2.9, 0.001_865_813_300_384_038),
            (3.1, 0.000_967_603_213_218_356_5),
            (6.0, 9.865_876_450_376_946e-10),
            (-1.0, 0.841_344_746_068_542_9),
        ];
        for (z, tail) in tails {
            let found = upper_tail(z);
            assert!((found / tail - 1.0).abs() < 1e-12, "{z}: {found}");
        }
        let quantiles = [
            (0.975, 1.959_963_984_540_054),
            (0.8, 0.841_621_233_572_914_3),
            (0.995, 2.575_829_303_548_900_4),
            (0.025, -1.959_963_984_540_054),
        ];
        for (p, z) in quantiles {
            assert!((quantile(p) - z).abs() < 1e-12, "{p}: {}", quantile(p));
        }
        assert!(quantile(0.0).is_nan() && quantile(f64::NAN).is_nan());
    }
}
