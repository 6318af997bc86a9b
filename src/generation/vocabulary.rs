//! The words of the queries and what goes together: the typed form of `config/queries.toml`.
//!
//! The rules are data because bioinformaticians extend them: a new aligner is a line in the file, not a change of code.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

const FILE: &str = include_str!("../../config/queries.toml");

static WORDS: LazyLock<Words> =
    LazyLock::new(|| parse(FILE).expect("config/queries.toml is compiled in and parsed by a test"));

/// The words and rules compiled into this program.
pub fn words() -> &'static Words {
    &WORDS
}

/// Reads a query file; the error is the parser's, with line and key.
pub fn parse(text: &str) -> Result<Words, toml::de::Error> {
    toml::from_str(text)
}

/// Everything that `config/queries.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// Queries that each analysis gives to the balanced front of the catalogue.
    pub balanced_per_analysis: u64,
    /// Named groups of organisms, usable wherever organisms are listed.
    pub sets: BTreeMap<String, Vec<String>>,
    /// All organisms.
    #[serde(rename = "organism")]
    pub organisms: Vec<Organism>,
    /// The complexity levels, the smallest first.
    #[serde(rename = "complexity")]
    pub levels: Vec<Level>,
    /// Quantity of a level (`samples`, ...) to the nouns that follow it in a text.
    pub nouns: BTreeMap<String, Vec<String>>,
    /// Executors and the container runtimes that work there.
    #[serde(rename = "executor")]
    pub executors: Vec<Executor>,
    /// Named lists of phrases that tell an experiment's size.
    pub designs: BTreeMap<String, Vec<String>>,
    /// Slot vocabularies.
    #[serde(rename = "vocabulary")]
    pub vocabularies: Vec<Vocabulary>,
    /// Software named by templates themselves, to the analyses it is for.
    pub tools: BTreeMap<String, Vec<String>>,
    /// Error scenarios: name to clause.
    pub scenarios: BTreeMap<String, String>,
    /// The analysis types, those of the matrix in its order.
    #[serde(rename = "analysis")]
    pub analyses: Vec<Analysis>,
}

/// An organism and how it is named in a sentence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organism {
    /// Key, such as `c_elegans`.
    pub name: String,
    /// Form before a noun: "mouse" samples.
    pub adjective: String,
    /// Form that ends a phrase: in "mouse".
    pub noun: String,
}

/// A complexity level: quantities as people write them ("12-24", "6+").
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// `simple`, `medium` or `complex`.
    pub name: String,
    /// Number of samples.
    pub samples: String,
    /// Number of conditions.
    pub conditions: String,
    /// Replicates per condition.
    pub replicates: String,
    /// Compute demand: `low`, `medium` or `high`.
    pub compute: String,
}

impl Level {
    /// The level's value of a quantity (`samples`, `conditions`, `replicates`, `compute`).
    pub fn quantity(&self, name: &str) -> Option<&str> {
        match name {
            "samples" => Some(&self.samples),
            "conditions" => Some(&self.conditions),
            "replicates" => Some(&self.replicates),
            "compute" => Some(&self.compute),
            _ => None,
        }
    }
}

/// A workflow executor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Executor {
    /// Nextflow's name of it.
    pub name: String,
    /// How a query asks for it, with `{executor}`.
    pub phrase: String,
    /// Container runtimes that work there.
    pub runtimes: Vec<String>,
}

/// The values that one slot, or several slots together, can take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// The slots; values of several are joined by " / ".
    pub slots: Vec<String>,
    /// The parameter's name where the slot is called otherwise.
    pub parameter: Option<String>,
    /// Whether the values are software.
    #[serde(default)]
    pub tool: bool,
    /// Values with the analyses and organisms they are for.
    pub groups: Vec<Group>,
}

/// Values that are for the same analyses and organisms; an empty list means all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The values.
    pub values: Vec<String>,
    /// Analyses they are for.
    #[serde(default)]
    pub analyses: Vec<String>,
    /// Organisms, or sets of them, they are for.
    #[serde(default)]
    pub organisms: Vec<String>,
}

