//! The entry workflow: channels from the sample sheet and the parameters, and every process call with its inputs.

use crate::workflow::catalogue::{Catalogue, Kind, catalogue};
use crate::workflow::plan::{Plan, Step};

/// Where a kind of data comes from.
#[derive(Debug, Clone)]
struct Given<'a> {
    kind: &'a str,
    expression: String,
    /// A value channel, which can be read again and again; the others are queues.
    value: bool,
}

struct Wiring<'a> {
    catalogue: &'a Catalogue,
    given: Vec<Given<'a>>,
    text: String,
}

/// The entry workflow of a plan, with a final newline.
pub fn workflow(plan: &Plan) -> String {
    let mut wiring = Wiring {
        catalogue: catalogue(),
        given: Vec::with_capacity(32),
        text: String::with_capacity(4096),
    };
    wiring.text.push_str("workflow {\n");
    wiring.check(plan);
    wiring.sheet(plan);
    wiring.parameters(plan);
    for step in &plan.steps {
        wiring.call(step);
    }
    wiring.text.push_str("}\n");
    wiring.text
}

impl<'a> Wiring<'a> {
    fn push(&mut self, pieces: &[&str]) {
        for piece in pieces {
            self.text.push_str(piece);
        }
    }

    /// Refuses to start without the parameters that have no value.
    fn check(&mut self, plan: &Plan) {
        self.push(&["    def required = ["]);
        for (at, name) in super::required(plan).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            self.push(&[comma, name, ": params.", name]);
        }
        self.push(&["]\n    required.each { name, value ->\n        if (!value) {\n            error(\"--${name} is missing, see README.md\")\n        }\n    }\n\n"]);
    }

    fn sheet(&mut self, plan: &'a Plan) {
        if plan.inputs.is_empty() {
            return;
        }
        self.push(&["    ch_rows = channel.fromPath(params.input, checkIfExists: true).splitCsv(header: true)\n"]);
        for input in &plan.inputs {
            let Some(source) = self
                .catalogue
                .kinds
                .get(input)
                .and_then(|kind| self.catalogue.sources.get(&kind.source))
            else {
                continue;
            };
            self.push(&["    ch_", input, " = ch_rows"]);
            if plan.inputs.len() > 1 {
                self.push(&[".filter { row -> row.", &source.columns[0], " }"]);
            }
            self.push(&[".map { row ->\n        def meta = [id: row.sample"]);
            for column in &plan.columns {
                if self
                    .catalogue
                    .columns
                    .get(column)
                    .is_some_and(|column| column.meta)
                {
                    self.push(&[", ", column, ": row.", column]);
                }
            }
            if source.columns.iter().any(|column| column == "fastq_2") {
                self.push(&[", single_end: !row.fastq_2"]);
            }
            self.push(&["]\n        tuple(meta, ", &source.files, ")\n    }\n"]);
            self.give(input, format!("ch_{input}"), false);
        }
    }

    fn parameters(&mut self, plan: &'a Plan) {
        let mut names: Vec<&str> = Vec::new();
        for input in plan.steps.iter().flat_map(|step| &step.inputs) {
            let name = input.rsplit(':').next().unwrap_or(input);
            let Some(kind) = self.catalogue.kinds.get(name) else {
                continue;
            };
            if !kind.param.is_empty() && !names.contains(&name) {
                names.push(name);
                self.push(&[
                    "    ch_",
                    name,
                    " = channel.value(file(params.",
                    &kind.param,
                    ", checkIfExists: true))\n",
                ]);
                self.give(name, format!("ch_{name}"), true);
            }
        }
    }

    fn give(&mut self, kind: &'a str, expression: String, value: bool) {
        self.given.retain(|given| given.kind != kind);
        self.given.push(Given {
            kind,
            expression,
            value,
        });
    }

    fn find(&self, kind: &str) -> Option<&Given<'a>> {
        self.given.iter().rfind(|given| given.kind == kind)
    }

    fn call(&mut self, step: &'a Step) {
        let Some(process) = self.catalogue.processes.get(&step.process) else {
            return;
        };
        self.push(&["\n    // "]);
        let mut letters = step.purpose.chars();
        self.text
            .extend(letters.next().map(|c| c.to_ascii_uppercase()));
        self.push(&[letters.as_str(), "\n"]);
        for input in &step.inputs {
            self.bridge(input.rsplit(':').next().unwrap_or(input));
        }
        let (arguments, value) = self.arguments(step);
        let one_line = arguments
            .iter()
            .map(|argument| argument.len() + 2)
            .sum::<usize>()
            < 90;
        self.push(&["    ", &process.name, "("]);
        for (at, argument) in arguments.iter().enumerate() {
            let before = match (one_line, at) {
                (true, 0) => "",
                (true, _) => ", ",
                (false, 0) => "\n        ",
                (false, _) => ",\n        ",
            };
            self.push(&[before, argument]);
        }
        self.push(&[if one_line { ")\n" } else { "\n    )\n" }]);
        for make in &process.makes {
            if let Some((kind, _)) = self.catalogue.kinds.get_key_value(&make.emit) {
                let expression = format!("{}.out.{}", process.name, make.emit);
                if kind == "qc" {
                    self.given.push(Given {
                        kind,
                        expression,
                        value,
                    });
                } else {
                    self.give(kind, expression, value);
                }
            }
        }
    }

    /// Writes the channel of a kind that is made from others, at its first use.
    fn bridge(&mut self, name: &str) {
        let Some((key, kind)) = self.catalogue.kinds.get_key_value(name) else {
            return;
        };
        if kind.from.is_empty() || self.find(name).is_some() {
            return;
        }
        let mut code = kind.code.trim_start().to_owned();
        for from in &kind.from {
            let Some(given) = self.find(from) else {
                return;
            };
            code = code.replace(&format!("{{{from}}}"), &given.expression);
        }
        self.push(&["    ch_", key, " = ", &code, "\n"]);
        self.give(key, format!("ch_{key}"), false);
    }

    /// The arguments of a call, and whether all of them are values.
    fn arguments(&self, step: &Step) -> (Vec<String>, bool) {
        let mut sample = String::new();
        let mut sample_is_value = true;
        let mut shared = Vec::new();
        for input in &step.inputs {
            let (how, name) = input.split_once(':').unwrap_or(("", input));
            let Some(kind) = self.catalogue.kinds.get(name) else {
                continue;
            };
            let Some((expression, value)) = self.channel(how, name, kind) else {
                continue;
            };
            if how == "whole" || (how.is_empty() && kind.shared) {
                shared.push(expression);
            } else if sample.is_empty() {
                (sample, sample_is_value) = (expression, value);
            } else {
                sample.push_str(if sample_is_value || value {
                    ".combine("
                } else {
                    ".join("
                });
                sample.push_str(&expression);
                sample.push_str(if sample_is_value || value {
                    ", by: 0)"
                } else {
                    ")"
                });
                sample_is_value = false;
            }
        }
        let mut arguments = Vec::with_capacity(1 + shared.len());
        if !sample.is_empty() {
            arguments.push(sample);
        }
        arguments.extend(shared);
        (arguments, sample_is_value)
    }

    fn channel(&self, how: &str, name: &str, kind: &Kind) -> Option<(String, bool)> {
        if how.is_empty() {
            return self
                .find(name)
                .map(|given| (given.expression.clone(), given.value));
        }
        let files = kind.names(name).join(", ");
        let pick = if name == "qc" {
            // Reports have one file or more.
            ".map { report -> report.drop(1) }".to_owned()
        } else if files.contains(',') {
            format!(".map {{ _meta, {files} -> [{files}] }}")
        } else {
            format!(".map {{ _meta, {files} -> {files} }}")
        };
        if how == "whole" {
            let given = self.find(name)?;
            let first = if given.value { "" } else { ".first()" };
            return Some((format!("{}{pick}{first}", given.expression), true));
        }
        let mut all: Vec<&Given<'_>> = self
            .given
            .iter()
            .filter(|given| given.kind == name)
            .collect();
        all.sort_by_key(|given| given.value);
        let (head, rest) = all.split_first()?;
        let mut expression = head.expression.clone();
        if !rest.is_empty() {
            let others: Vec<&str> = rest.iter().map(|given| given.expression.as_str()).collect();
            expression.push_str(&format!(
                "\n            .mix({})\n            ",
                others.join(", ")
            ));
        }
        expression.push_str(&format!(
            "{pick}.collect(sort: true).map {{ files -> tuple([id: 'cohort'], files) }}"
        ));
        Some((expression, true))
    }
}
