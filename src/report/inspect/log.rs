//! What is in a log's header and in its summaries, as far as it is used here.
//!
//! Fields that hold nothing are missing, and releases add others: what is not known here is passed over.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The version of the form: that of inspect-ai since its first release with `.eval` logs.
pub const VERSION: u32 = 2;

/// `header.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// `success`, `error`, `cancelled`, or `started` where it never ended.
    pub status: String,
    /// What was evaluated.
    pub eval: Spec,
    /// How answers were made.
    pub plan: Plan,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
    /// When, and how much was used.
    pub stats: Stats,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Every sample's value after its epochs were reduced to one; a file of its own in a log, folded in by readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reductions: Option<Vec<Reduction>>,
}

/// What was evaluated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// Its own id, 22 letters and digits.
    pub eval_id: String,
    /// The run's that it is of.
    pub run_id: String,
    /// When, in RFC 3339.
    pub created: String,
    /// The task's name.
    pub task: String,
    /// The task's id.
    pub task_id: String,
    /// The task's version, a number or a text.
    pub task_version: Value,
    /// What the task was asked with.
    pub task_args: Map<String, Value>,
    /// What it is about.
    pub dataset: Dataset,
    /// The model, as `provider/name`.
    pub model: String,
    /// How it was run.
    pub config: Config,
    /// Versions of what made it.
    pub packages: BTreeMap<String, String>,
    /// How answers were scored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scorers: Vec<Scorer>,
    /// Whatever else there is to say.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// The items of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dataset {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// How many.
    pub samples: u64,
    /// Their ids, texts or numbers.
    pub sample_ids: Vec<Value>,
    /// Whether they were shuffled.
    pub shuffled: bool,
}

/// How it was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How often every sample was asked.
    pub epochs: u64,
}

/// A scorer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scorer {
    /// Its name.
    pub name: String,
    /// Its options.
    pub options: Map<String, Value>,
    /// What it sums up to: names, in some logs with options or by name of a score.
    pub metrics: Value,
}

/// How answers were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// What was done, one after the other.
    pub steps: Vec<Step>,
}

/// A step of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// What.
    pub solver: String,
    /// With which parameters.
    pub params: Map<String, Value>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// Samples there are.
    pub total_samples: u64,
    /// Of these, finished.
    pub completed_samples: u64,
    /// Every score.
    pub scores: Vec<Score>,
}

/// What the samples' values of one score come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Score {
    /// Its name.
    pub name: String,
    /// The scorer that gave it: one may give several.
    pub scorer: String,
    /// How epochs were reduced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reducer: Option<String>,
    /// Samples that have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scored_samples: Option<u64>,
    /// Samples that do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unscored_samples: Option<u64>,
    /// Numbers, by name.
    pub metrics: BTreeMap<String, Metric>,
}

/// A number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Itself; none where it is not finite, which JSON cannot say.
    pub value: Option<f64>,
}

/// When, and how much was used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// When it began, in RFC 3339; empty: not known.
    pub started_at: String,
    /// When it ended.
    pub completed_at: String,
    /// Tokens by model.
    pub model_usage: BTreeMap<String, Usage>,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Given.
    pub input_tokens: u64,
    /// Said.
    pub output_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

/// Why an evaluation failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// One sentence.
    pub message: String,
}

/// Every sample's value of one scorer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reduction {
    /// The scorer.
    pub scorer: String,
    /// The values.
    pub samples: Vec<Reduced>,
}

/// One sample's value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reduced {
    /// The sample, a text or a number.
    pub sample_id: Value,
    /// A number, or whatever the scorer gives.
    pub value: Value,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// A row of `summaries.json`: a sample and epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The sample, a text or a number.
    pub id: Value,
    /// Which time it was asked, from 1.
    pub epoch: u64,
    /// What was asked: a text, or messages.
    pub input: Value,
    /// What is right: a text, or several.
    pub target: Value,
    /// Values, by scorer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<BTreeMap<String, Given>>,
    /// Whether it is finished.
    pub completed: bool,
}

/// The value that a scorer gives a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Given {
    /// `"C"` or `"I"` for right or wrong, or a number, or several by name.
    pub value: Value,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}
