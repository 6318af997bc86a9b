//! A batch on the device, with the lists that kernels are given to share out its rows.

use super::{
    super::{
        backend::{Done, Trouble},
        batch::{Batch, Span},
    },
    device::{Address, Device},
    memory::Piece,
};
use std::rc::Rc;

/// Rows of a document that one block of attention takes.
const TILE: u32 = 128;
/// No row.
const NONE: u32 = u32::MAX;

/// A batch on the device.
pub struct Placed<D: Device> {
    /// Token ids, `[M]`.
    pub ids: Address,
    /// Place of each token in its document, `[M]`.
    pub positions: Address,
    /// What its document is called, `[M]`.
    pub examples: Address,
    /// Where documents begin, [documents + 1].
    pub starts: Address,
    /// Supervised rows, `[S]`.
    pub supervised: Address,
    /// What they should predict, `[S]`.
    pub targets: Address,
    /// Of each row, which of the supervised ones it is, `[M]`.
    pub inverse: Address,
    /// Pairs of a document and a row of it, for attention.
    pub tiles: Address,
    /// How many.
    pub tile_count: usize,
    /// M.
    pub tokens: usize,
    /// S.
    pub supervised_count: usize,
    /// Length of each document.
    pub lengths: Vec<usize>,
    /// The highest position and one.
    pub positions_end: usize,
    /// Whose rows are whose, ascending and apart.
    pub spans: Vec<Span>,
    /// Where the supervised rows of each span end, and after them all.
    pub supervised_ends: Vec<usize>,
    _memory: Piece<D>,
}

impl<D: Device> Placed<D> {
    /// Takes a batch to the device, in one transfer.
    pub fn new(device: &Rc<D>, batch: &Batch) -> Done<Self> {
        let spans = spans(batch)?;
        let (inverse, tiles) = (inverse(batch), tiles(&batch.starts));
        let lists: [&[u32]; 8] = [
            &batch.ids,
            &batch.positions,
            &batch.examples,
            &batch.starts,
            &batch.supervised,
            &batch.targets,
            &inverse,
            &tiles,
        ];
        let mut all = Vec::new();
        let begins = lists.map(|list| {
            let begin = all.len() as u64;
            all.extend_from_slice(list);
            // Every list begins at a multiple of 16 bytes, an empty one too.
            all.resize((all.len() + 1).next_multiple_of(4), 0);
            begin
        });
        let memory = Piece::of_u32(device, &all)?;
        let [
            ids,
            positions,
            examples,
            starts,
            supervised,
            targets,
            inverse,
            tile_list,
        ] = begins.map(|begin| memory.at().f32(begin));
        let length = |ends: &[u32]| (ends[1] - ends[0]) as usize;
        Ok(Self {
            ids,
            positions,
            examples,
            starts,
            supervised,
            targets,
            inverse,
            tiles: tile_list,
            tile_count: tiles.len() / 2,
            tokens: batch.tokens(),
            supervised_count: batch.supervised.len(),
            lengths: batch.starts.windows(2).map(length).collect(),
            positions_end: batch.positions.iter().max().map_or(0, |&p| p as usize + 1),
            supervised_ends: supervised_ends(batch, &spans),
            spans,
            _memory: memory,
        })
    }
}

/// Where the supervised rows of each span end, and after them all.
fn supervised_ends(batch: &Batch, spans: &[Span]) -> Vec<usize> {
    let before = |end: usize| {
        batch
            .supervised
            .partition_point(|&row| (row as usize) < end)
    };
    let ends = spans.iter().map(|span| before(span.first + span.rows));
    ends.chain([batch.supervised.len()]).collect()
}

/// The spans of a batch, which kernels rely on.
fn spans(batch: &Batch) -> Done<Vec<Span>> {
    let spans = batch.spans();
    let mut end = 0;
    for &Span {
        member,
        first,
        rows,
    } in &spans
    {
        if first < end || first + rows > batch.tokens() {
            let tokens = batch.tokens();
            return Err(Trouble(format!(
                "rows {first} to {} of member {member} are not behind row {end} and among {tokens}",
                first + rows
            )));
        }
        end = first + rows;
    }
    Ok(spans)
}

/// Of each row, which of the supervised ones it is.
fn inverse(batch: &Batch) -> Vec<u32> {
    let mut inverse = vec![NONE; batch.tokens()];
    for (at, &row) in (0..).zip(&batch.supervised) {
        inverse[row as usize] = at;
    }
    inverse
}

/// Pairs (document, first row) for each tile of rows of a document; those with most tokens to look back to come first, since
/// a block that is begun last ends last.
fn tiles(starts: &[u32]) -> Vec<u32> {
    let mut tiles = Vec::new();
    for (document, ends) in (0..).zip(starts.windows(2)) {
        let rows = (ends[0]..ends[1]).step_by(TILE as usize);
        tiles.extend(rows.map(|row| (row - ends[0], document, row)));
    }
    tiles.sort_by_key(|&(back, document, _)| (std::cmp::Reverse(back), document));
    let pairs = tiles.into_iter().map(|(_, document, row)| [document, row]);
    pairs.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_way_back_comes_first() {
        assert_eq!(tiles(&[0, 1, 1, 300]), [2, 257, 2, 129, 0, 0, 2, 1]);
        assert!(tiles(&[0]).is_empty() && tiles(&[]).is_empty());
    }

    #[test]
    fn spans_are_in_order_and_inside() {
        let mut batch = Batch::default();
        batch.push(0, &[1, 2, 3], &[false; 3]);
        let span = |member, first, rows| Span {
            member,
            first,
            rows,
        };
        assert_eq!(spans(&batch), Ok(vec![span(0, 0, 3)]));
        for good in [vec![span(1, 0, 1), span(0, 2, 1)], vec![span(2, 1, 0)]] {
            batch.spans = good.clone();
            assert_eq!(spans(&batch), Ok(good));
        }
        for bad in [vec![span(1, 1, 3)], vec![span(1, 0, 2), span(0, 1, 1)]] {
            batch.spans = bad;
            assert!(spans(&batch).is_err());
        }
    }

    #[test]
    fn rows_know_which_they_are() {
        let mut batch = Batch::default();
        batch.push(0, &[1, 2, 3], &[false, true, true]);
        batch.push(1, &[4, 5], &[false, true]);
        assert_eq!(inverse(&batch), [0, 1, NONE, 2, NONE]);
    }
}
