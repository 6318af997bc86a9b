//! What the tests of the attention kernels share: heads, tiles of work, and attention in f64 with the bound that
//! the kernels' roundings have by arithmetic.

pub mod exact;

use campaignd::lora::backend::Heads;

/// Rows of a block of `attend_64` and `attend_128`.
pub const ROWS: u32 = 128;
/// The document of a tile that is no work.
pub const NOTHING: u32 = u32::MAX;

/// The work of the blocks of `attend`, flat pairs of (document, first row): those with most keys before them first, so that
/// the last blocks to run are short ones.
pub fn work_tiles(starts: &[u32]) -> Vec<u32> {
    let documents = (0..).zip(starts.windows(2));
    let mut tiles: Vec<(u32, u32, u32)> = documents
        .flat_map(|(document, d)| {
            let (start, end) = (d[0], d[1]);
            (start..end)
                .step_by(ROWS as usize)
                .map(move |row| (row - start, document, row))
        })
        .collect();
    tiles.sort_by_key(|&(before, document, row)| (std::cmp::Reverse(before), document, row));
    tiles
        .into_iter()
        .flat_map(|(_, document, row)| [document, row])
        .collect()
}

/// Where documents of these lengths begin, and the last one ends, the first at `base`.
pub fn starts(base: usize, lengths: &[usize]) -> Vec<u32> {
    let mut starts = vec![base as u32];
    for &length in lengths {
        starts.push(starts[starts.len() - 1] + length as u32);
    }
    starts
}

/// Heads with the usual scale.
pub fn heads(heads: usize, kv_heads: usize, head_dim: usize, window: Option<usize>) -> Heads {
    let scale = 1.0 / (head_dim as f32).sqrt();
    Heads {
        heads,
        kv_heads,
        head_dim,
        window,
        scale,
    }
}

pub mod choose;
pub mod decode;
pub mod forward;
