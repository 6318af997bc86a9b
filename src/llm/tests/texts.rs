//! x
/// x
pub const COUNTED: &[(&str,u64)] = &[];
