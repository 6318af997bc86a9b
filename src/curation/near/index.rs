//! Rows that share a band, in bounded memory.
//!
//! Which rows will ever meet is known before the first is judged, so there are no buckets to grow: each band is sorted once,
//! a hash that two or more rows have becomes a *shelf* of just the room it can need, and the row's hash gives way to the
//! number of its shelf. A hash that one row has takes no room. At most 4 bytes a row and band, beside the hash's own 4.

use super::signature::Signatures;

/// No other row has this hash.
const ALONE: u32 = u32::MAX;
/// The row is the last of its shelf: it looks there, and nobody comes after it to find it.
const LAST: u32 = 1 << 31;

/// Shelves, empty at first; rows are known by their place in the order.
pub(super) struct Index {
    /// For each band, and in it for each place, where its shelf begins.
    shelves: Vec<Vec<u32>>,
    /// Shelf after shelf: how many places it holds, then these, ascending. The last row of a shelf has no room there.
    places: Vec<u32>,
    /// Shelves of the row at hand, shortest first; here so that no row allocates.
    open: Vec<(u32, u32)>,
}

impl Index {
    /// Shelves for the rows of `order`. Those without shingles stand on none.
    pub(super) fn new(order: &[u32], signatures: &mut Signatures) -> Self {
        let mut places = Vec::new();
        let mut shelves = by_place(order, signatures);
        let mut keys: Vec<u64> = Vec::with_capacity(order.len());
        for shelves in &mut shelves {
            keys.clear();
            for (place, row) in order.iter().enumerate() {
                let hash = std::mem::replace(&mut shelves[place], ALONE);
                if signatures.sizes[*row as usize] > 0 {
                    keys.push(u64::from(hash) << 32 | place as u64);
                }
            }
            keys.sort_unstable();
            for alike in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
                if alike.len() == 1 {
                    continue;
                }
                let shelf = shelf(&mut places, alike.len());
                for key in alike {
                    shelves[*key as u32 as usize] = shelf;
                }
                let last = alike[alike.len() - 1];
                shelves[last as u32 as usize] |= LAST;
            }
        }
        Self {
            open: Vec::with_capacity(shelves.len()),
            shelves,
            places,
        }
    }

    /// Calls `visit` with places that share a band with this one, `most` times at most and rarer bands first, for who is
    /// very similar shares those too; a place comes once for each band. Says how many calls were left out.
    pub(super) fn meet(&mut self, place: u32, most: usize, mut visit: impl FnMut(u32)) -> u64 {
        self.open.clear();
        for shelves in &self.shelves {
            let shelf = shelves[place as usize];
            if shelf != ALONE {
                let shelf = shelf & !LAST;
                self.open.push((self.places[shelf as usize], shelf));
            }
        }
        let all: u64 = self.open.iter().map(|(held, _)| u64::from(*held)).sum();
        if all > most as u64 {
            // Equal lengths stay in the order of the bands.
            self.open.sort_by_key(|(held, _)| *held);
        }
        let mut left = most;
        for (held, shelf) in &self.open {
            let taken = left.min(*held as usize);
            let first = *shelf as usize + 1;
            let held = &self.places[first..first + taken];
            held.iter().for_each(|other| visit(*other));
            left -= taken;
        }
        all - (most - left) as u64
    }

    /// Puts a row on its shelves.
    pub(super) fn put(&mut self, place: u32) {
        for shelves in &self.shelves {
            let shelf = shelves[place as usize];
            // Also true of those alone.
            if shelf & LAST == LAST {
                continue;
            }
            let shelf = shelf as usize;
            self.places[shelf] += 1;
            let free = shelf + self.places[shelf] as usize;
            self.places[free] = place;
        }
    }
}

/// Hashes band by band in the order of the places, taken out of the signatures: to go through them in the order of the
/// rows, once for each band, would be a cache miss each time.
fn by_place(order: &[u32], signatures: &mut Signatures) -> Vec<Vec<u32>> {
    let bands = signatures.banding.bands;
    let hashes = std::mem::take(&mut signatures.bands);
    let mut made: Vec<Vec<u32>> = (0..bands)
        .map(|_| Vec::with_capacity(order.len()))
        .collect();
    for row in order {
        let from = *row as usize * bands;
        for (band, hash) in made.iter_mut().zip(&hashes[from..from + bands]) {
            band.push(*hash);
        }
    }
    made
}

/// A new shelf for so many rows.
fn shelf(places: &mut Vec<u32>, rows: usize) -> u32 {
    let begins = places.len();
    assert!(
        begins < LAST as usize,
        "too many rows: shelves have 31 bits"
    );
    places.resize(begins + rows, 0);
    begins as u32
}
