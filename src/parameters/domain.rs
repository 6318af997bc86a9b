//! Where a parameter may lie, and how a person writes that: `8,16,64`, `1e-5..1e-3:log`, `4..64:log:int`.

use super::value::Value;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What values a parameter may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Numbers from `low` to `high`, both included.
    Range {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
        /// Whether it is spaced by factors rather than by differences.
        log: bool,
        /// Whether only whole numbers are meant.
        whole: bool,
    },
    /// One of these, in this order; numbers among them are compared as numbers.
    Choice(Vec<Value>),
}

impl Domain {
    /// Reads `A,B,C` or `LOW..HIGH` with `:log` or `:int` or both behind it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let domain = match text.split_once("..") {
            Some((low, rest)) => Self::parse_range(low, rest)?,
            None => Domain::Choice(
                text.split(',')
                    .filter(|one| !one.trim().is_empty())
                    .map(|one| one.parse().unwrap_or_else(|never| match never {}))
                    .collect(),
            ),
        };
        match domain.problem() {
            Some(problem) => Err(problem),
            None => Ok(domain),
        }
    }

    fn parse_range(low: &str, rest: &str) -> Result<Self, String> {
        let mut parts = rest.split(':');
        let high = parts.next().unwrap_or_default();
        let (mut log, mut whole) = (false, false);
        for part in parts {
            match part.trim() {
                "log" => log = true,
                "int" => whole = true,
                other => {
                    return Err(format!(
                        "\"{other}\" is no kind of range: log and int are known"
                    ));
                }
            }
        }
        let number = |text: &str| {
            let text = text.trim();
            text.parse::<f64>()
                .map_err(|_| format!("\"{text}\" is no number"))
        };
        Ok(Domain::Range {
            low: number(low)?,
            high: number(high)?,
            log,
            whole,
        })
    }

    /// What makes it no domain at all, as a sentence; none for a sound one.
    pub fn problem(&self) -> Option<String> {
        match self {
            Domain::Range { low, high, .. } if !(low.is_finite() && high.is_finite()) => {
                Some(format!("{self} has an end that is no number"))
            }
            Domain::Range { low, high, .. } if low >= high => Some(format!(
                "{self} is empty: its low end is not below its high end"
            )),
            Domain::Range { low, log: true, .. } if *low <= 0.0 => Some(format!(
                "{self} cannot be spaced by factors: its low end is not above 0"
            )),
            Domain::Range {
                low,
                high,
                whole: true,
                ..
            } if low.fract() != 0.0 || high.fract() != 0.0 => {
                Some(format!("{self} has an end that is no whole number"))
            }
            Domain::Range { .. } => None,
            Domain::Choice(values) if values.is_empty() => Some("no value is given".into()),
            Domain::Choice(values) => {
                let twice = values
                    .iter()
                    .zip(1..)
                    .find(|(value, at)| values[*at..].iter().any(|other| other.same(value)));
                twice.map(|(value, _)| format!("{value} is given twice"))
            }
        }
    }

    /// Whether a value lies in it.
    pub fn holds(&self, value: &Value) -> bool {
        match self {
            Domain::Range {
                low, high, whole, ..
            } => value
                .number()
                .is_some_and(|at| (*low..=*high).contains(&at) && (!whole || at.fract() == 0.0)),
            Domain::Choice(values) => values.iter().any(|one| one.same(value)),
        }
    }

    /// Whether every value of `inner` lies in it.
    pub fn includes(&self, inner: &Domain) -> bool {
        match (self, inner) {
            (_, Domain::Choice(values)) => values.iter().all(|value| self.holds(value)),
            (
                Domain::Range {
                    low, high, whole, ..
                },
                Domain::Range {
                    low: least,
                    high: most,
                    whole: inner_whole,
                    ..
                },
            ) => least >= low && most <= high && (!whole || *inner_whole),
            (Domain::Choice(_), Domain::Range { .. }) => false,
        }
    }
}

/// As it is written: [`Domain::parse`] reads it again.
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Range {
                low,
                high,
                log,
                whole,
            } => {
                write!(f, "{}..{}", Value::Number(*low), Value::Number(*high))?;
                f.write_str(if *log { ":log" } else { "" })?;
                f.write_str(if *whole { ":int" } else { "" })
            }
            Domain::Choice(values) => {
                let all: Vec<String> = values.iter().map(Value::to_string).collect();
                f.write_str(&all.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "8,16,64",
            "1e-5..0.001:log",
            "4..64:log:int",
            "0..0.2",
            "adam,sgd",
            "true,false",
        ] {
            let domain = Domain::parse(text).unwrap();
            assert_eq!(domain.to_string(), text);
            assert_eq!(Domain::parse(&domain.to_string()).unwrap(), domain);
        }
    }

    #[test]
    fn what_is_no_domain_is_told() {
        for (text, word) in [
            ("", "no value"),
            ("3..3", "empty"),
            ("5..1", "empty"),
            ("0..1:log", "factors"),
            ("0.5..2:int", "whole"),
            ("1..x", "no number"),
            ("1..nan", "no number"),
            ("1..2:cubic", "no kind"),
            ("8,16,8.0", "twice"),
        ] {
            let told = Domain::parse(text).unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
        }
    }

    #[test]
    fn what_lies_in_it() {
        let rates = Domain::parse("1e-5..1e-3:log").unwrap();
        assert!(rates.holds(&Value::Number(1e-5)) && !rates.holds(&Value::Number(2e-3)));
        assert!(
            !rates.holds(&Value::Text("1e-4".into())) && !rates.holds(&Value::Number(f64::NAN))
        );
        let ranks = Domain::parse("4..64:int").unwrap();
        assert!(ranks.holds(&Value::Number(8.0)) && !ranks.holds(&Value::Number(8.5)));
        assert!(ranks.includes(&Domain::parse("8,16").unwrap()));
        assert!(
            !ranks.includes(&Domain::parse("8..16").unwrap()),
            "not whole"
        );
        assert!(!Domain::parse("8,16").unwrap().includes(&ranks));
    }
}
