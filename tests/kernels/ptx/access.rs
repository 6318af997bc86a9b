//! Loads, stores and `ldmatrix`: each lane's address to its memory, checked and counted.

use crate::ptx::banks;
use crate::ptx::block::Shared;
use crate::ptx::integer::mask_of;
use crate::ptx::op::{Access, Address, MatrixLoad, Space};
use crate::ptx::registers::{LANES, Lanes, Registers, each, lanes};
use crate::ptx::warp::Warp;
use crate::ptx::window::{LOCAL_BASE, LOCAL_WINDOW, SHARED_BASE, SHARED_WINDOW};

impl Address {
    /// The address in each lane.
    #[inline]
    pub fn of(&self, registers: &Registers) -> Lanes<u64> {
        let base = registers.bits(self.base);
        each(|lane| base[lane].wrapping_add_signed(self.offset))
    }
}

/// Where an address leads.
enum Place {
    Global(u64),
    Shared(i64),
    /// Byte in the local memory of the thread.
    Local(i64),
}

impl Place {
    #[inline(always)]
    fn of(space: Space, address: u64) -> Self {
        let shared = |address: u64| Self::Shared(address.wrapping_sub(SHARED_BASE).cast_signed());
        let local = |address: u64| Self::Local(address.wrapping_sub(LOCAL_BASE).cast_signed());
        match space {
            Space::Global | Space::Const => Self::Global(address),
            Space::Shared => shared(address),
            Space::Local => local(address),
            Space::Generic if address >= SHARED_WINDOW => shared(address - SHARED_WINDOW),
            Space::Generic if address >= LOCAL_WINDOW => local(address - LOCAL_WINDOW),
            Space::Generic => Self::Global(address),
        }
    }
}

/// The byte in the local memory of the whole warp, if the thread owns it.
fn local_byte(warp: &Warp, lane: usize, at: i64, size: usize) -> Result<i64, String> {
    let own = warp.local_size() as i64;
    match at >= 0 && at <= own - size as i64 {
        true => Ok(lane as i64 * own + at),
        false => Err(format!(
            "access of {size} bytes out of bounds of local memory: byte {at} of {own}"
        )),
    }
}

/// A load of one or more elements by the active lanes.
///
/// # Errors
/// The first lane whose access is not allowed, and why.
pub(crate) fn load(
    shared: &mut Shared,
    warp: &mut Warp,
    access: &Access,
    active: u32,
) -> Result<(), String> {
    let element = access.kind.bytes();
    let size = element * access.registers.len();
    let addresses = access.address.of(&warp.registers);
    let mut values = [[0u64; LANES]; 4];
    if load_row(shared, access, &addresses, active, &mut values) {
        keep(warp, access, active, &mut values);
        return Ok(());
    }
    for lane in lanes(active) {
        let bytes = match Place::of(access.space, addresses[lane]) {
            Place::Global(address) => shared.memory.read(address, size, size, &shared.turn),
            Place::Shared(at) => shared.shared.read(at, size, size, &shared.turn.alone()),
            Place::Local(at) => local_byte(warp, lane, at, size)
                .and_then(|at| warp.local.read(at, size, size, &shared.turn)),
        };
        let bytes = bytes.map_err(|what| format!("lane {lane}: {what}"))?;
        for (n, bytes) in bytes.chunks_exact(element).enumerate() {
            values[n][lane] = number(bytes);
        }
    }
    keep(warp, access, active, &mut values);
    let (global, in_shared) = reach(access.space, &addresses, active);
    shared.count_reads(&addresses, global, |_| size);
    shared.counts.conflicts += banks::conflicts(&addresses, in_shared, size);
    Ok(())
}

/// The lanes whose access counts as one of global memory, and those that reach shared memory.
fn reach(space: Space, addresses: &Lanes<u64>, active: u32) -> (u32, u32) {
    match space {
        Space::Global => (active, 0),
        Space::Shared => (0, active),
        Space::Local | Space::Const => (0, 0),
        Space::Generic => {
            let from = |first: u64| active & mask_of(|lane| addresses[lane] >= first);
            (active & !from(LOCAL_WINDOW), from(SHARED_WINDOW))
        }
    }
}

/// Puts what was loaded into the registers, signed numbers extended.
fn keep(warp: &mut Warp, access: &Access, active: u32, values: &mut [Lanes<u64>; 4]) {
    for (reg, values) in access.registers.iter().zip(values) {
        if access.kind.signed() && access.kind.bytes() < 8 {
            let shift = 64 - access.kind.bits();
            *values = each(|lane| ((values[lane] << shift).cast_signed() >> shift).cast_unsigned());
        }
        warp.registers.set_bits(*reg, active, values);
    }
}

