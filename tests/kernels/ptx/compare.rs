//! `setp`: a comparison of all lanes into masks.

use crate::ptx::integer::{logic, mask_of};
use crate::ptx::op::{Compare, Relation};
use crate::ptx::registers::{Lane, Lanes, Registers};
use crate::ptx::types::Type;

/// Runs one comparison.
pub(crate) fn run(file: &mut Registers, compare: &Compare, active: u32) {
    let holds = match compare.kind {
        Type::U16 => typed::<u16>(file, compare),
        Type::S16 => typed::<i16>(file, compare),
        Type::S32 => typed::<i32>(file, compare),
        Type::U64 => typed::<u64>(file, compare),
        Type::S64 => typed::<i64>(file, compare),
        Type::F32 if compare.flush => flushed(file, compare),
        Type::F32 => typed::<f32>(file, compare),
        Type::F64 => typed::<f64>(file, compare),
        _ => typed::<u32>(file, compare),
    };
    let combined = |holds| match compare.combine {
        None => holds,
        Some((op, with, negate)) => {
            let with = file.predicate(with);
            logic(op, holds, if negate { !with } else { with })
        }
    };
    let (yes, no) = (combined(holds), combined(!holds));
    if let Some(to) = compare.to {
        file.set_predicate(to, active, yes);
    }
    if let Some(to) = compare.complement {
        file.set_predicate(to, active, no);
    }
}

fn typed<T: Lane + PartialOrd>(file: &Registers, compare: &Compare) -> u32 {
    let [a, b] = compare.sources;
    masks(&file.get::<T>(a), &file.get::<T>(b), compare)
}

fn flushed(file: &Registers, compare: &Compare) -> u32 {
    let [a, b] = compare.sources.map(|source| {
        file.get::<f32>(source)
            .map(|x| if x.is_subnormal() { 0.0 } else { x })
    });
    masks(&a, &b, compare)
}

#[inline(always)]
#[expect(clippy::eq_op, reason = "only a NaN differs from itself")]
fn masks<T: PartialOrd + Copy>(x: &Lanes<T>, y: &Lanes<T>, compare: &Compare) -> u32 {
    let holds = match compare.relation {
        Relation::Equal => mask_of(|l| x[l] == y[l]),
        // A NaN is not equal to anything, yet `ne` asks for two numbers.
        Relation::NotEqual => mask_of(|l| x[l] != y[l] && x[l] == x[l] && y[l] == y[l]),
        Relation::Less => mask_of(|l| x[l] < y[l]),
        Relation::LessEqual => mask_of(|l| x[l] <= y[l]),
        Relation::Greater => mask_of(|l| x[l] > y[l]),
        Relation::GreaterEqual => mask_of(|l| x[l] >= y[l]),
        Relation::Ordered => mask_of(|l| x[l] == x[l] && y[l] == y[l]),
        Relation::Unordered => mask_of(|l| x[l] != x[l] || y[l] != y[l]),
    };
    if compare.or_nan {
        holds | mask_of(|l| x[l] != x[l] || y[l] != y[l])
    } else {
        holds
    }
}
