//! What a person asked for, resolved and frozen: a campaign never changes its criteria behind anybody's back.

mod curation;
mod execution;
mod planning;
mod slurm;
mod training;

use super::job::Phase;
use crate::{
    evaluation::Criteria,
    ids::CampaignId,
    trajectory::record::{Agent, Tier},
    words::words,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::evaluation::job::EvaluationSettings;
pub use curation::{CurationSpec, ExportSpec};
pub use execution::{
    DEFAULT_COMMAND, ExecutionSpec, MOST_DATASETS, PLACEHOLDERS as EXECUTION_PLACEHOLDERS,
    TestDatasetSpec,
};
pub use planning::{Goal, MOST_CYCLES, MOST_PROPOSALS, PlanningSpec};
pub use slurm::SlurmSpec;
pub use training::{
    MOST_RUNS, MOST_STAGES, RunSpec, StageData, StageSpec, TrainingSet, TrainingSpec,
};

words! {
    /// Where jobs run.
    pub enum ExecutorKind {
        /// Processes of this machine.
        Local = "local",
        /// Jobs of a SLURM cluster.
        Slurm = "slurm",
    }
}

words! {
    /// Who makes the samples.
    pub enum Brain {
        /// The built-in generator: no model, no network.
        Rules = "rules",
        /// The built-in agents, speaking to an OpenAI-compatible server.
        Endpoint = "endpoint",
        /// A foreign command.
        Command = "command",
    }
}

words! {
    /// What a sample's quality rests on.
    pub enum EvidenceKind {
        /// The samples on disk.
        Samples = "samples",
        /// The generator's own log.
        Log = "log",
    }
}

words! {
    /// Which part of a campaign is asked for; the old launchers offered them one by one.
    pub enum Parts {
        /// All of it.
        Whole = "whole",
        /// The pilot, then stop.
        OnlyPilot = "only_pilot",
        /// The gate on the pilot's samples, then stop.
        OnlyValidate = "only_validate",
        /// No pilot and no gate: a person answers for the quality.
        SkipPilot = "skip_pilot",
    }
}

/// A campaign file with every layer applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CampaignSpec {
    /// The campaign's id.
    pub name: CampaignId,
    /// The file it came from, for messages; none for the embedded defaults.
    pub file: Option<String>,
    /// Absolute working directory of its commands: the file's own directory.
    pub directory: String,
    /// What the gate compares.
    pub criteria: Criteria,
    /// Samples of the full generation.
    pub campaign_target: u64,
    /// Launch the full generation without asking when the gate approves.
    pub auto_launch: bool,
    /// Where jobs run unless a phase says otherwise.
    pub executor: ExecutorKind,
    /// Root of all randomness.
    pub seed: u64,
    /// How samples are made.
    pub generator: GeneratorSpec,
    /// How often a job is started again, by cause.
    pub retry: RetryTimes,
    /// Workflow execution, if asked for.
    pub execution: Option<ExecutionSpec>,
    /// Curation to a data set, if asked for.
    pub curation: Option<CurationSpec>,
    /// Training, if asked for.
    pub training: Option<TrainingSpec>,
    /// Evaluation, if asked for.
    pub evaluation: Option<EvaluationSettings>,
    /// Planning of further cycles, if asked for.
    pub planning: Option<PlanningSpec>,
    /// What it may cost, if that is bounded.
    #[serde(default)]
    pub budget: Option<BudgetSpec>,
    /// Where each value came from.
    pub provenance: Vec<Provenance>,
    /// The phases that run on SLURM, with what they ask of it; the others run on this machine.
    #[serde(default)]
    pub slurm: BTreeMap<Phase, SlurmSpec>,
}

/// `[generator]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratorSpec {
    /// Who makes the samples.
    pub brain: Brain,
    /// Argument vector with placeholders, for [`Brain::Command`].
    pub command: Vec<String>,
    /// Tasks of the full generation; the pilot is one task.
    pub shards: u32,
    /// Limit of one task in seconds; none means no limit.
    pub time_seconds: Option<u64>,
    /// What quality rests on.
    pub evidence: EvidenceKind,
    /// Share of samples whose query has a planted fault, 0 to 1, for the built-in brains.
    pub faults: f64,
    /// How the agents of the built-in brains work.
    #[serde(default)]
    pub agents: AgentsSpec,
}

