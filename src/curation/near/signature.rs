//! MinHash: a set reduced to so few numbers that similar sets meet in a table.
//!
//! 128 permutations of the 32-bit numbers give 128 minima; two sets agree in each with the probability of their Jaccard
//! index J. Minima are not kept: `rows` of them become one *band* hash, and one bit of each becomes the *sketch*. Two sets
//! share at least one of `bands` with probability `1 - (1 - J^rows)^bands`, and a bit of the sketch with `(1 + J) / 2`.

use super::text::mixed;

/// Permutations, and bits of a sketch.
pub const PERMUTATIONS: usize = 128;
/// Pairs exactly at the threshold are found at least so often, by band and sketch together.
pub const RECALL: f64 = 0.98;
/// How often the sketch may rule out a pair that is exactly at the threshold.
const SLIP: f64 = 0.005;
/// Minima that are made at a time, so that they stay in registers.
const LANES: usize = 16;

/// How minima are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banding {
    /// Hashes of a row; it costs 8 bytes for each.
    pub bands: usize,
    /// Minima in each.
    pub rows: usize,
}

impl Banding {
    /// The most selective banding that finds a pair at `jaccard` with probability [`RECALL`] or more: the most rows in a
    /// band, for rows keep strangers apart. 25 bands of 5 at 0.7, 16 of 8 at 0.85; 1 row a band where nothing suffices.
    pub fn at(jaccard: f64) -> Self {
        let of = |rows| Banding {
            bands: PERMUTATIONS / rows,
            rows,
        };
        let enough = |banding: &Banding| banding.probability(jaccard) * (1.0 - SLIP) >= RECALL;
        (1..=32).rev().map(of).find(enough).unwrap_or(of(1))
    }

    /// The probability that two sets of this similarity share a band: `1 - (1 - J^rows)^bands`.
    pub fn probability(&self, jaccard: f64) -> f64 {
        1.0 - power(1.0 - power(jaccard, self.rows), self.bands)
    }
}

/// `f64::powi` may differ in its last digit between machines; a product does not.
fn power(x: f64, times: usize) -> f64 {
    (0..times).fold(1.0, |product, _| product * x)
}

/// The most bits in which the sketches of two sets of this similarity differ, but for one pair in 200.
pub(super) fn reach(jaccard: f64) -> u32 {
    // Each bit differs by itself with probability (1 - J) / 2: a binomial distribution, summed from its start.
    let differs = ((1.0 - jaccard) / 2.0).clamp(0.0, 0.5);
    let n = PERMUTATIONS as f64;
    let mut share = power(1.0 - differs, PERMUTATIONS);
    let mut sum = share;
    for bits in 0..PERMUTATIONS as u32 {
        if sum >= 1.0 - SLIP {
            return bits;
        }
        let next = f64::from(bits + 1);
        share *= (n - next + 1.0) / next * differs / (1.0 - differs);
        sum += share;
    }
    PERMUTATIONS as u32
}

/// `x -> x * FACTORS[i] + TERMS[i]` is a permutation of the 32-bit numbers, for the factors are odd.
const fn numbers(seed: u64, or: u32) -> [u32; PERMUTATIONS] {
    let mut made = [0; PERMUTATIONS];
    let mut at = 0;
    while at < PERMUTATIONS {
        let step = (seed + at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        made[at] = (mixed(step) >> 32) as u32 | or;
        at += 1;
    }
    made
}
static FACTORS: [u32; PERMUTATIONS] = numbers(0, 1);
static TERMS: [u32; PERMUTATIONS] = numbers(1 << 32, 0);

/// The least image of the set under each permutation, as signed numbers: any order will do, and this one has an
/// instruction everywhere.
fn minima(set: &[u32]) -> [i32; PERMUTATIONS] {
    let mut all = [i32::MAX; PERMUTATIONS];
    let parts = FACTORS.as_chunks::<LANES>().0;
    let parts = parts.iter().zip(TERMS.as_chunks::<LANES>().0);
    for (least, (factors, terms)) in all.as_chunks_mut::<LANES>().0.iter_mut().zip(parts) {
        let mut lanes = [i32::MAX; LANES];
        for x in set {
            for ((lane, factor), term) in lanes.iter_mut().zip(factors).zip(terms) {
                *lane = (*lane).min(x.wrapping_mul(*factor).wrapping_add(*term) as i32);
            }
        }
        *least = lanes;
    }
    all
}

/// What is known of many sets, row by row: bands, sketch and size.
///
/// Rows are numbered from 0 as they come. Threads make their own parts and one of them [appends](Self::append) these in the
/// order of the rows: the outcome is that of one thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Signatures {
    pub(super) banding: Banding,
    /// `banding.bands` for each row.
    pub(super) bands: Vec<u32>,
    pub(super) sketches: Vec<u128>,
    pub(super) sizes: Vec<u32>,
}

impl Signatures {
    /// Of no rows yet.
    pub fn new(banding: Banding) -> Self {
        Self {
            banding,
            bands: Vec::new(),
            sketches: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Of these sets, each ascending and distinct.
    pub fn of<'a>(banding: Banding, sets: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut made = Self::new(banding);
        sets.into_iter().for_each(|set| made.push(set));
        made
    }

    /// Room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.bands.reserve_exact(rows * self.banding.bands);
        self.sketches.reserve_exact(rows);
        self.sizes.reserve_exact(rows);
    }

    /// The next row, by its set. An empty set is similar to nothing.
    pub fn push(&mut self, set: &[u32]) {
        let minima = minima(set);
        let bands = minima.chunks_exact(self.banding.rows);
        let hashes = bands.take(self.banding.bands).map(|band| {
            let fold = |state, least: &i32| mixed(state ^ u64::from(*least as u32));
            (band.iter().fold(0x51_7CC1_B727_220A, fold) >> 32) as u32
        });
        self.bands.extend(hashes);
        let bit = |least: &i32| (*least as u32).wrapping_mul(0x9E37_79B1) >> 31;
        let sketch = minima.iter();
        self.sketches
            .push(sketch.fold(0, |sketch, least| sketch << 1 | u128::from(bit(least))));
        self.sizes
            .push(u32::try_from(set.len()).unwrap_or(u32::MAX));
    }

    /// The rows of `later`, made with the same banding, after these.
    pub fn append(&mut self, mut later: Signatures) {
        assert_eq!(self.banding, later.banding, "parts of one whole");
        self.bands.append(&mut later.bands);
        self.sketches.append(&mut later.sketches);
        self.sizes.append(&mut later.sizes);
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }
}
