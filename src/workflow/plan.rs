//! From a query to a plan: which steps, in which order, with which tools, references and parameters.
//!
//! A recipe of the catalogue gives the steps; the planner chooses the tools, adds what the steps need and nobody makes, and
//! says what of the query it could not honour. The same query always has the same plan.

mod choose;
mod complete;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, catalogue};

/// What a query asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Analysis type, such as `rna_seq`.
    pub analysis_type: &'a str,
    /// Organism key, such as `human`.
    pub organism: &'a str,
    /// `simple`, `medium` or `complex`.
    pub complexity: &'a str,
    /// The query's text.
    pub query: &'a str,
    /// Slot to value.
    pub slots: &'a BTreeMap<String, String>,
}

/// A planned workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Analysis type.
    pub analysis_type: String,
    /// What kind of it, such as `pseudo-alignment`.
    pub variant: String,
    /// Organism key.
    pub organism: String,
    /// Assembly, such as `GRCh38`.
    pub reference: String,
    /// `simple`, `medium` or `complex`.
    pub complexity: String,
    /// Number of samples as the query says it.
    pub samples: Option<String>,
    /// Number of conditions as the query says it.
    pub conditions: Option<String>,
    /// Number of replicates as the query says it.
    pub replicates: Option<String>,
    /// Container runtime asked for.
    pub container_runtime: Option<String>,
    /// Executor asked for.
    pub executor: Option<String>,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// Kinds of data read from the sample sheet.
    pub inputs: Vec<String>,
    /// Columns of the sample sheet.
    pub columns: Vec<String>,
    /// Parameter to Groovy literal; `null` where the user has to give a file.
    pub params: BTreeMap<String, String>,
    /// What of the query could not be honoured.
    pub unmet: Vec<String>,
}

/// One step of a plan: one Nextflow process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Such as `star_align`.
    pub id: String,
    /// Such as `STAR_ALIGN`.
    pub process: String,
    /// Such as `STAR`.
    pub tool: String,
    /// The tool's version.
    pub version: String,
    /// Container image with its tag.
    pub container: String,
    /// Resource label.
    pub label: String,
    /// Why it is there, as an infinitive clause.
    pub purpose: String,
    /// Kinds of data that it takes; `all:` takes those of all samples, `whole:` one result for all samples.
    pub inputs: Vec<String>,
    /// Kinds of data that it makes.
    pub outputs: Vec<String>,
}

impl Plan {
    /// The tools of the plan, each once, in the order of the steps.
    pub fn tools(&self) -> Vec<&str> {
        let mut tools: Vec<&str> = Vec::new();
        for step in &self.steps {
            if !tools.contains(&step.tool.as_str()) {
                tools.push(&step.tool);
            }
        }
        tools
    }
}

/// Plans a workflow; the error names an analysis type that is not known.
pub fn plan(asked: &Asked<'_>) -> Result<Plan, String> {
    let catalogue = catalogue();
    let analysis = (catalogue.analysis(asked.analysis_type))
        .ok_or_else(|| format!("no analysis type {:?}", asked.analysis_type))?;
    let mut chosen = choose::choose(catalogue, analysis, asked, true);
    let mut completed = complete::complete(catalogue, &chosen.steps);
    if !completed.lacking.is_empty() {
        // Tools that go each on its own, but not together: the recipe's own tools do.
        let lacking = completed.lacking.join(", ");
        let unmet = format!(
            "the tools asked for do not work together ({lacking}): those of the recipe are used"
        );
        chosen = choose::choose(catalogue, analysis, asked, false);
        chosen.unmet.push(unmet);
        completed = complete::complete(catalogue, &chosen.steps);
    }
    let reference = catalogue.reference(asked.organism);
    let slot = |name: &str| asked.slots.get(name).cloned();
    let mut plan = Plan {
        analysis_type: analysis.name.clone(),
        variant: chosen.recipe.name.clone(),
        organism: asked.organism.to_owned(),
        reference: reference.genome.clone(),
        complexity: asked.complexity.to_owned(),
        samples: slot("samples"),
        conditions: slot("conditions"),
        replicates: slot("replicates"),
        container_runtime: slot("container_runtime"),
        executor: slot("executor"),
        columns: columns(catalogue, &completed),
        params: BTreeMap::new(),
        steps: completed.steps,
        inputs: completed.inputs,
        unmet: chosen.unmet,
    };
    plan.params = params(catalogue, &plan, &chosen.recipe.set, asked);
    let tool = asked.slots.get("tool").map(String::as_str);
    let missing = tool.filter(|tool| !plan.tools().contains(tool));
    (plan.unmet).extend(missing.map(|tool| {
        format!(
            "{tool} has no place in {} of {}",
            analysis.title, asked.organism
        )
    }));
    Ok(plan)
}