/// One analysis type.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// Key, such as `rna_seq`.
    pub name: String,
    /// Title, such as `RNA-seq`.
    pub title: String,
    /// Organisms it is asked for.
    pub organisms: Vec<String>,
    /// Its share of the diversity matrix, if it is a row there.
    pub matrix: Option<Quota>,
    /// How the organism is added to a template without `{organism}`.
    pub place: String,
    /// Names of organisms that differ in this analysis.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// Which list of `designs` fits.
    #[serde(default = "default_design")]
    pub designs: String,
    /// Error scenarios, the matrix' ones first.
    pub scenarios: Vec<String>,
    /// The query templates.
    pub templates: Vec<Template>,
}

fn default_design() -> String {
    "default".into()
}

/// How many queries per organism a row of the matrix has.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Parameter variations per organism.
    pub variations: usize,
    /// Error scenarios per organism.
    pub scenarios: usize,
}

/// A sentence with slots in braces.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The sentence.
    pub text: String,
    /// How the organism is added, where the analysis' way reads badly.
    pub place: Option<String>,
    /// Organisms, or sets of them, that it is for; empty means the analysis' ones.
    #[serde(default)]
    pub organisms: Vec<String>,
}

impl Analysis {
    /// The ways in which this analysis names an organism: before a noun, and at the end of a phrase.
    pub fn organism_names<'a>(&'a self, organism: &'a Organism) -> [&'a str; 2] {
        match self.names.get(&organism.name) {
            Some(name) => [name, name],
            None => [&organism.adjective, &organism.noun],
        }
    }
}

impl Vocabulary {
    /// The values for an analysis and an organism, in the file's order.
    pub fn values<'a>(
        &'a self,
        words: &'a Words,
        analysis: &'a str,
        organism: &'a str,
    ) -> impl Iterator<Item = &'a str> + 'a {
        self.groups
            .iter()
            .filter(move |group| group.fits(words, analysis, organism))
            .flat_map(|group| group.values.iter().map(String::as_str))
    }
}

impl Group {
    fn fits(&self, words: &Words, analysis: &str, organism: &str) -> bool {
        (self.analyses.is_empty() || self.analyses.iter().any(|name| name == analysis))
            && words.covers(&self.organisms, organism)
    }
}

impl Words {
    /// Whether a list of organisms and sets has the organism; an empty list has all.
    pub fn covers(&self, list: &[String], organism: &str) -> bool {
        list.is_empty()
            || list.iter().any(|name| {
                name == organism
                    || (self.sets.get(name))
                        .is_some_and(|set| set.iter().any(|member| member == organism))
            })
    }

    /// The analysis of that name.
    pub fn analysis(&self, name: &str) -> Option<&Analysis> {
        self.analyses.iter().find(|analysis| analysis.name == name)
    }

    /// The organism of that name.
    pub fn organism(&self, name: &str) -> Option<&Organism> {
        self.organisms.iter().find(|organism| organism.name == name)
    }

    /// The complexity level of that name.
    pub fn level(&self, name: &str) -> Option<&Level> {
        self.levels.iter().find(|level| level.name == name)
    }

    /// The vocabulary that fills a slot.
    pub fn vocabulary(&self, slot: &str) -> Option<&Vocabulary> {
        (self.vocabularies.iter()).find(|vocabulary| vocabulary.slots.iter().any(|s| s == slot))
    }

    /// All container runtimes, in the order of their first mention.
    pub fn runtimes(&self) -> Vec<&str> {
        let mut runtimes: Vec<&str> = Vec::new();
        for runtime in self.executors.iter().flat_map(|e| &e.runtimes) {
            if !runtimes.contains(&runtime.as_str()) {
                runtimes.push(runtime);
            }
        }
        runtimes
    }

    /// All software known, from slots and templates; a name may come twice.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        let slots = self.vocabularies.iter().filter(|v| v.tool);
        let values = slots
            .flat_map(|v| &v.groups)
            .flat_map(|group| group.values.iter().map(String::as_str));
        values.chain(self.tools.keys().map(String::as_str))
    }

    /// Whether software is used in an analysis of an organism.
    pub fn tool_fits(&self, tool: &str, analysis: &str, organism: &str) -> bool {
        let named = (self.tools.get(tool)).is_some_and(|list| list.iter().any(|a| a == analysis));
        named
            || (self.vocabularies.iter().filter(|v| v.tool)).any(|v| {
                v.values(self, analysis, organism)
                    .any(|value| value == tool)
            })
    }
}
