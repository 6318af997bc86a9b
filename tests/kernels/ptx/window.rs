//! Where shared and local memory lie: the windows of generic addresses, and the first address inside each. No memory begins
//! at 0, so that an address that was forgotten is out of bounds.

/// Generic addresses of shared memory begin here.
pub(crate) const SHARED_WINDOW: u64 = 1 << 62;
/// Generic addresses of local memory begin here.
pub(crate) const LOCAL_WINDOW: u64 = 1 << 61;
/// First address of shared memory: what lies before it is out of bounds.
pub(crate) const SHARED_BASE: u64 = 1024;
/// First address of local memory.
pub(crate) const LOCAL_BASE: u64 = 1024;
