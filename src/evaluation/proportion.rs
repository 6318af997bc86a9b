//! Confidence intervals of a proportion, for counts such as "12 of 2,000".

/// The 95 % Wilson score interval of `successes` in `trials` (Wilson 1927), or None for no trials.
///
/// Unlike the textbook interval it stays inside 0 to 1 and has a width at 0 and at all.
pub fn wilson_interval(successes: u64, trials: u64) -> Option<(f64, f64)> {
    const Z: f64 = 1.959_963_984_540_054;
    if trials == 0 || successes > trials {
        return None;
    }
    let (k, n) = (successes as f64, trials as f64);
    let share = k / n;
    let shrunk = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At 0 and at all the ends are exact; rounding must not move them.
    let low = if successes == 0 {
        0.0
    } else {
        (shrunk - half).max(0.0)
    };
    let high = if successes == trials {
        1.0
    } else {
        (shrunk + half).min(1.0)
    };
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_published_intervals() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        let published = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (successes, trials, low, high) in published {
            let found = wilson_interval(successes, trials).unwrap();
            assert!(
                (found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5,
                "{successes}/{trials}: {found:?}"
            );
        }
    }

    #[test]
    fn nothing_of_nothing_is_no_proportion() {
        assert_eq!(wilson_interval(0, 0), None);
        assert_eq!(wilson_interval(3, 2), None);
        assert_eq!(wilson_interval(5, 5).unwrap().1, 1.0);
    }
}
