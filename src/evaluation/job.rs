//! What one evaluation is asked to do, and what it found: the input of the evaluation worker, and `results.json`.

use super::paired::{Comparison, Shown};
use crate::{training::words::Device, words::words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of `results.json`'s form.
pub const VERSION: u32 = 1;

/// One base model and its adapters, measured on the same items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What it is called, in reports and messages.
    pub name: String,
    /// A Hugging Face model directory.
    pub model: String,
    /// PEFT directories of adapters of that model.
    pub adapters: Vec<Contender>,
    /// Files of held-out rows, JSON lines.
    pub data: Vec<String>,
    /// Files of the training rows, for the bigram baseline; empty: there is none.
    pub training: Vec<String>,
    /// The directory that is made, whole.
    pub output: String,
    /// How much is looked at, and how surely.
    pub settings: EvaluationSettings,
    /// Where is computed.
    pub device: Device,
}

/// An adapter that stands against its base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contender {
    /// What it is called.
    pub name: String,
    /// Its PEFT directory.
    pub directory: String,
}

/// How much is looked at, and how surely: `[evaluation]` in a campaign file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationSettings {
    /// Held-out rows looked at, at most; 0: all. Chosen by the seed, so that adapters of one data set meet the same rows.
    pub items: u64,
    /// Candidates of an item when options are ranked, the right one among them; below 2: nothing is ranked.
    pub options: u32,
    /// Items that are answered by greedy decoding, at most; 0: none is.
    pub generate: u64,
    /// Tokens of such an answer, at most.
    pub max_new_tokens: u32,
    /// Tokens of a row at most; a longer one is left out and counted. 0: what the model can.
    pub max_seq_length: u32,
    /// Of intervals, and 1 - the error of a verdict; above a half, below 1.
    pub confidence: f64,
    /// Resamples of the bootstrap.
    pub resamples: u32,
    /// Items below which no verdict is anything but `underpowered`.
    pub least_items: u64,
    /// Root of all chance.
    pub seed: u64,
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        Self {
            items: 400,
            options: 4,
            generate: 40,
            max_new_tokens: 256,
            max_seq_length: 2048,
            confidence: 0.95,
            resamples: 10_000,
            least_items: 20,
            seed: 42,
        }
    }
}

impl EvaluationSettings {
    /// What is wrong: key, value and what is right.
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut found = Vec::new();
        let mut check = |fine: bool, key, value: String, right| {
            if !fine {
                found.push((key, value, right));
            }
        };
        let sure = self.confidence > 0.5 && self.confidence < 1.0;
        let right = "above 0.5 and below 1, such as 0.95";
        check(sure, "confidence", self.confidence.to_string(), right);
        let enough = (100..=1_000_000).contains(&self.resamples);
        check(
            enough,
            "resamples",
            self.resamples.to_string(),
            "100 to 1000000",
        );
        check(
            self.options <= 64,
            "options",
            self.options.to_string(),
            "0 to 64",
        );
        let some = self.max_new_tokens > 0 || self.generate == 0;
        check(
            some,
            "max_new_tokens",
            self.max_new_tokens.to_string(),
            "1 or more",
        );
        found
    }
}

words! {
    /// What is measured.
    pub enum Metric {
        /// Cross-entropy of the answers' tokens, in nats a token.
        Loss = "loss",
        /// Share of items whose right answer is likelier, a token, than the answers of other items.
        Ranking = "ranking_accuracy",
        /// Share of greedy answers that are the right one but for white space.
        ExactMatch = "exact_match",
        /// Share of greedy workflows in which the linter finds no error.
        LintPass = "lint_pass_rate",
        /// Share of greedy routing decisions that name the right tier.
        Routing = "routing_accuracy",
        /// Share of the findings in greedy reviews that are true.
        Precision = "validator_precision",
        /// Share of greedy diagnoses that name the right kind of error and what helps against it.
        Recovery = "recovery_accuracy",
    }
}

impl Metric {
    /// Whether more of it is better.
    pub fn higher_is_better(self) -> bool {
        self != Metric::Loss
    }

    /// Whether it is of answers that were decoded.
    pub fn decoded(self) -> bool {
        !matches!(self, Metric::Loss | Metric::Ranking)
    }

