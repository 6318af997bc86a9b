//! A bound of one parameter.

use super::super::query::quoted::quoted;
use crate::parameters::{Assignment, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is allowed of one parameter; everything that is asked must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The parameter.
    pub parameter: String,
    /// The least that is allowed.
    pub low: Option<f64>,
    /// The most that is allowed.
    pub high: Option<f64>,
    /// Whether the ends themselves are forbidden.
    pub open: bool,
    /// Values that are forbidden.
    pub not: Vec<Value>,
    /// The only values that are allowed; empty: any.
    pub only: Vec<Value>,
}

/// A value as a number, a text that reads as one too.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Text(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        other => other.number(),
    }
}

/// Whether two values mean the same, a text that reads as the other too.
pub fn alike(a: &Value, b: &Value) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.same(b) || a.to_string() == b.to_string(),
    }
}

impl Bound {
    /// Everything below a number.
    pub fn below(parameter: &str, high: f64) -> Bound {
        Bound {
            parameter: parameter.into(),
            high: Some(high),
            open: true,
            ..Bound::default()
        }
    }

    /// Everything above a number.
    pub fn above(parameter: &str, low: f64) -> Bound {
        Bound {
            parameter: parameter.into(),
            low: Some(low),
            open: true,
            ..Bound::default()
        }
    }

    /// Everything but a value.
    pub fn but(parameter: &str, value: Value) -> Bound {
        Bound {
            parameter: parameter.into(),
            not: vec![value],
            ..Bound::default()
        }
    }

    /// Whether a value breaks it. What is no number is not measured by the ends; a number that is none breaks them.
    pub fn broken_by(&self, value: &Value) -> bool {
        let outside = number(value).is_some_and(|at| !self.spans(at));
        let only = !self.only.is_empty() && !self.only.iter().any(|one| alike(one, value));
        outside || only || self.not.iter().any(|one| alike(one, value))
    }

    /// Whether settings break it; what is not set breaks nothing.
    pub fn broken_in(&self, values: &Assignment) -> bool {
        let value = values.get(&self.parameter);
        value.is_some_and(|value| self.broken_by(value))
    }

    /// Whether a number lies between the ends.
    pub fn spans(&self, at: f64) -> bool {
        let within = |over: f64| over > 0.0 || (over == 0.0 && !self.open);
        self.low.is_none_or(|low| within(at - low))
            && self.high.is_none_or(|high| within(high - at))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = quoted(&self.parameter, '`');
        let end = if self.open { "" } else { "=" };
        let mut parts = Vec::new();
        parts.extend(
            self.low
                .map(|low| format!("{name} >{end} {}", Value::Number(low))),
        );
        parts.extend(
            self.high
                .map(|high| format!("{name} <{end} {}", Value::Number(high))),
        );
        for (values, one, several) in [(&self.not, "!=", "not in"), (&self.only, "=", "in")] {
            let said: Vec<String> = values.iter().map(said).collect();
            match said.as_slice() {
                [] => {}
                [only] => parts.push(format!("{name} {one} {only}")),
                all => parts.push(format!("{name} {several} ({})", all.join(", "))),
            }
        }
        f.write_str(&parts.join(" and "))
    }
}

/// A value so that it is read as itself.
fn said(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text, '\''),
        other => other.to_string(),
    }
}
