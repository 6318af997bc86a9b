//! What goes over the control socket about proposals: what is to be tried, why, and what came of it.

use crate::parameters::Assignment;
use serde::{Deserialize, Serialize};

/// Where the cycles of a campaign are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanView {
    /// The cycle under way, from 1.
    pub cycle: u32,
    /// How many are asked for.
    pub cycles: u32,
    /// What is made better.
    pub metric: String,
    /// The best value of it so far.
    pub best: Option<f64>,
    /// The experiment that has it.
    pub best_experiment: Option<String>,
    /// Proposals that wait for a person.
    pub waiting: Vec<String>,
    /// Why there is no further cycle.
    pub stopped: Option<String>,
}

/// `GET /v1/campaigns/ID/proposals`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProposalsView {
    /// [`VERSION`](super::api::VERSION).
    pub version: u32,
    /// Whose.
    pub campaign: String,
    /// Where its cycles are; none where nothing is planned.
    pub plan: Option<PlanView>,
    /// Every proposal, oldest first.
    pub proposals: Vec<ProposalView>,
}

/// One proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProposalView {
    /// Its id, and the name of its training run.
    pub id: String,
    /// The cycle that tries it.
    pub cycle: Option<u32>,
    /// What differs from the baseline.
    pub values: Assignment,
    /// `space_filling`, `explore`, `exploit`, `recover` or `person`.
    pub kind: String,
    /// Why this one.
    pub why: String,
    /// What was expected of it.
    pub prediction: Option<PredictionView>,
    /// What was asked of it.
    pub checks: Vec<CheckView>,
    /// `low`, `medium` or `high`.
    pub risk: String,
    /// What that rests on.
    pub risks: Vec<String>,
    /// The experiments that it rests on.
    pub evidence: Vec<String>,
    /// `waiting`, `approved`, `refused` or `tried`.
    pub state: String,
    /// Who decided.
    pub decided_by: String,
    /// When it was made.
    pub created_at: String,
    /// When it was decided.
    pub decided_at: Option<String>,
    /// What came of it.
    pub result: Option<ResultView>,
}

/// What was expected of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PredictionView {
    /// Of which metric.
    pub metric: String,
    /// The expected value.
    pub mean: f64,
    /// Its standard deviation.
    pub sd: f64,
}

/// One question that was asked of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// `constraints`, `budget`, `novelty` or `predicted_gain`.
    pub name: String,
    /// Whether it speaks for the proposal.
    pub passed: bool,
    /// The numbers.
    pub reason: String,
}

/// What came of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultView {
    /// The experiment.
    pub experiment: String,
    /// `completed`, `failed` or `cancelled`.
    pub status: String,
    /// The metric that is made better.
    pub value: Option<f64>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// `POST /v1/campaigns/ID/proposals`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProposeRequest {
    /// What is to be tried.
    pub values: Assignment,
    /// Why.
    #[serde(default)]
    pub why: String,
}
