//! Trajectories as rows of data sets: the shapes of specification 1 (3.1, 4.2 to 4.4), each with the conversation to train on.
//!
//! Two laws. What differs between machines or runs of one seed (times, latencies, sessions) is in no row, so that the same
//! trajectory always gives the same bytes. And no answer that is known to be wrong is taught: a workflow that failed to run, a
//! remedy that did not help and a decision that another tier undid give no row, and a wrong diagnosis gives the right one.

mod chat;
mod codegen;
mod columns;
mod error_recovery;
mod preferences;
mod review;
mod routing;
mod validation;

use super::{
    schema::{Schema, chat},
    words::DataSet,
};
use crate::trajectory::TrajectoryRecord;
use columns::{float, text};
use serde_json::{Map, Value, json};

/// A row of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct SetRow {
    /// The data set.
    pub set: DataSet,
    /// The row, with a value (which may be null) for every column of [`schema`].
    pub row: Map<String, Value>,
}

/// A row before it has an id: its number within trajectory and data set, which does not depend on other rows.
type Numbered = (usize, Map<String, Value>);

/// The data sets that trajectories have rows for: all but [`DataSet::Samples`].
pub const SETS: [DataSet; 5] = [
    DataSet::Routing,
    DataSet::Codegen,
    DataSet::Validation,
    DataSet::ErrorRecovery,
    DataSet::ValidationPreferences,
];

/// The rows of one trajectory, data set by data set. `training_value` is that of [`super::value`], 0 to 1.
pub fn rows(trajectory: &TrajectoryRecord, training_value: f64) -> Vec<SetRow> {
    let of = |set| {
        let rows = match set {
            DataSet::Routing => routing::rows(trajectory),
            DataSet::Codegen => codegen::rows(trajectory),
            DataSet::Validation => validation::rows(trajectory),
            DataSet::ErrorRecovery => error_recovery::rows(trajectory),
            DataSet::ValidationPreferences => preferences::rows(trajectory),
            DataSet::Samples => Vec::new(),
        };
        said_once(rows).into_iter().map(move |(n, mut row)| {
            let id = format!("{}/{}/{n}", trajectory.trajectory_id, short(set));
            row.insert("id".into(), id.into());
            share(&mut row, trajectory, training_value);
            SetRow { set, row }
        })
    };
    SETS.into_iter().flat_map(of).collect()
}

/// Rows without those that repeat an earlier one of the trajectory: an agent that is asked again is often routed in the same
/// words, and a repair that changed nothing leaves the same draft.
fn said_once(rows: Vec<Numbered>) -> Vec<Numbered> {
    let mut once: Vec<Numbered> = Vec::new();
    for (n, row) in rows {
        let same = |(_, said): &Numbered| match row.get("messages") {
            Some(messages) => said.get("messages") == Some(messages),
            None => said == &row,
        };
        if !once.iter().any(same) {
            once.push((n, row));
        }
    }
    once
}

/// The columns of a data set: id, conversation, the shape of the specification, labels, what all data sets have.
///
/// Rows of [`DataSet::Samples`] have the columns that their generator gives them; only the id is known.
pub fn schema(set: DataSet) -> Schema {
    let mut fields = vec![text("id")];
    match set {
        DataSet::Samples => return Schema(fields),
        DataSet::ValidationPreferences => {
            fields.extend(["prompt", "chosen", "rejected"].map(|name| columns::field(name, chat())))
        }
        _ => fields.push(columns::field("messages", chat())),
    }
    fields.extend(match set {
        DataSet::Routing => routing::fields(),
        DataSet::Codegen => codegen::fields(),
        DataSet::Validation => validation::fields(),
        DataSet::ErrorRecovery => error_recovery::fields(),
        DataSet::ValidationPreferences => preferences::fields(),
        DataSet::Samples => Vec::new(),
    });
    let shared = [
        "trajectory_id",
        "analysis_type",
        "organism",
        "complexity",
        "outcome",
        "template",
    ];
    // The outcome of an error's resolution is the specification's; the trajectory's own then has a longer name.
    let named = |name: &str| match (set, name) {
        (DataSet::ErrorRecovery, "outcome") => text(TRAJECTORY_OUTCOME),
        _ => text(name),
    };
    fields.extend(shared.map(named));
    fields.extend([float("quality_score"), float("training_value")]);
    Schema(fields)
}

/// How the trajectory ended, where `outcome` says something else.
const TRAJECTORY_OUTCOME: &str = "trajectory_outcome";

/// The data set in ids.
fn short(set: DataSet) -> &'static str {
    match set {
        DataSet::ErrorRecovery => "recovery",
        DataSet::ValidationPreferences => "preference",
        other => other.name(),
    }
}

/// The columns that all data sets have.
fn share(row: &mut Map<String, Value>, of: &TrajectoryRecord, training_value: f64) {
    let outcome = if row.contains_key("outcome") {
        TRAJECTORY_OUTCOME
    } else {
        "outcome"
    };
    row.insert(outcome.into(), of.outcome.name().into());
    let shared = columns::object(json!({
        "trajectory_id": of.trajectory_id,
        "analysis_type": of.analysis_type,
        "organism": of.organism,
        "complexity": of.complexity,
        "template": of.template,
        "quality_score": of.quality_score,
        "training_value": training_value,
    }));
    row.extend(shared);
}