/// The agents of the built-in brains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentsSpec {
    /// Share of samples whose workflow gets one known defect, 0 to 1.
    pub defects: f64,
    /// Whether what the validator finds is mended.
    pub repair: bool,
    /// The most ways back to writer or planner that a sample has.
    pub max_cycles: u32,
    /// The models, for [`Brain::Endpoint`]; at most one of each tier.
    pub tiers: Vec<TierSpec>,
    /// Which tier an agent is sent to, as (agent, tier); the others go where their kind usually goes.
    pub routing: Vec<(Agent, Tier)>,
    /// Share of requests that a second tier is asked as well, 0 to 1.
    pub counterfactual: f64,
    /// The most requests in flight at once from one task.
    pub concurrency: u32,
}

impl Default for AgentsSpec {
    fn default() -> Self {
        Self {
            defects: 0.2,
            repair: true,
            max_cycles: 3,
            tiers: Vec::new(),
            routing: Vec::new(),
            counterfactual: 0.02,
            concurrency: 64,
        }
    }
}

/// A model behind an OpenAI-compatible server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierSpec {
    /// Which tier it is.
    pub tier: Tier,
    /// The server, up to and with `/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// USD for a million prompt tokens.
    pub prompt_price: f64,
    /// USD for a million prompt tokens that the server had in its cache.
    pub cached_price: f64,
    /// USD for a million completion tokens, those of reasoning among them.
    pub completion_price: f64,
    /// Tokens that prompt and completion may have together.
    pub context_length: u64,
    /// Where the key is: `env:NAME`, `file:PATH`, `credential:NAME`; empty for none. Never the key itself.
    pub api_key: String,
}

/// `[budget]`: what the campaign may cost. No request is sent to a model that could pass `usd` or `tokens`, and no job is
/// launched once a bound is reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetSpec {
    /// USD: of models asked, and of GPUs where `gpu_hour_usd` says what they cost; each by itself.
    pub usd: Option<f64>,
    /// Tokens, prompt and completion together.
    pub tokens: Option<u64>,
    /// GPUs times hours.
    pub gpu_hours: Option<f64>,
    /// What a GPU costs an hour, in USD.
    pub gpu_hour_usd: Option<f64>,
    /// Seconds since it was handed in.
    pub wall_seconds: Option<u64>,
    /// Jobs launched, further attempts among them.
    pub jobs: Option<u64>,
}

/// How often a job is started again before the campaign fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryTimes {
    /// After a failure of the node or the network.
    pub transient: u32,
    /// After a job that vanished without a word.
    pub lost: u32,
}

/// Where one setting came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The key, dotted: `generator.shards`.
    pub key: String,
    /// The value as text.
    pub value: String,
    /// `default`, `alttp.toml:5`, `QUALITY_THRESHOLD (alttp.toml:5 says 0.75)`, `--quality-threshold`.
    pub from: String,
}

impl AgentsSpec {
    fn problems(&self, brain: Brain, refuse: &mut impl FnMut(bool, String)) {
        for (key, share) in [
            ("defects", self.defects),
            ("counterfactual", self.counterfactual),
        ] {
            refuse(
                !(0.0..=1.0).contains(&share),
                format!("generator.{key} = {share} is not between 0 and 1"),
            );
        }
        refuse(
            !(1..=MOST_IN_FLIGHT).contains(&self.concurrency),
            format!(
                "generator.concurrency = {} is not 1 to {MOST_IN_FLIGHT}",
                self.concurrency
            ),
        );
        refuse(
            brain == Brain::Endpoint && self.tiers.is_empty(),
            "brain = \"endpoint\" needs a tier: [generator.tiers.local_small] with url and model"
                .into(),
        );
        for (at, tier) in self.tiers.iter().enumerate() {
            let name = tier.tier;
            let again = self.tiers[..at].iter().any(|other| other.tier == name);
            refuse(again, format!("tier {name} is there twice"));
            refuse(
                tier.url.is_empty() || tier.model.is_empty(),
                format!("tier {name} needs url and model"),
            );
            refuse(
                tier.context_length == 0,
                format!("tier {name} has no context_length"),
            );
            let prices = [tier.prompt_price, tier.cached_price, tier.completion_price];
            refuse(
                !prices
                    .iter()
                    .all(|price| *price >= 0.0 && price.is_finite()),
                format!("tier {name} has a price that is none"),
            );
        }
    }

