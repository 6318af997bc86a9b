//! The schema of rows that somebody else wrote: what is common to all of them, found while they stream by.
//!
//! A few bits a column say which kinds of values it held. Sets of kinds are joined by "or", so neither the order of the rows
//! nor how they were shared out can change the schema.

use super::{EXACT, Field, Schema, Type, chat, is_rest, texts};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Columns beside which the rest of the keys goes into one.
pub const MOST_COLUMNS: usize = 1_000;

/// A longer key is data, not the name of a column; in bytes.
const LONGEST_NAME: usize = 200;

/// Keys by which training data is known. They come first, in this order, and are never among the rest.
const KNOWN: [&str; 18] = [
    "id",
    "messages",
    "conversations",
    "system",
    "prompt",
    "completion",
    "chosen",
    "rejected",
    "instruction",
    "input",
    "output",
    "question",
    "query",
    "answer",
    "response",
    "text",
    "label",
    "source",
];

/// Kinds of values, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds(u16);

impl Kinds {
    const BOOL: Kinds = Kinds(1);
    /// An integer that is a double as well.
    const INT: Kinds = Kinds(1 << 1);
    /// An integer of 64 bits that is none.
    const LONG: Kinds = Kinds(1 << 2);
    /// An integer beyond that.
    const HUGE: Kinds = Kinds(1 << 3);
    const FLOAT: Kinds = Kinds(1 << 4);
    const TEXT: Kinds = Kinds(1 << 5);
    const LIST: Kinds = Kinds(1 << 6);
    /// An object in a list, of a text `role` and a text `content`.
    const CHAT: Kinds = Kinds(1 << 7);
    /// The same, of `from` and `value`.
    const SHARED: Kinds = Kinds(1 << 8);
    /// Any other object.
    const OBJECT: Kinds = Kinds(1 << 9);

    const NAMES: [&str; 10] = [
        "bool", "int", "int", "huge int", "float", "text", "list", "object", "object", "object",
    ];

    fn join(&mut self, other: Kinds) {
        self.0 |= other.0;
    }

    /// Whether there is nothing beside these.
    fn within(self, other: Kinds) -> bool {
        self.0 & !other.0 == 0
    }

    fn of(value: &Value) -> Kinds {
        match value {
            Value::Null => Kinds::default(),
            Value::Bool(_) => Kinds::BOOL,
            Value::Number(number) => Kinds::of_number(number),
            Value::String(_) => Kinds::TEXT,
            Value::Array(_) => Kinds::LIST,
            Value::Object(_) => Kinds::OBJECT,
        }
    }

    fn of_number(number: &Number) -> Kinds {
        match number.as_i64() {
            Some(integer) if integer.unsigned_abs() <= EXACT => Kinds::INT,
            Some(_) => Kinds::LONG,
            None if number.is_u64() => Kinds::HUGE,
            None => Kinds::FLOAT,
        }
    }

    fn of_element(value: &Value) -> Kinds {
        let Value::Object(object) = value else {
            return Kinds::of(value);
        };
        let only = |keys: [&str; 2]| {
            let fit = |(key, value): (&String, &Value)| {
                keys.contains(&key.as_str()) && (value.is_string() || value.is_null())
            };
            !object.is_empty() && object.iter().all(fit)
        };
        if only(["role", "content"]) {
            Kinds::CHAT
        } else if only(["from", "value"]) {
            Kinds::SHARED
        } else {
            Kinds::OBJECT
        }
    }

    /// The one type of scalars that holds all of these unchanged.
    fn scalar(self) -> Option<Type> {
        let join = |a: Kinds, b: Kinds| Kinds(a.0 | b.0);
        if self.within(Kinds::TEXT) {
            Some(Type::Text)
        } else if self.within(Kinds::BOOL) {
            Some(Type::Bool)
        } else if self.within(join(Kinds::INT, Kinds::LONG)) {
            Some(Type::Int)
        } else if self.within(join(Kinds::INT, Kinds::FLOAT)) {
            Some(Type::Float)
        } else {
            None
        }
    }

