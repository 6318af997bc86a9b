//! The catalogue of analyses, tools and processes: the typed form of `config/workflows/*.toml`.
//!
//! The knowledge is data because bioinformaticians extend it: a new aligner is a few lines in a file, not a change of code.
//! It is parsed once; every process block is rendered then, so that writing a workflow only copies text.

mod block;
mod parse;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    parse::catalogue().expect("config/workflows is compiled in and parsed by a test")
});

/// The catalogue compiled into this program.
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

/// Everything that `config/workflows` says.
#[derive(Debug)]
pub struct Catalogue {
    /// Software by name.
    pub tools: BTreeMap<String, Tool>,
    /// Nextflow processes by name.
    pub processes: HashMap<String, Process>,
    /// Kinds of data that go from process to process, by name.
    pub kinds: HashMap<String, Kind>,
    /// Workflow parameters by name.
    pub params: BTreeMap<String, Param>,
    /// Rows of a sample sheet by name.
    pub sources: BTreeMap<String, Source>,
    /// Columns of sample sheets by name.
    pub columns: BTreeMap<String, Column>,
    /// What a query tells of its data, and the step that answers it.
    pub responses: Vec<Response>,
    /// The analysis types.
    pub analyses: Vec<Analysis>,
    /// Reference genomes, one an organism.
    pub references: Vec<Reference>,
    /// Slot values that set a parameter.
    pub settings: Vec<Setting>,
    /// Which tools a query may name, for which analyses and organisms.
    pub vocabulary: parse::Vocabulary,
}

/// A piece of software.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Container image with a tag.
    pub image: String,
    /// Version, where the tag does not say it.
    #[serde(default)]
    pub version: String,
    /// Where it is described.
    pub url: String,
}

/// A Nextflow process: one way to use a tool.
#[derive(Debug)]
pub struct Process {
    /// Nextflow name, such as `STAR_ALIGN`.
    pub name: String,
    /// Step id, such as `star_align`: also its output directory.
    pub id: String,
    /// The tool it runs.
    pub tool: String,
    /// Container image.
    pub image: String,
    /// What it is for, as an infinitive clause: "align reads to the genome".
    pub purpose: String,
    /// Resource label, such as `process_high`.
    pub label: String,
    /// What it takes, in the order of its inputs.
    pub takes: Vec<Take>,
    /// What it makes, in the order of its outputs.
    pub makes: Vec<Make>,
    /// Extra arguments by default, for `ext.args`.
    pub args: String,
    /// Parameters that its script reads.
    pub params: Vec<String>,
    /// Fields of `meta` that its script reads.
    pub fields: Vec<String>,
    /// The block as Nextflow text, with a final newline.
    pub block: String,
}

impl Process {
    /// Whether it runs once for a reference, not for samples: then its data has no `meta`.
    pub fn is_shared(&self, kinds: &HashMap<String, Kind>) -> bool {
        self.takes.iter().all(|take| {
            take.how == How::Whole || (take.how == How::Each && kinds[&take.kind].shared)
        })
    }
}

/// How an input is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As it comes: once a sample, or the shared value.
    Each,
    /// The files of all samples at once, as one cohort.
    All,
    /// A single cohort result, handed to every sample.
    Whole,
}

/// One input of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// Kind of data.
    pub kind: String,
    /// How it is taken.
    pub how: How,
}

/// One output of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    /// Name of the channel: a kind where another process can take it.
    pub emit: String,
    /// File patterns; `${meta.id}` is in them where the process runs a sample.
    pub files: Vec<String>,
    /// Whether it may be absent.
    pub optional: bool,
}

/// A kind of data.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Whether it belongs to the reference, not to a sample.
    #[serde(default)]
    pub shared: bool,
    /// Names of its files; the kind's own name if empty.
    #[serde(default)]
    pub files: Vec<String>,
    /// Name of a collection of it; with an `s` added if empty.
    #[serde(default)]
    pub plural: String,
    /// The process that makes it where no step does.
    #[serde(default)]
    pub maker: String,
    /// The parameter that names its file.
    #[serde(default)]
    pub param: String,
    /// The sample sheet's row that it comes from.
    #[serde(default)]
    pub source: String,
    /// Kinds that the channel expression `code` is made from.
    #[serde(default)]
    pub from: Vec<String>,
    /// A channel expression with `{kind}` for each of `from`.
    #[serde(default)]
    pub code: String,
    /// Columns of the sample sheet that it needs besides its source's.
    #[serde(default)]
    pub columns: Vec<String>,
}