/// The steps whose inputs no earlier step, input or parameter gives: each with what it lacks.
pub fn missing(plan: &Plan) -> Vec<String> {
    let catalogue = catalogue();
    let mut there: BTreeSet<&str> = plan.inputs.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for step in &plan.steps {
        for input in &step.inputs {
            let kind = input.rsplit(':').next().unwrap_or(input);
            if !given(catalogue, plan, &there, kind) {
                found.push(format!("{}: nothing gives {kind}", step.process));
            }
        }
        there.extend(step.outputs.iter().map(String::as_str));
    }
    found
}

fn given(catalogue: &Catalogue, plan: &Plan, there: &BTreeSet<&str>, name: &str) -> bool {
    if there.contains(name) {
        return true;
    }
    let Some(kind) = catalogue.kinds.get(name) else {
        return false;
    };
    (!kind.param.is_empty() && plan.params.contains_key(&kind.param))
        || (!kind.from.is_empty()
            && (kind.from.iter()).all(|from| given(catalogue, plan, there, from)))
}

/// The columns of the sample sheet, `sample` first.
fn columns(catalogue: &Catalogue, completed: &complete::Completed) -> Vec<String> {
    let mut columns: Vec<String> = vec!["sample".into(), "condition".into(), "replicate".into()];
    let mut add = |name: &str| {
        if catalogue.columns.contains_key(name) && !columns.iter().any(|known| known == name) {
            columns.push(name.to_owned());
        }
    };
    for input in &completed.inputs {
        if let Some(source) = catalogue.sources.get(&catalogue.kinds[input].source) {
            source.columns.iter().for_each(|name| add(name));
        }
    }
    for kind in &completed.kinds {
        catalogue.kinds[kind]
            .columns
            .iter()
            .for_each(|name| add(name));
    }
    for step in &completed.steps {
        let fields = catalogue
            .processes
            .get(&step.process)
            .map(|process| &process.fields);
        fields.into_iter().flatten().for_each(|name| add(name));
    }
    columns
}

/// Every parameter that the workflow declares, with its value.
fn params(
    catalogue: &Catalogue,
    plan: &Plan,
    set: &BTreeMap<String, String>,
    asked: &Asked<'_>,
) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    let reference = catalogue.reference(&plan.organism);
    let mut add = |name: &str| {
        if let Some(param) = catalogue.params.get(name) {
            let value = (set.get(name))
                .or(reference.values.get(name))
                .unwrap_or(&param.default);
            params.insert(name.to_owned(), value.clone());
        }
    };
    ["input", "outdir", "publish_dir_mode"]
        .into_iter()
        .for_each(&mut add);
    for process in plan
        .steps
        .iter()
        .filter_map(|step| catalogue.processes.get(&step.process))
    {
        process.params.iter().for_each(|name| add(name));
        if process.is_shared(&catalogue.kinds) {
            add("save_reference");
        }
        for take in &process.takes {
            add(&catalogue.kinds[&take.kind].param);
        }
    }
    for setting in &catalogue.settings {
        let Some(value) = asked.slots.get(&setting.slot) else {
            continue;
        };
        if let Some(param) = params.get_mut(&setting.param) {
            match setting.values.get(value) {
                Some(literal) => param.clone_from(literal),
                None if !setting.only => *param = format!("'{}'", plain(value)),
                None => {}
            }
        }
    }
    params
}

/// A value as a plain word: what is no letter, digit, point, minus or underscore becomes an underscore.
fn plain(value: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    value
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect()
}
