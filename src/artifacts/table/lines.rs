//! A row as a line of JSON: every key in every row, in the order of the schema.

use crate::curation::schema::{Field, Schema, Type};
use serde_json::{Map, Value};
use std::io::{self, Write};

/// Writes one line.
pub fn write(to: &mut impl Write, schema: &Schema, row: &Map<String, Value>) -> io::Result<()> {
    object(to, &schema.0, row)?;
    to.write_all(b"\n")
}

fn object(to: &mut impl Write, fields: &[Field], row: &Map<String, Value>) -> io::Result<()> {
    to.write_all(b"{")?;
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            to.write_all(b",")?;
        }
        serde_json::to_writer(&mut *to, &field.name)?;
        to.write_all(b":")?;
        value(to, &field.of, row.get(&field.name).unwrap_or(&Value::Null))?;
    }
    to.write_all(b"}")
}

fn value(to: &mut impl Write, of: &Type, held: &Value) -> io::Result<()> {
    match (of, held) {
        (Type::Struct(fields), Value::Object(row)) => object(to, fields, row),
        (Type::List(of), Value::Array(elements)) => {
            to.write_all(b"[")?;
            for (number, element) in elements.iter().enumerate() {
                if number > 0 {
                    to.write_all(b",")?;
                }
                value(to, of, element)?;
            }
            to.write_all(b"]")
        }
        (_, plain) => Ok(serde_json::to_writer(to, plain)?),
    }
}