/// A workflow parameter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Groovy literal; `null` where the user has to give it.
    #[serde(default = "null")]
    pub default: String,
    /// What it is.
    pub help: String,
    /// Whether a null value is refused at the start.
    #[serde(default)]
    pub optional: bool,
}

fn null() -> String {
    "null".into()
}

/// How rows of a sample sheet become a channel.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Columns that it reads, besides those of every sheet.
    pub columns: Vec<String>,
    /// What follows `meta` in the tuple: Groovy expressions.
    pub files: String,
}

/// A column of a sample sheet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Example values, row by row; `{sample}`, `{treatment}` and `{control}` are filled in.
    pub rows: Vec<String>,
    /// Whether it describes the sample: a field of `meta`.
    #[serde(default)]
    pub meta: bool,
    /// Whether it names a file.
    #[serde(default)]
    pub file: bool,
}

/// An analysis type.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// Key, such as `rna_seq`.
    pub name: String,
    /// Title, such as `RNA-seq`.
    pub title: String,
    /// One sentence on what it is for.
    pub about: String,
    /// Slot to its choices.
    #[serde(default)]
    pub choice: BTreeMap<String, Choice>,
    /// Orders of steps; the first that fits is taken, the last fits always.
    #[serde(rename = "recipe")]
    pub recipes: Vec<Recipe>,
}

/// The tools that can fill a slot of an analysis.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The tool where none is asked for.
    pub default: String,
    /// The tool of an organism that the default does not fit.
    #[serde(default)]
    pub by_organism: BTreeMap<String, String>,
    /// Tool to the processes that use it, in order.
    pub tools: BTreeMap<String, Vec<String>>,
}

/// An order of steps.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it does, as the end of "analysis by ...".
    pub name: String,
    /// Lower-case words, one of which the query must have; empty means any query.
    #[serde(default)]
    pub words: Vec<String>,
    /// Slots, one of which the query must fill, if it has none of the words.
    #[serde(default)]
    pub asks: Vec<String>,
    /// Slot to values, one of which it must have.
    #[serde(default)]
    pub when: BTreeMap<String, Vec<String>>,
    /// Tools of slots where the query leaves them open.
    #[serde(default)]
    pub prefer: BTreeMap<String, String>,
    /// Parameter to Groovy literal.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Processes, or `$slot` for the processes of the slot's tool.
    pub steps: Vec<String>,
}

/// A step that answers what a query tells of its data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// Lower-case words of the query.
    pub words: String,
    /// The process.
    pub step: String,
    /// It comes after the last of these; without any of them, not at all.
    pub after: Vec<String>,
}

/// A reference genome and what tools call it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Organism key.
    pub organism: String,
    /// Latin name.
    pub species: String,
    /// Assembly, such as `GRCh38`.
    pub genome: String,
    /// Who annotated it.
    pub annotation: String,
    /// Where files are to be had: parameter to address.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Parameter to Groovy literal.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// A parameter set by a slot's value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The slot.
    pub slot: String,
    /// The parameter.
    pub param: String,
    /// Slot value to Groovy literal; the quoted value itself where it is not here.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// Whether only the listed values count.
    #[serde(default)]
    pub only: bool,
}

impl Catalogue {
    /// The analysis of that name.
    pub fn analysis(&self, name: &str) -> Option<&Analysis> {
        self.analyses.iter().find(|analysis| analysis.name == name)
    }

    /// The reference of an organism; the last one, which has no files, for unknown organisms.
    pub fn reference(&self, organism: &str) -> &Reference {
        (self.references.iter())
            .find(|reference| reference.organism == organism)
            .or(self.references.last())
            .expect("the catalogue has references: a test reads them")
    }

    /// Whether a query may ask for a tool in an analysis of an organism.
    pub fn fits(&self, tool: &str, analysis: &str, organism: &str) -> bool {
        self.vocabulary.fits(tool, analysis, organism)
    }
}

impl Kind {
    /// The names of its files, for input declarations.
    pub fn names<'a>(&'a self, kind: &'a str) -> Vec<&'a str> {
        if self.files.is_empty() {
            vec![kind]
        } else {
            self.files.iter().map(String::as_str).collect()
        }
    }

    /// The name of the files of all samples.
    pub fn plural(&self, kind: &str) -> String {
        if self.plural.is_empty() {
            format!("{kind}s")
        } else {
            self.plural.clone()
        }
    }
}