/// The lanes of an access that stand side by side in memory, as they mostly do: how many, if the active lanes are the first
/// ones and each goes on where the one before ended.
#[inline]
fn row(addresses: &Lanes<u64>, active: u32, size: usize) -> Option<usize> {
    if active & active.wrapping_add(1) != 0 {
        return None;
    }
    let count = active.trailing_ones() as usize;
    let together = (0..LANES).fold(true, |together, lane| {
        together
            & (lane >= count || addresses[lane] == addresses[0].wrapping_add((lane * size) as u64))
    });
    together.then_some(count)
}

/// Loads lanes that stand side by side, or all at one address, at once. False if they do neither or if the access is not
/// allowed: it is then made lane by lane, which finds the lane at fault.
fn load_row(
    shared: &mut Shared,
    access: &Access,
    addresses: &Lanes<u64>,
    active: u32,
    values: &mut [Lanes<u64>; 4],
) -> bool {
    let element = access.kind.bytes();
    let size = element * access.registers.len();
    let (first, count) = match row(addresses, active, size) {
        Some(count) => (addresses[0], count),
        None => {
            let first = addresses[active.trailing_zeros() as usize % LANES];
            if !(0..LANES).fold(true, |same, lane| {
                same & (active >> lane & 1 == 0 || addresses[lane] == first)
            }) {
                return false;
            }
            (first, 1)
        }
    };
    let bytes = match Place::of(access.space, first) {
        Place::Global(address) => shared
            .memory
            .read(address, size * count, size, &shared.turn),
        Place::Shared(at) => shared
            .shared
            .read(at, size * count, size, &shared.turn.alone()),
        Place::Local(_) => return false,
    };
    let Ok(bytes) = bytes else { return false };
    if count == 1 {
        for (values, bytes) in values.iter_mut().zip(bytes.chunks_exact(element)) {
            *values = [number(bytes); LANES];
        }
    } else {
        let parts = access.registers.len();
        match element {
            1 => spread(bytes.as_chunks::<1>().0, parts, values, |[byte]| {
                u64::from(*byte)
            }),
            2 => spread(bytes.as_chunks().0, parts, values, |bytes| {
                u64::from(u16::from_le_bytes(*bytes))
            }),
            4 => spread(bytes.as_chunks().0, parts, values, |bytes| {
                u64::from(u32::from_le_bytes(*bytes))
            }),
            _ => spread(bytes.as_chunks().0, parts, values, |bytes| {
                u64::from_le_bytes(*bytes)
            }),
        }
    }
    if reach(access.space, addresses, active).0 != 0 {
        shared.count_read(first, size * count);
    }
    true
}

/// Elements in the order of memory, so many for each lane, to their registers.
#[inline(always)]
fn spread<const N: usize>(
    elements: &[[u8; N]],
    parts: usize,
    values: &mut [Lanes<u64>; 4],
    number: impl Fn(&[u8; N]) -> u64,
) {
    for (part, values) in values.iter_mut().enumerate().take(parts) {
        for (value, element) in values
            .iter_mut()
            .zip(elements.iter().skip(part).step_by(parts))
        {
            *value = number(element);
        }
    }
}

/// The other way round.
#[inline(always)]
fn gather<const N: usize>(elements: &mut [[u8; N]], parts: usize, values: &[Lanes<u64>; 4]) {
    for (part, values) in values.iter().enumerate().take(parts) {
        for (value, element) in values
            .iter()
            .zip(elements.iter_mut().skip(part).step_by(parts))
        {
            element.copy_from_slice(&value.to_le_bytes()[..N]);
        }
    }
}

/// Stores lanes that stand side by side at once; false as for loads.
fn store_row(
    shared: &mut Shared,
    access: &Access,
    addresses: &Lanes<u64>,
    active: u32,
    values: &[Lanes<u64>; 4],
) -> bool {
    let element = access.kind.bytes();
    let size = element * access.registers.len();
    let Some(count) = row(addresses, active, size) else {
        return false;
    };
    let bytes = match Place::of(access.space, addresses[0]) {
        Place::Global(address) => shared
            .memory
            .write(address, size * count, size, &shared.turn),
        Place::Shared(at) => shared
            .shared
            .write(at, size * count, size, &shared.turn.alone()),
        Place::Local(_) => return false,
    };
    let Ok(bytes) = bytes else { return false };
    let parts = access.registers.len();
    match element {
        1 => gather::<1>(bytes.as_chunks_mut().0, parts, values),
        2 => gather::<2>(bytes.as_chunks_mut().0, parts, values),
        4 => gather::<4>(bytes.as_chunks_mut().0, parts, values),
        _ => gather::<8>(bytes.as_chunks_mut().0, parts, values),
    }
    if reach(access.space, addresses, active).0 != 0 {
        shared.count_write(addresses[0], size * count);
    }
    true
}