    /// Whether an item is either right or wrong.
    pub fn binary(self) -> bool {
        !matches!(self, Metric::Loss | Metric::Precision)
    }
}

/// `results.json`: a function of model, adapters, data and settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// [`VERSION`].
    pub version: u32,
    /// The evaluation's name.
    pub name: String,
    /// The model's directory.
    pub model: String,
    /// What was read.
    pub data: Vec<DataFile>,
    /// The data sets that the rows are of, by their directories' names.
    pub datasets: Vec<String>,
    /// Digests of all else that the numbers are a function of.
    pub inputs: Inputs,
    /// How it was measured.
    pub settings: EvaluationSettings,
    /// What became of the rows.
    pub items: Items,
    /// The base first, then every adapter in the order of the request.
    pub arms: Vec<Arm>,
    /// The loss that a model of pairs of tokens has; none without training rows.
    pub bigram: Option<Bigram>,
    /// Every adapter against the base, metric by metric.
    pub comparisons: Vec<Comparison>,
    /// What is shown of every adapter, over all metrics.
    pub verdicts: BTreeMap<String, Shown>,
}

/// A file of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Where it is.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Rows in it.
    pub rows: u64,
}

/// SHA-256 of what was read beside the data, hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Of the model: its configuration and weights together.
    pub model: String,
    /// Of each file that tokens and templates come from, by name.
    pub tokenizer: BTreeMap<String, String>,
    /// Of each adapter's files, by the adapter's name and theirs.
    pub adapters: BTreeMap<String, BTreeMap<String, String>>,
    /// Of the files of training rows, by path.
    pub training: BTreeMap<String, String>,
}

impl Inputs {
    /// What is another now than it was: the first difference, in words; none where all is the same.
    pub fn difference(&self, now: &Self) -> Option<String> {
        if self.model != now.model {
            return Some("the model's files have changed since".into());
        }
        let none = BTreeMap::new();
        let adapters = now.adapters.iter().map(|(name, files)| {
            let then = self.adapters.get(name).unwrap_or(&none);
            (format!("{name}: "), then, files)
        });
        let sets = std::iter::once((String::new(), &self.tokenizer, &now.tokenizer))
            .chain(adapters)
            .chain([(String::new(), &self.training, &now.training)]);
        for (whose, then, now) in sets {
            let mut names = then.keys().chain(now.keys());
            if let Some(name) = names.find(|name| then.get(*name) != now.get(*name)) {
                return Some(format!("{whose}{name} has changed since"));
            }
        }
        None
    }
}

/// What became of the held-out rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// Rows read.
    pub read: u64,
    /// Of these, measured.
    pub measured: u64,
    /// Rows without an answer to measure.
    pub unanswered: u64,
    /// Rows longer than the model's context or `max_seq_length`.
    pub too_long: u64,
    /// Rows that the most to look at left out.
    pub left_out: u64,
    /// Measured rows that are training rows, too: what is learned by heart there is not held out.
    #[serde(default)]
    pub trained_on: u64,
    /// Groups of rows that know of each other, which the bootstrap draws whole.
    pub clusters: u64,
}

/// A model as it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// `base`, or the adapter's name.
    pub name: String,
    /// The adapter's directory; none for the base.
    pub directory: Option<String>,
    /// What it reached.
    pub metrics: BTreeMap<Metric, Scored>,
}

/// One number with what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The number.
    pub value: f64,
    /// Items behind it.
    pub items: u64,
    /// Its interval: for a share of items Wilson's, of as many items as stand alone and tell as much as these components
    /// (the items over the design effect), else the cluster bootstrap's; none for too few items.
    pub interval: Option<(f64, f64)>,
}

/// A model of pairs of tokens, on the same tokens as the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bigram {
    /// Its loss, nats a token.
    pub loss: f64,
    /// Tokens of the held-out answers.
    pub tokens: u64,
    /// Pairs of tokens that it was made of.
    pub pairs: u64,
    /// How much the tokens' frequencies count beside the pairs', chosen on the training rows.
    pub strength: f64,
    /// Every arm against it in loss, the base first.
    pub against: Vec<Comparison>,
}
