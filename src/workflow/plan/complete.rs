//! Completing a list of steps: before each step comes whatever makes the inputs that nobody has made yet.

use super::Step;
use super::choose::Wanted;
use crate::workflow::catalogue::{Catalogue, How, Process};

/// Steps with all that they need.
#[derive(Default)]
pub struct Completed {
    /// The steps in an order in which each finds its inputs.
    pub steps: Vec<Step>,
    /// Kinds read from the sample sheet.
    pub inputs: Vec<String>,
    /// Every kind that is there.
    pub kinds: Vec<String>,
    /// What nothing gives, each with the step that needs it.
    pub lacking: Vec<String>,
}

/// Adds makers and inputs.
pub fn complete(catalogue: &Catalogue, wanted: &[Wanted<'_>]) -> Completed {
    let mut completed = Completed::default();
    for step in wanted {
        completed.add(catalogue, *step);
    }
    completed
}

impl Completed {
    fn add(&mut self, catalogue: &Catalogue, wanted: Wanted<'_>) {
        let Some(process) = catalogue.processes.get(wanted.process) else {
            return;
        };
        // A process can be called once in a workflow.
        if self.steps.iter().any(|step| step.process == process.name) {
            return;
        }
        let mut inputs = Vec::with_capacity(process.takes.len());
        for take in &process.takes {
            let fed = wanted.instead.filter(|(own, _)| *own == take.kind);
            let kind = fed.map_or(take.kind.as_str(), |(_, other)| other);
            if !self.provide(catalogue, kind) {
                self.lacking.push(format!("{} needs {kind}", process.tool));
            }
            inputs.push(match take.how {
                How::Each => kind.to_owned(),
                How::All => format!("all:{kind}"),
                How::Whole => format!("whole:{kind}"),
            });
        }
        self.steps.push(step(catalogue, process, inputs));
        for make in &process.makes {
            self.have(catalogue, &make.emit);
        }
    }

    /// Sees to it that a kind is there, if anything can give it.
    fn provide(&mut self, catalogue: &Catalogue, name: &str) -> bool {
        if self.kinds.iter().any(|kind| kind == name) {
            return true;
        }
        let kind = &catalogue.kinds[name];
        if !kind.param.is_empty() {
            return true;
        }
        if !kind.source.is_empty() {
            self.inputs.push(name.to_owned());
        } else if !kind.maker.is_empty() {
            self.add(
                catalogue,
                Wanted {
                    process: &kind.maker,
                    instead: None,
                },
            );
        } else if kind.from.is_empty() {
            return false;
        }
        let mut given = true;
        for from in &kind.from {
            given &= self.provide(catalogue, from);
        }
        self.have(catalogue, name);
        given
    }

    fn have(&mut self, catalogue: &Catalogue, name: &str) {
        if catalogue.kinds.contains_key(name) && !self.kinds.iter().any(|kind| kind == name) {
            self.kinds.push(name.to_owned());
        }
    }
}

fn step(catalogue: &Catalogue, process: &Process, inputs: Vec<String>) -> Step {
    Step {
        id: process.id.clone(),
        process: process.name.clone(),
        tool: process.tool.clone(),
        version: catalogue.tools[&process.tool].version.clone(),
        container: process.image.clone(),
        label: process.label.clone(),
        purpose: process.purpose.clone(),
        inputs,
        outputs: process.makes.iter().map(|make| make.emit.clone()).collect(),
    }
}
