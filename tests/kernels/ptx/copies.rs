//! `cp.async`: copies in the background, in groups, for every thread on its own. From the moment a copy sets out until its
//! thread waits for it nobody may touch where it goes; landing counts as a write of the warp that waited.

use crate::ptx::block::Shared;
use crate::ptx::op::Copy;
use crate::ptx::registers::{LANES, lanes};
use crate::ptx::warp::Warp;
use crate::ptx::window::SHARED_BASE;

/// One copy of one lane.
#[derive(Clone, Copy, Debug)]
struct Flight {
    lane: usize,
    /// The number of its group among those of its lane.
    group: u32,
    to: usize,
    size: usize,
    from: u64,
    /// Bytes to read, the rest are zeros.
    read: usize,
    /// The bytes, if they were read at once.
    bytes: Option<[u8; 16]>,
}

/// The copies of a warp that are on their way.
#[derive(Default, Debug)]
pub(crate) struct Copies {
    flights: Vec<Flight>,
    /// Groups each lane has committed.
    committed: [u32; LANES],
}

impl Copies {
    /// None on their way.
    pub fn restart(&mut self) {
        self.flights.clear();
        self.committed = [0; LANES];
    }

    /// Whether a copy of one of the lanes has not landed.
    pub fn on_their_way(&self, lanes: u32) -> bool {
        self.flights
            .iter()
            .any(|flight| lanes >> flight.lane & 1 == 1)
    }

    /// Closes the open group of the lanes.
    pub fn commit(&mut self, active: u32) {
        lanes(active).for_each(|lane| self.committed[lane] += 1);
    }
}

/// Sets out copies for the active lanes.
///
/// # Errors
/// An access that is not allowed.
pub(crate) fn start(
    shared: &mut Shared,
    warp: &mut Warp,
    copy: &Copy,
    active: u32,
) -> Result<(), String> {
    let (to, from) = (copy.to.of(&warp.registers), copy.from.of(&warp.registers));
    let sizes = copy.source_size.map(|reg| warp.registers.get::<u32>(reg));
    for lane in lanes(active) {
        let located = |what: String| format!("lane {lane}: {what}");
        let read = sizes.map_or(copy.size, |sizes| sizes[lane] as usize);
        if read > copy.size {
            return Err(located(format!(
                "cp.async reads {read} bytes and writes {}",
                copy.size
            )));
        }
        let at = to[lane].wrapping_sub(SHARED_BASE).cast_signed();
        shared
            .shared
            .await_copy(at, copy.size, &shared.turn.alone())
            .map_err(located)?;
        if from[lane] % copy.size as u64 != 0 {
            return Err(located(format!(
                "misaligned read of {} bytes at {:#x}",
                copy.size, from[lane]
            )));
        }
        let mut flight = Flight {
            lane,
            group: warp.copies.committed[lane],
            to: at as usize,
            size: copy.size,
            from: from[lane],
            read,
            bytes: None,
        };
        // Late or at once, an access that is not allowed is found here.
        let bytes = fetch(shared, &flight).map_err(located)?;
        flight.bytes = shared.mode.eager.then_some(bytes);
        warp.copies.flights.push(flight);
    }
    shared.count_reads(&from, active, |lane| {
        sizes.map_or(copy.size, |sizes| sizes[lane] as usize)
    });
    Ok(())
}

fn fetch(shared: &mut Shared, flight: &Flight) -> Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    if flight.read > 0 {
        let read = shared
            .memory
            .read(flight.from, flight.read, 1, &shared.turn)?;
        match read.first_chunk::<16>() {
            Some(whole) => bytes = *whole,
            None => bytes[..flight.read].copy_from_slice(read),
        }
    }
    Ok(bytes)
}

/// Lands the copies of the active lanes but for their last `leave` groups; none: every copy, in a group or not.
///
/// # Errors
/// A race with the copy.
pub(crate) fn wait(
    shared: &mut Shared,
    warp: &mut Warp,
    leave: Option<usize>,
    active: u32,
) -> Result<(), String> {
    let Copies { flights, committed } = &mut warp.copies;
    let stays = |flight: &Flight| {
        active >> flight.lane & 1 == 0
            || leave.is_some_and(|leave| {
                flight.group as usize + leave >= committed[flight.lane] as usize
            })
    };
    let mut result = Ok(());
    flights.retain(|flight| {
        let stays = stays(flight);
        if !stays && result.is_ok() {
            result = land(shared, flight)
                .map_err(|what| format!("copy of lane {}: {what}", flight.lane));
        }
        stays
    });
    result
}

fn land(shared: &mut Shared, flight: &Flight) -> Result<(), String> {
    let bytes = match flight.bytes {
        Some(bytes) => bytes,
        None => fetch(shared, flight)?,
    };
    shared
        .shared
        .land_copy(flight.to, &bytes[..flight.size], &shared.turn.alone())
}
