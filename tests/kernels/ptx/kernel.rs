//! A kernel and its launch: arguments into parameters, blocks one after the other.

use std::sync::Arc;

use crate::ptx::block::Block;
use crate::ptx::constant::{Constant, Special};
use crate::ptx::counts::Counts;
use crate::ptx::fault::Fault;
use crate::ptx::memory::{Memory, Pointer};
use crate::ptx::module::Variable;
use crate::ptx::names::Symbol;
use crate::ptx::op::Instruction;
use crate::ptx::region::Region;
use crate::ptx::registers::{LANES, Lanes, Reg, Registers};
use crate::ptx::window::{LOCAL_BASE, SHARED_BASE};

/// An argument of a kernel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Arg {
    Pointer(Pointer),
    /// A pointer to nothing.
    Null,
    I32(i32),
    U32(u32),
    U64(u64),
    F32(f32),
}

macro_rules! arg {
    ($($type:ty => $variant:ident)*) => {$(
        impl From<$type> for Arg {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }
    )*};
}
arg!(Pointer => Pointer i32 => I32 u32 => U32 u64 => U64 f32 => F32);

impl Arg {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Pointer(pointer) => pointer.address().to_le_bytes().to_vec(),
            Self::Null => vec![0; 8],
            Self::I32(value) => value.to_le_bytes().to_vec(),
            Self::U32(value) => value.to_le_bytes().to_vec(),
            Self::U64(value) => value.to_le_bytes().to_vec(),
            Self::F32(value) => value.to_le_bytes().to_vec(),
        }
    }
}

/// How many blocks of how many threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Launch {
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
}

/// The freedoms of the hardware that a kernel must not feel. No single mode finds every bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mode {
    /// What `cp.async` reads is read at once; else as late as its wait allows.
    pub eager: bool,
    /// Blocks and warps run in reverse order.
    pub reverse: bool,
}

impl Mode {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self {
            eager: false,
            reverse: false,
        },
        Self {
            eager: false,
            reverse: true,
        },
        Self {
            eager: true,
            reverse: false,
        },
        Self {
            eager: true,
            reverse: true,
        },
    ];
}

/// A parameter: where it begins among all and how many bytes it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub at: usize,
    pub size: usize,
}

/// One entry point of a module, decoded.
#[derive(Debug)]
pub struct Kernel {
    pub(crate) name: String,
    pub(crate) code: Vec<Instruction>,
    /// The PTX text, for faults.
    pub(crate) lines: Arc<[String]>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) constants: Vec<(Reg, Constant)>,
    /// How many predicates, narrow and wide registers.
    pub(crate) registers: [usize; 3],
    /// Bytes of static shared memory.
    pub(crate) shared: u32,
    /// Bytes of local memory of a thread.
    pub(crate) local: u32,
    pub(crate) variables: Arc<[Variable]>,
    /// Most threads of a block, if the kernel says so.
    pub(crate) most_threads: Option<u32>,
}

/// Shared memory that a block can have at compute capability 8.0.
const MOST_SHARED: u32 = 163 * 1024;
/// Where dynamic shared memory begins is a multiple of this.
const SHARED_ALIGN: u32 = 128;

impl Kernel {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs all blocks. Variables of the module begin every launch as the text has them.
    ///
    /// # Errors
    /// The first fault; memory is then as it was at that moment.
    pub fn run(
        &self,
        launch: &Launch,
        args: &[Arg],
        memory: &mut Memory,
        mode: Mode,
    ) -> Result<Counts, Fault> {
        let parameters = self.check(launch, args).map_err(|what| Fault {
            kernel: self.name.clone(),
            place: None,
            what,
        })?;
        let own = memory.count();
        let variables: Vec<Pointer> = self
            .variables
            .iter()
            .map(|v| memory.allocate(Region::filled(v.bytes.clone(), v.element, v.writable)))
            .collect();
        let phase = memory.begin();
        let mut block = Block::new(self, launch, &parameters, &variables, memory, mode, phase);
        let [columns, rows, layers] = launch.grid.map(u64::from);
        let blocks = columns * rows * layers;
        let result = (0..blocks).try_for_each(|n| {
            let n = if mode.reverse { blocks - 1 - n } else { n };
            block.run([
                (n % columns) as u32,
                (n / columns % rows) as u32,
                (n / columns / rows) as u32,
            ])
        });
        let (phase, counts) = block.finish();
        memory.end(phase);
        memory.truncate(own);
        result.map(|()| counts)
    }

