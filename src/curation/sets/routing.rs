//! Routing: which model a request is best sent to. Only decisions that were measured against another tier and held.

use super::{
    Numbered,
    chat::{compact, messages},
    columns::{field, float, object, text, texts},
};
use crate::{
    curation::{
        schema::{Field, Type},
        words::DataSet,
    },
    trajectory::{
        TrajectoryRecord,
        record::{Agent, OrchestratorDecision, Tier},
    },
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What the router knows: the specification's keys, those of 4.2, and whose request it is, because agents have needs of
/// their own. Preference and budget are no part of a record.
#[derive(Serialize)]
struct Known<'a> {
    available_models: Vec<&'a str>,
    user_preference: Option<&'a str>,
    budget_remaining: Option<f64>,
    analysis_type: &'a str,
    complexity: &'a str,
    agent: Agent,
}

/// What the model is given: nothing that is unknown.
#[derive(Serialize)]
struct Asked<'a> {
    query: &'a str,
    context: Shown<'a>,
}

#[derive(Serialize)]
struct Shown<'a> {
    available_models: &'a [&'a str],
    analysis_type: &'a str,
    complexity: &'a str,
    agent: Agent,
}

#[derive(Serialize)]
struct Answer<'a> {
    optimal_tier: &'a str,
    optimal_model: &'a str,
    reasoning: &'a str,
}

pub(super) fn fields() -> Vec<Field> {
    let known = vec![
        texts("available_models"),
        text("user_preference"),
        float("budget_remaining"),
        text("analysis_type"),
        text("complexity"),
        text("agent"),
    ];
    let mut fields = vec![text("query"), field("context", Type::Struct(known))];
    fields.extend(
        [
            "optimal_tier",
            "optimal_model",
            "reasoning",
            "target_tier",
            "target_model",
        ]
        .map(text),
    );
    fields
}

pub(super) fn rows(of: &TrajectoryRecord) -> Vec<Numbered> {
    let decisions = of.routing_decisions.iter().enumerate();
    decisions
        .filter(|(n, decision)| decision.was_optimal == Some(true) && answered_itself(of, *n))
        .map(|(n, decision)| (n, row(of, decision)))
        .collect()
}

/// Whether the model that was chosen gave the answer that was measured. Where it fell ill and another one answered, the
/// comparison is of that other one: the choice was not shown to be good. Comparisons are written in the order of the
/// decisions that they measured; where they do not pair, nothing is known against the decision.
fn answered_itself(of: &TrajectoryRecord, n: usize) -> bool {
    let measured = |decision: &&OrchestratorDecision| decision.was_optimal.is_some();
    if of.routing_decisions.iter().filter(measured).count() != of.model_comparisons.len() {
        return true;
    }
    let place = of.routing_decisions[..n].iter().filter(measured).count();
    (of.model_comparisons.get(place))
        .is_none_or(|seen| seen.model_a == of.routing_decisions[n].selected_model)
}

fn row(of: &TrajectoryRecord, decision: &OrchestratorDecision) -> Map<String, Value> {
    let models = available(decision);
    let tier = decision.selected_tier.name().to_ascii_uppercase();
    let asked = Asked {
        query: &of.query,
        context: Shown {
            available_models: &models,
            analysis_type: &of.analysis_type,
            complexity: &of.complexity,
            agent: decision.agent,
        },
    };
    let answer = Answer {
        optimal_tier: &tier,
        optimal_model: &decision.selected_model,
        reasoning: &decision.reasoning,
    };
    let said = messages(DataSet::Routing, &compact(&asked), &compact(&answer));
    object(json!({
        "messages": said,
        "query": of.query,
        "context": Known {
            available_models: models,
            user_preference: None,
            budget_remaining: None,
            analysis_type: &of.analysis_type,
            complexity: &of.complexity,
            agent: decision.agent,
        },
        "optimal_tier": tier,
        "optimal_model": decision.selected_model,
        "reasoning": decision.reasoning,
        "target_tier": decision.selected_tier,
        "target_model": decision.selected_model,
    }))
}

/// The models that could be chosen, smallest tier first: an order that does not tell which one was.
fn available(decision: &OrchestratorDecision) -> Vec<&str> {
    let others = decision.alternatives.iter();
    let mut models: Vec<(Tier, &str)> = others
        .map(|other| (other.tier, other.model.as_str()))
        .collect();
    models.push((decision.selected_tier, &decision.selected_model));
    models.sort_unstable();
    let mut names: Vec<&str> = Vec::new();
    for (_, name) in models {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
