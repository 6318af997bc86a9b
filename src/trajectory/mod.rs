//! One sample of the built-in generator: how agents turned a query into a workflow, step by step.
//!
//! - `execution`: what running its workflow adds, joined by id
//! - `record`: what a line of a shard file holds (specification 1, 2.1 and 2.3)
//! - `routing`: which tier an agent is sent to, and what that was worth
//! - `experience`: what earlier trajectories teach later ones
//! - `score`: the quality of a trajectory, from what it made alone

pub mod execution;
pub mod experience;
pub mod record;
pub mod routing;
pub mod score;

pub use execution::Execution;
pub use record::{AgentStep, Outcome, TrajectoryRecord};
