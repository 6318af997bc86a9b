//! Reading `config/workflows/*.toml` into the catalogue, with everything checked that the planner relies on.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{
    Analysis, Catalogue, Column, How, Kind, Make, Param, Process, Reference, Response, Setting,
    Source, Take, Tool, block,
};

const QUERIES: &str = include_str!("../../../config/queries.toml");
const TOOLS: &str = include_str!("../../../config/workflows/tools.toml");
const DATA: &str = include_str!("../../../config/workflows/data.toml");
const REFERENCES: &str = include_str!("../../../config/workflows/references.toml");
const ANALYSES: &str = include_str!("../../../config/workflows/analyses.toml");
const PROCESSES: [(&str, &str); 8] = [
    (
        "process_reads.toml",
        include_str!("../../../config/workflows/process_reads.toml"),
    ),
    (
        "process_rna.toml",
        include_str!("../../../config/workflows/process_rna.toml"),
    ),
    (
        "process_chromatin.toml",
        include_str!("../../../config/workflows/process_chromatin.toml"),
    ),
    (
        "process_variants.toml",
        include_str!("../../../config/workflows/process_variants.toml"),
    ),
    (
        "process_long_read.toml",
        include_str!("../../../config/workflows/process_long_read.toml"),
    ),
    (
        "process_single_cell.toml",
        include_str!("../../../config/workflows/process_single_cell.toml"),
    ),
    (
        "process_metagenomics.toml",
        include_str!("../../../config/workflows/process_metagenomics.toml"),
    ),
    (
        "process_genomes.toml",
        include_str!("../../../config/workflows/process_genomes.toml"),
    ),
];

/// The tool vocabulary of the queries: which tool goes with which analysis and organism.
#[derive(Debug, Deserialize)]
pub struct Vocabulary {
    sets: BTreeMap<String, Vec<String>>,
    /// Vocabularies of slots.
    #[serde(rename = "vocabulary")]
    pub slots: Vec<Slot>,
    /// Tools that templates name themselves, to their analyses.
    pub tools: BTreeMap<String, Vec<String>>,
}

/// The vocabulary of one slot, or of several together.
#[derive(Debug, Deserialize)]
pub struct Slot {
    /// The slots.
    pub slots: Vec<String>,
    /// Whether its values are software.
    #[serde(default)]
    pub tool: bool,
    /// Values with what they are for.
    pub groups: Vec<Group>,
}

/// Values for the same analyses and organisms; an empty list means all.
#[derive(Debug, Deserialize)]
pub struct Group {
    /// The values.
    pub values: Vec<String>,
    #[serde(default)]
    analyses: Vec<String>,
    #[serde(default)]
    organisms: Vec<String>,
}

impl Vocabulary {
    /// Whether a tool is used in an analysis of an organism.
    pub fn fits(&self, tool: &str, analysis: &str, organism: &str) -> bool {
        let is = |name: &String| name == analysis;
        self.tools.get(tool).is_some_and(|list| list.iter().any(is))
            || (self.slots.iter().filter(|slot| slot.tool))
                .flat_map(|slot| &slot.groups)
                .filter(|group| group.values.iter().any(|value| value == tool))
                .any(|group| {
                    (group.analyses.is_empty() || group.analyses.iter().any(is))
                        && self.covers(&group.organisms, organism)
                })
    }

