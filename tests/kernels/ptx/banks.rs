//! Bank conflicts of shared memory, and what an instruction moves of global memory. Shared memory has 32 banks of 4 bytes;
//! lanes that want the same word get it in one turn. An access of 4 bytes serves a warp in a turn, of 8 bytes half a warp, of
//! 16 bytes a quarter.

use crate::ptx::block::Shared;
use crate::ptx::registers::{Lanes, lanes};

/// Bytes the hardware moves at least from or to global memory.
const SECTOR: u64 = 32;

/// Turns beyond the one for each full, half or quarter warp.
pub(crate) fn conflicts(addresses: &Lanes<u64>, active: u32, size: usize) -> u64 {
    let (part, members) = match size {
        16 => (8, 0xffu32),
        8 => (16, 0xffff),
        _ => (32, u32::MAX),
    };
    let mut extra = 0;
    let mut start = 0;
    while start < 32 {
        let group = active & members << start;
        if group != 0 {
            extra += turns(addresses, group, size.div_ceil(4)) - 1;
        }
        start += part;
    }
    extra
}

/// Turns a group of lanes needs: the most different words any bank is asked for.
fn turns(addresses: &Lanes<u64>, group: u32, words: usize) -> u64 {
    // The first word each bank is asked for; others, which are rare, are kept beside.
    let mut first = [u64::MAX; 32];
    let mut more: Vec<u64> = Vec::new();
    for lane in lanes(group) {
        let word = addresses[lane] / 4;
        for word in word..word + words as u64 {
            let bank = &mut first[(word % 32) as usize];
            if *bank == u64::MAX {
                *bank = word;
            } else if *bank != word {
                more.push(word);
            }
        }
    }
    if more.is_empty() {
        return 1;
    }
    more.sort_unstable();
    more.dedup();
    let mut count = [1; 32];
    for word in more {
        count[(word % 32) as usize] += 1;
    }
    count.into_iter().max().unwrap_or(1)
}

/// Distinct bytes and sectors that runs of bytes cover together.
fn covered(addresses: &Lanes<u64>, active: u32, size: impl Fn(usize) -> usize) -> (u64, u64) {
    let mut runs = [(0, 0); 32];
    let mut count = 0;
    for lane in lanes(active) {
        let len = size(lane) as u64;
        if len > 0 {
            runs[count] = (addresses[lane], addresses[lane].wrapping_add(len));
            count += 1;
        }
    }
    let runs = &mut runs[..count];
    if !runs.is_sorted() {
        runs.sort_unstable();
    }
    let (mut bytes, mut sectors, mut end, mut next_sector) = (0, 0, 0, 0);
    for &(from, to) in &*runs {
        bytes += to.saturating_sub(from.max(end));
        end = end.max(to);
        let (first, last) = ((from / SECTOR).max(next_sector), to.div_ceil(SECTOR));
        sectors += last.saturating_sub(first);
        next_sector = next_sector.max(last);
    }
    (bytes, sectors)
}

impl Shared<'_> {
    /// Counts a read of global memory, of so many bytes in each lane.
    pub fn count_reads(
        &mut self,
        addresses: &Lanes<u64>,
        active: u32,
        size: impl Fn(usize) -> usize,
    ) {
        let (bytes, sectors) = covered(addresses, active, size);
        self.counts.read += bytes;
        self.counts.sectors_read += sectors;
    }

    /// Counts a write to global memory.
    pub fn count_writes(&mut self, addresses: &Lanes<u64>, active: u32, size: usize) {
        let (bytes, sectors) = covered(addresses, active, |_| size);
        self.counts.written += bytes;
        self.counts.sectors_written += sectors;
    }

    /// Counts a read of one run of bytes.
    pub fn count_read(&mut self, from: u64, len: usize) {
        self.counts.read += len as u64;
        self.counts.sectors_read += sectors(from, len);
    }

    /// Counts a write of one run of bytes.
    pub fn count_write(&mut self, from: u64, len: usize) {
        self.counts.written += len as u64;
        self.counts.sectors_written += sectors(from, len);
    }
}

/// Sectors a run of bytes touches.
fn sectors(from: u64, len: usize) -> u64 {
    (from + len as u64).div_ceil(SECTOR) - from / SECTOR
}
