//! The types of a data set's columns, and how a row is made to fit them.
//!
//! Readers of training data take a column's type from its first block and stop at the first row that differs: nulls before
//! texts, numbers among texts, a key that only one row has. So every data set has a schema before its first row is
//! written, and every row has every key.

pub mod features;
mod infer;

pub use infer::{Inference, MOST_COLUMNS, MixedColumn};

use crate::words::words;
use serde_json::{Map, Number, Value};

/// The type of a column, of a list's elements or of a struct's field. Everything may be null.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A signed integer of 64 bits.
    Int,
    /// A finite double. An integer becomes the nearest one.
    Float,
    /// A text, or any other value as its JSON.
    Text,
    /// Any number of elements of one type.
    List(Box<Type>),
    /// An object with known fields.
    Struct(Vec<Field>),
}

/// A column, or a field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its key.
    pub name: String,
    /// What it holds.
    pub of: Type,
}

impl Field {
    /// A field.
    pub fn new(name: &str, of: Type) -> Field {
        Field {
            name: name.to_owned(),
            of,
        }
    }
}

/// The columns of a data set, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema(pub Vec<Field>);

words! {
    /// What became of a value that is not of its column's type.
    pub enum Misfit {
        /// It stands in a text, as its JSON.
        AsJson = "as_json",
        /// It is null now: its type has no room for it.
        Lost = "lost",
        /// No field has its key; it is gone.
        Unknown = "unknown",
    }
}

/// The type of `messages`: a chat as `role` and `content`.
pub fn chat() -> Type {
    texts(["role", "content"])
}

/// A list of objects that hold two texts.
fn texts(names: [&str; 2]) -> Type {
    let fields = names.map(|name| Field::new(name, Type::Text));
    Type::List(Box::new(Type::Struct(fields.into())))
}

/// Whether a last column of this name takes, as one JSON object, what no other has a place for: `other`, or where the rows
/// have such a key themselves, `other_` and so on.
fn is_rest(name: &str) -> bool {
    name.trim_end_matches('_') == "other"
}

impl Schema {
    /// The row with every key of the schema and no other.
    ///
    /// An absent key is null. In a text column a text stays, everything else becomes its JSON. An integral float is an
    /// integer where one is asked for. A last column `other` of texts takes keys that the schema does not know; without
    /// one they are gone. Whoever counts that asks [`Schema::conform_noting`].
    pub fn conform(&self, row: Map<String, Value>) -> Map<String, Value> {
        self.conform_noting(row, &mut |_, _| ())
    }

    /// [`Schema::conform`] that tells of each value that did not fit: the row's key, and what became of it.
    pub fn conform_noting(
        &self,
        row: Map<String, Value>,
        note: &mut dyn FnMut(&str, Misfit),
    ) -> Map<String, Value> {
        conform_fields(&self.0, row, None, note)
    }

    /// Whether a row is as [`Schema::conform`] leaves it; an absent key stands for null.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn fits(&self, row: &Map<String, Value>) -> Result<(), String> {
        if let Some(key) = unknown_key(&self.0, row) {
            return Err(format!("the schema has no column \"{key}\""));
        }
        for field in &self.0 {
            let value = row.get(&field.name).unwrap_or(&Value::Null);
            if !field.of.fits(value) {
                return Err(format!(
                    "column \"{}\": {value} is of another type",
                    field.name
                ));
            }
        }
        Ok(())
    }
}

/// The first key that no field has.
fn unknown_key<'a>(fields: &[Field], row: &'a Map<String, Value>) -> Option<&'a str> {
    let present = fields.iter().filter(|field| row.contains_key(&field.name));
    if present.count() == row.len() {
        return None;
    }
    let known = |key: &str| fields.iter().any(|field| field.name == key);
    row.keys().map(String::as_str).find(|key| !known(key))
}

/// `column` is the row's key that all this is under; none for the row itself, whose keys name themselves.
fn conform_fields(
    fields: &[Field],
    mut row: Map<String, Value>,
    column: Option<&str>,
    note: &mut dyn FnMut(&str, Misfit),
) -> Map<String, Value> {
    let mut whole = Map::new();
    for field in fields {
        let value = row.remove(&field.name).unwrap_or(Value::Null);
        let value = field.of.conform(value, column.unwrap_or(&field.name), note);
        whole.insert(field.name.clone(), value);
    }
    if !row.is_empty() {
        let rest = rest_of(fields).and_then(|name| whole.get_mut(name));
        let place = rest.filter(|value| value.is_null());
        let misfit = if place.is_some() {
            Misfit::AsJson
        } else {
            Misfit::Unknown
        };
        for key in row.keys() {
            note(column.unwrap_or(key), misfit);
        }
        if let Some(place) = place {
            *place = Value::String(Value::Object(row).to_string());
        }
    }
    whole
}

/// The name of the column that takes unknown keys.
fn rest_of(fields: &[Field]) -> Option<&str> {
    let last = fields.last()?;
    (last.of == Type::Text && is_rest(&last.name)).then_some(last.name.as_str())
}

impl Type {
    fn conform(&self, value: Value, column: &str, note: &mut dyn FnMut(&str, Misfit)) -> Value {
        let fitting = match (self, value) {
            (_, Value::Null) => Some(Value::Null),
            (Type::Bool, value @ Value::Bool(_)) | (Type::Text, value @ Value::String(_)) => {
                Some(value)
            }
            (Type::Int, Value::Number(number)) => integer(&number).map(Value::from),
            (Type::Float, Value::Number(number)) => number.as_f64().map(Value::from),
            (Type::Text, value) => {
                note(column, Misfit::AsJson);
                Some(Value::String(value.to_string()))
            }
            (Type::List(of), Value::Array(elements)) => {
                let elements = elements.into_iter();
                Some(
                    elements
                        .map(|element| of.conform(element, column, note))
                        .collect(),
                )
            }
            (Type::Struct(fields), Value::Object(row)) => Some(Value::Object(conform_fields(
                fields,
                row,
                Some(column),
                note,
            ))),
            _ => None,
        };
        fitting.unwrap_or_else(|| {
            note(column, Misfit::Lost);
            Value::Null
        })
    }

    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null) | (Type::Bool, Value::Bool(_)) | (Type::Text, Value::String(_)) => {
                true
            }
            (Type::Int, Value::Number(number)) => number.is_i64(),
            (Type::Float, Value::Number(number)) => number.is_f64(),
            (Type::List(of), Value::Array(elements)) => elements.iter().all(|e| of.fits(e)),
            (Type::Struct(fields), Value::Object(row)) => {
                let fits = |field: &Field| {
                    row.get(&field.name)
                        .is_none_or(|value| field.of.fits(value))
                };
                unknown_key(fields, row).is_none() && fields.iter().all(fits)
            }
            _ => false,
        }
    }
}

/// Beyond this not every integer is a double.
const EXACT: u64 = 1 << 53;

/// A number as an integer of 64 bits, where it is one.
fn integer(number: &Number) -> Option<i64> {
    let integral = |float: &f64| float.fract() == 0.0 && float.abs() <= EXACT as f64;
    number
        .as_i64()
        .or_else(|| number.as_f64().filter(integral).map(|float| float as i64))
}

#[cfg(test)]
mod tests;
