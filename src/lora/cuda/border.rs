//! Where things stand in a bordered weight: W^ = [[W, sB], [A, 0]], [N + R, K + R], row-major in bf16.
//!
//! With x^ = [x | h] and h = drop(x) A^T, the product x^ [W | sB]^T is the whole group forward, and with dy^ = [dy | dh] and
//! dh = dy (sB) the product dy^ [W; A] is its way back: the adapters ride in the accumulator of the base. Each rank is rounded
//! up to a tile of the matrix units, the sum of a group to 128 bytes, so that every row of every matrix stays aligned.

/// What a rank is rounded up to: the width of a tile of mma.m16n8k16.
const RANK: usize = 16;
/// What the sum of a group's ranks is rounded up to: 128 bytes of bf16.
const BORDER: usize = 64;

/// Where one projection of a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its columns of y: rows of W^.
    pub outputs: usize,
    /// The first of them.
    pub output: usize,
    /// The rank of its adapter; 0: it has none.
    pub rank: usize,
    /// The same as it stands in the border.
    pub padded: usize,
    /// Its first column of h: of the border.
    pub low: usize,
}

/// The layout of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    /// K: columns of x.
    pub inputs: usize,
    /// N: columns of y.
    pub outputs: usize,
    /// R: columns of h, padding included; 0 where no projection has an adapter.
    pub ranks: usize,
    /// Each projection.
    pub places: Vec<Place>,
}

impl Border {
    /// Of projections of so many outputs and such ranks.
    pub fn new(inputs: usize, projections: impl Iterator<Item = (usize, usize)>) -> Self {
        let (mut output, mut low) = (0, 0);
        let mut places = Vec::new();
        for (outputs, rank) in projections {
            let padded = rank.next_multiple_of(RANK);
            places.push(Place {
                outputs,
                output,
                rank,
                padded,
                low,
            });
            output += outputs;
            low += padded;
        }
        Self {
            inputs,
            outputs: output,
            ranks: low.next_multiple_of(BORDER),
            places,
        }
    }

    /// Numbers from row to row of W^.
    pub fn ld(&self) -> usize {
        self.inputs + self.ranks
    }

    /// Numbers of W^.
    pub fn len(&self) -> usize {
        (self.outputs + self.ranks) * self.ld()
    }

    /// Where A of a projection begins.
    pub fn a(&self, place: &Place) -> usize {
        (self.outputs + place.low) * self.ld()
    }

    /// Where sB of a projection begins.
    pub fn b(&self, place: &Place) -> usize {
        place.output * self.ld() + self.inputs + place.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_group_of_three() {
        let border = Border::new(40, [(24, 3), (8, 0), (8, 17)].into_iter());
        assert_eq!((border.outputs, border.ranks), (40, 64));
        let lows: Vec<_> = border.places.iter().map(|p| (p.low, p.padded)).collect();
        assert_eq!(lows, [(0, 16), (16, 0), (16, 32)]);
        let last = border.places[2];
        assert_eq!(border.ld(), 104);
        assert_eq!(border.a(&last), (40 + 16) * 104);
        assert_eq!(border.b(&last), 32 * 104 + 40 + 16);
        assert_eq!(border.len(), 104 * 104);
    }

    #[test]
    fn a_frozen_group_has_no_border() {
        let border = Border::new(40, [(24, 0), (8, 0)].into_iter());
        assert_eq!((border.ranks, border.ld(), border.len()), (0, 40, 32 * 40));
    }

    #[test]
    fn ranks_share_a_border_up_to_its_width() {
        let ranks = |all: &[usize]| Border::new(8, all.iter().map(|&rank| (8, rank))).ranks;
        assert_eq!(ranks(&[16, 16, 16]), 64);
        assert_eq!(ranks(&[16, 16, 16, 16, 1]), 128);
        assert_eq!(ranks(&[64]), 64);
        assert_eq!(ranks(&[65]), 128);
    }
}
