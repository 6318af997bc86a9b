//! Error recovery: what a run printed, why, and what helps.
//!
//! Errors that were planned have a known cause. Where the diagnostician took another one for it, its answer is not taught but
//! the catalogue's for the true cause; both kinds are beside it as labels.

use super::{
    Numbered,
    chat::{compact, messages},
    columns::{field, int, object, text},
};
use crate::{
    curation::{
        schema::{Field, Type},
        words::DataSet,
    },
    trajectory::{TrajectoryRecord, record::Recovery},
    workflow::{
        errors::{
            Category, Diagnosis, ErrorContext, Outcome, Resolution, Situation, entry, resolve,
        },
        plan::Plan,
    },
};
use serde::Serialize;
use serde_json::json;

pub(super) fn fields() -> Vec<Field> {
    let known = vec![
        text("process"),
        text("current_memory"),
        int("input_size_gb"),
    ];
    let resolution = ["action", "new_value", "config_change"].map(text).to_vec();
    vec![
        text("error_type"),
        text("error_message"),
        field("context", Type::Struct(known)),
        field("resolution", Type::Struct(resolution)),
        text("outcome"),
        text("planned_kind"),
        text("diagnosed_kind"),
    ]
}

/// What the model is given.
#[derive(Serialize)]
struct Asked<'a> {
    error_message: &'a str,
    context: &'a ErrorContext,
}

/// What it should say.
#[derive(Serialize)]
struct Answer {
    error_type: Category,
    resolution: Resolution,
}

pub(super) fn rows(of: &TrajectoryRecord) -> Vec<Numbered> {
    let row = |(n, met): (usize, &Recovery)| {
        let answer = answer(of, met)?;
        let asked = Asked {
            error_message: &met.error_message,
            context: &met.context,
        };
        let said = messages(DataSet::ErrorRecovery, &compact(&asked), &compact(&answer));
        let row = json!({
            "messages": said,
            "error_type": answer.error_type,
            "error_message": met.error_message,
            "context": {
                "process": met.context.process,
                "current_memory": met.context.current_memory,
                "input_size_gb": met.context.input_size_gb,
            },
            "resolution": answer.resolution,
            "outcome": if misread(met) { Outcome::Untried } else { met.outcome },
            "planned_kind": met.planned_kind,
            "diagnosed_kind": met.diagnosed_kind,
        });
        Some((n, object(row)))
    };
    let met = of.error_resolutions.iter().enumerate();
    met.filter_map(row).collect()
}

/// Whether the cause is known and another one was named.
fn misread(met: &Recovery) -> bool {
    met.planned_kind.is_some() && met.planned_kind != met.diagnosed_kind
}

/// What is worth saying; none where nothing was printed, or what was done did not help.
fn answer(of: &TrajectoryRecord, met: &Recovery) -> Option<Answer> {
    if met.error_message.trim().is_empty() {
        return None;
    }
    if misread(met) {
        return truth(of, met);
    }
    (met.outcome != Outcome::Failure).then_some(())?;
    Some(Answer {
        error_type: met.error_type?,
        resolution: met.resolution.clone(),
    })
}

/// The catalogue's answer to the planned kind, in the situation in which it was planned.
fn truth(of: &TrajectoryRecord, met: &Recovery) -> Option<Answer> {
    let kind = entry(met.planned_kind.as_deref()?)?;
    let diagnosis = Diagnosis {
        kind: kind.name.clone(),
        category: kind.category,
        message: met.error_message.clone(),
        line: 0,
        process: Some(met.context.process.clone()),
        exit_status: None,
        confidence: 1.0,
        also: Vec::new(),
    };
    Some(Answer {
        error_type: kind.category,
        resolution: resolve(&diagnosis, &situation(of, &met.context)),
    })
}

fn situation(of: &TrajectoryRecord, known: &ErrorContext) -> Situation {
    let mut situation = Situation {
        process: known.process.clone(),
        input_size_gb: known.input_size_gb,
        ..Situation::default()
    };
    let memory = known.current_memory.strip_suffix(" GB");
    if let Some(memory) = memory.and_then(|number| number.parse().ok()) {
        situation.memory_gb = memory;
    }
    let plan: Option<Plan> = of
        .plan_json
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    if let Some(plan) = plan {
        let step = plan.steps.iter().find(|step| step.process == known.process);
        if let Some(step) = step {
            situation.tool.clone_from(&step.tool);
        }
        if let Some(runtime) = plan.container_runtime {
            situation.runtime = runtime;
        }
    }
    situation
}
