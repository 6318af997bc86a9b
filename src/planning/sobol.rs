//! Points that fill the unit cube evenly: Sobol's sequence, scrambled by a seed.
//!
//! Direction numbers of S. Joe and F. Y. Kuo ("Constructing Sobol sequences with better two-dimensional projections", SIAM J.
//! Sci. Comput. 30, 2008); nested scrambling by hashing (Burley, "Practical hash-based Owen scrambling", JCGT 2020).
//! Coordinates beyond those with direction numbers are plain random numbers.

use crate::training::philox::philox;

/// Primitive polynomials, with their leading and last coefficient, and the first direction numbers.
const DIRECTIONS: [(u32, &[u32]); 31] = [
    (3, &[1]),
    (7, &[1, 3]),
    (11, &[1, 3, 1]),
    (13, &[1, 1, 1]),
    (19, &[1, 1, 3, 3]),
    (25, &[1, 3, 5, 13]),
    (37, &[1, 1, 5, 5, 17]),
    (41, &[1, 1, 5, 5, 5]),
    (47, &[1, 1, 7, 11, 19]),
    (55, &[1, 1, 5, 1, 1]),
    (59, &[1, 1, 1, 3, 11]),
    (61, &[1, 3, 5, 5, 31]),
    (67, &[1, 3, 3, 9, 7, 49]),
    (91, &[1, 1, 1, 15, 21, 21]),
    (97, &[1, 3, 1, 13, 27, 49]),
    (103, &[1, 1, 1, 15, 7, 5]),
    (109, &[1, 3, 1, 15, 13, 25]),
    (115, &[1, 1, 5, 5, 19, 61]),
    (131, &[1, 3, 7, 11, 23, 15, 103]),
    (137, &[1, 3, 7, 13, 13, 15, 69]),
    (143, &[1, 1, 3, 13, 7, 35, 63]),
    (145, &[1, 3, 5, 9, 1, 25, 53]),
    (157, &[1, 3, 1, 13, 9, 35, 107]),
    (167, &[1, 3, 1, 5, 27, 61, 31]),
    (171, &[1, 1, 5, 11, 19, 41, 61]),
    (185, &[1, 3, 5, 3, 3, 13, 69]),
    (191, &[1, 1, 7, 13, 1, 19, 1]),
    (193, &[1, 3, 7, 5, 13, 19, 59]),
    (203, &[1, 1, 3, 9, 25, 29, 41]),
    (211, &[1, 3, 5, 13, 23, 1, 55]),
    (213, &[1, 3, 7, 3, 13, 59, 17]),
];

/// A sequence of points of so many coordinates.
#[derive(Clone, Debug)]
pub struct Sobol {
    key: [u32; 2],
    /// Direction numbers of every coordinate that has some; the first is van der Corput's.
    directions: Vec<[u32; 32]>,
    dims: usize,
}

/// The 32 direction numbers of a polynomial.
fn directions(polynomial: u32, first: &[u32]) -> [u32; 32] {
    let degree = first.len();
    let mut all = [0; 32];
    for at in 0..32 {
        all[at] = if at < degree {
            first[at] << (31 - at)
        } else {
            let mut next = all[at - degree] ^ (all[at - degree] >> degree);
            for back in 1..degree {
                if polynomial >> (degree - back) & 1 == 1 {
                    next ^= all[at - back];
                }
            }
            next
        };
    }
    all
}

