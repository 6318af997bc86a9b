//! What stopped a launch.

use std::fmt;

/// A kernel did something wrong: what, and exactly where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Name of the kernel.
    pub kernel: String,
    /// Coordinates of the block; none if the launch itself is wrong.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
}

/// Where a fault happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub block: [u32; 3],
    pub warp: u32,
    /// The lanes that took part.
    pub lanes: u32,
    /// Line of the PTX text, from 1.
    pub line: usize,
    /// The instruction as written.
    pub instruction: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "kernel {}", self.kernel)?;
        if let Some(place) = &self.place {
            let [x, y, z] = place.block;
            write!(
                out,
                ", block ({x}, {y}, {z}), warp {}, lanes {:08x}",
                place.warp, place.lanes
            )?;
            write!(out, ", line {} `{}`", place.line, place.instruction)?;
        }
        write!(out, ": {}", self.what)
    }
}

impl std::error::Error for Fault {}