    /// The cycles that a sample has: none where repair is off.
    pub fn cycles(&self) -> u32 {
        if self.repair { self.max_cycles } else { 0 }
    }
}

/// The most requests that one task may have in flight: each holds a connection.
pub const MOST_IN_FLIGHT: u32 = 1024;

/// The most tasks of one phase: a record names each of them.
pub const MOST_SHARDS: u32 = 10_000;

/// The most samples that are asked for at once; sums of such numbers never overflow.
pub const MOST_SAMPLES: u64 = 1_000_000_000;

/// Its bounds, or that there is none.
impl std::fmt::Display for BudgetSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bounds = [
            self.usd.map(|usd| format!("{usd} USD")),
            self.tokens.map(|tokens| format!("{tokens} tokens")),
            self.gpu_hours.map(|hours| format!("{hours} GPU hours")),
            self.wall_seconds.map(|seconds| format!("{seconds} s")),
            self.jobs.map(|jobs| format!("{jobs} jobs")),
        ];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        match bounds.is_empty() {
            true => f.write_str("no limit"),
            false => f.write_str(&bounds.join(", ")),
        }
    }
}

impl BudgetSpec {
    /// The amounts that are set, by their keys.
    pub fn amounts(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let all = [
            ("usd", self.usd),
            ("gpu_hours", self.gpu_hours),
            ("gpu_hour_usd", self.gpu_hour_usd),
        ];
        all.into_iter()
            .filter_map(|(key, amount)| Some((key, amount?)))
    }
}

