//! Each instruction, and each fault that must be found.

mod detect;
mod down;
mod instructions;
mod orders;
mod warps;
