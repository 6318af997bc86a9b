//! Chance as a function of a seed and of what it is asked about: the order of questions changes no answer.

use std::f64::consts::TAU;

/// What happens by chance in one made-up world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(pub u64);

/// The questions that chance is asked.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum About {
    /// Whether an attempt at a task fails.
    Failure = 1,
    /// How far it got.
    Share,
    /// How it failed.
    Kind,
    /// How long it takes beside what is usual.
    Pace,
    /// Where the optimum lies.
    Optimum,
    /// The noise of a result.
    Noise,
}

/// One round of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mixed(bits: u64) -> u64 {
    let mut z = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Chance {
    /// A number from 0 to below 1, of a question and its two subjects.
    pub(super) fn unit(self, about: About, one: u64, other: u64) -> f64 {
        let bits = [about as u64, one, other]
            .into_iter()
            .fold(mixed(self.0), |bits, more| mixed(bits ^ more));
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A normal number of mean 0 and standard deviation 1 (Box and Muller).
    pub(super) fn normal(self, about: About, one: u64) -> f64 {
        let (a, b) = (self.unit(about, one, 1), self.unit(about, one, 2));
        (-2.0 * (1.0 - a).ln()).sqrt() * (TAU * b).cos()
    }
}

/// A number for a text.
pub(super) fn number_of(text: &str) -> u64 {
    text.bytes()
        .fold(0, |bits, byte| mixed(bits ^ u64::from(byte)))
}
