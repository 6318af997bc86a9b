//! The CUDA kernels without a GPU: the PTX that ships, run in an interpreter and compared with the plain backend.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod attend;
mod back;
mod counts;
mod cuda;
mod head;
mod lora;
mod ptx;
mod rows;
mod support;
mod toolchain;
