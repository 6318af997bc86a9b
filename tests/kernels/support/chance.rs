//! Random numbers that are the same for a seed.

use half::bf16;

/// Numbers by chance (SplitMix64: Steele, Lea, Flood, OOPSLA 2014).
pub struct Chance(u64);

impl Chance {
    /// The seed is printed: a failing test names it.
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// From `low` to `high`, both possible.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// One of these.
    pub fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// From 0 to below 1, all 24 bits that an f32 has.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    /// From -size to below size.
    pub fn around(&mut self, size: f32) -> f32 {
        size * (2.0 * self.unit() - 1.0)
    }

    /// About normal, variance 1: the sum of twelve uniform numbers, never beyond 6.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    /// `len` of [`around`](Self::around).
    pub fn numbers(&mut self, len: usize, size: f32) -> Vec<f32> {
        (0..len).map(|_| self.around(size)).collect()
    }

    /// The same, rounded to bf16.
    pub fn halves(&mut self, len: usize, size: f32) -> Vec<bf16> {
        let numbers = self.numbers(len, size).into_iter();
        numbers.map(bf16::from_f32).collect()
    }
}
