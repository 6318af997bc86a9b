//! A failed workflow whose cause the writer can mend: the same workflow with another configuration, as a sample of its own.

use crate::{
    trajectory::{Execution, Outcome},
    workflow::{
        errors::{Actor, Diagnosis, Resolution, Situation, entry},
        plan::Plan,
    },
};
use serde_json::{Map, Value, json};

/// A sample whose workflow is run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub id: String,
    /// The id of what it repairs.
    pub parent: Option<String>,
    /// The id of the sample that was generated.
    root: String,
    /// How often it was repaired.
    pub repairs: u32,
    pub row: Map<String, Value>,
}

/// What a repair did not do itself, and must not be learned from twice.
const OF_THE_PARENT: [&str; 6] = [
    "steps",
    "routing_decisions",
    "agent_decisions",
    "model_comparisons",
    "drafts",
    "error_resolutions",
];

impl Sample {
    /// One of a generator.
    pub fn found(id: String, row: Map<String, Value>) -> Self {
        Self {
            root: id.clone(),
            id,
            parent: None,
            repairs: 0,
            row,
        }
    }

    /// The sample that mends what a run met; none where nothing of the workflow is to be changed, or that change has been
    /// made already. The same run always gives the same sample.
    pub fn repaired(&self, run: &Execution, repairs: u32) -> Option<Self> {
        if run.outcome != Outcome::ExecutionFailed || run.exit_code == Some(0) {
            return None;
        }
        let kind = entry(&run.diagnosis.as_ref()?.kind)?;
        let resolution = &run.error_resolution.as_ref()?.resolution;
        let change = resolution.config_change.as_deref()?;
        let config = self.config();
        if kind.by != Actor::Writer || config.contains(change) {
            return None;
        }
        let id = format!("{}.r{repairs}", self.root);
        let mended = format!(
            "{config}\n// Repair of {}: {}.\n{change}\n",
            self.id, resolution.action
        );
        Some(Self {
            row: self.child(&id, mended, resolution),
            parent: Some(self.id.clone()),
            root: self.root.clone(),
            repairs,
            id,
        })
    }

    fn child(&self, id: &str, config: String, resolution: &Resolution) -> Map<String, Value> {
        let mut row = self.row.clone();
        for (key, value) in [
            ("id", json!(id)),
            ("parent", json!(self.id)),
            ("config_code", json!(config)),
        ] {
            row.insert(key.into(), value);
        }
        // Of rows of other generators nothing else is known.
        let mut set = |key: &str, value: Value| {
            if let Some(known) = row.get_mut(key) {
                *known = value;
            }
        };
        set("trajectory_id", json!(id));
        OF_THE_PARENT
            .into_iter()
            .for_each(|key| set(key, json!([])));
        set("total_tokens", json!(0));
        set("total_cost_usd", json!(0.0));
        set("total_latency_ms", json!(0.0));
        set("reflection", Value::Null);
        let value = resolution.new_value.as_deref();
        let value = value.map_or(String::new(), |value| format!(": {value}"));
        let reason = format!("{} repaired by {}{value}", self.id, resolution.action);
        set("outcome_reason", json!(reason));
        row
    }

    /// `nextflow.config` as it is.
    pub fn config(&self) -> &str {
        let config = self.row.get("config_code").and_then(Value::as_str);
        config.unwrap_or("")
    }
}

/// What is known of the process that failed: its step of the plan, and what the configuration gives it.
pub(super) fn situation(sample: &Sample, plan: Option<&Plan>, found: &Diagnosis) -> Situation {
    let mut situation = Situation::unknown();
    if let Some(runtime) = plan.and_then(|plan| plan.container_runtime.as_ref()) {
        situation.runtime.clone_from(runtime);
    }
    let Some(process) = &found.process else {
        return situation;
    };
    situation.process.clone_from(process);
    let name = process.rsplit(':').next().unwrap_or(process);
    let config = sample.config();
    let step = plan.and_then(|plan| plan.steps.iter().find(|step| step.process == name));
    if let Some(step) = step {
        situation.tool.clone_from(&step.tool);
        situation.container.clone_from(&step.container);
    }
    let label = step.map_or("", |step| step.label.as_str());
    let given = |key: &str| {
        [
            ("withName", process.as_str()),
            ("withName", name),
            ("withLabel", label),
        ]
        .into_iter()
        .find_map(|(selector, of)| resource(config, selector, of, key))
    };
    if let Some(memory) = given("memory") {
        situation.memory_gb = memory;
    }
    if let Some(time) = given("time") {
        situation.time_h = time;
    }
    situation
}

/// What the last block of a selector gives, `memory = { 8.GB * task.attempt }` or `memory = '16 GB'`, in GB or hours, at the
/// last attempt that Nextflow makes by itself. None where it gives nothing, or in another unit.
fn resource(config: &str, selector: &str, of: &str, key: &str) -> Option<u32> {
    let head = format!("{selector}: '{of}'");
    let blocks = config.match_indices(&head).filter(|_| !of.is_empty());
    let given = blocks.filter_map(|(at, _)| {
        let block = &config[at + head.len()..];
        let next = ["withName:", "withLabel:"].map(|word| block.find(word));
        let end = next.into_iter().flatten().min();
        let block = &block[..end.unwrap_or(block.len())];
        let at = block.find(&format!("{key} = "))?;
        let value = block[at + key.len() + 3..].split(['\n', ';']).next()?;
        let plain = value.trim_start_matches(['{', ' ', '\'', '"']);
        let unit = plain.trim_start_matches(|sign: char| sign.is_ascii_digit());
        let number: u32 = plain[..plain.len() - unit.len()].parse().ok()?;
        let wanted = if key == "time" { "h" } else { "GB" };
        unit.trim_start_matches(['.', ' ']).strip_prefix(wanted)?;
        let grows = value.contains("task.attempt");
        let attempts = if grows {
            retries(config).saturating_add(1)
        } else {
            1
        };
        Some(number.saturating_mul(attempts))
    });
    given.last()
}

/// `maxRetries = 2`.
fn retries(config: &str) -> u32 {
    let said = config.split("maxRetries = ").nth(1);
    let digits = said.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "process {
    maxRetries = 2
    withLabel: 'process_low' {
        cpus = 2
        memory = { 8.GB * task.attempt }
        time = { 4.h * task.attempt }
    }
    withName: 'ALIGN' {
        ext.args = '-x'
    }
    withName: 'OTHER' {
        memory = '512 MB'
    }
}
process { withName: 'SORT' { memory = '48 GB' } }
process { withName: 'SORT' { memory = '96 GB'; maxForks = 1 } }
";

    #[test]
    fn what_a_process_has_is_read_from_its_configuration() {
        let found = |selector, of, key| resource(CONFIG, selector, of, key);
        assert_eq!(found("withLabel", "process_low", "memory"), Some(24));
        assert_eq!(found("withLabel", "process_low", "time"), Some(12));
        assert_eq!(found("withName", "SORT", "memory"), Some(96), "the last");
        assert_eq!(
            found("withName", "ALIGN", "memory"),
            None,
            "its block has none"
        );
        assert_eq!(found("withName", "OTHER", "memory"), None, "another unit");
        assert_eq!(found("withLabel", "", "memory"), None);
    }
}
