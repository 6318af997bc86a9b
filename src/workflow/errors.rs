//! What went wrong in a run, and what helps: the diagnostician of the rules brain.
//!
//! What programs say when they fail is data (`config/error-patterns.toml`), because it grows with every tool and every site; this
//! module only reads logs by it. The same catalogue writes the messages of the error scenarios, so each sample of error
//! recovery has a known truth: what was rendered from a kind must be diagnosed as that kind, and a test holds both together.

mod catalogue;
mod diagnosis;
mod matcher;
mod resolution;
mod sample;
mod scan;
mod scenario;
mod slots;
mod text;

pub use catalogue::{Actor, Category, Entry, Level, entries, entry};
pub use diagnosis::{Diagnosis, Finding, Role, diagnose, findings};
pub use resolution::{Resolution, resolve};
pub use sample::{ErrorContext, ErrorResolution, ErrorResolutionRow, Outcome};
pub use scenario::{ErrorCase, Scenario, remedy, render, render_kind, scenario, scenarios};
pub use slots::Situation;

#[cfg(test)]
mod tests;
