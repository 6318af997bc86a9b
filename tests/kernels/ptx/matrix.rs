//! `mma`: the product of two small matrices spread over the lanes of a warp. With group g = lane / 4 and t = lane % 4, lane
//! holds of a the rows g and g + 8 at columns 2 t, 2 t + 1 (and 8 more), of b the same columns of row g of its transpose, of c
//! and d the columns 2 t, 2 t + 1 of rows g and g + 8 (PTX ISA, matrix fragments for mma.m16n8k16).
//!
//! Products are exact and summed in f64, then rounded once; the hardware rounds more often, so a kernel must allow for it.

use half::f16;

use crate::ptx::op::Multiply;
use crate::ptx::registers::{LANES, Lanes, Registers, each};
use crate::ptx::types::Type;

/// The lower and the upper number of a register in every lane; exact.
fn halves(bits: &Lanes<u32>, kind: Type) -> [Lanes<f32>; 2] {
    let number = |bits: u16| f16::from_bits(bits).to_f32();
    match kind {
        Type::F16 => [
            each(|l| number(bits[l] as u16)),
            each(|l| number((bits[l] >> 16) as u16)),
        ],
        // The upper half of an f32 is a bf16.
        _ => [
            each(|l| f32::from_bits(bits[l] << 16)),
            each(|l| f32::from_bits(bits[l] & 0xffff_0000)),
        ],
    }
}

/// Runs one product; all lanes are present.
pub(crate) fn run(registers: &mut Registers, multiply: &Multiply) {
    match multiply.k {
        8 => product::<8>(registers, multiply),
        _ => product::<16>(registers, multiply),
    }
}

fn product<const K: usize>(registers: &mut Registers, multiply: &Multiply) {
    let kind = multiply.kind;
    let mut a = [[0f64; K]; 16];
    // By k, so that the inner loop runs over the columns of d.
    let mut b = [[0f64; 8]; K];
    for (n, reg) in multiply.a.iter().enumerate() {
        let [lower, upper] = halves(&registers.get(*reg), kind);
        for lane in 0..LANES {
            let (row, column) = (lane / 4 + n % 2 * 8, lane % 4 * 2 + n / 2 * 8);
            a[row][column] = f64::from(lower[lane]);
            a[row][column + 1] = f64::from(upper[lane]);
        }
    }
    for (n, reg) in multiply.b.iter().enumerate() {
        let [lower, upper] = halves(&registers.get(*reg), kind);
        for lane in 0..LANES {
            let (column, row) = (lane / 4, lane % 4 * 2 + n * 8);
            b[row][column] = f64::from(lower[lane]);
            b[row + 1][column] = f64::from(upper[lane]);
        }
    }
    let c: [Lanes<f32>; 4] = multiply.c.map(|reg| registers.get(reg));
    let mut d = [[0f32; LANES]; 4];
    for (row, a) in a.iter().enumerate() {
        let mut sums = [0f64; 8];
        for (a, b) in a.iter().zip(&b) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
        for (column, sum) in sums.into_iter().enumerate() {
            let (n, lane) = (row / 8 * 2 + column % 2, row % 8 * 4 + column / 2);
            d[n][lane] = (sum + f64::from(c[n][lane])) as f32;
        }
    }
    for (reg, values) in multiply.d.iter().zip(d) {
        registers.set::<f32>(*reg, u32::MAX, values);
    }
}