/// A little-endian number of 1, 2, 4 or 8 bytes.
#[inline(always)]
fn number(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("an element has 1, 2, 4 or 8 bytes"),
    }
}

/// The other way round.
#[inline(always)]
fn put(bytes: &mut [u8], number: u64) {
    match bytes {
        [a] => *a = number as u8,
        [a, b] => [*a, *b] = (number as u16).to_le_bytes(),
        [a, b, c, d] => [*a, *b, *c, *d] = (number as u32).to_le_bytes(),
        other => other.copy_from_slice(&number.to_le_bytes()),
    }
}

/// A store of one or more elements by the active lanes.
///
/// # Errors
/// The first lane whose access is not allowed, and why.
pub(crate) fn store(
    shared: &mut Shared,
    warp: &mut Warp,
    access: &Access,
    active: u32,
) -> Result<(), String> {
    let element = access.kind.bytes();
    let size = element * access.registers.len();
    let addresses = access.address.of(&warp.registers);
    let mut values = [[0u64; LANES]; 4];
    for (reg, values) in access.registers.iter().zip(&mut values) {
        *values = warp.registers.bits(*reg);
    }
    if store_row(shared, access, &addresses, active, &values) {
        return Ok(());
    }
    for lane in lanes(active) {
        let place = match Place::of(access.space, addresses[lane]) {
            Place::Global(address) => shared.memory.write(address, size, size, &shared.turn),
            Place::Shared(at) => shared.shared.write(at, size, size, &shared.turn.alone()),
            Place::Local(at) => local_byte(warp, lane, at, size)
                .and_then(|at| warp.local.write(at, size, size, &shared.turn)),
        };
        let bytes = place.map_err(|what| format!("lane {lane}: {what}"))?;
        for (bytes, values) in bytes.chunks_exact_mut(element).zip(&values) {
            put(bytes, values[lane]);
        }
    }
    let (global, in_shared) = reach(access.space, &addresses, active);
    shared.count_writes(&addresses, global, size);
    shared.counts.conflicts += banks::conflicts(&addresses, in_shared, size);
    contradiction(
        &addresses,
        global | in_shared,
        &values[..access.registers.len()],
    )
}

/// Lanes that store different numbers at one address: which of them stays is left open.
fn contradiction(addresses: &Lanes<u64>, active: u32, values: &[Lanes<u64>]) -> Result<(), String> {
    let mut order = [(0, 0); LANES];
    let mut count = 0;
    for lane in lanes(active) {
        order[count] = (addresses[lane], lane);
        count += 1;
    }
    let order = &mut order[..count];
    if !order.is_sorted() {
        order.sort_unstable();
    }
    for pair in order.windows(2) {
        let [(here, one), (there, other)] = [pair[0], pair[1]];
        if here == there && values.iter().any(|values| values[one] != values[other]) {
            return Err(format!(
                "lanes {one} and {other} store different numbers at one address"
            ));
        }
    }
    Ok(())
}

/// `ldmatrix`: lane 8 n + r gives the address of row r of the n-th matrix; lane 4 r + c gets columns 2 c and 2 c + 1 of row r
/// or, transposed, rows 2 c and 2 c + 1 of column r.
///
/// # Errors
/// A row that may not be read.
pub(crate) fn load_matrices(
    shared: &mut Shared,
    warp: &mut Warp,
    load: &MatrixLoad,
) -> Result<(), String> {
    let addresses = load.address.of(&warp.registers);
    for (n, to) in load.to.iter().enumerate() {
        let mut rows = [[0u16; 8]; 8];
        for (row, numbers) in rows.iter_mut().enumerate() {
            let lane = 8 * n + row;
            let at = addresses[lane].wrapping_sub(SHARED_BASE).cast_signed();
            let bytes = shared.shared.read(at, 16, 16, &shared.turn.alone());
            let bytes = bytes.map_err(|what| format!("row of lane {lane}: {what}"))?;
            for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(2)) {
                *number = u16::from_le_bytes([bytes[0], bytes[1]]);
            }
        }
        let pair = |lane: usize| {
            let (row, column) = (lane / 4, lane % 4 * 2);
            let (lower, upper) = match load.transpose {
                false => (rows[row][column], rows[row][column + 1]),
                true => (rows[column][row], rows[column + 1][row]),
            };
            u32::from(upper) << 16 | u32::from(lower)
        };
        warp.registers.set::<u32>(*to, u32::MAX, each(pair));
        shared.counts.conflicts += banks::conflicts(&addresses, 0xff << (8 * n), 16);
    }
    Ok(())
}
