//! Registers that never change in a launch or a block: immediates, special registers, addresses of symbols. Each has a
//! register of its own, filled before a warp starts.

use std::collections::HashMap;

use crate::ptx::names::{Names, Symbol};
use crate::ptx::registers::{File, Reg};

/// A special register of PTX.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Special {
    Thread(usize),
    BlockSize(usize),
    Block(usize),
    GridSize(usize),
    Lane,
    Warp,
    Warps,
    WarpSize,
    LanesEqual,
    LanesBelow,
    LanesUpTo,
    LanesAbove,
    LanesFrom,
    DynamicSharedSize,
}

impl Special {
    /// The register a name such as `%tid.x` stands for.
    pub fn parse(name: &str) -> Option<Self> {
        let axis = |name: &str| ["x", "y", "z"].iter().position(|axis| *axis == name);
        if let Some((name, part)) = name.split_once('.') {
            let axis = axis(part)?;
            return Some(match name {
                "%tid" => Self::Thread(axis),
                "%ntid" => Self::BlockSize(axis),
                "%ctaid" => Self::Block(axis),
                "%nctaid" => Self::GridSize(axis),
                _ => return None,
            });
        }
        Some(match name {
            "%laneid" => Self::Lane,
            "%warpid" => Self::Warp,
            "%nwarpid" => Self::Warps,
            "WARP_SZ" => Self::WarpSize,
            "%lanemask_eq" => Self::LanesEqual,
            "%lanemask_lt" => Self::LanesBelow,
            "%lanemask_le" => Self::LanesUpTo,
            "%lanemask_gt" => Self::LanesAbove,
            "%lanemask_ge" => Self::LanesFrom,
            "%dynamic_smem_size" => Self::DynamicSharedSize,
            _ => return None,
        })
    }
}

/// What a constant register holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Constant {
    Bits(u64),
    Special(Special),
    Symbol(Symbol),
}

/// The constants of a kernel.
#[derive(Default, Debug, Clone)]
pub(crate) struct Constants {
    registers: HashMap<(File, Constant), Reg>,
}

impl Constants {
    /// The register of a constant, the same for the same constant.
    ///
    /// # Errors
    /// Too many registers.
    pub fn register(
        &mut self,
        names: &mut Names,
        file: File,
        constant: Constant,
    ) -> Result<Reg, String> {
        if let Some(reg) = self.registers.get(&(file, constant)) {
            return Ok(*reg);
        }
        let reg = names.registers(file, 1)?;
        self.registers.insert((file, constant), reg);
        Ok(reg)
    }

    /// All of them.
    pub fn list(&self) -> Vec<(Reg, Constant)> {
        self.registers
            .iter()
            .map(|((_, constant), reg)| (*reg, *constant))
            .collect()
    }
}
