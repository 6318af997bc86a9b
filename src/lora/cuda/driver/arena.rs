//! Which pieces of one large allocation are in use: the driver is asked for memory once, never in the middle of a run.
//!
//! First fit over free pieces in order of address, so the same calls in the same order give the same places; that keeps a
//! recorded launch valid and a run repeatable. It also answers whether a range lies inside a live piece, which turns a wrong
//! pointer into a sentence before the GPU sees it.

use std::collections::BTreeMap;

use crate::lora::backend::{Done, Trouble};

use crate::lora::cuda::driver::device::Address;

/// Pieces begin at multiples of it: what the widest access of a kernel or a library wants.
pub const ALIGNMENT: u64 = 256;

/// Bytes inside a live piece: only [`Arena::place`] makes one, so whoever is handed it need not check again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at: Address,
    bytes: u64,
}

impl Place {
    /// Where they begin.
    pub fn at(self) -> Address {
        self.at
    }

    /// How many they are.
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

/// The pieces of one allocation.
pub struct Arena {
    free: BTreeMap<u64, u64>,
    live: BTreeMap<u64, u64>,
    /// Bytes of all live pieces together, and the most that they ever were.
    held: u64,
    peak: u64,
}

impl Arena {
    /// All of `bytes` at `base` is free. `base` is a multiple of [`ALIGNMENT`] and not 0; what is over at the end is not used.
    pub fn new(base: Address, bytes: u64) -> Self {
        let bytes = bytes / ALIGNMENT * ALIGNMENT;
        let free = (bytes > 0).then_some((base.0, bytes)).into_iter().collect();
        Self {
            free,
            live: BTreeMap::new(),
            held: 0,
            peak: 0,
        }
    }

    /// Bytes of all free pieces together.
    pub fn room(&self) -> u64 {
        self.free.values().sum()
    }

    /// The most bytes that live pieces ever had together.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// The first free piece of at least this size; of nothing, too, a place of its own.
    ///
    /// # Errors
    ///
    /// No piece is large enough.
    pub fn reserve(&mut self, bytes: u64) -> Done<Address> {
        let wanted = bytes.max(1).checked_next_multiple_of(ALIGNMENT);
        let found = wanted.and_then(|wanted| {
            let (&at, &size) = self.free.iter().find(|(_, size)| **size >= wanted)?;
            Some((at, size, wanted))
        });
        let Some((at, size, wanted)) = found else {
            return Err(Trouble(self.refusal(bytes)));
        };
        self.free.remove(&at);
        if size > wanted {
            self.free.insert(at + wanted, size - wanted);
        }
        self.live.insert(at, wanted);
        self.held += wanted;
        self.peak = self.peak.max(self.held);
        Ok(Address(at))
    }

    fn refusal(&self, bytes: u64) -> String {
        let largest = self.free.values().max().copied().unwrap_or(0);
        format!(
            "the GPU memory set aside for training has no {} free in one piece ({} in all, {} the largest piece): take fewer \
             tokens to a batch, or a smaller rank",
            gigabytes(bytes),
            gigabytes(self.room()),
            gigabytes(largest)
        )
    }

    /// Makes a piece free again and joins it to its neighbours; whatever is no live piece's beginning is ignored.
    pub fn release(&mut self, at: Address) {
        let Some(mut size) = self.live.remove(&at.0) else {
            return;
        };
        self.held -= size;
        let mut begin = at.0;
        if let Some(after) = self.free.remove(&(begin + size)) {
            size += after;
        }
        if let Some((&before, &bytes)) = self.free.range(..begin).next_back()
            && before + bytes == begin
        {
            self.free.remove(&before);
            begin = before;
            size += bytes;
        }
        self.free.insert(begin, size);
    }

    /// Whether these bytes lie inside one live piece; of nothing, whether the place does.
    pub fn holds(&self, at: Address, bytes: u64) -> bool {
        let piece = self.live.range(..=at.0).next_back();
        piece.is_some_and(|(&begin, &size)| {
            let end = at.0.checked_add(bytes);
            end.is_some_and(|end| end <= begin + size) && at.0 < begin + size
        })
    }

    /// Whether a pointer is into a live piece or just past its end, as one to an empty part of it is.
    pub fn knows(&self, at: Address) -> bool {
        self.holds(at, 0)
            || at
                .0
                .checked_sub(1)
                .is_some_and(|last| self.holds(Address(last), 1))
    }

