//! The layer between the trainer and the NVIDIA driver.

pub mod arena;
#[allow(unsafe_code, reason = "calls of libcuda")]
pub mod calls;
pub mod entry;
pub mod fault;
#[allow(unsafe_code, reason = "calls of libcublasLt")]
pub mod gemm;
pub mod gpu;
pub mod missing;
pub mod plan;
#[allow(unsafe_code, reason = "asks both libraries whether they are there")]
pub mod presence;
pub mod product;
pub mod products;
pub mod share;
pub mod taken;

use super::device;
