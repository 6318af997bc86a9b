//! Quantiles of Student's t distribution, which the gate's bounds rest on.
//!
//! The tail probability is the regularised incomplete beta function, evaluated by its continued
//! fraction with Lentz's method (Numerical Recipes, 3rd edition, section 6.4). Its inverse is found
//! by Newton steps kept inside a shrinking bracket, so that it converges for every number of
//! degrees of freedom and cannot run away.

use std::f64::consts::PI;

/// The t with `P(T <= t) = probability` at `freedom` degrees of freedom, to a relative error of
/// about 1e-9.
///
/// NaN unless `0 < probability < 1` and `freedom > 0`.
pub fn quantile(probability: f64, freedom: f64) -> f64 {
    let sensible = probability > 0.0 && probability < 1.0 && freedom > 0.0 && freedom.is_finite();
    if !sensible {
        return f64::NAN;
    }
    if probability < 0.5 {
        return -upper_quantile(probability, freedom);
    }
    upper_quantile(1.0 - probability, freedom)
}

/// `P(T > t)` for t >= 0 at `freedom` degrees of freedom.
pub fn upper_tail(t: f64, freedom: f64) -> f64 {
    let square = t * t;
    let x = freedom / (freedom + square);
    let rest = square / (freedom + square); // 1 - x without cancellation
    0.5 * regularised_beta(freedom / 2.0, 0.5, x, rest)
}

/// The t >= 0 with `P(T > t) = tail`, for a tail of at most a half.
fn upper_quantile(tail: f64, freedom: f64) -> f64 {
    let (mut below, mut above) = bracket(tail, freedom);
    let log_scale =
        ln_gamma((freedom + 1.0) / 2.0) - ln_gamma(freedom / 2.0) - 0.5 * (freedom * PI).ln();
    let mut t = 0.5 * (below + above);
    for _ in 0..200 {
        let excess = upper_tail(t, freedom) - tail;
        if excess > 0.0 {
            below = t;
        } else {
            above = t;
        }
        let density = (log_scale - 0.5 * (freedom + 1.0) * (t * t / freedom).ln_1p()).exp();
        let newton = t + excess / density;
        let inside = newton > below && newton < above;
        let next = if inside {
            newton
        } else {
            0.5 * (below + above)
        };
        if (next - t).abs() <= 1e-12 * t.max(1e-3) {
            return next;
        }
        t = next;
    }
    t
}

/// An interval that holds the t >= 0 with this upper tail, found by doubling.
fn bracket(tail: f64, freedom: f64) -> (f64, f64) {
    let (mut below, mut above) = (0.0, 2.0);
    while upper_tail(above, freedom) > tail && above < f64::MAX / 4.0 {
        below = above;
        above *= 2.0;
    }
    (below, above)
}

/// `I_x(a, b)`, the regularised incomplete beta function; `rest` is `1 - x`.
fn regularised_beta(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if rest <= 0.0 {
        return 1.0;
    }
    let log_front =
        ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * ln_one_minus(rest, x);
    let front = log_front.exp();
    // The fraction converges quickly on this side of the mean of the beta distribution; symmetry
    // gives the other.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, rest) / b
    }
}

/// `ln(rest)` where `rest = 1 - x`: whichever of the two numbers is small carries the precision.
fn ln_one_minus(rest: f64, x: f64) -> f64 {
    if rest < 0.5 { rest.ln() } else { (-x).ln_1p() }
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const MOST_TERMS: u32 = 100_000;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };

    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..=MOST_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// `ln(Gamma(x))` for x > 0: Lanczos' approximation with g = 7 and nine terms, good to about 15
/// digits.
fn ln_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let series: f64 = (1..)
        .zip(TERMS)
        .map(|(i, term)| term / (x + f64::from(i)))
        .sum();
    let base = x + G + 0.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * base.ln() - base + (series + 0.999_999_999_999_809_9).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Degrees of freedom; quantiles at 0.95, 0.975, 0.98333... (1 - 0.05/3) and 0.995. The first
    /// four rows and columns are in every printed table; all were computed with 40 digits.
    const TABLE: [(f64, [f64; 4]); 9] = [
        (
            1.0,
            [
                6.313_751_514_68,
                12.706_204_736_2,
                19.081_136_687_7,
                63.656_741_162_9,
            ],
        ),
        (
            2.0,
            [
                2.919_985_580_35,
                4.302_652_729_75,
                5.339_332_783_81,
                9.924_843_200_92,
            ],
        ),
        (
            5.0,
            [
                2.015_048_373_33,
                2.570_581_835_64,
                2.911_710_494_65,
                4.032_142_983_56,
            ],
        ),
        (
            10.0,
            [
                1.812_461_122_81,
                2.228_138_851_99,
                2.465_982_682_08,
                3.169_272_672_62,
            ],
        ),
        (
            30.0,
            [
                1.697_260_886_59,
                2.042_272_456_30,
                2.230_625_049_76,
                2.749_995_653_57,
            ],
        ),
        (
            189.0,
            [
                1.652_955_801_73,
                1.972_595_079_10,
                2.143_718_544_33,
                2.602_091_918_05,
            ],
        ),
        (
            379.0,
            [
                1.648_884_031_27,
                1.966_242_972_08,
                2.135_833_372_04,
                2.588_863_454_17,
            ],
        ),
        (
            569.0,
            [
                1.647_535_996_28,
                1.964_141_910_00,
                2.133_226_626_40,
                2.584_497_338_69,
            ],
        ),
        (
            1e6,
            [
                1.644_855_150_72,
                1.959_966_356_81,
                2.128_048_175_45,
                2.575_834_220_11,
            ],
        ),
    ];

    #[test]
    fn quantiles_agree_with_the_tables() {
        for (freedom, quantiles) in TABLE {
            let probabilities = [0.95, 0.975, 1.0 - 0.05 / 3.0, 0.995];
            for (probability, expected) in probabilities.into_iter().zip(quantiles) {
                let found = quantile(probability, freedom);
                assert!(
                    (found - expected).abs() < 1e-6,
                    "df {freedom}, p {probability}: {found}, not {expected}"
                );
                assert!(
                    (quantile(1.0 - probability, freedom) + found).abs() < 1e-8,
                    "not symmetric at df {freedom}"
                );
            }
        }
    }

    #[test]
    fn the_tail_of_the_quantile_is_the_probability() {
        for freedom in [0.5, 1.0, 3.0, 47.0, 569.0, 1e5] {
            for tail in [0.5, 0.3, 0.05, 1e-3, 1e-6] {
                let back = upper_tail(quantile(1.0 - tail, freedom), freedom);
                assert!(
                    (back - tail).abs() < 1e-8 * tail.max(1e-2),
                    "df {freedom}: {tail} came back as {back}"
                );
            }
        }
    }

    #[test]
    fn senseless_questions_are_nan() {
        let senseless = [
            (0.0, 5.0),
            (1.0, 5.0),
            (1.5, 5.0),
            (f64::NAN, 5.0),
            (0.95, 0.0),
            (0.95, -1.0),
            (0.95, f64::NAN),
        ];
        for (probability, freedom) in senseless {
            assert!(
                quantile(probability, freedom).is_nan(),
                "p {probability}, df {freedom}"
            );
        }
    }
}