    /// These bytes, which `what` uses.
    ///
    /// # Errors
    ///
    /// They do not lie inside one live piece.
    pub fn place(&self, what: &str, at: Address, bytes: u64) -> Done<Place> {
        match self.holds(at, bytes) {
            true => Ok(Place { at, bytes }),
            false => Err(Trouble(format!(
                "{what} uses {bytes} bytes at {:#x}, which are not reserved",
                at.0
            ))),
        }
    }
}

/// Bytes as `12.3 GB` (10^9), or `12.3 MB` below one of them.
pub fn gigabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Address = Address(0x7f00_0000_0000);

    #[test]
    fn the_same_calls_give_the_same_places() {
        let run = || {
            let mut arena = Arena::new(BASE, 1 << 20);
            let a = arena.reserve(1000).expect("room");
            let b = arena.reserve(5000).expect("room");
            arena.release(a);
            let c = arena.reserve(2000).expect("room");
            let d = arena.reserve(100).expect("room");
            [a, b, c, d]
        };
        assert_eq!(run(), run());
        let [a, b, c, d] = run();
        assert_eq!((a, b), (BASE, BASE.plus(1024)));
        assert_eq!(d, a, "the first piece that fits");
        assert!(c > b);
    }

    /// Against a list of intervals: a linear congruence draws the calls.
    #[test]
    fn pieces_never_overlap_and_all_comes_back() {
        let mut state: u64 = 2026;
        println!("seed {state}");
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            (state >> 33) % below
        };
        let mut arena = Arena::new(BASE, 1 << 16);
        let mut live: Vec<(u64, u64)> = Vec::new();
        let (mut refused, mut peak) = (0, 0);
        for _ in 0..20_000 {
            if draw(2) == 0 && !live.is_empty() {
                let (at, _) = live.swap_remove(draw(live.len() as u64) as usize);
                arena.release(Address(at));
                assert!(!arena.holds(Address(at), 1), "released");
            } else {
                let bytes = draw(9000);
                match arena.reserve(bytes) {
                    Ok(at) => {
                        assert_eq!(at.0 % ALIGNMENT, 0);
                        let size = bytes.max(1).next_multiple_of(ALIGNMENT);
                        assert!(at.0 >= BASE.0 && at.0 + size <= BASE.0 + (1 << 16));
                        for &(other, len) in &live {
                            assert!(at.0 + size <= other || other + len <= at.0, "overlap");
                        }
                        assert!(arena.holds(at, size) && !arena.holds(at, size + 1));
                        live.push((at.0, size));
                    }
                    Err(Trouble(said)) => {
                        refused += 1;
                        assert!(said.contains("free in one piece"), "{said}");
                    }
                }
            }
            let used: u64 = live.iter().map(|(_, size)| size).sum();
            assert_eq!(arena.room(), (1 << 16) - used);
            peak = peak.max(used);
            assert_eq!(arena.peak(), peak);
        }
        assert!(refused > 100, "the arena was never full");
        for (at, _) in live {
            arena.release(Address(at));
        }
        assert_eq!(arena.room(), 1 << 16);
        assert_eq!(arena.reserve(1 << 16).expect("one piece again"), BASE);
    }

    #[test]
    fn ranges_outside_live_pieces_are_known() {
        let mut arena = Arena::new(BASE, 4096);
        let at = arena.reserve(512).expect("room");
        assert!(arena.holds(at.plus(511), 1) && arena.holds(at, 0));
        assert!(
            !arena.holds(at.plus(512), 0),
            "one past the end is no place"
        );
        assert!(!arena.holds(at.plus(500), 13));
        assert!(!arena.holds(Address(BASE.0 - 1), 1) && !arena.holds(Address::NULL, 0));
        assert!(!arena.holds(at, u64::MAX));
        assert!(arena.knows(at) && arena.knows(at.plus(512)) && !arena.knows(at.plus(513)));
        assert!(!arena.knows(Address(at.0 - 1)) && !arena.knows(Address::NULL));
        let place = arena.place("an upload", at.plus(8), 504).expect("inside");
        assert_eq!((place.at(), place.bytes()), (at.plus(8), 504));
        let Trouble(said) = arena
            .place("an upload", at.plus(8), 505)
            .expect_err("outside");
        assert_eq!(
            said,
            "an upload uses 505 bytes at 0x7f0000000008, which are not reserved"
        );
        arena.release(Address(at.0 + 256));
        assert!(arena.holds(at, 512), "not a piece's beginning: ignored");
    }

    #[test]
    fn too_much_is_refused_with_numbers() {
        let mut arena = Arena::new(BASE, 3_000_000_000);
        let Err(Trouble(said)) = arena.reserve(80_000_000_000) else {
            panic!("80 GB of 3");
        };
        assert!(
            said.contains("no 80.0 GB free in one piece (3.0 GB in all"),
            "{said}"
        );
        assert!(arena.reserve(u64::MAX).is_err());
        assert!(Arena::new(BASE, 100).reserve(1).is_err());
    }
}
