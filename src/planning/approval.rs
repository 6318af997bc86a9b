//! Approval.
