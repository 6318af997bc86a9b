//! Which key of a row fills which column: the tables of specification 1 beside `trajectories`.

use rusqlite::types::Value as Sql;
use serde_json::Value;

/// A column and what fills it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    column: &'static str,
    from: From,
    /// NOT NULL without a default.
    needed: bool,
    /// NULL is not what the schema means by nothing.
    zero: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug)]
enum From {
    /// The key of the column's name.
    Same,
    /// The id of a trajectory itself.
    Id,
    /// The id of the trajectory that has the part.
    Owner,
    /// All of it.
    Whole,
    /// What is computed from the part and its trajectory.
    Made(fn(&Value, &Value) -> Value),
}

/// A column that the key of its name fills.
pub(super) const fn same(column: &'static str) -> Field {
    Field {
        column,
        from: From::Same,
        needed: false,
        zero: false,
    }
}

/// `trajectory_id` of the trajectory itself.
pub(super) const fn id() -> Field {
    Field {
        from: From::Id,
        ..same("trajectory_id").needed()
    }
}

/// The row itself.
pub(super) const fn whole(column: &'static str) -> Field {
    Field {
        from: From::Whole,
        ..same(column)
    }
}

const fn owner() -> Field {
    Field {
        from: From::Owner,
        ..same("trajectory_id")
    }
}

const fn made(column: &'static str, from: fn(&Value, &Value) -> Value) -> Field {
    Field {
        from: From::Made(from),
        ..same(column)
    }
}

impl Field {
    /// The same, which the schema wants filled.
    pub(super) const fn needed(mut self) -> Self {
        self.needed = true;
        self
    }

    /// The same, where the schema's default stands for nothing.
    pub(super) const fn or_zero(mut self) -> Self {
        self.zero = true;
        self
    }

    /// Its name.
    pub(super) fn column(&self) -> &'static str {
        self.column
    }

    /// Whether the schema refuses NULL.
    pub(super) fn is_needed(&self) -> bool {
        self.needed
    }

    /// What a part of a trajectory has for it.
    pub(super) fn value(&self, part: &Value, row: &Value, owner: Option<&str>) -> Sql {
        let text = |text: Option<String>| text.map_or(Sql::Null, Sql::Text);
        let found = match self.from {
            From::Owner => text(owner.map(String::from)),
            From::Id => text(id_of(part)),
            From::Whole => text(Some(part.to_string())),
            From::Same => part.get(self.column).map_or(Sql::Null, sql),
            From::Made(make) => sql(&make(part, row)),
        };
        match found {
            Sql::Null if self.zero => Sql::Integer(0),
            found => found,
        }
    }
}

/// The id that a trajectory is known by: text, or a number as it is written.
fn id_of(row: &Value) -> Option<String> {
    match row.get("id")? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Booleans are 0 and 1; what has parts is JSON.
fn sql(value: &Value) -> Sql {
    match value {
        Value::Null => Sql::Null,
        Value::Bool(truth) => Sql::Integer(i64::from(*truth)),
        Value::String(text) => Sql::Text(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Sql::Integer(whole),
            (None, Some(real)) => Sql::Real(real),
            (None, None) => Sql::Text(number.to_string()),
        },
        Value::Array(_) | Value::Object(_) => Sql::Text(value.to_string()),
    }
}

/// A table of which a trajectory has several rows.
#[derive(Debug)]
pub(super) struct Part {
    /// The key of the trajectory's list.
    pub key: &'static str,
    /// The table.
    pub table: &'static str,
    /// Its columns.
    pub fields: &'static [Field],
}

/// The lists of a trajectory.
pub(super) const PARTS: &[Part] = &[
    Part {
        key: "steps",
        table: "steps",
        fields: &[
            owner(),
            same("step_id").needed(),
            same("agent").needed(),
            same("action").needed(),
            same("input_tokens"),
            same("output_tokens"),
            same("latency_ms"),
            same("model_used"),
            same("model_tier"),
            same("cost_usd"),
            same("success"),
            same("error"),
            same("timestamp"),
        ],
    },
    Part {
        key: "routing_decisions",
        table: "routing_decisions",
        fields: &[
            owner(),
            same("selected_tier"),
            same("selected_model"),
            same("reasoning"),
            same("cost_estimate"),
            same("actual_cost"),
            same("was_optimal"),
        ],
    },
    Part {
        key: "agent_decisions",
        table: "agent_decisions",
        fields: &[
            owner(),
            same("agent").needed(),
            same("decision_type").needed(),
            same("input_context"),
            same("decision"),
            same("outcome"),
            same("latency_ms"),
            same("timestamp"),
        ],
    },
    Part {
        key: "error_resolutions",
        table: "error_resolutions",
        fields: &[
            owner(),
            same("error_type").needed(),
            same("error_message"),
            made("resolution_attempted", attempted),
            made("resolution_success", succeeded),
            made("iterations", |part, row| {
                either(part, "iterations", row, "cycles")
            }),
            made("final_state", |part, row| {
                either(part, "final_state", row, "outcome")
            }),
        ],
    },
    Part {
        key: "model_comparisons",
        table: "model_comparisons",
        fields: &[
            same("query_hash").needed(),
            same("model_a"),
            same("model_b"),
            same("output_a"),
            same("output_b"),
            same("quality_a"),
            same("quality_b"),
            same("cost_a"),
            same("cost_b"),
            same("winner"),
            same("timestamp"),
        ],
    },
];

/// A value of the part, else one of its trajectory.
fn either(part: &Value, key: &str, row: &Value, other: &str) -> Value {
    let found = part.get(key).or_else(|| row.get(other));
    found.cloned().unwrap_or_default()
}

/// Action and new value in one text, where they stand apart.
fn attempted(part: &Value, _: &Value) -> Value {
    if let Some(text) = part.get("resolution_attempted") {
        return text.clone();
    }
    let said = |key: &str| part.pointer(&format!("/resolution/{key}"))?.as_str();
    match (said("action"), said("new_value")) {
        (Some(action), Some(value)) => format!("{action}: {value}").into(),
        (Some(action), None) => action.into(),
        (None, _) => Value::Null,
    }
}

/// Whether it helped; null where nobody tried.
fn succeeded(part: &Value, _: &Value) -> Value {
    if let Some(truth) = part.get("resolution_success") {
        return truth.clone();
    }
    match part.get("outcome").and_then(Value::as_str) {
        Some("success") => true.into(),
        Some("failure") => false.into(),
        _ => Value::Null,
    }
}