impl Sobol {
    /// The sequence of a seed.
    pub fn new(dims: usize, seed: u64) -> Self {
        let corput = std::array::from_fn(|at| 1 << (31 - at));
        let rest = DIRECTIONS
            .iter()
            .map(|(polynomial, first)| directions(*polynomial, first));
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            directions: std::iter::once(corput).chain(rest).take(dims).collect(),
            dims,
        }
    }

    fn chance(&self, counter: [u32; 4]) -> u32 {
        philox(counter, self.key)[0]
    }

    /// Scrambles a number's bits from the highest on: each is turned over or not by those above it.
    fn scramble(&self, bits: u32, coordinate: u32) -> u32 {
        let hash = self.chance([coordinate, 0, 0, 0x736f_626f]);
        let mut x = bits.reverse_bits();
        x = x.wrapping_add(hash);
        x ^= x.wrapping_mul(0x6c50_b47c);
        x ^= x.wrapping_mul(0xb82f_1e52);
        x ^= x.wrapping_mul(0xc7af_e638);
        x ^= x.wrapping_mul(0x8d22_f6e6);
        x.reverse_bits()
    }

    /// The bits of a coordinate before they are scrambled.
    fn plain(directions: &[u32; 32], number: u32) -> u32 {
        let used = (0..32).filter(|bit| number >> bit & 1 == 1);
        used.fold(0, |all, bit| all ^ directions[bit])
    }

    /// The point of this number, from 0; every coordinate lies above 0 and below 1.
    pub fn point(&self, number: u32) -> Vec<f64> {
        let coordinate = |k: usize| {
            let bits = match self.directions.get(k) {
                Some(directions) => self.scramble(Self::plain(directions, number), k as u32),
                None => self.chance([k as u32, number, 1, 0x736f_626f]),
            };
            (f64::from(bits) + 0.5) / 4_294_967_296.0
        };
        (0..self.dims).map(coordinate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_points_are_those_of_the_table() {
        // Points of Joe and Kuo's sequence in counting order, coordinates 1, 2, 3 and 5.
        let sobol = Sobol::new(8, 1);
        for (number, known) in [
            (1, [0.5, 0.5, 0.5, 0.5]),
            (2, [0.25, 0.75, 0.75, 0.25]),
            (3, [0.75, 0.25, 0.25, 0.75]),
            (4, [0.125, 0.625, 0.375, 0.125]),
            (6, [0.375, 0.375, 0.625, 0.375]),
        ] {
            let ours = [0, 1, 2, 4].map(|k: usize| {
                f64::from(Sobol::plain(&sobol.directions[k], number)) / 4_294_967_296.0
            });
            assert_eq!(ours, known, "{number}");
        }
        // Directions that the recurrence makes, of coordinates 2, 5, 9, 21 and 32.
        let sobol = Sobol::new(32, 1);
        let ours = [1, 4, 8, 20, 31].map(|k: usize| {
            f64::from(Sobol::plain(&sobol.directions[k], 1 << 10)) / 4_294_967_296.0
        });
        let known = [
            0.627_441_406_25,
            0.630_371_093_75,
            0.914_550_781_25,
            0.357_910_156_25,
            0.414_550_781_25,
        ];
        assert_eq!(ours, known);
    }

    #[test]
    fn every_coordinate_and_pair_is_evenly_filled() {
        let sobol = Sobol::new(34, 42);
        let points: Vec<Vec<f64>> = (0..256).map(|number| sobol.point(number)).collect();
        for k in 0..32 {
            let mut seen = [false; 256];
            points
                .iter()
                .for_each(|point| seen[(point[k] * 256.0) as usize] = true);
            assert!(seen.iter().all(|one| *one), "coordinate {k}");
        }
        // Coordinates 0 and 1 are a (0, 2)-sequence: 256 points fill the cells of every 16 by 16 grid once.
        let mut cells = [0; 256];
        for point in &points {
            cells[(point[0] * 16.0) as usize * 16 + (point[1] * 16.0) as usize] += 1;
        }
        assert!(cells.iter().all(|count| *count == 1));
        for k in 32..34 {
            let mean = points.iter().map(|point| point[k]).sum::<f64>() / 256.0;
            assert!((mean - 0.5).abs() < 0.08, "coordinate {k}: {mean}");
        }
        assert_ne!(sobol.point(3), Sobol::new(34, 43).point(3));
        assert_eq!(sobol.point(3), Sobol::new(34, 42).point(3));
    }
}
