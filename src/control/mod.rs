//! The control socket: what is said over it, and the client's side. HTTP/1.1 and JSON over a Unix socket, so that
//! `curl --unix-socket` works as well.

pub mod api;
pub mod budget;
pub mod client;
pub mod dataset;
pub mod history;
pub mod jobs;
pub mod proposals;
pub mod scorecard;
pub mod training;
pub mod trajectories;
