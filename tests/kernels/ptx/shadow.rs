//! What the interpreter knows of memory beside its bytes: which bytes were written, and who touched which granule last. Time
//! is counted in phases: every block starts one and every barrier of a block starts the next, so two touches of one phase by
//! two warps, or of one launch by two blocks, have nothing that orders them.

use std::ops::Range;

/// One bit for each byte.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(Vec<u64>);

impl Flags {
    /// So many bytes, all alike.
    pub fn new(len: usize, set: bool) -> Self {
        Self(vec![if set { u64::MAX } else { 0 }; len.div_ceil(64)])
    }

    /// The word and the bits in it of a run of at most 64 bytes that starts at `at`, up to the end of that word.
    fn part(at: usize, len: usize) -> (usize, u64, usize) {
        let shift = at % 64;
        let taken = len.min(64 - shift);
        (at / 64, (u64::MAX >> (64 - taken)) << shift, taken)
    }

    /// Whether every byte of a run is marked.
    #[inline]
    pub fn all(&self, mut at: usize, mut len: usize) -> bool {
        while len > 0 {
            let (word, mask, taken) = Self::part(at, len);
            if self.0[word] & mask != mask {
                return false;
            }
            (at, len) = (at + taken, len - taken);
        }
        true
    }

    /// Whether any byte of a run is marked.
    #[inline]
    pub fn any(&self, mut at: usize, mut len: usize) -> bool {
        while len > 0 {
            let (word, mask, taken) = Self::part(at, len);
            if self.0[word] & mask != 0 {
                return true;
            }
            (at, len) = (at + taken, len - taken);
        }
        false
    }

    /// Marks a run of bytes, or unmarks it.
    #[inline]
    pub fn set(&mut self, mut at: usize, mut len: usize, on: bool) {
        while len > 0 {
            let (word, mask, taken) = Self::part(at, len);
            if on {
                self.0[word] |= mask;
            } else {
                self.0[word] &= !mask;
            }
            (at, len) = (at + taken, len - taken);
        }
    }

    /// Unmarks everything.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// Phases there are before marks must be cleared: a stamp has 24 bits for them.
pub(crate) const PHASES: u32 = 1 << 24;

/// A stamp says who touched a granule last: the phase, the warp in the lowest five bits, and whether other warps of that
/// phase or other blocks of that launch did the same. Zero: nobody ever. Signed, because vectors compare signed numbers
/// faster.
type Stamp = i32;

const WARP: Stamp = 31;
const SEVERAL_WARPS: Stamp = 1 << 5;
const SEVERAL_BLOCKS: Stamp = 1 << 6;
const PHASE: u32 = 7;

/// The warp that acts, and when; phases as the lowest stamp of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Stamps below are of earlier launches.
    launch: Stamp,
    /// Stamps from `launch` to below this are of other blocks.
    block: Stamp,
    /// Stamps from here on are of the current phase of the block.
    phase: Stamp,
    warp: Stamp,
}

impl Turn {
    /// The beginning of a launch at a phase.
    pub fn new(phase: u32) -> Self {
        let phase = (phase << PHASE).cast_signed();
        Self {
            launch: phase,
            block: phase,
            phase,
            warp: 0,
        }
    }

    /// The first phase of the next block.
    pub fn next_block(&mut self) {
        self.next_phase();
        self.block = self.phase;
    }

    /// The phase after a barrier.
    pub fn next_phase(&mut self) {
        self.phase += 1 << PHASE;
    }

    /// The warp that acts from now on.
    pub fn act(&mut self, warp: u32) {
        self.warp = warp.cast_signed();
    }

    /// The phase as a number.
    pub fn number(&self) -> u32 {
        (self.phase >> PHASE).cast_unsigned()
    }

    /// The same turn in memory that belongs to the block alone: whatever was before this phase is ordered.
    #[inline(always)]
    pub fn alone(&self) -> Self {
        Self {
            launch: self.phase,
            block: self.phase,
            ..*self
        }
    }

