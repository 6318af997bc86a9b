//! Sizes as kernels take them: blocks, bytes and `int` arguments.

use super::device::{Arg, Launch};

/// An `int` argument.
pub fn int(number: usize) -> Arg {
    Arg::I32(i32::try_from(number).expect("every dimension of a batch or a model is below 2^31"))
}

/// Blocks of a grid.
pub fn blocks(number: usize) -> u32 {
    u32::try_from(number).expect("every grid has less than 2^32 blocks")
}

/// One row of blocks.
pub fn row(number: usize, threads: u32, shared: u32) -> Launch {
    Launch::row(blocks(number), threads, shared)
}

/// Blocks along x and y.
pub fn grid(x: usize, y: usize, threads: u32, shared: u32) -> Launch {
    Launch {
        grid: [blocks(x), blocks(y), 1],
        block: [threads, 1, 1],
        shared,
    }
}
