//! The text of a plan: `main.nf` in Nextflow DSL2, `nextflow.config` and `README.md`.
//!
//! Process blocks are rendered when the catalogue is read, so writing copies text and wires channels; the parts of `main.nf`
//! are separate functions because a repair needs each on its own.

mod config;
mod readme;
mod wiring;

use serde::{Deserialize, Serialize};

use super::catalogue::catalogue;
use super::plan::Plan;

pub use readme::rows;
pub use wiring::workflow;

/// The files of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// `main.nf`.
    pub main_nf: String,
    /// `nextflow.config`.
    pub config: String,
    /// `README.md`.
    pub readme: String,
}

/// Writes the files of a plan.
pub fn write(plan: &Plan) -> Artefact {
    Artefact {
        main_nf: main_nf(plan),
        config: config::config(plan),
        readme: readme::readme(plan),
    }
}

/// The whole `main.nf`.
pub fn main_nf(plan: &Plan) -> String {
    let mut text = String::with_capacity(12 * 1024);
    text.push_str(&header(plan));
    for step in &plan.steps {
        if let Some(block) = process(&step.process) {
            text.push('\n');
            text.push_str(block);
        }
    }
    text.push('\n');
    text.push_str(&workflow(plan));
    text
}

/// What comes before the processes: what the workflow is, and its parameters.
pub fn header(plan: &Plan) -> String {
    let mut text = String::with_capacity(1024);
    text.push_str("#!/usr/bin/env nextflow\n\nnextflow.enable.dsl = 2\n\n// ");
    text.push_str(title(plan));
    text.push_str(": ");
    text.push_str(&plan.variant);
    text.push_str(", ");
    text.push_str(&plan.organism);
    text.push_str(" (");
    text.push_str(&plan.reference);
    text.push_str(")\n\n");
    for (name, value) in &plan.params {
        text.push_str("params.");
        text.push_str(name);
        text.push_str(" = ");
        text.push_str(value);
        text.push('\n');
    }
    text
}

/// The block of a process, with a final newline.
pub fn process(name: &str) -> Option<&'static str> {
    catalogue()
        .processes
        .get(name)
        .map(|process| process.block.as_str())
}

/// The title of the plan's analysis.
fn title(plan: &Plan) -> &str {
    catalogue()
        .analysis(&plan.analysis_type)
        .map_or(plan.analysis_type.as_str(), |analysis| &analysis.title)
}

/// The parameters that the user has to give: those without a value.
fn required(plan: &Plan) -> impl Iterator<Item = &str> {
    (plan.params.iter())
        .filter(|(_, value)| *value == "null")
        .map(|(name, _)| name.as_str())
}
