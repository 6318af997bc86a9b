//! What the tests of all kernels share: chance from a printed seed, matrices with something behind their columns, launches in
//! every mode, bugs planted in a kernel's text, and how far arithmetic of the machine may be from exact arithmetic.

mod chance;
mod kernels;
mod launch;
mod matrix;
pub mod mutation;
pub mod rounding;

pub use chance::Chance;
pub use kernels::{module, text};
pub use launch::{in_all_modes, int, launch, run};
pub use matrix::Matrix;
