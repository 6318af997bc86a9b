//! Where things stand in a bordered weight: W^ = [[W, sB], [A, 0]], [N + R, K + R], row-major in bf16.
//!
//! With x^ = [x | h] and h = drop(x) A^T, the product x^ [W | sB]^T is the whole group forward, and with dy^ = [dy | dh] and
//! dh = dy (sB) the product dy^ [W; A] is its way back: the adapters ride in the accumulator of the base. Members of a pack
//! stand side by side in one border, and a row has zeros in the columns of all members but its own, so that one product serves
//! them all and adds exact zeros for the others. Each rank is rounded up to a tile of the matrix units, the sum of a group to
//! 128 bytes, so that every row of every matrix stays aligned.

/// What a rank is rounded up to: the width of a tile of mma.m16n8k16.
pub const RANK: usize = 16;
/// What the sum of a group's ranks is rounded up to: 128 bytes of bf16.
const BORDER: usize = 64;

/// Where a member's adapter of one projection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The projection's columns of y: rows of W^.
    pub outputs: usize,
    /// The first of them.
    pub output: usize,
    /// The rank of the adapter; 0: there is none.
    pub rank: usize,
    /// The same as it stands in the border.
    pub padded: usize,
    /// Its first column of h: of the border.
    pub low: usize,
    /// Where the gradient of its B, [outputs, padded], begins among those of all B of the member.
    pub gradient: usize,
}

/// A member's part of a border: columns of its own, projection after projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first column.
    pub low: usize,
    /// Its columns, the padding of each rank included; 0: it has no adapter in this group.
    pub ranks: usize,
    /// Each projection.
    pub places: Vec<Place>,
}

impl Part {
    /// From column `low` on, of projections of these widths.
    fn new(low: usize, widths: &[usize], ranks: &[usize]) -> Self {
        let (mut output, mut next, mut gradient) = (0, low, 0);
        let mut places = Vec::new();
        for (number, &outputs) in widths.iter().enumerate() {
            let rank = ranks.get(number).copied().unwrap_or(0);
            let padded = rank.next_multiple_of(RANK);
            places.push(Place {
                outputs,
                output,
                rank,
                padded,
                low: next,
                gradient,
            });
            output += outputs;
            next += padded;
            gradient += outputs * padded;
        }
        let ranks = next - low;
        Self { low, ranks, places }
    }

    /// Numbers of the gradients of all its B.
    pub fn b_len(&self) -> usize {
        let each = self.places.iter();
        each.map(|place| place.outputs * place.padded).sum()
    }
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
    /// Columns of y of each projection.
    pub widths: Vec<usize>,
    /// Each member of the pack.
    pub members: Vec<Part>,
}

impl Border {
    /// Of projections of such widths, with adapters of such ranks by member and by projection.
    pub fn new(inputs: usize, widths: Vec<usize>, ranks: &[Vec<usize>]) -> Self {
        let mut members: Vec<Part> = Vec::new();
        let mut low = 0;
        for ranks in ranks {
            let part = Part::new(low, &widths, ranks);
            low += part.ranks;
            members.push(part);
        }
        Self {
            inputs,
            outputs: widths.iter().sum(),
            ranks: low.next_multiple_of(BORDER),
            widths,
            members,
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

    /// Where the rows of A begin that stand from column `low` of the border on.
    pub fn a(&self, low: usize) -> usize {
        (self.outputs + low) * self.ld()
    }

    /// Where sB of an adapter begins.
    pub fn b(&self, place: &Place) -> usize {
        place.output * self.ld() + self.inputs + place.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_group_of_three() {
        let border = Border::new(40, vec![24, 8, 8], &[vec![3, 0, 17]]);
        assert_eq!((border.outputs, border.ranks), (40, 64));
        let part = &border.members[0];
        let each = part.places.iter();
        let lows: Vec<_> = each.map(|p| (p.low, p.padded, p.gradient)).collect();
        assert_eq!(lows, [(0, 16, 0), (16, 0, 384), (16, 32, 384)]);
        assert_eq!((part.ranks, part.b_len()), (48, 384 + 256));
        let last = part.places[2];
        assert_eq!(border.ld(), 104);
        assert_eq!(border.a(last.low), (40 + 16) * 104);
        assert_eq!(border.b(&last), 32 * 104 + 40 + 16);
        assert_eq!(border.len(), 104 * 104);
    }

    #[test]
    fn members_stand_side_by_side() {
        let ranks = [vec![3, 17], vec![], vec![0, 16], vec![1]];
        let border = Border::new(40, vec![24, 8], &ranks);
        let parts = border.members.iter().map(|part| (part.low, part.ranks));
        let parts: Vec<_> = parts.collect();
        assert_eq!(parts, [(0, 48), (48, 0), (48, 16), (64, 16)]);
        assert_eq!(border.ranks, 128);
        let place = border.members[2].places[1];
        assert_eq!((place.low, place.output, place.gradient), (48, 24, 0));
        // Alone a member has the same layout from column 0 on.
        let alone = Border::new(40, vec![24, 8], &[vec![0, 16]]);
        let shifted = Place { low: 0, ..place };
        assert_eq!(alone.members[0].places[1], shifted);
    }

    #[test]
    fn a_frozen_group_has_no_border() {
        for ranks in [&[][..], &[vec![0, 0], vec![]]] {
            let border = Border::new(40, vec![24, 8], ranks);
            assert_eq!((border.ranks, border.ld(), border.len()), (0, 40, 32 * 40));
        }
    }

    #[test]
    fn ranks_share_a_border_up_to_its_width() {
        let ranks = |all: &[usize]| {
            let widths = vec![8; all.len()];
            Border::new(8, widths, &[all.to_vec()]).ranks
        };
        assert_eq!(ranks(&[16, 16, 16]), 64);
        assert_eq!(ranks(&[16, 16, 16, 16, 1]), 128);
        assert_eq!(ranks(&[64]), 64);
        assert_eq!(ranks(&[65]), 128);
    }
}
