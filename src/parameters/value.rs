//! The value of a parameter, and a set of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// What a parameter is set to. In JSON a plain value, in records a tagged one; numbers are finite.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// One of several words.
    Text(String),
}

/// In JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Plain {
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(String),
}

/// In records, which do not describe themselves.
#[derive(Serialize, Deserialize)]
enum Tagged {
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(String),
}

macro_rules! as_wire {
    ($wire:ident) => {
        impl From<&Value> for $wire {
            fn from(value: &Value) -> Self {
                match value {
                    Value::Flag(flag) => Self::Flag(*flag),
                    Value::Whole(whole) => Self::Whole(*whole),
                    Value::Number(number) => Self::Number(*number),
                    Value::Text(text) => Self::Text(text.clone()),
                }
            }
        }

        impl From<$wire> for Value {
            fn from(wire: $wire) -> Self {
                match wire {
                    $wire::Flag(flag) => Self::Flag(flag),
                    $wire::Whole(whole) => Self::Whole(whole),
                    $wire::Number(number) => Self::Number(number),
                    $wire::Text(text) => Self::Text(text),
                }
            }
        }
    };
}

as_wire!(Plain);
as_wire!(Tagged);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Plain::from(self).serialize(serializer)
        } else {
            Tagged::from(self).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Plain::deserialize(deserializer).map(Self::from)
        } else {
            Tagged::deserialize(deserializer).map(Self::from)
        }
    }
}

/// Parameters by name, each with its value.
pub type Assignment = BTreeMap<String, Value>;

impl Value {
    /// As a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Whole(whole) => Some(*whole as f64),
            Value::Number(number) => Some(*number),
            Value::Flag(_) | Value::Text(_) => None,
        }
    }

    /// The same to be read: a number to four digits.
    pub fn rounded(&self) -> Value {
        match self {
            Value::Number(number) => {
                let short = format!("{number:.3e}").parse();
                Value::Number(short.unwrap_or(*number))
            }
            other => other.clone(),
        }
    }

    /// Whether two values mean the same: `8` and `8.0` do.
    pub fn same(&self, other: &Value) -> bool {
        match (self.number(), other.number()) {
            (Some(one), Some(two)) => one == two,
            _ => self == other,
        }
    }
}

/// Whole numbers, numbers and flags as they are written; numbers outside 0.001 to 1,000,000 in powers of ten: `1e-5`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Whole(whole) => write!(f, "{whole}"),
            Value::Number(number) => {
                let size = number.abs();
                if size != 0.0 && !(0.001..1e6).contains(&size) {
                    write!(f, "{number:e}")
                } else {
                    write!(f, "{number}")
                }
            }
            Value::Text(text) => f.write_str(text),
        }
    }
}

/// Reads a value as a person writes it: `true`, `8`, `1e-5`, `cosine`. Never fails: what is no number is text.
impl FromStr for Value {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        Ok(match text {
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            _ => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => Value::Whole(whole),
                (_, Ok(number)) if number.is_finite() => Value::Number(number),
                _ => Value::Text(text.into()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written_as_people_write_them() {
        for (text, value, shown) in [
            ("8", Value::Whole(8), "8"),
            ("1e-5", Value::Number(1e-5), "1e-5"),
            ("0.00005", Value::Number(5e-5), "5e-5"),
            ("0.1", Value::Number(0.1), "0.1"),
            ("true", Value::Flag(true), "true"),
            ("cosine", Value::Text("cosine".into()), "cosine"),
            ("nan", Value::Text("nan".into()), "nan"),
            ("inf", Value::Text("inf".into()), "inf"),
        ] {
            let read: Value = text.parse().unwrap();
            assert_eq!(read, value);
            assert_eq!(read.to_string(), shown);
        }
    }

    #[test]
    fn json_is_plain_and_eight_is_eight() {
        let written = serde_json::to_string(&Value::Number(8.0)).unwrap();
        let read: Value = serde_json::from_str(&written).unwrap();
        assert!(read.same(&Value::Whole(8)));
        assert!(!Value::Text("8".into()).same(&Value::Whole(8)));
        assert_eq!(
            serde_json::from_str::<Value>("\"adam\"").unwrap(),
            Value::Text("adam".into())
        );
    }
}
