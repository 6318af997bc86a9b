//! What every torture test has: a seed that is printed, a count, and a row for the README's table.

use std::{env, fs, path::Path};

/// Whether the full counts are asked for: `tests/run --torture`.
pub fn full() -> bool {
    env::var_os("CAMPAIGND_TORTURE").is_some()
}

/// The seed of this run.
pub fn seed() -> u64 {
    let asked = env::var("CAMPAIGND_SEED").ok();
    asked
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_261_121)
}

/// How many trials: a share in every test run, all of them for the torture, or what was asked for.
pub fn count(share: usize, all: usize) -> usize {
    let asked = env::var("CAMPAIGND_COUNT").ok();
    let asked = asked.and_then(|text| text.parse().ok());
    asked.unwrap_or(if full() { all } else { share })
}

/// Random numbers (splitmix64): the same for the same seed.
pub struct Dice(u64);

impl Dice {
    /// Dice of this run for one test; says with which seed.
    pub fn of(test: &str) -> Self {
        let seed = seed();
        eprintln!("{test}: seed {seed}; again by CAMPAIGND_SEED={seed}");
        let salt = test.bytes().fold(seed, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        Self(salt)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            None
        } else {
            Some(&from[self.below(from.len())])
        }
    }
}

/// Leaves a row for the table: what was done how often, how often all was well afterwards, and what was lost.
///
/// # Panics
/// On a row that rests on nothing.
pub fn row(place: u32, fault: &str, trials: usize, survived: usize, lost: usize, how: &str) {
    assert!(trials > 0, "{fault}: no trial was made");
    eprintln!("{fault}: {trials} trials, {survived} survived, {lost} lost: {how}");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("torture");
    fs::create_dir_all(&dir).unwrap();
    let line = format!("| {fault} | {trials} | {survived} | {lost} | {how} |\n");
    fs::write(dir.join(format!("{place:02}.row")), line).unwrap();
    assert_eq!((survived, lost), (trials, 0), "{fault}");
}

/// Says that a test was not made, and why.
pub fn skip(test: &str, why: &str) {
    eprintln!("skipped {test}: {why}");
}
