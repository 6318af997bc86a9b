//! `cvt`: between integers (cut or extended, clamped if asked), between floats, and from one to the other. A float beyond
//! the range of an integer is clamped to it, NaN becomes 0.

use half::{bf16, f16};

use crate::ptx::float::narrow;
use crate::ptx::op::{Convert, Rounding};
use crate::ptx::registers::{Lanes, Reg, Registers, each};
use crate::ptx::types::Type;

/// Runs one conversion.
pub(crate) fn run(file: &mut Registers, convert: &Convert, active: u32) {
    let bits = file.bits(convert.source);
    let out = match (convert.from.float(), convert.to.float()) {
        (false, false) if convert.saturate => each(|l| clamped(bits[l], convert)),
        (false, false) => {
            // One shift out and back for each type, the same in all lanes.
            let wide = extend(&bits, convert.from);
            extend(&wide, convert.to)
        }
        (false, true) => each(|l| from_integer(bits[l], convert)),
        (true, false) => {
            let x = numbers(&bits, convert);
            each(|l| to_integer(x[l], convert))
        }
        (true, true) => {
            let x = numbers(&bits, convert);
            each(|l| to_float(x[l], convert))
        }
    };
    file.set_bits(convert.target, active, &out);
}

/// The lower bits of a register as a number of the source type: sign- or zero-extended.
#[inline(always)]
fn extended(x: u64, kind: Type) -> i64 {
    let shift = 64 - kind.bits();
    if kind.signed() {
        (x << shift).cast_signed() >> shift
    } else {
        (x << shift >> shift).cast_signed()
    }
}

/// As [`extended`], all lanes.
#[inline(always)]
fn extend(bits: &Lanes<u64>, kind: Type) -> Lanes<u64> {
    let shift = 64 - kind.bits();
    if kind.signed() {
        each(|l| ((bits[l] << shift).cast_signed() >> shift).cast_unsigned())
    } else {
        each(|l| bits[l] << shift >> shift)
    }
}

/// An integer held to the range of the target.
fn clamped(x: u64, convert: &Convert) -> u64 {
    let value = extended(x, convert.from);
    let wide = if convert.from == Type::U64 {
        i128::from(x)
    } else {
        i128::from(value)
    };
    let bits = convert.to.bits();
    let (low, high) = if convert.to.signed() {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    } else {
        (0, (1i128 << bits) - 1)
    };
    cut(wide.clamp(low, high) as u64, convert.to)
}

/// What a register of the target holds: the number cut to its type and, signed in a narrow register, extended to 32 bits.
#[inline(always)]
fn cut(value: u64, kind: Type) -> u64 {
    extended(value, kind).cast_unsigned()
}

fn from_integer(x: u64, convert: &Convert) -> u64 {
    let value = extended(x, convert.from);
    let unsigned = convert.from == Type::U64;
    if convert.to == Type::F64 {
        let out = if unsigned { x as f64 } else { value as f64 };
        return out.to_bits();
    }
    let near = if unsigned { x as f32 } else { value as f32 };
    if convert.to != Type::F32 {
        return float_bits(f64::from(near), convert.to);
    }
    if convert.rounding == Rounding::Near {
        return u64::from(near.to_bits());
    }
    // 64 bits are more than an f64 has: the rest is the error.
    let exact = if unsigned {
        i128::from(x)
    } else {
        i128::from(value)
    };
    let head = exact as f64;
    let rest = (exact - head as i128) as f64;
    u64::from(narrow(head, rest, convert.rounding).to_bits())
}

/// The sources as f64, which holds every float exactly.
fn numbers(bits: &Lanes<u64>, convert: &Convert) -> Lanes<f64> {
    let flush = |x: f64| {
        if x.abs() < f64::from(f32::MIN_POSITIVE) {
            0f64.copysign(x)
        } else {
            x
        }
    };
    match convert.from {
        Type::F64 => bits.map(f64::from_bits),
        Type::F32 if convert.flush => bits.map(|x| flush(f64::from(f32::from_bits(x as u32)))),
        Type::F32 => bits.map(|x| f64::from(f32::from_bits(x as u32))),
        Type::Bf16 => bits.map(|x| f64::from(bf16::from_bits(x as u16))),
        _ => bits.map(|x| f64::from(f16::from_bits(x as u16))),
    }
}

