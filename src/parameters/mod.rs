//! The parameters of experiments: their values, the domains they may lie in, and the schema of a back end.
//!
//! A proposal, a grid of an experiment and a learned constraint all speak of parameters by these words.

pub mod domain;
pub mod schema;
pub mod value;

pub use domain::Domain;
pub use schema::{Fault, Parameter, Schema, SumRule};
pub use value::{Assignment, Value};
