//! What a trajectory holds: the fields of specification 1 (2.1 and 2.3) by their names, and what ground truth needs beside.
//!
//! A trajectory never changes once it is written. What execution adds, and what people say of it, is joined by its id.

use crate::{
    generation::{Fault, QualityParts as QueryParts},
    words::words,
    workflow::{
        defect::Defect,
        errors::{Category, ErrorContext, Outcome as Recovered, Resolution},
        lint::{Issue, Rule},
    },
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

words! {
    /// How a trajectory ended (specification 1, "TrajectoryOutcome" and 6.1). Exactly one for every planned sample.
    pub enum Outcome {
        /// A workflow without findings.
        Success = "success",
        /// The validator found something, and repair is off.
        ValidationFailed = "validation_failed",
        /// It still found something after the last cycle.
        MaxCyclesExceeded = "max_cycles_exceeded",
        /// The workflow ran and failed.
        ExecutionFailed = "execution_failed",
        /// An agent took too long.
        Timeout = "timeout",
        /// A person ended it.
        UserCancelled = "user_cancelled",
        /// An agent could not answer.
        Error = "error",
    }
}

words! {
    /// How much a model can do and where it runs (specification 1, "model_tier").
    pub enum Tier {
        /// A small model on the cluster.
        LocalSmall = "local_small",
        /// A large model on the cluster.
        LocalLarge = "local_large",
        /// A small model of a provider.
        CloudSmall = "cloud_small",
        /// A large model of a provider.
        CloudLarge = "cloud_large",
    }
}

words! {
    /// Who acts in a trajectory.
    pub enum Agent {
        /// Picks and orders the steps.
        Planner = "planner",
        /// Writes and mends the workflow.
        Codegen = "codegen",
        /// Finds what is wrong with it.
        Validator = "validator",
        /// Writes its README.
        Documenter = "documenter",
        /// Judges the whole before it is kept.
        QualityChecker = "quality_checker",
        /// Finds the cause of an error.
        Diagnostician = "diagnostician",
        /// Learns from a failure.
        Reflector = "reflect",
    }
}

/// What an agent did once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStep {
    /// Position in the trajectory, from 1.
    pub step_id: u32,
    /// Who.
    pub agent: Agent,
    /// What: `generate_plan`, `generate_code`, `repair_code`, `validate`, `document`, `check_quality`, `diagnose`, `reflect`.
    pub action: Cow<'static, str>,
    /// Tokens that the model read; 0 where there was none.
    pub input_tokens: u64,
    /// Tokens among them that the provider had in its cache.
    pub cached_tokens: u64,
    /// Tokens that the model wrote, those of its reasoning among them.
    pub output_tokens: u64,
    /// Tokens of its reasoning.
    pub reasoning_tokens: u64,
    /// From question to answer in milliseconds; none where no model was asked.
    pub latency_ms: Option<f64>,
    /// The model; none where no model was asked.
    pub model_used: Option<String>,
    /// Its tier.
    pub model_tier: Option<Tier>,
    /// What it cost in USD.
    pub cost_usd: f64,
    /// Whether the agent did what it was asked.
    pub success: bool,
    /// What it was given, shortened.
    pub input_summary: String,
    /// What it gave, shortened.
    pub output_summary: String,
    /// Why it did not succeed.
    pub error: Option<String>,
    /// When it ended, RFC 3339; none where no model was asked: such a step takes no time worth recording.
    pub timestamp: Option<String>,
}

/// A tier as it stood before a decision: what the router could have chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The tier.
    pub tier: Tier,
    /// Its model.
    pub model: String,
    /// What the request was expected to cost there, USD.
    pub cost_estimate: f64,
    /// The mean latency seen there so far, milliseconds; none before the first answer.
    pub latency_ms: Option<f64>,
    /// The share of its answers to this agent that were good so far; none before the first.
    pub success_rate: Option<f64>,
}