    /// The bytes of the parameters, if the launch is possible.
    fn check(&self, launch: &Launch, args: &[Arg]) -> Result<Vec<u8>, String> {
        let threads = launch.block.iter().map(|n| u64::from(*n)).product::<u64>();
        let most = u64::from(self.most_threads.unwrap_or(1024));
        if threads == 0 || threads > most || launch.grid.contains(&0) {
            return Err(format!(
                "a grid of {:?} blocks of {:?} threads is not possible, at most {most} threads",
                launch.grid, launch.block
            ));
        }
        if self.shared_size(launch) > MOST_SHARED {
            return Err(format!(
                "{} bytes of shared memory, at most {MOST_SHARED}",
                self.shared_size(launch)
            ));
        }
        if args.len() != self.parameters.len() {
            return Err(format!(
                "{} arguments for {} parameters",
                args.len(),
                self.parameters.len()
            ));
        }
        let mut bytes = vec![0; self.parameters.last().map_or(0, |last| last.at + last.size)];
        for (n, (arg, parameter)) in args.iter().zip(&self.parameters).enumerate() {
            let value = arg.bytes();
            if value.len() != parameter.size {
                return Err(format!(
                    "argument {n} has {} bytes, the parameter {}",
                    value.len(),
                    parameter.size
                ));
            }
            bytes[parameter.at..parameter.at + parameter.size].copy_from_slice(&value);
        }
        Ok(bytes)
    }

    /// Bytes of shared memory of a block: static, then dynamic.
    pub(crate) fn shared_size(&self, launch: &Launch) -> u32 {
        self.dynamic_shared() + launch.shared
    }

    /// Where dynamic shared memory begins.
    fn dynamic_shared(&self) -> u32 {
        self.shared.next_multiple_of(SHARED_ALIGN)
    }

    /// The registers of a warp before its first instruction, but for the number of its block.
    pub(crate) fn first_registers(
        &self,
        launch: &Launch,
        variables: &[Pointer],
        warp: u32,
    ) -> Registers {
        let [predicates, narrow, wide] = self.registers;
        let mut registers = Registers::new(predicates, narrow, wide);
        for (reg, constant) in &self.constants {
            let values = match *constant {
                Constant::Bits(bits) => [bits; LANES],
                Constant::Special(special) => special_value(special, launch, warp),
                Constant::Symbol(symbol) => [self.symbol_address(symbol, variables); LANES],
            };
            registers.set_bits(*reg, u32::MAX, &values);
        }
        registers
    }

    fn symbol_address(&self, symbol: Symbol, variables: &[Pointer]) -> u64 {
        match symbol {
            Symbol::Module(n) => variables[n].address(),
            Symbol::Shared(at) => SHARED_BASE + u64::from(at),
            Symbol::DynamicShared => SHARED_BASE + u64::from(self.dynamic_shared()),
            Symbol::Local(at) => LOCAL_BASE + u64::from(at),
            Symbol::Parameter(at) => u64::from(at),
        }
    }
}

fn special_value(special: Special, launch: &Launch, warp: u32) -> Lanes<u64> {
    let [columns, rows, layers] = launch.block;
    std::array::from_fn(|lane| {
        let thread = warp * LANES as u32 + lane as u32;
        let below = (1u32 << lane) - 1;
        u64::from(match special {
            Special::Thread(0) => thread % columns,
            Special::Thread(1) => thread / columns % rows,
            Special::Thread(_) => thread / columns / rows,
            Special::BlockSize(axis) => launch.block[axis],
            Special::GridSize(axis) => launch.grid[axis],
            Special::Block(_) => 0,
            Special::Lane => lane as u32,
            Special::Warp => warp,
            Special::Warps => (columns * rows * layers).div_ceil(LANES as u32),
            Special::WarpSize => LANES as u32,
            Special::LanesEqual => 1 << lane,
            Special::LanesBelow => below,
            Special::LanesUpTo => below | 1 << lane,
            Special::LanesAbove => !(below | 1 << lane),
            Special::LanesFrom => !below,
            Special::DynamicSharedSize => launch.shared,
        })
    })
}
