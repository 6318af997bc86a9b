//! The error catalogue: the typed form of `config/error-patterns.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::matcher::Matcher;
use super::scan::Scanner;
use super::scenario::Scenario;

const FILE: &str = include_str!("../../../config/error-patterns.toml");

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::parse(FILE).expect("config/error-patterns.toml is compiled in and parsed by a test")
});

/// The catalogue compiled into this program.
pub(super) fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

/// Every error of the catalogue, in the file's order.
pub fn entries() -> &'static [Entry] {
    &CATALOGUE.entries
}

/// The error of that kind, such as `out_of_memory`.
pub fn entry(kind: &str) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.name == kind)
}

/// What part of a run an error belongs to; in samples in capitals, as the specification writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Category {
    /// Memory ran out.
    Memory,
    /// Disk ran out or did not answer.
    Disk,
    /// Access was refused.
    Permissions,
    /// Reads, sample sheets and other input.
    Input,
    /// Genomes, indices, annotations, databases.
    Reference,
    /// Containers and software environments.
    Container,
    /// What is fetched from elsewhere did not come.
    Network,
    /// The batch system.
    Slurm,
    /// A tool of a task.
    Tool,
    /// The workflow's code or configuration.
    Nextflow,
}

impl Category {
    /// The name in samples, such as `MEMORY`.
    pub fn name(self) -> &'static str {
        match self {
            Category::Memory => "MEMORY",
            Category::Disk => "DISK",
            Category::Permissions => "PERMISSIONS",
            Category::Input => "INPUT",
            Category::Reference => "REFERENCE",
            Category::Container => "CONTAINER",
            Category::Network => "NETWORK",
            Category::Slurm => "SLURM",
            Category::Tool => "TOOL",
            Category::Nextflow => "NEXTFLOW",
        }
    }
}

/// How far up the chain of causes a message stands; the highest found is the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Said of a task that is tried again or let go.
    Note,
    /// Follows from a cause.
    Symptom,
    /// The plain words of the shell or the system.
    Shell,
    /// A program names its cause.
    Program,
    /// The machine gave out.
    Machine,
}

/// Who acts on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Code and configuration change.
    Writer,
    /// Steps and tools change.
    Planner,
    /// Site, accounts or data change: a person.
    Operator,
    /// Nothing is wrong with the workflow.
    Nobody,
}

/// One kind of error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The kind, such as `out_of_memory`.
    pub name: String,
    /// What part of a run it belongs to.
    pub category: Category,
    /// Where it stands among causes and consequences.
    pub level: Level,
    /// How sure one message makes it, 0 to 1.
    pub confidence: f64,
    /// Who acts.
    pub by: Actor,
    /// Exit statuses that mean this where a task left no message.
    #[serde(default)]
    pub exits: Vec<i32>,
    /// Kinds of the same level that cause this one.
    #[serde(default)]
    pub caused_by: Vec<String>,
    /// A line with one of these does not count.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Any of these on one line; each is its fragments in order.
    pub patterns: Vec<Vec<String>>,
    /// What it looks like.
    pub messages: Vec<Message>,
    /// What helps: the first whose condition holds.
    pub resolutions: Vec<Remedy>,
}

/// A realistic message, with slots.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The lines.
    pub text: String,
    /// Who prints it.
    #[serde(default)]
    pub place: Place,
    /// Exit status of the task, where it got as far.
    pub exit: Option<i32>,
    /// Kinds that the message shows beside its own.
    #[serde(default)]
    pub also: Vec<String>,
    /// Tools that print it; empty means any.
    #[serde(default)]
    pub tools: Vec<String>,
}

/// Where a message stands in the output of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// On standard error of a task.
    #[default]
    Stderr,
    /// Said by the workflow engine about a task.
    Cause,
    /// Said by the workflow engine about the run.
    Launcher,
}

/// Something to do about an error, with slots.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// When it applies; without it always.
    pub when: Option<When>,
    /// Name of the action, such as `increase_memory`.
    pub action: String,
    /// The new value; empty for none.
    #[serde(default)]
    pub new_value: String,
    /// The lines for `nextflow.config`; empty for none.
    #[serde(default)]
    pub config_change: String,
}

/// Conditions of a remedy; all that are stated must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Another kind was found as well.
    pub also: Option<String>,
    /// The message says this.
    pub message: Option<String>,
    /// The process has all the memory it may have.
    #[serde(default)]
    pub at_memory_limit: bool,
    /// The process has all the time it may have.
    #[serde(default)]
    pub at_time_limit: bool,
}

/// How a request for memory or time grows.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Times what it was.
    pub factor: f64,
    /// At least so much for each GB of input.
    #[serde(default)]
    pub per_input_gb: f64,
    /// Rounded up to whole multiples of this.
    pub step: u32,
}

/// How both kinds of requests grow.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growths {
    /// In GB.
    pub memory: Growth,
    /// In hours.
    pub time: Growth,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noise {
    lines: Vec<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    growth: Growths,
    noise: Noise,
    error: Vec<Entry>,
    scenarios: BTreeMap<String, Scenario>,
}

/// The file, made ready to read logs.
pub(super) struct Catalogue {
    pub entries: Vec<Entry>,
    pub growth: Growths,
    pub scenarios: BTreeMap<String, Scenario>,
    pub matcher: Matcher,
    pub scanner: Scanner,
}

impl Catalogue {
    fn parse(text: &str) -> Result<Catalogue, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut scenarios = file.scenarios;
        for (name, scenario) in &mut scenarios {
            scenario.name.clone_from(name);
        }
        let matcher = Matcher::new(&file.error, &file.noise.lines)?;
        let scanner = Scanner::new(&file.error)?;
        Ok(Catalogue {
            entries: file.error,
            growth: file.growth,
            scenarios,
            matcher,
            scanner,
        })
    }
}
