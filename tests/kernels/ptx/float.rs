//! Floating-point arithmetic on all lanes. Results that PTX calls `approx` are computed in f64 and rounded once: what the
//! hardware gives differs from them by its documented error, so a kernel must not rest on their last bits. A NaN that an
//! operation makes is always the canonical one, as on the hardware.

use crate::ptx::op::{Finish, FloatOp, Rounding};
use crate::ptx::registers::{Lane, Lanes, Reg, Registers, each};
use crate::ptx::types::Type;

/// What the operations need of f32 and f64.
trait Real: Lane + PartialOrd {
    const NAN: Self;
    const ONE: Self;
    fn exact(self, f: impl Fn(f64) -> f64) -> Self;
    fn op(op: FloatOp, x: Self, y: Self, z: Self) -> Self;
    fn directed(op: FloatOp, x: Self, y: Self, z: Self, rounding: Rounding) -> Self;
    fn is_nan(self) -> bool;
    fn flushed(self) -> Self;
}

macro_rules! real {
    ($type:ty, $nan:expr, $directed:expr) => {
        impl Real for $type {
            const NAN: Self = <$type>::from_bits($nan);
            const ONE: Self = 1.0;
            fn exact(self, f: impl Fn(f64) -> f64) -> Self {
                f(self as f64) as Self
            }
            #[inline(always)]
            fn op(op: FloatOp, x: Self, y: Self, z: Self) -> Self {
                match op {
                    FloatOp::Add => x + y,
                    FloatOp::Sub => x - y,
                    FloatOp::Mul => x * y,
                    FloatOp::Fma => x.mul_add(y, z),
                    FloatOp::Div => x / y,
                    FloatOp::Min => minimum(x, y),
                    FloatOp::Max => -minimum(-x, -y),
                    FloatOp::MinNan if x.is_nan() || y.is_nan() => Self::NAN,
                    FloatOp::MinNan => minimum(x, y),
                    FloatOp::MaxNan if x.is_nan() || y.is_nan() => Self::NAN,
                    FloatOp::MaxNan => -minimum(-x, -y),
                    FloatOp::Abs => x.abs(),
                    FloatOp::Neg => -x,
                    FloatOp::CopySign => y.copysign(x),
                    FloatOp::Sqrt => x.sqrt(),
                    FloatOp::Rsqrt => x.exact(|x| 1.0 / x.sqrt()),
                    FloatOp::Reciprocal => 1.0 / x,
                    FloatOp::Exp2 => x.exact(f64::exp2),
                    FloatOp::Log2 => x.exact(f64::log2),
                    FloatOp::Sin => x.exact(f64::sin),
                    FloatOp::Cos => x.exact(f64::cos),
                    FloatOp::Tanh => x.exact(f64::tanh),
                }
            }
            fn directed(op: FloatOp, x: Self, y: Self, z: Self, rounding: Rounding) -> Self {
                let directed: fn(FloatOp, Self, Self, Self, Rounding) -> Self = $directed;
                directed(op, x, y, z, rounding)
            }
            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }
            fn flushed(self) -> Self {
                if self.is_subnormal() {
                    (0.0 as Self).copysign(self)
                } else {
                    self
                }
            }
        }
    };
}
real!(f32, 0x7fff_ffff, directed);
real!(f64, 0x7fff_ffff_ffff_ffff, |op, x, y, z, _| f64::op(
    op, x, y, z
));

/// The smaller number; a NaN gives way to a number, -0 counts as less than +0.
#[inline(always)]
fn minimum<T: PartialOrd + Copy + Into<f64>>(x: T, y: T) -> T {
    let signed = |x: T| x.into().is_sign_negative();
    #[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
    if x < y || y != y || (x == y && signed(x)) {
        x
    } else {
        y
    }
}