    fn covers(&self, list: &[String], organism: &str) -> bool {
        let member = |set: &Vec<String>| set.iter().any(|name| name == organism);
        list.is_empty()
            || (list.iter()).any(|name| name == organism || self.sets.get(name).is_some_and(member))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolFile {
    glue: BTreeMap<String, Tool>,
    tools: BTreeMap<String, Tool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataFile {
    kind: HashMap<String, Kind>,
    param: BTreeMap<String, Param>,
    source: BTreeMap<String, Source>,
    column: BTreeMap<String, Column>,
    setting: Vec<Setting>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceFile {
    reference: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnalysisFile {
    analysis: Vec<Analysis>,
    response: Vec<Response>,
}

/// A process as the files write it: `@` in outputs is `${meta.id}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The tool.
    pub tool: String,
    /// Another image than the tool's, where several programs are needed.
    pub image: Option<String>,
    /// Infinitive clause.
    pub purpose: String,
    /// Resource label without `process_`.
    pub label: String,
    /// `kind`, `all:kind` or `whole:kind`.
    pub takes: Vec<String>,
    /// `emit: file file`, with a question mark after optional names.
    pub makes: Vec<String>,
    /// Default of `ext.args`.
    #[serde(default)]
    pub args: String,
    /// Groovy lines before the script.
    #[serde(default)]
    pub def: Vec<String>,
    /// The script.
    pub script: String,
    /// The stub, where touching the outputs will not do.
    pub stub: Option<String>,
}

fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| format!("config/workflows/{name}: {error}"))
}

/// Reads all files.
pub fn catalogue() -> Result<Catalogue, String> {
    let data: DataFile = read("data.toml", DATA)?;
    let tools = tools(read("tools.toml", TOOLS)?);
    let mut processes = HashMap::new();
    for (file, text) in PROCESSES {
        let drafts: BTreeMap<String, Draft> = read(file, text)?;
        for (name, draft) in drafts {
            let process =
                process(&name, draft, &tools, &data).map_err(|e| format!("{file}: {name}: {e}"))?;
            if processes.insert(name.clone(), process).is_some() {
                return Err(format!("{file}: {name} is there twice"));
            }
        }
    }
    let analyses: AnalysisFile = read("analyses.toml", ANALYSES)?;
    Ok(Catalogue {
        tools,
        processes,
        kinds: data.kind,
        params: data.param,
        sources: data.source,
        columns: data.column,
        analyses: analyses.analysis,
        responses: analyses.response,
        references: read::<ReferenceFile>("references.toml", REFERENCES)?.reference,
        settings: data.setting,
        vocabulary: read("../queries.toml", QUERIES)?,
    })
}

fn tools(file: ToolFile) -> BTreeMap<String, Tool> {
    let mut tools: BTreeMap<String, Tool> = file.glue.into_iter().chain(file.tools).collect();
    for tool in tools.values_mut() {
        if tool.version.is_empty() {
            let tag = tool.image.rsplit(':').next().unwrap_or_default();
            tool.version = tag.split("--").next().unwrap_or_default().to_owned();
        }
        tool.image = image(&tool.image);
    }
    tools
}

/// The full name of an image.
fn image(name: &str) -> String {
    if name.contains('/') {
        name.to_owned()
    } else {
        format!("quay.io/biocontainers/{name}")
    }
}

fn process(
    name: &str,
    draft: Draft,
    tools: &BTreeMap<String, Tool>,
    data: &DataFile,
) -> Result<Process, String> {
    let tool = (tools.get(&draft.tool)).ok_or_else(|| format!("no tool {}", draft.tool))?;
    let takes: Vec<Take> = draft.takes.iter().map(|text| take(text)).collect();
    if let Some(take) = takes
        .iter()
        .find(|take| !data.kind.contains_key(&take.kind))
    {
        return Err(format!("no kind {}", take.kind));
    }
    let makes = draft
        .makes
        .iter()
        .map(|text| make(text))
        .collect::<Result<Vec<Make>, String>>()?;
    let mut process = Process {
        name: name.to_owned(),
        id: name.to_ascii_lowercase(),
        image: draft
            .image
            .as_deref()
            .map_or_else(|| tool.image.clone(), image),
        purpose: draft.purpose.clone(),
        label: format!("process_{}", draft.label),
        tool: draft.tool.clone(),
        takes,
        makes,
        args: draft.args.clone(),
        params: mentions(&draft, "params."),
        fields: mentions(&draft, "meta."),
        block: String::new(),
    };
    if let Some(param) = process
        .params
        .iter()
        .find(|param| !data.param.contains_key(*param))
    {
        return Err(format!("no parameter {param}"));
    }
    process.block = block::render(&process, &draft, &data.kind);
    Ok(process)
}

fn take(text: &str) -> Take {
    let (how, kind) = match text.split_once(':') {
        Some(("all", kind)) => (How::All, kind),
        Some((_, kind)) => (How::Whole, kind),
        None => (How::Each, text),
    };
    Take {
        kind: kind.to_owned(),
        how,
    }
}

fn make(text: &str) -> Result<Make, String> {
    let (emit, files) = text
        .split_once(':')
        .ok_or_else(|| format!("no colon in {text}"))?;
    Ok(Make {
        emit: emit.trim_end_matches('?').to_owned(),
        files: files
            .split_whitespace()
            .map(|file| file.replace('@', "${meta.id}"))
            .collect(),
        optional: emit.ends_with('?'),
    })
}

/// The names after `params.` or `meta.` in a script, in order.
fn mentions(draft: &Draft, prefix: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in draft.def.iter().chain([&draft.script]) {
        for piece in text.split(prefix).skip(1) {
            let name: String = (piece.chars())
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}
