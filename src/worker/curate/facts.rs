//! What the statistics take from a row.

use crate::{
    curation::{stats::Facts, words::Split},
    trajectory::TrajectoryRecord,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Of a trajectory.
pub fn of_trajectory<'a>(
    record: &'a TrajectoryRecord,
    value: f64,
    split: Split,
    nearest: Option<f64>,
) -> Facts<'a> {
    let parts = &record.quality_parts;
    let mut models: BTreeMap<&str, u64> = BTreeMap::new();
    for model in record
        .steps
        .iter()
        .filter_map(|step| step.model_used.as_deref())
    {
        *models.entry(model).or_default() += 1;
    }
    let met = record
        .error_resolutions
        .iter()
        .filter_map(|error| Some(error.error_type?.name()));
    let found = record
        .drafts
        .iter()
        .flat_map(|draft| &draft.issues)
        .map(|issue| issue.rule.name());
    Facts {
        analysis_type: Some(&record.analysis_type),
        organism: record.organism.as_deref(),
        complexity: Some(&record.complexity),
        outcome: Some(record.outcome.name()),
        quality: Some(record.quality_score),
        quality_parts: vec![
            ("lint", parts.lint),
            ("plan_completeness", parts.plan_completeness),
            ("code_structure", parts.code_structure),
            ("repairs_needed", parts.repairs_needed),
            ("diversity", parts.diversity),
        ],
        training_value: Some(value),
        tokens: Some(record.total_tokens),
        cost_usd: Some(record.total_cost_usd),
        models: models.into_iter().collect(),
        errors: met.chain(found).collect(),
        split,
        duplicate_of_score: nearest,
    }
}

/// Of a row of another generator: what it calls by the names that are known.
pub fn of_row(row: &Map<String, Value>, split: Split, nearest: Option<f64>) -> Facts<'_> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let number = |key: &str| row.get(key).and_then(Value::as_f64);
    Facts {
        analysis_type: text("analysis_type"),
        organism: text("organism"),
        complexity: text("complexity"),
        outcome: text("outcome"),
        quality: number("quality_score").filter(|score| (0.0..=1.0).contains(score)),
        quality_parts: Vec::new(),
        training_value: None,
        tokens: row.get("total_tokens").and_then(Value::as_u64),
        cost_usd: number("total_cost_usd"),
        models: text("model").map(|model| (model, 1)).into_iter().collect(),
        errors: text("error_type").into_iter().collect(),
        split,
        duplicate_of_score: nearest,
    }
}
