//! What the tests of attention's backward kernels share.

pub mod exact;
pub mod problem;
pub mod run;

/// Rows of a document that one block owns.
pub const ROWS: usize = 128;
/// In a list of tiles: the document of an entry that is no work.
pub const NO_DOCUMENT: u32 = u32::MAX;

/// Pairs (document, first row), flat, one for each [`ROWS`] rows of a document, and unused ones up to `room` pairs.
///
/// # Panics
/// There are more than `room`.
pub fn tiles(starts: &[u32], room: usize) -> Vec<u32> {
    let documents = (0..).zip(starts.windows(2));
    let mut tiles: Vec<u32> = documents
        .flat_map(|(document, rows)| {
            let firsts = (rows[0]..rows[1]).step_by(ROWS);
            firsts.flat_map(move |first| [document, first])
        })
        .collect();
    assert!(
        tiles.len() <= 2 * room,
        "room for {room} tiles is too small"
    );
    tiles.resize(2 * room, NO_DOCUMENT);
    tiles
}

/// How many tiles `rows` rows in `documents` documents have at most.
pub fn most_tiles(rows: usize, documents: usize) -> usize {
    rows / ROWS + documents
}

pub mod backward;
mod mutations;
