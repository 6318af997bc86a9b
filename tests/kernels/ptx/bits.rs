//! Operations on single bits and bytes: counting, finding, fields, permutation, funnel shifts, truth tables.

use crate::ptx::op::BitOp;
use crate::ptx::registers::{Lanes, Reg, Registers, each};
use crate::ptx::types::Type;

/// Runs one instruction; `registers` are the target and up to four sources.
pub(crate) fn run(file: &mut Registers, op: BitOp, kind: Type, active: u32, registers: [Reg; 5]) {
    let [to, a, b, c, d] = registers;
    let (x, y, z) = (file.bits(a), file.bits(b), file.bits(c));
    let lane = |f: &dyn Fn(usize) -> u64| -> Lanes<u64> { each(f) };
    let width = kind.bits();
    let out = match op {
        BitOp::Count => x.map(|x| u64::from(x.count_ones())),
        BitOp::LeadingZeros => x.map(|x| u64::from(x.leading_zeros() + width - 64)),
        BitOp::Reverse => x.map(|x| x.reverse_bits() >> (64 - width)),
        BitOp::Find { shift } => x.map(|x| u64::from(find(x, kind, shift))),
        BitOp::Extract => lane(&|l| extract(x[l], kind, y[l] as u32 & 255, z[l] as u32 & 255)),
        BitOp::Insert => {
            let length = file.bits(d);
            lane(&|l| insert(x[l], y[l], width, z[l] as u32 & 255, length[l] as u32 & 255))
        }
        BitOp::Permute => lane(&|l| u64::from(permute(x[l] as u32, y[l] as u32, z[l] as u32))),
        BitOp::FunnelLeft { clamp } => lane(&|l| {
            let pair = y[l] << 32 | x[l];
            (pair << amount(z[l], clamp)) >> 32
        }),
        BitOp::FunnelRight { clamp } => lane(&|l| (y[l] << 32 | x[l]) >> amount(z[l], clamp)),
        BitOp::Table(table) => lane(&|l| table_of(table, x[l], y[l], z[l])),
    };
    file.set_bits(to, active, &out);
}

/// How far a funnel shift goes.
fn amount(by: u64, clamp: bool) -> u32 {
    if clamp {
        (by as u32).min(32)
    } else {
        by as u32 & 31
    }
}

fn find(x: u64, kind: Type, shift: bool) -> u32 {
    let width = kind.bits();
    let negative = kind.signed() && x >> (width - 1) & 1 == 1;
    let x = if negative {
        !x << (64 - width) >> (64 - width)
    } else {
        x
    };
    match x.checked_ilog2() {
        None => u32::MAX,
        Some(top) if shift => width - 1 - top,
        Some(top) => top,
    }
}

/// The lowest `length` bits set, `length` up to 255.
fn ones(length: u32) -> u64 {
    1u64.checked_shl(length).map_or(u64::MAX, |bit| bit - 1)
}

fn extract(x: u64, kind: Type, position: u32, length: u32) -> u64 {
    let width = kind.bits();
    // Beyond the top stands the sign, of the field or of the number.
    let sign_at = (position + length).saturating_sub(1).min(width - 1);
    let negative = kind.signed() && length > 0 && x >> sign_at & 1 == 1;
    let field = x.checked_shr(position).unwrap_or(0);
    let kept = length.min(width.saturating_sub(position));
    let field = field & ones(kept);
    if negative { field | !ones(kept) } else { field }
}

fn insert(field: u64, into: u64, width: u32, position: u32, length: u32) -> u64 {
    if position >= width {
        return into;
    }
    let mask = ones(length).checked_shl(position).unwrap_or(0);
    into & !mask | field << position & mask
}

fn permute(x: u32, y: u32, selector: u32) -> u32 {
    let bytes = u64::from(y) << 32 | u64::from(x);
    (0..4).fold(0, |out, n| {
        let choice = selector >> (4 * n);
        let byte = (bytes >> (8 * (choice & 7))) as u8;
        // Bit 3 asks for the sign of the byte in all its bits.
        let byte = if choice & 8 != 0 {
            ((byte.cast_signed()) >> 7).cast_unsigned()
        } else {
            byte
        };
        out | u32::from(byte) << (8 * n)
    })
}

fn table_of(table: u8, x: u64, y: u64, z: u64) -> u64 {
    (0..8)
        .filter(|row| table >> row & 1 == 1)
        .fold(0, |out, row| {
            let pick = |bits: u64, one: bool| if one { bits } else { !bits };
            out | pick(x, row & 4 != 0) & pick(y, row & 2 != 0) & pick(z, row & 1 != 0)
        })
}
