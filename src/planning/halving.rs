//! Halving.
