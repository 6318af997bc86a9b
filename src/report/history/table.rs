//! Experiments as a table: a row each, a column for each field, each parameter and each metric.

use crate::{
    curation::schema::{Field, Schema, Type},
    history::Experiment,
    parameters::Value as Set,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The columns of experiments: their fields, `config.r` and so on, `metrics.eval_loss` and so on. Those of parameters have
/// the narrowest type that takes all values.
pub fn schema(experiments: &[Experiment]) -> Schema {
    let fields = [
        ("experiment_id", Type::Text),
        ("campaign", Type::Text),
        ("cycle_id", Type::Int),
        ("status", Type::Text),
        ("cause", Type::Text),
        ("failure", Type::Text),
        ("proposal_type", Type::Text),
        ("risk_level", Type::Text),
        ("proposal", Type::Text),
        ("adapter", Type::Text),
        ("verdict", Type::Text),
        ("duration_seconds", Type::Float),
        ("gpu_hours", Type::Float),
        ("ended_at", Type::Text),
    ];
    let mut set: BTreeMap<&str, Type> = BTreeMap::new();
    for (name, value) in experiments.iter().flat_map(|one| &one.config) {
        let of = type_of(value);
        let there = set.entry(name).or_insert_with(|| of.clone());
        *there = joined(there.clone(), of);
    }
    let measured: BTreeSet<&str> = experiments
        .iter()
        .flat_map(|one| one.metrics.keys().map(String::as_str))
        .collect();
    let fields = fields.into_iter().map(|(name, of)| Field::new(name, of));
    let set = set
        .into_iter()
        .map(|(name, of)| Field::new(&format!("config.{name}"), of));
    let measured = measured
        .into_iter()
        .map(|name| Field::new(&format!("metrics.{name}"), Type::Float));
    Schema(fields.chain(set).chain(measured).collect())
}

fn type_of(value: &Set) -> Type {
    match value {
        Set::Flag(_) => Type::Bool,
        Set::Whole(_) => Type::Int,
        Set::Number(_) => Type::Float,
        Set::Text(_) => Type::Text,
    }
}

fn joined(a: Type, b: Type) -> Type {
    match (a, b) {
        (a, b) if a == b => a,
        (Type::Int, Type::Float) | (Type::Float, Type::Int) => Type::Float,
        _ => Type::Text,
    }
}

/// An experiment as a row that fits the schema.
pub fn row(one: &Experiment, schema: &Schema) -> Map<String, Value> {
    let failure = one.failure.as_ref();
    let fields = json!({
        "experiment_id": one.experiment_id,
        "campaign": one.campaign,
        "cycle_id": one.cycle_id,
        "status": one.status.name(),
        "cause": failure.map(|failure| failure.cause.name()),
        "failure": failure.map(|failure| &failure.text),
        "proposal_type": one.proposal_type,
        "risk_level": one.risk_level,
        "proposal": one.proposal,
        "adapter": one.adapter,
        "verdict": one.verdict,
        "duration_seconds": one.duration_seconds,
        "gpu_hours": one.gpu_hours,
        "ended_at": one.ended_at.to_string(),
    });
    let mut row = match fields {
        Value::Object(row) => row,
        _ => Map::new(),
    };
    for field in &schema.0 {
        let set = field.name.strip_prefix("config.");
        if let Some(value) = set.and_then(|name| one.config.get(name)) {
            row.insert(field.name.clone(), cell(value, &field.of));
        }
    }
    let measured = one.metrics.iter();
    row.extend(measured.map(|(name, value)| (format!("metrics.{name}"), json!(value))));
    row
}

fn cell(value: &Set, of: &Type) -> Value {
    match (of, value) {
        (Type::Text, other) => Value::String(other.to_string()),
        (Type::Float, other) => json!(other.number()),
        (_, other) => json!(other),
    }
}