    fn names(self) -> Vec<&'static str> {
        let seen = |(bit, name): (usize, &&'static str)| (self.0 >> bit & 1 == 1).then_some(*name);
        let mut names: Vec<_> = Kinds::NAMES.iter().enumerate().filter_map(seen).collect();
        names.dedup();
        names
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Column {
    /// Kinds of its values.
    values: Kinds,
    /// Kinds of the elements of its lists.
    elements: Kinds,
    /// Rows that have its key.
    rows: u64,
}

impl Column {
    fn add(&mut self, value: &Value) {
        self.rows += 1;
        self.values.join(Kinds::of(value));
        for element in value.as_array().into_iter().flatten() {
            self.elements.join(Kinds::of_element(element));
        }
    }

    fn join(&mut self, other: &Column) {
        self.rows += other.rows;
        self.values.join(other.values);
        self.elements.join(other.elements);
    }

    /// The type that holds every value as it is, if there is one.
    fn exact(&self) -> Option<Type> {
        if self.values != Kinds::LIST {
            return self.values.scalar();
        }
        match self.elements {
            Kinds::CHAT => Some(chat()),
            Kinds::SHARED => Some(texts(["from", "value"])),
            scalars => scalars.scalar().map(|of| Type::List(Box::new(of))),
        }
    }
}

/// A column whose values have no type in common: a text column, in which a text stands for itself and everything else is
/// its JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct MixedColumn {
    /// Its key.
    pub name: String,
    /// Kinds of its values: `bool`, `int`, `huge int` (beyond 64 bits), `float`, `text`, `list`, `object`.
    pub values: Vec<&'static str>,
    /// Kinds of the elements of its lists.
    pub elements: Vec<&'static str>,
}

/// Finds the schema of foreign rows, in memory for [`MOST_COLUMNS`] columns.
///
/// Nulls and empty lists carry no type; a column of nothing else holds texts, or lists of texts. Integers and floats are
/// floats together, as long as every integer is a double. Lists of one kind of scalars stay lists, and lists of objects with
/// no more than the texts `role` and `content` (or `from` and `value`) keep their fields. Everything else is JSON in a text:
/// objects with keys of their own, mixed columns, integers beyond 64 bits. (Numbers that are not finite never come here:
/// JSON has none.) Of more than [`MOST_COLUMNS`] keys the first are columns, those that training data is known by and then
/// by name, and the rest goes into a last column `other` as one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inference {
    columns: BTreeMap<String, Column>,
    rows: u64,
    rest: u64,
}

impl Inference {
    /// Looks at one row.
    pub fn add(&mut self, row: &Map<String, Value>) {
        self.rows += 1;
        for (key, value) in row {
            if let Some(column) = self.columns.get_mut(key) {
                column.add(value);
            } else if is_name(key) {
                self.columns.entry(key.clone()).or_default().add(value);
                self.shrink();
            } else {
                self.rest += 1;
            }
        }
    }

    /// Joins what was seen elsewhere.
    pub fn merge(&mut self, other: &Inference) {
        self.rows += other.rows;
        self.rest += other.rest;
        for (key, column) in &other.columns {
            self.columns.entry(key.clone()).or_default().join(column);
            self.shrink();
        }
    }

    /// Whoever is last in a fixed order leaves, and can never come back: as many before it have been seen.
    fn shrink(&mut self) {
        if self.columns.len() <= MOST_COLUMNS {
            return;
        }
        let mut keys = self.columns.keys().rev();
        let last = keys.find(|key| !is_known(key)).cloned();
        let left = match last {
            Some(key) => self.columns.remove(&key),
            None => self.columns.pop_last().map(|(_, column)| column),
        };
        self.rest += left.map_or(0, |column| column.rows);
    }

    /// Rows seen.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Values that go into the column of the rest.
    pub fn rest(&self) -> u64 {
        self.rest
    }

    /// The schema that every row seen conforms to without loss.
    pub fn schema(&self) -> Schema {
        let field = |(name, column): (&String, &Column)| {
            Field::new(name, column.exact().unwrap_or(Type::Text))
        };
        let place = |name: &str| KNOWN.iter().position(|known| *known == name);
        let mut fields: Vec<Field> = self.columns.iter().map(field).collect();
        // Stable: those of no place of their own stay in the order of names.
        fields.sort_by_key(|field| place(&field.name).unwrap_or(KNOWN.len()));
        if self.rest > 0 {
            let mut name = "other".to_owned();
            while self.columns.contains_key(&name) {
                name.push('_');
            }
            fields.push(Field::new(&name, Type::Text));
        }
        Schema(fields)
    }

    /// The columns that are text for want of a common type, in the order of their names.
    pub fn mixed(&self) -> Vec<MixedColumn> {
        let mixed = self
            .columns
            .iter()
            .filter(|(_, column)| column.exact().is_none());
        let told = mixed.map(|(name, column)| MixedColumn {
            name: name.clone(),
            values: column.values.names(),
            elements: column.elements.names(),
        });
        told.collect()
    }
}

/// Whether a key can name a column everywhere.
fn is_name(key: &str) -> bool {
    !key.is_empty() && key.len() <= LONGEST_NAME && !key.contains(char::is_control)
}

fn is_known(key: &str) -> bool {
    KNOWN.contains(&key) || is_rest(key)
}
