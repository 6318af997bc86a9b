//! How the pass over dY that makes dh and dB is shared out: columns of dY by columns of the border.
//!
//! Members of a pack have a share each, over their own rows, so that what a member learns is what it learns alone.

use super::border::Part;

/// Rows of a block of partial sums, counted from the first of a member's. Part of what a result is: the order of the sums
/// follows from it.
pub const ROWS: usize = 1024;

/// The segments of a member's part of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// `{column, columns, rank, ranks, offset, ld, 0, 0}` of each, as the kernel reads them.
    pub table: Vec<[u32; 8]>,
    /// Ranks that a segment has at most: 16 or 64.
    pub width: usize,
}

impl Segments {
    /// Of a member's part of a group.
    pub fn new(part: &Part) -> Self {
        let widest = part.places.iter().map(|place| place.padded).max();
        let width = if widest.unwrap_or(0) <= 16 { 16 } else { 64 };
        let mut table = Vec::new();
        for place in &part.places {
            for from in (0..place.padded).step_by(width) {
                let ranks = width.min(place.padded - from);
                let numbers = [
                    place.output,
                    place.outputs,
                    place.low + from,
                    ranks,
                    place.gradient + from,
                    place.padded,
                    0,
                    0,
                ];
                table.push(numbers.map(|number| number as u32));
            }
        }
        Self { table, width }
    }

    /// Columns of dY that a block reads.
    pub fn tile(&self) -> usize {
        if self.width == 16 { 512 } else { 256 }
    }

    /// Tiles of all segments.
    pub fn tiles(&self) -> usize {
        let columns = self.table.iter().map(|segment| segment[1] as usize);
        columns.map(|columns| columns.div_ceil(self.tile())).sum()
    }
}

/// Bytes of partial sums for the way back of `m` rows of a member: of dh, and of the larger of the gradients of A and of B.
pub fn partial_bytes(inputs: usize, part: &Part, m: usize) -> (u64, u64) {
    let segments = Segments::new(part);
    let dh = segments.tiles() as u64 * m as u64 * segments.width as u64;
    let blocks = m.div_ceil(ROWS) as u64;
    let gradients = (part.ranks * inputs).max(part.b_len()) as u64;
    (4 * dh, 4 * blocks * gradients)
}

#[cfg(test)]
mod tests {
    use super::{super::border::Border, *};

    #[test]
    fn small_ranks_are_one_segment_each() {
        let border = Border::new(64, vec![1000, 24, 8], &[vec![3, 0, 16]]);
        let segments = Segments::new(&border.members[0]);
        let expected = [
            [0, 1000, 0, 16, 0, 16, 0, 0],
            [1024, 8, 16, 16, 16000, 16, 0, 0],
        ];
        assert_eq!(segments.table, expected);
        assert_eq!((segments.width, segments.tiles()), (16, 2 + 1));
    }

    #[test]
    fn another_member_has_other_columns_of_the_border_and_gradients_of_its_own() {
        let border = Border::new(64, vec![1000, 24, 8], &[vec![40], vec![3, 0, 16]]);
        let segments = Segments::new(&border.members[1]);
        let expected = [
            [0, 1000, 48, 16, 0, 16, 0, 0],
            [1024, 8, 64, 16, 16000, 16, 0, 0],
        ];
        assert_eq!(segments.table, expected);
        assert_eq!(segments.width, 16);
    }

    #[test]
    fn a_large_rank_is_several_segments_of_the_same_columns() {
        let border = Border::new(64, vec![512, 512], &[vec![16, 130]]);
        let segments = Segments::new(&border.members[0]);
        let expected = [
            [0, 512, 0, 16, 0, 16, 0, 0],
            [512, 512, 16, 64, 8192, 144, 0, 0],
            [512, 512, 80, 64, 8256, 144, 0, 0],
            [512, 512, 144, 16, 8320, 144, 0, 0],
        ];
        assert_eq!(segments.table, expected);
        assert_eq!((segments.width, segments.tiles()), (64, 8));
        let (dh, gradients) = partial_bytes(64, &border.members[0], 1025);
        assert_eq!(dh, 4 * 8 * 1025 * 64);
        assert_eq!(gradients, 4 * 2 * (512 * 160));
    }
}
