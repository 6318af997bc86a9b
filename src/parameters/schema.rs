//! The parameters that a back end has, and what must hold between them.

use super::{domain::Domain, value::Assignment};
use serde::{Deserialize, Serialize};

/// One parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, as the back end's users know it.
    pub name: String,
    /// What values it may have.
    pub domain: Domain,
    /// One line on what it is, with its unit.
    pub about: String,
}

/// Parameters whose values make a sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SumRule {
    /// Which; the rule holds where all of them are set.
    pub parameters: Vec<String>,
    /// What they come to.
    pub equals: f64,
    /// How far off they may be.
    pub tolerance: f64,
}

/// All parameters of a back end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The parameters.
    pub parameters: Vec<Parameter>,
    /// The sums.
    pub sums: Vec<SumRule>,
}

/// A value that the schema does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which parameter, or which of a sum, with commas between them.
    pub parameter: String,
    /// What is wrong with it.
    pub message: String,
    /// What would be right.
    pub right: String,
}

impl Schema {
    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|one| one.name == name)
    }

    /// Everything that is wrong with these values.
    pub fn faults(&self, values: &Assignment) -> Vec<Fault> {
        let mut faults: Vec<Fault> = values
            .iter()
            .filter_map(|(name, value)| {
                let Some(parameter) = self.parameter(name) else {
                    return Some(self.unknown(name));
                };
                (!parameter.domain.holds(value)).then(|| Fault {
                    parameter: name.clone(),
                    message: format!("{name} = {value} is out of range"),
                    right: parameter.domain.to_string(),
                })
            })
            .collect();
        faults.extend(self.sums.iter().filter_map(|rule| rule.fault(values)));
        faults
    }

    /// What is wrong with a domain that somebody wants to vary a parameter over; none where it may be.
    pub fn fault_of(&self, name: &str, domain: &Domain) -> Option<Fault> {
        let Some(parameter) = self.parameter(name) else {
            return Some(self.unknown(name));
        };
        let problem = domain.problem();
        let message = match &problem {
            Some(problem) => format!("{name}: {problem}"),
            None if parameter.domain.includes(domain) => return None,
            None => format!("{name} = {domain} goes out of range"),
        };
        Some(Fault {
            parameter: name.into(),
            message,
            right: parameter.domain.to_string(),
        })
    }

    fn unknown(&self, name: &str) -> Fault {
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        Fault {
            parameter: name.into(),
            message: format!("there is no parameter {name}"),
            right: names.join(", "),
        }
    }
}

impl SumRule {
    fn fault(&self, values: &Assignment) -> Option<Fault> {
        let parts: Option<Vec<f64>> = self
            .parameters
            .iter()
            .map(|name| values.get(name)?.number())
            .collect();
        let sum: f64 = parts?.iter().sum();
        // A sum that is no number is off, too.
        let right = (sum - self.equals).abs() <= self.tolerance;
        (!right).then(|| Fault {
            parameter: self.parameters.join(", "),
            message: format!("{} make {sum}", self.parameters.join(" + ")),
            right: format!("{} in all", self.equals),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Value;

    fn schema() -> Schema {
        let of = |name: &str, domain: &str| Parameter {
            name: name.into(),
            domain: Domain::parse(domain).unwrap(),
            about: String::new(),
        };
        Schema {
            parameters: vec![
                of("r", "1..256:int"),
                of("train_split", "0.5..0.95"),
                of("val_split", "0.05..0.5"),
            ],
            sums: vec![SumRule {
                parameters: vec!["train_split".into(), "val_split".into()],
                equals: 1.0,
                tolerance: 0.01,
            }],
        }
    }

    fn said(values: &[(&str, Value)]) -> Vec<String> {
        let values = values
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect();
        schema()
            .faults(&values)
            .into_iter()
            .map(|fault| fault.message)
            .collect()
    }

    #[test]
    fn unknown_names_ranges_and_sums_are_told() {
        assert_eq!(said(&[("r", Value::Whole(8))]), Vec::<String>::new());
        assert_eq!(said(&[("r", Value::Whole(0))]), ["r = 0 is out of range"]);
        assert_eq!(
            said(&[("rank", Value::Whole(8))]),
            ["there is no parameter rank"]
        );
        let split = |train, val| {
            said(&[
                ("train_split", Value::Number(train)),
                ("val_split", Value::Number(val)),
            ])
        };
        assert_eq!(split(0.8, 0.2), Vec::<String>::new());
        assert_eq!(split(0.8, 0.3).len(), 1);
        assert_eq!(
            said(&[("train_split", Value::Number(0.8))]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_variation_must_lie_within() {
        let fault =
            |name: &str, domain: &str| schema().fault_of(name, &Domain::parse(domain).unwrap());
        assert_eq!(fault("r", "8,16,64"), None);
        assert!(fault("r", "8,512").is_some());
        assert!(fault("r", "8..16").is_some(), "not whole");
        assert!(fault("nothing", "8,16").is_some());
    }
}
