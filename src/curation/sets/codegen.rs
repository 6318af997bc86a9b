//! Code generation: from a plan to a workflow that passed. Nothing else is worth imitating.

use super::{
    Numbered,
    chat::messages,
    columns::{field, flag, object, text, texts},
};
use crate::{
    curation::{
        schema::{Field, Type},
        words::DataSet,
    },
    trajectory::{Outcome, TrajectoryRecord},
};
use serde_json::{Value, json};

pub(super) fn fields() -> Vec<Field> {
    let plan = vec![
        text("analysis_type"),
        texts("steps"),
        text("organism"),
        text("reference"),
    ];
    vec![
        field("plan", Type::Struct(plan)),
        text("plan_json"),
        text("generated_code"),
        text("config"),
        flag("validation_passed"),
        flag("execution_success"),
    ]
}

pub(super) fn rows(of: &TrajectoryRecord) -> Vec<Numbered> {
    row(of).map(|row| (0, object(row))).into_iter().collect()
}

fn row(of: &TrajectoryRecord) -> Option<Value> {
    let code = of
        .generated_code
        .as_deref()
        .filter(|code| !code.trim().is_empty())?;
    let plan_json = of.plan_json.as_deref()?;
    let execution_success = execution(of);
    if of.outcome != Outcome::Success || execution_success == Some(false) {
        return None;
    }
    Some(json!({
        "messages": messages(DataSet::Codegen, plan_json, code),
        "plan": summary(plan_json)?,
        "plan_json": plan_json,
        "generated_code": code,
        "config": of.config_code,
        "validation_passed": of.final_validation_passed,
        "execution_success": execution_success,
    }))
}

/// Whether the workflow ran; none where it was not run to its end.
fn execution(of: &TrajectoryRecord) -> Option<bool> {
    let ended = of.execution_submitted && of.execution_completed;
    of.execution_exit_code
        .filter(|_| ended)
        .map(|status| status == 0)
}

/// The plan as the specification shows it: steps by their names. None for a text that is no plan.
fn summary(plan_json: &str) -> Option<Value> {
    let plan: Value = serde_json::from_str(plan_json).ok()?;
    let steps: Vec<&str> = plan
        .get("steps")?
        .as_array()?
        .iter()
        .filter_map(|step| step.get("id").unwrap_or(step).as_str())
        .collect();
    let text = |key: &str| plan.get(key).and_then(Value::as_str);
    Some(json!({
        "analysis_type": text("analysis_type"),
        "steps": steps,
        "organism": text("organism"),
        "reference": text("reference"),
    }))
}