/// Whether a fine-tune's name is one that the machine gives to proposals: `p4`.
fn is_proposal(name: &str) -> bool {
    let digits = name.strip_prefix('p');
    digits.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

impl CampaignSpec {
    /// What a spec may not ask for whoever wrote it, a sentence each. A campaign file is checked with file and line
    /// before; this is for what came over the socket.
    pub fn problems(&self) -> Vec<String> {
        let GeneratorSpec {
            brain,
            command,
            shards,
            faults,
            agents,
            ..
        } = &self.generator;
        let mut problems = self.criteria.problems();
        let mut refuse = |wrong: bool, sentence: String| {
            if wrong {
                problems.push(sentence);
            }
        };
        let (target, pilot) = (self.campaign_target, self.criteria.max_pilot_samples);
        refuse(
            !(1..=MOST_SAMPLES).contains(&target),
            format!("campaign_target = {target} is not 1 to {MOST_SAMPLES}"),
        );
        refuse(
            pilot > MOST_SAMPLES,
            format!("max_pilot_samples = {pilot} is more than {MOST_SAMPLES}"),
        );
        refuse(
            !(1..=MOST_SHARDS).contains(shards),
            format!("generator.shards = {shards} is not 1 to {MOST_SHARDS}"),
        );
        refuse(
            !(0.0..=1.0).contains(faults),
            format!("generator.faults = {faults} is not between 0 and 1"),
        );
        refuse(
            *brain == Brain::Command && command.first().is_none_or(String::is_empty),
            "generator.command is empty".into(),
        );
        refuse(
            !self.directory.starts_with('/'),
            format!("directory = \"{}\" is not absolute", self.directory),
        );
        agents.problems(*brain, &mut refuse);
        if let Some(budget) = &self.budget {
            for (key, amount) in budget.amounts() {
                refuse(
                    !(amount >= 0.0 && amount.is_finite()),
                    format!("budget.{key} = {amount} is no amount"),
                );
            }
        }
        if let Some(planning) = &self.planning {
            let runs = self.training.iter().flat_map(|training| &training.runs);
            for (key, sentence) in planning.faults(runs.clone().next()) {
                refuse(true, format!("{key}: {sentence}"));
            }
            for run in runs.filter(|run| is_proposal(&run.name)) {
                refuse(
                    true,
                    format!(
                        "training run {}: such names are those of proposals",
                        run.name
                    ),
                );
            }
        }
        for (phase, slurm) in &self.slurm {
            for problem in slurm.problems() {
                refuse(true, format!("{phase}: {problem}"));
            }
        }
        if let Some(execution) = &self.execution {
            execution.problems(&mut refuse);
        }
        if let Some(curation) = &self.curation {
            curation.problems(&mut refuse);
        }
        if let Some(training) = &self.training {
            training.problems(&mut refuse);
        }
        if let Some(evaluation) = &self.evaluation {
            for (key, value, right) in evaluation.problems() {
                refuse(true, format!("evaluation.{key} = {value}, not {right}"));
            }
        }
        problems
    }

    /// Whether a phase's tasks are SLURM's.
    pub fn on_slurm(&self, phase: Phase) -> bool {
        self.slurm.contains_key(&phase)
    }

    /// The first difference to `other` that a person could have meant, as (key, ours, theirs); none when both ask for
    /// the same campaign. Where a value came from, and where the file lies, is no difference.
    pub fn difference(&self, other: &CampaignSpec) -> Option<(String, String, String)> {
        if let Some(found) = self.criteria_difference(other) {
            return Some(found);
        }
        let pairs = [
            (
                "campaign_target",
                text(&self.campaign_target),
                text(&other.campaign_target),
            ),
            (
                "auto_launch",
                text(&self.auto_launch),
                text(&other.auto_launch),
            ),
            ("executor", text(&self.executor), text(&other.executor)),
            ("seed", text(&self.seed), text(&other.seed)),
            ("generator", text(&self.generator), text(&other.generator)),
            ("retry", text(&self.retry), text(&other.retry)),
            ("execution", text(&self.execution), text(&other.execution)),
            ("curation", text(&self.curation), text(&other.curation)),
            ("training", text(&self.training), text(&other.training)),
            (
                "evaluation",
                text(&self.evaluation),
                text(&other.evaluation),
            ),
            ("planning", text(&self.planning), text(&other.planning)),
            ("budget", text(&self.budget), text(&other.budget)),
            ("slurm", text(&self.slurm), text(&other.slurm)),
        ];
        first_difference(pairs)
    }

    /// The first difference between what the two gates compare.
    pub fn criteria_difference(&self, other: &CampaignSpec) -> Option<(String, String, String)> {
        let (a, b) = (&self.criteria, &other.criteria);
        first_difference([
            (
                "quality_threshold",
                text(&a.quality_threshold),
                text(&b.quality_threshold),
            ),
            ("gate", text(&a.gate), text(&b.gate)),
            (
                "min_pilot_samples",
                text(&a.min_pilot_samples),
                text(&b.min_pilot_samples),
            ),
            ("pilot_target", text(&a.pilot_target), text(&b.pilot_target)),
            (
                "max_pilot_samples",
                text(&a.max_pilot_samples),
                text(&b.max_pilot_samples),
            ),
        ])
    }

    /// The shards of a phase that makes samples: the pilot is one task, so that its samples are looked at in order.
    pub fn shards(&self, pilot: bool) -> u32 {
        if pilot { 1 } else { self.generator.shards }
    }
}

fn text(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn first_difference<const N: usize>(
    pairs: [(&str, String, String); N],
) -> Option<(String, String, String)> {
    let found = pairs.into_iter().find(|(_, ours, theirs)| ours != theirs)?;
    Some((found.0.into(), found.1, found.2))
}
