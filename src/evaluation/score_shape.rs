//! Made-up scores of known true quality, to find out how often the gate errs.
//!
//! Every score is a function of (seed, trial, index) alone: score 200 of a trial is the same
//! whether the gate looks at 190 samples first or at 570 at once, and trials may be computed in any
//! order.

use std::f64::consts::TAU;

/// The distribution that scores are drawn from. Each has exactly the true quality as its mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScoreShape {
    /// Accepted or not: 1 or 0. No scores in 0 to 1 with the same mean spread wider.
    Binary,
    /// A beta distribution; the higher the concentration (a + b), the narrower.
    Beta {
        /// The sum of the two parameters, above 0.
        concentration: f64,
    },
    /// Rare failures: `(1 - q) / 2` of the samples score 0, half as many as in the binary shape, and
    /// the others all `2 q / (1 + q)`.
    TwoPoint,
    /// Mostly near 1 with a long tail towards 0: `u ^ ((1 - q) / q)`.
    Skewed,
}

impl ScoreShape {
    /// The shapes that the printed table has.
    pub const ALL: [ScoreShape; 6] = [
        ScoreShape::Binary,
        ScoreShape::Beta { concentration: 2.0 },
        ScoreShape::Beta {
            concentration: 10.0,
        },
        ScoreShape::Beta {
            concentration: 100.0,
        },
        ScoreShape::TwoPoint,
        ScoreShape::Skewed,
    ];

    /// The name in tables: `binary`, `beta(10)`, ...
    pub fn name(self) -> String {
        match self {
            ScoreShape::Binary => "binary".to_owned(),
            ScoreShape::Beta { concentration } => format!("beta({concentration})"),
            ScoreShape::TwoPoint => "two-point".to_owned(),
            ScoreShape::Skewed => "skewed".to_owned(),
        }
    }

    /// Score number `index` of a trial, 0 to 1, whose expectation is `quality` (taken into 0 to 1).
    pub fn score(self, quality: f64, seed: u64, trial: u64, index: u64) -> f64 {
        if quality <= 0.0 || quality >= 1.0 {
            return quality.clamp(0.0, 1.0); // only one distribution has this mean
        }
        let mut draws = Draws::new(seed, trial, index);
        match self {
            ScoreShape::Binary => f64::from(u8::from(draws.uniform() < quality)),
            ScoreShape::Beta { concentration } => {
                let good = draws.gamma(quality * concentration);
                let bad = draws.gamma((1.0 - quality) * concentration);
                good / (good + bad)
            }
            ScoreShape::TwoPoint if draws.uniform() < (1.0 - quality) / 2.0 => 0.0,
            ScoreShape::TwoPoint => 2.0 * quality / (1.0 + quality),
            ScoreShape::Skewed => draws.uniform().powf((1.0 - quality) / quality),
        }
    }
}

/// The draws behind one score: the splitmix64 sequence from a hash of (seed, trial, index).
struct Draws {
    state: u64,
}

impl Draws {
    fn new(seed: u64, trial: u64, index: u64) -> Self {
        Draws {
            state: mix(mix(mix(seed) ^ trial) ^ index),
        }
    }

    /// Uniform in the open interval 0 to 1.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(GOLDEN);
        ((mix(self.state) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }

    /// Gamma of this shape and scale 1 (Marsaglia and Tsang 2000), never 0.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = self.uniform().powf(1.0 / shape);
            return (self.gamma(shape + 1.0) * boost).max(f64::MIN_POSITIVE);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.uniform().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of splitmix64 (Steele, Lea and Flood 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_its_mean_and_stays_in_range() {
        const N: u64 = 40_000;
        for shape in ScoreShape::ALL {
            for quality in [0.6, 0.75, 0.9] {
                let scores: Vec<f64> = (0..N)
                    .map(|index| shape.score(quality, 7, 0, index))
                    .collect();
                assert!(
                    scores.iter().all(|score| (0.0..=1.0).contains(score)),
                    "{}",
                    shape.name()
                );
                let mean = scores.iter().sum::<f64>() / N as f64;
                // Five standard errors of the widest shape.
                assert!(
                    (mean - quality).abs() < 5.0 * 0.5 / (N as f64).sqrt(),
                    "{} at {quality}: {mean}",
                    shape.name()
                );
            }
        }
    }

    #[test]
    fn a_beta_has_its_variance() {
        const N: u64 = 40_000;
        for concentration in [2.0, 10.0, 100.0] {
            let shape = ScoreShape::Beta { concentration };
            let scores: Vec<f64> = (0..N).map(|index| shape.score(0.8, 11, 0, index)).collect();
            let variance = scores
                .iter()
                .map(|score| (score - 0.8).powi(2))
                .sum::<f64>()
                / N as f64;
            let expected = 0.8 * 0.2 / (concentration + 1.0);
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "beta({concentration}): {variance}, not {expected}"
            );
        }
    }

    #[test]
    fn each_of_seed_trial_and_index_changes_the_score() {
        let score = |seed, trial, index| ScoreShape::Skewed.score(0.7, seed, trial, index);
        assert_eq!(score(1, 2, 3), score(1, 2, 3));
        for other in [
            score(2, 2, 3),
            score(1, 3, 3),
            score(1, 2, 4),
            score(2, 1, 3),
            score(1, 3, 2),
        ] {
            assert_ne!(score(1, 2, 3), other);
        }
    }

    #[test]
    fn the_ends_of_the_range_are_certain() {
        for shape in ScoreShape::ALL {
            assert_eq!(
                (shape.score(0.0, 1, 1, 1), shape.score(1.0, 1, 1, 1)),
                (0.0, 1.0)
            );
        }
    }
}
