//! What a launch did, in numbers that can be held against a plan.

use std::ops::AddAssign;

/// Counts of one launch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Instructions of warps.
    pub instructions: u64,
    /// Instructions of lanes that took part.
    pub lanes: u64,
    /// `mma` instructions.
    pub multiplies: u64,
    /// Bytes of global memory read: distinct bytes within an instruction of a warp, `cp.async` included.
    pub read: u64,
    /// Bytes of global memory written, counted alike.
    pub written: u64,
    /// Pieces of 32 bytes of global memory that the reads touched, what the hardware moves.
    pub sectors_read: u64,
    /// Pieces of 32 bytes that the writes touched.
    pub sectors_written: u64,
    /// Turns of the shared memory that `ld`, `st` and `ldmatrix` need beyond the least for their width, because lanes want
    /// different words of one bank.
    pub conflicts: u64,
    /// Barriers of blocks.
    pub barriers: u64,
    /// Bytes of shared memory of a block; of several launches the most.
    pub shared: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.instructions += other.instructions;
        self.lanes += other.lanes;
        self.multiplies += other.multiplies;
        self.read += other.read;
        self.written += other.written;
        self.sectors_read += other.sectors_read;
        self.sectors_written += other.sectors_written;
        self.conflicts += other.conflicts;
        self.barriers += other.barriers;
        self.shared = self.shared.max(other.shared);
    }
}
