//! How far the machine's arithmetic may be from exact arithmetic. Every bound of a test is made of these: none is chosen.

use half::bf16;

/// Relative error of one rounding to f32: half the distance from 1 to the next number.
pub const F32: f64 = 1.0 / (1u64 << 24) as f64;
/// Relative error of one addition of a tensor core, which cuts where others round.
pub const TENSOR: f64 = 2.0 * F32;
/// Error of 2^x, relative, or log2 x of the special function unit.
pub const SPECIAL: f64 = 4.0 * F32;
/// Relative error of one rounding to bf16, at most.
pub const BF16: f64 = 1.0 / 256.0;
/// The smallest normal number: what is below it may become 0.
pub const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

/// Whether a number of bf16 is the rounding of one that is within `error` of `exact`.
pub fn near(found: bf16, exact: f64, error: f64) -> bool {
    // Nothing exact is infinite, and half a step at infinity would allow everything.
    found.is_finite() && (found.to_f64() - exact).abs() <= error + half_step(found.to_f64())
}

/// Half the distance between numbers of bf16 at one of them, towards zero or away from it, whichever is larger.
fn half_step(number: f64) -> f64 {
    number.abs().max(SMALLEST).log2().floor().exp2() * BF16
}

/// A sum of products in f64, and the sum of their sizes, which errors are measured by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// The sum.
    pub value: f64,
    /// Of the absolute values.
    pub size: f64,
}

impl Sum {
    /// Of products.
    pub fn of(products: impl IntoIterator<Item = f64>) -> Self {
        let products = products.into_iter();
        products.fold(Self::default(), |sum, product| Self {
            value: sum.value + product,
            size: sum.size + product.abs(),
        })
    }

    /// Of the products of two vectors.
    pub fn dot(a: &[f32], b: &[f32]) -> Self {
        Self::of(a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)))
    }

    /// The most a sum of f32 in any order may be off after `additions`, each cut or rounded.
    pub fn error(&self, additions: usize) -> f64 {
        additions as f64 * TENSOR * self.size
    }

    /// Panics unless `got` is the sum, added up in f32.
    pub fn expect(&self, got: f32, additions: usize, what: impl Fn() -> String) {
        let off = (f64::from(got) - self.value).abs();
        let within = off <= self.error(additions);
        assert!(within, "{}: {got} is not {self:?}", what());
    }

    /// Panics unless `got` is the sum, added up in f32 and rounded to bf16.
    pub fn expect_rounded(&self, got: bf16, additions: usize, what: impl Fn() -> String) {
        let within = near(got, self.value, self.error(additions));
        assert!(within, "{}: {got} is not {self:?}", what());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number of bf16 is near those that round to it, up to the last, and to none beyond.
    #[test]
    fn near_is_rounding() {
        for bits in (1..0x7f7f).chain(0x8001..0xff7f) {
            let (number, next) = (bf16::from_bits(bits), bf16::from_bits(bits + 1));
            let middle = (number.to_f64() + next.to_f64()) / 2.0;
            assert!(near(number, middle, 0.0), "{number} to {middle}");
            assert!(near(next, middle, 0.0), "{next} to {middle}");
            let beyond = middle + (next.to_f64() - middle) * 0.01;
            assert!(!near(number, beyond, 0.0), "{number} to {beyond}");
            assert!(near(number, beyond, (beyond - middle).abs()));
        }
    }

    #[test]
    fn nothing_is_near_what_is_no_number() {
        for number in [bf16::NAN, bf16::INFINITY, bf16::NEG_INFINITY] {
            assert!(!near(number, 1e38, 1e38));
        }
        assert!(!near(bf16::ONE, f64::NAN, 1.0) && !near(bf16::ONE, 1.0, f64::NAN));
    }

    #[test]
    fn a_sum_allows_its_error_and_no_more() {
        let sum = Sum::dot(&[1.0, -3.0], &[2.0, 1.0]);
        assert_eq!((sum.value, sum.size), (-1.0, 5.0));
        // Steps of f32 at 1; the sum is cut twice.
        let admits = |steps: f32| {
            let got = -1.0 - steps * f32::EPSILON;
            std::panic::catch_unwind(|| sum.expect(got, 2, String::new)).is_ok()
        };
        assert!(admits(0.0) && admits(10.0) && !admits(11.0) && !admits(f32::NAN));
    }

    #[test]
    fn a_rounded_sum_allows_half_a_step_more() {
        let sum = Sum::dot(&[1.0, -3.0], &[2.0, 1.0]);
        let admits = |bits: u16| {
            let got = bf16::from_bits(bits);
            std::panic::catch_unwind(|| sum.expect_rounded(got, 2, String::new)).is_ok()
        };
        let exact = bf16::NEG_ONE.to_bits();
        assert!(admits(exact) && !admits(exact + 1) && !admits(exact - 1));
    }
}