    #[inline(always)]
    fn own(&self) -> Stamp {
        self.phase | self.warp
    }

    /// Whether touches of these stamps may be followed by anything.
    #[inline(always)]
    fn all_quiet(&self, stamps: &[Stamp]) -> bool {
        match common(stamps) {
            Some(stamp) => self.quiet(stamp),
            None => stamps.iter().all(|stamp| self.quiet(*stamp)),
        }
    }

    /// Whether a touch of that stamp may be followed by anything.
    #[inline(always)]
    fn quiet(&self, stamp: Stamp) -> bool {
        let earlier_phase =
            (stamp >= self.block) & (stamp < self.phase) & (stamp & SEVERAL_BLOCKS == 0);
        (stamp < self.launch) | earlier_phase | (stamp == self.own())
    }

    /// Who touched a granule with nothing that orders it before this turn.
    fn clash(&self, stamp: Stamp) -> Option<String> {
        if self.quiet(stamp) {
            None
        } else if stamp < self.block || stamp & SEVERAL_BLOCKS != 0 {
            Some("another block".to_owned())
        } else if stamp & SEVERAL_WARPS != 0 {
            Some("several warps".to_owned())
        } else {
            Some(format!("warp {}", stamp & WARP))
        }
    }

    /// The stamp of all readers there were, this one the last.
    #[inline(always)]
    fn joined(&self, old: Stamp) -> Stamp {
        let launch = if old >= self.launch {
            SEVERAL_BLOCKS
        } else {
            0
        };
        let other = if (old >= self.launch) & (old < self.block) {
            SEVERAL_BLOCKS
        } else {
            0
        };
        let phase = if old >= self.phase { SEVERAL_WARPS } else { 0 };
        let differs = if (old ^ self.warp) & WARP != 0 {
            SEVERAL_WARPS
        } else {
            0
        };
        self.own() | old & launch | other | (old | differs) & phase
    }
}

/// The stamp of all granules of a run, if it is the same: mostly they were touched together.
#[inline(always)]
fn common(stamps: &[Stamp]) -> Option<Stamp> {
    let (first, rest) = stamps.split_first()?;
    // Each equals the one before: a comparison of memory with itself.
    (*rest == stamps[..rest.len()]).then_some(*first)
}

/// Who last wrote and who last read each granule of a region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    written: Vec<Stamp>,
    read: Vec<Stamp>,
    /// A granule has 2 to the power of this many bytes.
    granule: u32,
}

impl Marks {
    /// Marks of so many bytes in granules of a power of two of bytes.
    pub fn new(len: usize, granule: usize) -> Self {
        let granule = granule.trailing_zeros();
        let count = len.div_ceil(1 << granule);
        Self {
            written: vec![0; count],
            read: vec![0; count],
            granule,
        }
    }

    /// Whether nothing is kept here.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Forgets everyone.
    pub fn clear(&mut self) {
        self.written.fill(0);
        self.read.fill(0);
    }

    #[inline(always)]
    fn granules(&self, at: usize, len: usize) -> Range<usize> {
        at >> self.granule..((at + len - 1) >> self.granule) + 1
    }

    /// A read of a run of bytes in this turn.
    ///
    /// # Errors
    /// The write it races with.
    #[inline(always)]
    pub fn read(&mut self, at: usize, len: usize, turn: &Turn) -> Result<(), String> {
        let run = self.granules(at, len);
        if !turn.all_quiet(&self.written[run.clone()]) {
            return Err(race(&self.written[run], turn, "written", "read", at));
        }
        let read = &mut self.read[run];
        match common(read) {
            Some(stamp) => {
                let joined = turn.joined(stamp);
                if joined != stamp {
                    read.fill(joined);
                }
            }
            None => read
                .iter_mut()
                .for_each(|stamp| *stamp = turn.joined(*stamp)),
        }
        Ok(())
    }