fn integral(x: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Near => x.round_ties_even(),
        Rounding::Zero => x.trunc(),
        Rounding::Down => x.floor(),
        Rounding::Up => x.ceil(),
    }
}

fn to_integer(x: f64, convert: &Convert) -> u64 {
    let x = integral(x, convert.rounding);
    let value = match convert.to {
        Type::U8 => u64::from(x as u8),
        Type::S8 => i64::from(x as i8).cast_unsigned(),
        Type::U16 => u64::from(x as u16),
        Type::S16 => i64::from(x as i16).cast_unsigned(),
        Type::U32 => u64::from(x as u32),
        Type::S32 => i64::from(x as i32).cast_unsigned(),
        Type::S64 => (x as i64).cast_unsigned(),
        _ => x as u64,
    };
    cut(value, convert.to)
}

fn to_float(x: f64, convert: &Convert) -> u64 {
    let x = if convert.integral {
        integral(x, convert.rounding)
    } else {
        x
    };
    let x = match convert.saturate {
        // NaN is not above zero either.
        true if x > 0.0 => x.min(1.0),
        true => 0.0,
        false => x,
    };
    match convert.to {
        Type::F32 => {
            let out = narrow(x, 0.0, convert.rounding);
            let out = if convert.flush && out.is_subnormal() {
                0f32.copysign(out)
            } else {
                out
            };
            let out = if out.is_nan() {
                f32::from_bits(0x7fff_ffff)
            } else {
                out
            };
            u64::from(out.to_bits())
        }
        kind if convert.rounding == Rounding::Near => float_bits(x, kind),
        kind => u64::from(cut_half(x as f32, kind)),
    }
}

/// Bits of the nearest number of a float type.
fn float_bits(x: f64, kind: Type) -> u64 {
    match kind {
        Type::F64 => x.to_bits(),
        Type::Bf16 => u64::from(half_bits(x as f32, Type::Bf16)),
        Type::F32 => u64::from((x as f32).to_bits()),
        _ => u64::from(half_bits(x as f32, Type::F16)),
    }
}

/// Bits of the nearest bf16 or f16; NaN is the canonical one.
fn half_bits(x: f32, kind: Type) -> u16 {
    match kind {
        _ if x.is_nan() => 0x7fff,
        Type::Bf16 | Type::Bf16x2 => bf16::from_f32(x).to_bits(),
        _ => f16::from_f32(x).to_bits(),
    }
}

/// Bits of the bf16 or f16 next to `x` on the side of zero.
fn cut_half(x: f32, kind: Type) -> u16 {
    if x.is_nan() {
        return 0x7fff;
    }
    if matches!(kind, Type::Bf16 | Type::Bf16x2) {
        return (x.to_bits() >> 16) as u16;
    }
    let near = f16::from_f32(x);
    let beyond = near.to_f32().abs() > x.abs() && x.is_finite();
    near.to_bits() - u16::from(beyond)
}

/// `cvt.rn.bf16x2.f32` and its like: two f32 into the halves of a register.
pub(crate) fn pack_halves(
    file: &mut Registers,
    (kind, rounding, relu): (Type, Rounding, bool),
    active: u32,
    [to, upper, lower]: [Reg; 3],
) {
    let half = |x: f32| {
        let x = if relu && x < 0.0 { 0.0 } else { x };
        u32::from(if rounding == Rounding::Near {
            half_bits(x, kind)
        } else {
            cut_half(x, kind)
        })
    };
    let (upper, lower) = (file.get::<f32>(upper), file.get::<f32>(lower));
    file.set::<u32>(to, active, each(|l| half(upper[l]) << 16 | half(lower[l])));
}