/// f32 arithmetic rounded in a direction: in f64 with the error of that f64 operation, then the neighbour on the right side.
fn directed(op: FloatOp, x: f32, y: f32, z: f32, rounding: Rounding) -> f32 {
    let (a, b, c) = (f64::from(x), f64::from(y), f64::from(z));
    let (result, error) = match op {
        FloatOp::Add => two_sum(a, b),
        FloatOp::Sub => two_sum(a, -b),
        FloatOp::Mul => (a * b, 0.0),
        FloatOp::Fma => two_sum(a * b, c),
        // The signs of the remainders say on which side of the quotient or the root the exact value is.
        FloatOp::Div => (a / b, (-(a / b)).mul_add(b, a) * b.signum()),
        FloatOp::Reciprocal => (1.0 / a, (-(1.0 / a)).mul_add(a, 1.0) * a.signum()),
        FloatOp::Sqrt => (a.sqrt(), (-a.sqrt()).mul_add(a.sqrt(), a)),
        _ => return f32::op(op, x, y, z),
    };
    narrow(result, error, rounding)
}

/// The sum and what rounding took from it (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `value` plus something of the sign of `error`, far smaller than a unit of its last place, as an f32.
pub(crate) fn narrow(value: f64, error: f64, rounding: Rounding) -> f32 {
    let near = value as f32;
    if !value.is_finite() || rounding == Rounding::Near {
        return near;
    }
    let difference = match f64::from(near) - value {
        0.0 => -error,
        difference => difference,
    };
    let (above, below) = (difference > 0.0, difference < 0.0);
    match rounding {
        Rounding::Down if above => near.next_down(),
        Rounding::Up if below => near.next_up(),
        Rounding::Zero if above && value > 0.0 => near.next_down(),
        Rounding::Zero if below && value < 0.0 => near.next_up(),
        _ => near,
    }
}

/// Runs one instruction; `registers` are the target and up to three sources.
pub(crate) fn run(
    file: &mut Registers,
    op: FloatOp,
    kind: Type,
    finish: Finish,
    active: u32,
    registers: [Reg; 4],
) {
    if kind == Type::F64 {
        typed::<f64>(file, op, finish, active, registers);
    } else {
        typed::<f32>(file, op, finish, active, registers);
    }
}

fn typed<T: Real>(
    file: &mut Registers,
    op: FloatOp,
    finish: Finish,
    active: u32,
    [to, a, b, c]: [Reg; 4],
) {
    let (mut x, mut y, mut z) = (file.get::<T>(a), file.get::<T>(b), file.get::<T>(c));
    if finish.flush {
        for source in [&mut x, &mut y, &mut z] {
            *source = each(|lane| source[lane].flushed());
        }
    }
    let mut out = if finish.rounding == Rounding::Near {
        near(op, &x, &y, &z)
    } else {
        each(|lane| T::directed(op, x[lane], y[lane], z[lane], finish.rounding))
    };
    if finish.flush {
        out = each(|lane| out[lane].flushed());
    }
    if !matches!(op, FloatOp::Abs | FloatOp::Neg | FloatOp::CopySign) {
        out = each(|lane| {
            if out[lane].is_nan() {
                T::NAN
            } else {
                out[lane]
            }
        });
    }
    if finish.saturate {
        let zero = T::default();
        // Written so that NaN becomes zero.
        out = each(|lane| match out[lane] {
            value if value > T::ONE => T::ONE,
            value if value > zero => value,
            _ => zero,
        });
    }
    file.set(to, active, out);
}

/// One loop over lanes for each operation, so that the common ones become vector code.
#[inline(always)]
fn near<T: Real>(op: FloatOp, x: &Lanes<T>, y: &Lanes<T>, z: &Lanes<T>) -> Lanes<T> {
    macro_rules! each {
        ($($op:ident)*) => {
            match op { $(FloatOp::$op => each(|l| T::op(FloatOp::$op, x[l], y[l], z[l])),)* }
        };
    }
    each!(Add Sub Mul Fma Div Min Max MinNan MaxNan Abs Neg CopySign Sqrt Rsqrt Reciprocal Exp2 Log2 Sin Cos Tanh)
}
