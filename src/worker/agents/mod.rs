//! Who a supervisor asks: the agents of a brain, and what their answers carry.

pub mod endpoint;
pub mod rules;

use crate::{
    trajectory::record::{
        Agent, AgentDecision, ModelComparison, OrchestratorDecision, Reflection, Tier,
        TrajectoryRecord,
    },
    workflow::{
        errors::{Diagnosis, Situation},
        lint::Issue,
        plan::{Asked, Plan},
        writer::Artefact,
    },
};

/// A sample under way, as its agents see it.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The query and all that is known of it; what was planned against it is nobody's to read.
    pub record: &'a TrajectoryRecord,
    /// Root of all chance.
    pub seed: u64,
    /// Which cycle it is in, from 0.
    pub cycle: u32,
}

impl<'a> Ask<'a> {
    /// What a planner is asked for.
    pub fn asked(&self) -> Asked<'a> {
        let record = self.record;
        Asked {
            analysis_type: &record.analysis_type,
            organism: record.organism.as_deref().unwrap_or(""),
            complexity: &record.complexity,
            query: &record.query,
            slots: &record.slots,
        }
    }
}

/// What asking a model took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Tokens read.
    pub input_tokens: u64,
    /// Among them those the server had cached.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Among them those of reasoning.
    pub reasoning_tokens: u64,
    /// From question to answer, milliseconds.
    pub latency_ms: f64,
    /// The model.
    pub model: String,
    /// Its tier.
    pub tier: Option<Tier>,
    /// USD.
    pub cost_usd: f64,
    /// When the answer came, RFC 3339.
    pub at: String,
    /// How the tier was chosen.
    pub routing: Option<OrchestratorDecision>,
    /// Retries and fallbacks on the way.
    pub decisions: Vec<AgentDecision>,
    /// What a second tier answered to the same.
    pub comparison: Option<ModelComparison>,
}

/// An agent's answer.
#[derive(Debug)]
pub struct Said<T> {
    /// What it says, or why it says nothing.
    pub value: Result<T, Trouble>,
    /// What asking took; none where no model was asked.
    pub call: Option<Box<Call>>,
}

impl<T> Said<T> {
    /// An answer that took no model.
    pub fn plain(value: T) -> Self {
        Self {
            value: Ok(value),
            call: None,
        }
    }

    /// No answer, and no model was asked.
    pub fn failed(why: String) -> Self {
        Self {
            value: Err(Trouble::Failed(why)),
            call: None,
        }
    }
}

/// Why an agent gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot: the sample ends as an error.
    Failed(String),
    /// It took too long: the sample ends so.
    TookTooLong(String),
    /// Nothing of this sample can be done now, and of no other: the worker stops, and the sample is begun again later.
    Stop(Stop),
}

/// Why a worker stops before its work is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The task's slice of the budget is spent; a sentence.
    BudgetSpent(String),
    /// The server cannot be reached, or refuses for now; a sentence.
    Unavailable(String),
    /// The server will never answer: a wrong key, a model it does not have; a sentence.
    Refused(String),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::BudgetSpent(why) | Stop::Unavailable(why) | Stop::Refused(why) => {
                f.write_str(why)
            }
        }
    }
}

/// What the validator says beside the linter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opinion {
    /// In its own words; none where no model was asked.
    pub feedback: Option<String>,
}

/// The agents of a brain. Each may be asked again after a kill, so none changes anything.
pub trait Agents {
    /// Picks and orders steps. `flaws` are what was found wrong with the plan before.
    fn plan(&self, ask: Ask<'_>, flaws: &[String]) -> impl Future<Output = Said<Plan>>;

    /// Writes the workflow of a plan.
    fn write(&self, ask: Ask<'_>, plan: &Plan) -> impl Future<Output = Said<Artefact>>;

    /// Mends what was found.
    fn repair(
        &self,
        ask: Ask<'_>,
        plan: &Plan,
        artefact: &Artefact,
        issues: &[Issue],
    ) -> impl Future<Output = Said<Artefact>>;

    /// Says what it thinks of a workflow whose findings the linter has listed.
    fn validate(
        &self,
        ask: Ask<'_>,
        artefact: &Artefact,
        issues: &[Issue],
    ) -> impl Future<Output = Said<Opinion>>;

    /// Writes the README.
    fn document(
        &self,
        ask: Ask<'_>,
        plan: &Plan,
        artefact: &Artefact,
    ) -> impl Future<Output = Said<String>>;

    /// Finds the cause of an error; none where it sees none.
    fn diagnose(
        &self,
        ask: Ask<'_>,
        log: &str,
        situation: &Situation,
    ) -> impl Future<Output = Said<Option<Diagnosis>>>;

    /// Says what a failure teaches.
    fn reflect(&self, ask: Ask<'_>) -> impl Future<Output = Said<Reflection>>;
}

/// What an agent's work is called in a step.
pub fn action(agent: Agent, again: bool) -> &'static str {
    match (agent, again) {
        (Agent::Planner, false) => "generate_plan",
        (Agent::Planner, true) => "redesign_plan",
        (Agent::Codegen, false) => "generate_code",
        (Agent::Codegen, true) => "repair_code",
        (Agent::Validator, _) => "validate",
        (Agent::Documenter, _) => "document",
        (Agent::QualityChecker, _) => "check_quality",
        (Agent::Diagnostician, _) => "diagnose",
        (Agent::Reflector, _) => "reflect",
    }
}
