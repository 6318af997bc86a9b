//! The instructions that neither steer a warp nor wait for lanes.

use crate::ptx::block::Shared;
use crate::ptx::op::Op;
use crate::ptx::registers::{File, LANES, Lanes, Reg, Registers, each};
use crate::ptx::types::Type;
use crate::ptx::warp::Warp;
use crate::ptx::{access, bits, compare, convert, copies, float, integer, matrix};

/// Runs one instruction for the active lanes, of which there is at least one.
///
/// # Errors
/// What it did wrong.
#[inline]
pub(crate) fn execute(
    shared: &mut Shared,
    warp: &mut Warp,
    op: &Op,
    active: u32,
) -> Result<(), String> {
    let file = &mut warp.registers;
    match op {
        Op::Move { to, from } => copy(file, *to, *from, active),
        Op::Integer(op, kind, registers) => integer::run(file, *op, *kind, active, *registers),
        Op::Float(op, kind, finish, registers) => {
            float::run(file, *op, *kind, *finish, active, *registers)
        }
        Op::Compare(compare) => compare::run(file, compare, active),
        Op::Logic(op, [to, a, b]) => {
            let holds = integer::logic(*op, file.predicate(*a), file.predicate(*b));
            file.set_predicate(*to, active, holds);
        }
        Op::NotPredicate(to, from) => file.set_predicate(*to, active, !file.predicate(*from)),
        Op::Select {
            to,
            yes,
            no,
            condition,
        } => {
            let chosen = file.predicate(*condition);
            copy(file, *to, *yes, active & chosen);
            copy(file, *to, *no, active & !chosen);
        }
        Op::Load(access) => access::load(shared, warp, access, active)?,
        Op::Store(access) => access::store(shared, warp, access, active)?,
        Op::LoadMatrices(load) => access::load_matrices(shared, warp, load)?,
        Op::Multiply(multiply) => {
            shared.counts.multiplies += 1;
            matrix::run(file, multiply);
        }
        Op::Convert(convert) => convert::run(file, convert, active),
        Op::PackHalves {
            kind,
            rounding,
            relu,
            to,
            upper,
            lower,
        } => {
            convert::pack_halves(
                file,
                (*kind, *rounding, *relu),
                active,
                [*to, *upper, *lower],
            );
        }
        Op::Bits(op, kind, registers) => bits::run(file, *op, *kind, active, *registers),
        Op::Pack { to, from, bits } => pack(file, *to, from, *bits, active),
        Op::Unpack { to, from, bits } => unpack(file, to, *from, *bits, active),
        Op::Parameter { to, kind, offset } => {
            let bytes = shared.parameters.get(*offset..*offset + kind.bytes());
            let bytes = bytes.ok_or("read beyond the parameters")?;
            file.set_bits(*to, active, &[parameter(bytes, *kind); LANES]);
        }
        Op::Copy(copy) => copies::start(shared, warp, copy, active)?,
        Op::CommitCopies => warp.copies.commit(active),
        Op::WaitCopies(leave) => copies::wait(shared, warp, *leave, active)?,
        Op::ActiveMask(to) => file.set::<u32>(*to, active, [active; LANES]),
        Op::Trap => return Err("trap".into()),
        Op::Nothing
        | Op::Exchange(..)
        | Op::Branch(_)
        | Op::BranchTable(..)
        | Op::Exit
        | Op::Barrier(_) => {}
    }
    Ok(())
}

fn copy(file: &mut Registers, to: Reg, from: Reg, active: u32) {
    match to.file {
        File::Predicate => file.set_predicate(to, active, file.predicate(from)),
        File::Narrow => file.set::<u32>(to, active, file.get(from)),
        File::Wide => file.set::<u64>(to, active, file.get(from)),
    }
}

fn low(value: u64, bits: u32) -> u64 {
    value & (u64::MAX >> (64 - bits))
}

fn pack(file: &mut Registers, to: Reg, from: &[Reg], bits: u32, active: u32) {
    let mut out: Lanes<u64> = [0; LANES];
    for (n, reg) in from.iter().enumerate() {
        let values = file.bits(*reg);
        for (out, value) in out.iter_mut().zip(values) {
            *out |= low(value, bits) << (bits * n as u32);
        }
    }
    file.set_bits(to, active, &out);
}

fn unpack(file: &mut Registers, to: &[Option<Reg>], from: Reg, bits: u32, active: u32) {
    let values = file.bits(from);
    for (n, reg) in to.iter().enumerate() {
        if let Some(reg) = reg {
            file.set_bits(
                *reg,
                active,
                &each(|lane| low(values[lane] >> (bits * n as u32), bits)),
            );
        }
    }
}

/// A parameter as a register holds it: sign-extended if it is signed.
fn parameter(bytes: &[u8], kind: Type) -> u64 {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let value = u64::from_le_bytes(wide);
    let shift = 64 - kind.bits();
    if kind.signed() {
        ((value << shift).cast_signed() >> shift).cast_unsigned()
    } else {
        value
    }
}
