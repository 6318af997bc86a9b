//! A PTX interpreter: runs the very text that is shipped to the driver, on the CPU, and is stricter than any GPU.
//!
//! Every instruction is decoded once and run for 32 lanes at a time; warps of a block and blocks of a grid run one after the
//! other in an order that [`Mode`] chooses. A launch ends with a [`Fault`] that names block, warp, lanes and instruction on
//! reads and writes out of bounds, misaligned, of bytes never written, of read-only memory; on races between warps (no
//! barrier between) and between blocks; on barriers that not all warps or lanes reach; on exchanges with lanes that are not
//! there; on `cp.async` that nobody waits for.
//!
//! What it does not model: the error of approximate functions and of tensor cores (results are rounded once from f64), the
//! order of memory between blocks (any exchange between blocks of a launch is a fault), atomics (unknown on purpose: no
//! result may depend on an order), calls, textures.

mod access;
mod banks;
mod bits;
mod block;
mod compare;
mod constant;
mod convert;
mod copies;
mod counts;
mod decode;
mod exchange;
mod execute;
mod fault;
mod float;
mod integer;
mod kernel;
mod matrix;
mod memory;
mod module;
mod names;
mod number;
mod op;
mod operand;
mod region;
mod registers;
mod shadow;
mod text;
mod types;
mod warp;
mod window;

pub use counts::Counts;
pub use fault::Fault;
pub use kernel::{Arg, Kernel, Launch, Mode};
pub use memory::{Memory, Pointer};
pub use module::Module;

#[cfg(test)]
mod tests;
