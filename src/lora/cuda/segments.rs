//! How the pass over dY that makes dh and dB is shared out: columns of dY by columns of the border.

use super::border::Border;

/// Rows of a block of partial sums. Part of what a result is: the order of the sums follows from it.
pub const ROWS: usize = 1024;

/// The segments of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// `{column, columns, rank, ranks, offset, ld, 0, 0}` of each, as the kernel reads them.
    pub table: Vec<[u32; 8]>,
    /// Ranks that a segment has at most: 16 or 64.
    pub width: usize,
}

impl Segments {
    /// Of a group whose gradients of B begin at `offsets`.
    pub fn new(border: &Border, offsets: &[usize]) -> Self {
        let widest = border.places.iter().map(|place| place.padded).max();
        let width = if widest.unwrap_or(0) <= 16 { 16 } else { 64 };
        let mut table = Vec::new();
        for (place, &offset) in border.places.iter().zip(offsets) {
            for from in (0..place.padded).step_by(width) {
                let ranks = width.min(place.padded - from);
                let numbers = [
                    place.output,
                    place.outputs,
                    place.low + from,
                    ranks,
                    offset + from,
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

/// Bytes of partial sums for the way back of `m` rows: of dh, and of the larger of the gradients of A and of B.
pub fn partial_bytes(border: &Border, m: usize) -> (u64, u64) {
    let mut offset = 0;
    let mut offsets = Vec::new();
    for place in &border.places {
        offsets.push(offset);
        offset += place.outputs * place.padded;
    }
    let segments = Segments::new(border, &offsets);
    let used: usize = border.places.iter().map(|place| place.padded).sum();
    let dh = segments.tiles() as u64 * m as u64 * segments.width as u64;
    let blocks = m.div_ceil(ROWS) as u64;
    let gradients = (used * border.inputs).max(offset) as u64;
    (4 * dh, 4 * blocks * gradients)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ranks_are_one_segment_each() {
        let border = Border::new(64, [(1000, 3), (24, 0), (8, 16)].into_iter());
        let segments = Segments::new(&border, &[0, 16000, 16000]);
        let expected = [
            [0, 1000, 0, 16, 0, 16, 0, 0],
            [1024, 8, 16, 16, 16000, 16, 0, 0],
        ];
        assert_eq!(segments.table, expected);
        assert_eq!((segments.width, segments.tiles()), (16, 2 + 1));
    }

    #[test]
    fn a_large_rank_is_several_segments_of_the_same_columns() {
        let border = Border::new(64, [(512, 16), (512, 130)].into_iter());
        let segments = Segments::new(&border, &[0, 8192]);
        let expected = [
            [0, 512, 0, 16, 0, 16, 0, 0],
            [512, 512, 16, 64, 8192, 144, 0, 0],
            [512, 512, 80, 64, 8256, 144, 0, 0],
            [512, 512, 144, 16, 8320, 144, 0, 0],
        ];
        assert_eq!(segments.table, expected);
        assert_eq!((segments.width, segments.tiles()), (64, 8));
        let (dh, gradients) = partial_bytes(&border, 1025);
        assert_eq!(dh, 4 * 8 * 1025 * 64);
        assert_eq!(gradients, 4 * 2 * (512 * 160));
    }
}
