//! Integer arithmetic on all lanes: results wrap, shifts beyond the width give what shifting bit by bit would give, division
//! by zero gives all ones (PTX leaves it open).

use crate::ptx::op::{IntegerOp, Logic};
use crate::ptx::registers::{LANES, Lane, Lanes, Reg, Registers, each};
use crate::ptx::types::Type;

/// What the operations need of an integer type; `Wide` has twice the bits (64-bit numbers have no such product).
trait Integer: Lane + Ord {
    type Wide: Lane;
    const ONES: Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn high(self, other: Self) -> Self;
    fn wide(self, other: Self) -> Self::Wide;
    fn wide_add(self, other: Self, sum: Self::Wide) -> Self::Wide;
    fn div(self, other: Self) -> Self;
    fn rem(self, other: Self) -> Self;
    fn abs(self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn left(self, by: u32) -> Self;
    fn right(self, by: u32) -> Self;
}

macro_rules! integer {
    ($type:ty, $wide:ty, $double:ty, $abs:expr) => {
        impl Integer for $type {
            type Wide = $wide;
            const ONES: Self = !0;
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            fn high(self, other: Self) -> Self {
                ((self as $double * other as $double) >> Self::BITS) as Self
            }
            fn wide(self, other: Self) -> $wide {
                (self as $wide).wrapping_mul(other as $wide)
            }
            fn wide_add(self, other: Self, sum: $wide) -> $wide {
                self.wide(other).wrapping_add(sum)
            }
            fn div(self, other: Self) -> Self {
                if other == 0 {
                    Self::ONES
                } else {
                    self.wrapping_div(other)
                }
            }
            fn rem(self, other: Self) -> Self {
                if other == 0 {
                    Self::ONES
                } else {
                    self.wrapping_rem(other)
                }
            }
            fn abs(self) -> Self {
                let abs: fn(Self) -> Self = $abs;
                abs(self)
            }
            fn and(self, other: Self) -> Self {
                self & other
            }
            fn or(self, other: Self) -> Self {
                self | other
            }
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
            fn left(self, by: u32) -> Self {
                self.checked_shl(by).unwrap_or(0)
            }
            fn right(self, by: u32) -> Self {
                // An arithmetic shift by the whole width leaves the sign everywhere, a logical one leaves nothing.
                self.checked_shr(by)
                    .unwrap_or_else(|| (self >> (Self::BITS - 1)) >> 1)
            }
        }
    };
}
integer!(u16, u32, u32, |x| x);
integer!(i16, i32, i32, i16::wrapping_abs);
integer!(u32, u64, u64, |x| x);
integer!(i32, i64, i64, i32::wrapping_abs);
integer!(u64, u64, u128, |x| x);
integer!(i64, i64, i128, i64::wrapping_abs);

#[inline(always)]
fn one<T: Lane, U: Lane>(x: &Lanes<T>, f: impl Fn(T) -> U) -> Lanes<U> {
    each(|lane| f(x[lane]))
}

#[inline(always)]
fn two<T: Lane, S: Lane, U: Lane>(x: &Lanes<T>, y: &Lanes<S>, f: impl Fn(T, S) -> U) -> Lanes<U> {
    each(|lane| f(x[lane], y[lane]))
}

/// Runs one instruction; `registers` are the target and up to three sources.
pub(crate) fn run(
    file: &mut Registers,
    op: IntegerOp,
    kind: Type,
    active: u32,
    registers: [Reg; 4],
) {
    match kind {
        Type::U16 => typed::<u16>(file, op, active, registers),
        Type::S16 => typed::<i16>(file, op, active, registers),
        Type::S32 => typed::<i32>(file, op, active, registers),
        Type::U64 => typed::<u64>(file, op, active, registers),
        Type::S64 => typed::<i64>(file, op, active, registers),
        _ => typed::<u32>(file, op, active, registers),
    }
}

fn typed<T: Integer>(file: &mut Registers, op: IntegerOp, active: u32, [to, a, b, c]: [Reg; 4]) {
    let x = file.get::<T>(a);
    let out = match op {
        IntegerOp::ShiftLeft => two(&x, &file.get::<u32>(b), T::left),
        IntegerOp::ShiftRight => two(&x, &file.get::<u32>(b), T::right),
        IntegerOp::MulWide => {
            let product = two(&x, &file.get::<T>(b), T::wide);
            return file.set(to, active, product);
        }
        IntegerOp::MadWide => {
            let (y, sum) = (file.get::<T>(b), file.get::<T::Wide>(c));
            let out = each(|lane| x[lane].wide_add(y[lane], sum[lane]));
            return file.set::<T::Wide>(to, active, out);
        }
        IntegerOp::MadLow | IntegerOp::MadHigh => {
            let (y, z) = (file.get::<T>(b), file.get::<T>(c));
            let product = if op == IntegerOp::MadLow {
                two(&x, &y, T::mul)
            } else {
                two(&x, &y, T::high)
            };
            two(&product, &z, T::add)
        }
        _ => pair(op, &x, &file.get::<T>(b)),
    };
    file.set(to, active, out);
}

/// The operations of one or two sources.
#[inline(always)]
fn pair<T: Integer>(op: IntegerOp, x: &Lanes<T>, y: &Lanes<T>) -> Lanes<T> {
    let zero = T::default();
    match op {
        IntegerOp::Add => two(x, y, T::add),
        IntegerOp::Sub => two(x, y, T::sub),
        IntegerOp::MulLow => two(x, y, T::mul),
        IntegerOp::MulHigh => two(x, y, T::high),
        IntegerOp::Div => two(x, y, T::div),
        IntegerOp::Rem => two(x, y, T::rem),
        IntegerOp::Min => two(x, y, T::min),
        IntegerOp::Max => two(x, y, T::max),
        IntegerOp::And => two(x, y, T::and),
        IntegerOp::Or => two(x, y, T::or),
        IntegerOp::Xor => two(x, y, T::xor),
        IntegerOp::AbsoluteDifference => two(x, y, |x: T, y: T| x.max(y).sub(x.min(y))),
        IntegerOp::Abs => one(x, T::abs),
        IntegerOp::Neg => one(x, |x| zero.sub(x)),
        // 0 - (-1) = 1 in every type.
        IntegerOp::LogicalNot => one(x, |x| if x == zero { zero.sub(T::ONES) } else { zero }),
        _ => one(x, |x| x.xor(T::ONES)),
    }
}

/// Logic on the masks of predicates.
pub(crate) fn logic(op: Logic, x: u32, y: u32) -> u32 {
    match op {
        Logic::And => x & y,
        Logic::Or => x | y,
        Logic::Xor => x ^ y,
    }
}

/// The lanes in which `f` holds.
#[inline(always)]
pub(crate) fn mask_of(f: impl Fn(usize) -> bool) -> u32 {
    (0..LANES).fold(0, |mask, lane| mask | u32::from(f(lane)) << lane)
}