/// Which tier an agent was sent to (specification 1, "OrchestratorDecision").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrchestratorDecision {
    /// Whose request.
    pub agent: Agent,
    /// The request, shortened.
    pub query_summary: String,
    /// The tier.
    pub selected_tier: Tier,
    /// Its model.
    pub selected_model: String,
    /// Why, one sentence.
    pub reasoning: String,
    /// The names of the others, as the specification has them.
    pub alternatives_considered: Vec<String>,
    /// The others with prices and latencies as they stood.
    pub alternatives: Vec<Alternative>,
    /// What it was expected to cost, USD.
    pub cost_estimate: f64,
    /// What it cost, USD.
    pub actual_cost: f64,
    /// Whether no other tier was measured to do as well for less. None: not measured, which is not "yes".
    pub was_optimal: Option<bool>,
}

/// A decision of an agent or of the supervisor (specification 1, 2.3 `agent_decisions`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentDecision {
    /// Who decided.
    pub agent: Cow<'static, str>,
    /// `model_selection`, `retry`, `fallback`; `data_remedy` where the plan answers to a property of the data.
    pub decision_type: Cow<'static, str>,
    /// What was known.
    pub input_context: String,
    /// What was decided.
    pub decision: String,
    /// `success`, `failure`, `timeout`; `untried` where nothing was run.
    pub outcome: Cow<'static, str>,
    /// How long it took, milliseconds; none where nobody was waited for.
    pub latency_ms: Option<f64>,
    /// When, RFC 3339; as in [`AgentStep::timestamp`].
    pub timestamp: Option<String>,
}

/// Two models asked the same (specification 1, 2.3 `model_comparisons`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelComparison {
    /// SHA-256 of the request, hexadecimal.
    pub query_hash: String,
    /// The model that was chosen.
    pub model_a: String,
    /// The model of the counterfactual.
    pub model_b: String,
    /// What the first answered.
    pub output_a: String,
    /// What the second answered.
    pub output_b: String,
    /// Quality of the first, 0 to 1.
    pub quality_a: f64,
    /// Quality of the second, 0 to 1.
    pub quality_b: f64,
    /// Cost of the first, USD.
    pub cost_a: f64,
    /// Cost of the second, USD.
    pub cost_b: f64,
    /// `a`, `b` or `tie`.
    pub winner: String,
    /// When, RFC 3339.
    pub timestamp: String,
}

/// A workflow as it stood when the validator saw it and found something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// The workflow.
    pub code: String,
    /// What was found: the ground truth of a validator data set.
    pub issues: Vec<Issue>,
    /// What a model said of it, where one was asked.
    pub feedback: Option<String>,
}

/// A defect that was put into a sample on purpose. No score looks at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedDefect {
    /// Its kind: one of the text, or `missing_step` of the plan.
    #[serde(rename = "type")]
    pub kind: DefectKind,
    /// What the linter calls it; none for one of the plan.
    pub rule: Option<Rule>,
    /// The line of the first draft where it is found, from 1; 0 for one of the plan.
    pub line: u32,
}

/// Where a planned defect sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DefectKind {
    /// In the text.
    Code(Defect),
    /// In the plan.
    Plan(PlanDefect),
}

words! {
    /// Defects of a plan.
    pub enum PlanDefect {
        /// A step that others need is left out.
        MissingStep = "missing_step",
    }
}

/// An error that was met and what was done about it (specification 1, 2.3 `error_resolutions` and 3.1 "Error Recovery").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Category in capitals, as the diagnostician sees it; none where it saw nothing.
    pub error_type: Option<Category>,
    /// What the run printed.
    pub error_message: String,
    /// What was known of the task.
    pub context: ErrorContext,
    /// What was done.
    pub resolution: Resolution,
    /// How that ended; `untried` where nothing was run.
    pub outcome: Recovered,
    /// Action and new value in one text.
    pub resolution_attempted: String,
    /// Whether it helped; none where nothing was run.
    pub resolution_success: Option<bool>,
    /// Cycles it took.
    pub iterations: u32,
    /// State in which the trajectory went on.
    pub final_state: Cow<'static, str>,
    /// Kind by the diagnostician.
    pub diagnosed_kind: Option<String>,
    /// Kind by the plan of the sample, where the error was planned: the ground truth.
    pub planned_kind: Option<String>,
}

/// What a failure teaches (specification 1, 6.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reflection {
    /// What fundamentally went wrong.
    pub root_cause: String,
    /// How it could have been avoided.
    pub prevention: String,
    /// What would work better.
    pub alternative: String,
    /// What later ones should know.
    pub learning: String,
}

