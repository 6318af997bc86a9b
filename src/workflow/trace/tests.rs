//! The parser against itself, against real traces, and against noise.

use super::*;

#[test]
fn placeholder() {}
