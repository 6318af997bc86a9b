//! Arithmetic on rows. Sums have sixteen lanes on every processor, so their order does not depend on its vectors.

const LANES: usize = 16;

/// The sum of the lanes, in pairs.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = with(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Sum of `a[i]` * `b[i]`.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (ours, theirs) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = ours.remainder().iter().zip(theirs.remainder());
    for (lane, (a, b)) in lanes.iter_mut().zip(rest) {
        *lane = a * b;
    }
    for (a, b) in ours.zip(theirs) {
        for lane in 0..LANES {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    fold(lanes, |a, b| a + b)
}

/// Sum of `a[i]` * `b[i]` * `c[i]`.
#[inline(always)]
pub(super) fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for ((a, b), c) in a.chunks(LANES).zip(b.chunks(LANES)).zip(c.chunks(LANES)) {
        for (lane, ((a, b), c)) in lanes.iter_mut().zip(a.iter().zip(b).zip(c)) {
            *lane = (a * b).mul_add(*c, *lane);
        }
    }
    fold(lanes, |a, b| a + b)
}

/// The largest number.
#[inline(always)]
pub(super) fn largest(numbers: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = numbers.chunks_exact(LANES);
    for (lane, &number) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = number;
    }
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    fold(lanes, larger)
}

/// The larger of two, and NaN if one is: a sick logit must show in the loss.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// Makes exp(x - shift) of every x, in place; returns their sum.
#[inline(always)]
pub(super) fn exponentials(numbers: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut chunks = numbers.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - shift);
            lanes[lane] += chunk[lane];
        }
    }
    for (number, lane) in chunks.into_remainder().iter_mut().zip(&mut lanes) {
        *number = exp(*number - shift);
        *lane += *number;
    }
    fold(lanes, |a, b| a + b)
}

/// e to the x: within two units in the last place; 0 below -87.3, infinite above 88.7. Vectorises: no branch, no table.
///
/// x = n ln 2 + r, and a polynomial for e to the r, |r| <= ln 2 / 2 (Cephes' coefficients).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to a whole number
    const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const POLYNOMIAL: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = (-n).mul_add(LN2[1], (-n).mul_add(LN2[0], x));
    let mut sum = POLYNOMIAL[0];
    for coefficient in &POLYNOMIAL[1..] {
        sum = sum.mul_add(r, *coefficient);
    }
    let sum = sum.mul_add(r * r, r) + 1.0;
    // 2^n as two factors, for n = 128 has no exponent of its own.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) << 23) as u32);
    let whole = sum * power(half) * power(n.wrapping_sub(half));
    let whole = if x < -87.3 { 0.0 } else { whole };
    let whole = if x > 88.72 { f32::INFINITY } else { whole };
    if x.is_nan() { x } else { whole }
}