    /// A write of a run of bytes in this turn.
    ///
    /// # Errors
    /// The read or the write it races with.
    #[inline(always)]
    pub fn write(&mut self, at: usize, len: usize, turn: &Turn) -> Result<(), String> {
        let run = self.granules(at, len);
        if !turn.all_quiet(&self.written[run.clone()]) {
            return Err(race(&self.written[run], turn, "written", "written", at));
        }
        if !turn.all_quiet(&self.read[run.clone()]) {
            return Err(race(&self.read[run], turn, "read", "written", at));
        }
        self.written[run].fill(turn.own());
        Ok(())
    }
}

/// The sentence of the first clash there is.
#[cold]
fn race(stamps: &[Stamp], turn: &Turn, first: &str, then: &str, at: usize) -> String {
    let who = stamps
        .iter()
        .find_map(|stamp| turn.clash(*stamp))
        .unwrap_or_default();
    let (between, order) = match who.as_str() {
        "another block" => ("blocks", "in the same launch"),
        _ => ("warps", "with no barrier between"),
    };
    format!(
        "race between {between}: {first} by {who} and {then} by this one {order} (access of byte {at})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_know_every_byte_across_words() {
        let mut flags = Flags::new(200, false);
        flags.set(60, 80, true);
        assert!(flags.all(60, 80) && !flags.all(59, 2) && !flags.all(139, 2) && flags.any(0, 61));
        flags.set(100, 1, false);
        assert!(!flags.all(60, 80) && !flags.any(100, 1) && flags.all(101, 39));
    }

    /// Reads and writes of warps, told as (phase, block's first phase, warp, write).
    fn touches(list: &[(u32, u32, u32, bool)]) -> Vec<bool> {
        let mut marks = Marks::new(16, 4);
        let mut turn = Turn::new(1);
        let touch = |(phase, block, warp, write): (u32, u32, u32, bool)| {
            while turn.number() < phase {
                if turn.number() + 1 == block {
                    turn.next_block()
                } else {
                    turn.next_phase()
                }
            }
            turn.act(warp);
            if write {
                marks.write(4, 8, &turn).is_ok()
            } else {
                marks.read(4, 8, &turn).is_ok()
            }
        };
        list.iter().copied().map(touch).collect()
    }

    #[test]
    fn warps_race_within_a_phase_only() {
        assert_eq!(
            touches(&[(2, 2, 0, true), (2, 2, 0, false), (2, 2, 1, false)]),
            [true, true, false]
        );
        assert_eq!(
            touches(&[(2, 2, 0, true), (3, 2, 1, false), (3, 2, 2, false)]),
            [true; 3]
        );
        assert_eq!(
            touches(&[(2, 2, 0, false), (2, 2, 1, false), (2, 2, 1, true)]),
            [true, true, false]
        );
        assert_eq!(
            touches(&[(2, 2, 0, false), (2, 2, 1, false), (3, 2, 1, true)]),
            [true; 3]
        );
        // A lane of the same warp in between hides nobody.
        assert_eq!(
            touches(&[(2, 2, 0, false), (2, 2, 1, false), (2, 2, 0, true)]),
            [true, true, false]
        );
    }

    #[test]
    fn blocks_race_within_a_launch() {
        assert_eq!(touches(&[(2, 2, 0, true), (3, 3, 0, false)]), [true, false]);
        assert_eq!(touches(&[(2, 2, 0, false), (3, 3, 0, true)]), [true, false]);
        assert_eq!(
            touches(&[(2, 2, 0, false), (3, 3, 0, false), (4, 3, 0, true)]),
            [true, true, false]
        );
        let mut marks = Marks::new(16, 4);
        assert!(marks.write(0, 16, &Turn::new(5)).is_ok());
        assert!(marks.read(0, 16, &Turn::new(6)).is_ok(), "a new launch");
    }
}
