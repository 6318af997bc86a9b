//! Columns, and values for them.

use crate::curation::schema::{Field, Type};
use serde_json::{Map, Value};

pub(super) fn field(name: &str, of: Type) -> Field {
    Field {
        name: name.into(),
        of,
    }
}

pub(super) fn text(name: &str) -> Field {
    field(name, Type::Text)
}

pub(super) fn int(name: &str) -> Field {
    field(name, Type::Int)
}

pub(super) fn float(name: &str) -> Field {
    field(name, Type::Float)
}

pub(super) fn flag(name: &str) -> Field {
    field(name, Type::Bool)
}

pub(super) fn texts(name: &str) -> Field {
    field(name, Type::List(Box::new(Type::Text)))
}

/// The members of what `json!` made.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