/// The parts of a trajectory's quality, each from 0 (bad) to 1 (good), all read from what it made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityParts {
    /// What the linter says of the final workflow.
    pub lint: f64,
    /// How much of what the query asks the plan holds.
    pub plan_completeness: f64,
    /// Whether the workflow has the parts that the plan names.
    pub code_structure: f64,
    /// One over one more than half the repairs it took.
    pub repairs_needed: f64,
    /// 0 when the neighbour asks the same.
    pub diversity: f64,
}

/// One sample: a line of a shard file, whose `id` is its `trajectory_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryRecord {
    /// `t-<seed in hex>-<index>`.
    pub trajectory_id: String,
    /// Position in the plan of samples.
    pub index: u64,
    /// The query.
    pub query: String,
    /// Analysis type.
    pub analysis_type: String,
    /// Organism.
    pub organism: Option<String>,
    /// Complexity level.
    pub complexity: String,
    /// Analysis type and number of the query's template, such as `rna_seq/3`.
    pub template: String,
    /// Slot to value.
    pub slots: BTreeMap<String, String>,
    /// Name of the error scenario that the query tells of.
    pub scenario: Option<String>,

    /// What the agents did.
    pub steps: Vec<AgentStep>,
    /// Which tiers they were sent to; empty where no model was asked.
    pub routing_decisions: Vec<OrchestratorDecision>,
    /// What agents and supervisor decided.
    pub agent_decisions: Vec<AgentDecision>,
    /// What two models answered to the same.
    pub model_comparisons: Vec<ModelComparison>,

    /// The plan, JSON.
    pub plan_json: Option<String>,
    /// `main.nf`.
    pub generated_code: Option<String>,
    /// `nextflow.config`.
    pub config_code: Option<String>,
    /// `README.md`.
    pub readme: Option<String>,

    /// How often the validator looked.
    pub validation_iterations: u32,
    /// What it found last, a line each: empty after a pass.
    pub validation_issues: Vec<String>,
    /// Whether its last look found nothing.
    pub final_validation_passed: bool,
    /// The workflows that it found something in, in order.
    pub drafts: Vec<Draft>,
    /// Cycles spent on repair and redesign.
    pub cycles: u32,

    /// Whether the workflow was run.
    pub execution_submitted: bool,
    /// Whether the run ended.
    pub execution_completed: bool,
    /// Its exit status.
    pub execution_exit_code: Option<i32>,
    /// Where its logs are.
    pub execution_logs_path: Option<String>,
    /// Errors that were met and what was done about them.
    pub error_resolutions: Vec<Recovery>,
    /// What a failure teaches.
    pub reflection: Option<Reflection>,

    /// How it ended.
    pub outcome: Outcome,
    /// Why, one sentence.
    pub outcome_reason: String,
    /// Sum over the steps.
    pub total_tokens: u64,
    /// Sum over the steps, USD.
    pub total_cost_usd: f64,
    /// Sum over the steps that asked a model, milliseconds.
    pub total_latency_ms: f64,

    /// The job that made it.
    pub session_id: Option<String>,
    /// `positive`, `negative`, `neutral`: what a person said, joined by id when it is read; never in a shard file.
    pub user_feedback: Option<String>,
    /// When it was begun, RFC 3339.
    pub created_at: String,
    /// When it ended, RFC 3339.
    pub completed_at: Option<String>,

    /// Quality, 0 to 1.
    pub quality_score: f64,
    /// What the quality is made of.
    pub quality_parts: QualityParts,
    /// What the quality of the query is made of.
    pub query_parts: QueryParts,
    /// Whether the quality is enough to learn from.
    pub accepted: bool,
    /// The defect that was put into the workflow on purpose.
    pub planned_defect: Option<PlannedDefect>,
    /// The defect that was put into the query on purpose.
    pub planted_fault: Option<Fault>,
}

/// A line of a shard file: the record, and the key that every generator's samples have.
#[derive(Clone, Debug, Serialize)]
pub struct Sample<'a> {
    /// The trajectory's id.
    pub id: &'a str,
    /// The trajectory.
    #[serde(flatten)]
    pub trajectory: &'a TrajectoryRecord,
}
