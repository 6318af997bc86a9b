//! The config generator (specification 4, "Experiment Config Generator"): what a proposal or a run changes, over a baseline,
//! checked against the schema and against what was learned, as a config for a program.

use super::{vocabulary::Vocabulary, yaml::Node};
use crate::{
    history::constraints::{Constraint, Strength},
    parameters::{Assignment, Fault, Value},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A constraint that a config does not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// What the constraint is called.
    pub constraint: String,
    /// What it says of this config: `learning_rate = 0.05, at most 0.01`.
    pub says: String,
    /// What it was learned from: `3 runs of 3 ended in NaN`.
    pub evidence: String,
}

/// Why there is no config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Values that the back end does not take; all of them.
    Schema(Vec<Fault>),
    /// Constraints that the values do not keep; all of them.
    Constraints(Vec<Violation>),
}

/// What a program is to be given.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The experiment's id.
    pub experiment_id: String,
    /// Every parameter with its value, by the back end's own names.
    pub values: Assignment,
    /// Those that the proposal set.
    pub changed: Vec<String>,
}

/// A config: the back end's defaults, over them the baseline, over that the changes. `check` says which learned constraints
/// the values do not keep.
///
/// # Errors
/// Everything that is wrong with the values; else every constraint that refuses them.
pub fn generate(
    words: &Vocabulary,
    experiment_id: &str,
    (baseline, changes): (&Assignment, &Assignment),
    check: &dyn Fn(&Assignment) -> Vec<Violation>,
) -> Result<Config, Refusal> {
    let mut values = words.defaults.clone();
    let mut faults = Vec::new();
    let mut take = |given: &Assignment| match words.renamed(given) {
        Ok(given) => {
            values.extend(given.clone());
            given.into_keys().collect()
        }
        Err(unknown) => {
            faults.extend(unknown);
            Vec::new()
        }
    };
    take(baseline);
    let changed: Vec<String> = take(changes);
    faults.extend(words.schema.faults(&values));
    if !faults.is_empty() {
        return Err(Refusal::Schema(faults));
    }
    let violations = check(&values);
    if !violations.is_empty() {
        return Err(Refusal::Constraints(violations));
    }
    Ok(Config {
        experiment_id: experiment_id.into(),
        values,
        changed,
    })
}

impl Config {
    /// `config.json`.
    pub fn json(&self) -> String {
        let all = json!({
            "version": 1,
            "experiment_id": self.experiment_id,
            "config": self.values,
            "changed": self.changed,
        });
        format!("{all:#}\n")
    }

    /// `config.yaml`: the same for people.
    pub fn yaml(&self) -> String {
        Node::map([
            ("experiment_id", Node::text(&self.experiment_id)),
            ("config", Node::values(&self.values)),
            ("changed", Node::texts(&self.changed)),
        ])
        .document("config.json says the same to programs")
    }

    /// Reads `config.json`.
    ///
    /// # Errors
    /// It is none.
    pub fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct File {
            experiment_id: String,
            config: Assignment,
            #[serde(default)]
            changed: Vec<String>,
        }
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self {
            experiment_id: file.experiment_id,
            values: file.config,
            changed: file.changed,
        })
    }
}

/// The baseline of a directory of experiments: `baseline.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Of this file's form.
    pub version: u32,
    /// The run or experiment that it was taken from.
    pub from: String,
    /// What is set; the back end's defaults are what is not.
    pub values: Assignment,
}

/// The hard constraints that values for a model do not keep.
pub fn held(constraints: &[Constraint], values: &Assignment, model: &str) -> Vec<Violation> {
    let hard = constraints
        .iter()
        .filter(|one| one.strength == Strength::Hard && one.is_for(model));
    let broken = hard.filter(|one| one.broken_in(values));
    broken
        .map(|one| {
            let set = one.bounds.iter().filter_map(|bound| {
                let value = values.get(&bound.parameter)?;
                Some(format!("{} = {value}", bound.parameter))
            });
            let set: Vec<String> = set.collect();
            Violation {
                constraint: one.id.clone(),
                says: format!("{}, and allowed is {}", set.join(", "), one.text()),
                evidence: one.reason.clone(),
            }
        })
        .collect()
}

/// Values as a line: `r = 8, learning_rate = 1e-5`.
pub fn said(values: &Assignment) -> String {
    let one = |(name, value): (&String, &Value)| format!("{name} = {value}");
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::words;

    fn values(all: &[(&str, &str)]) -> Assignment {
        all.iter()
            .map(|(name, text)| (name.to_string(), text.parse().unwrap()))
            .collect()
    }

    fn made(baseline: &[(&str, &str)], changes: &[(&str, &str)]) -> Result<Config, Refusal> {
        let both = (&values(baseline), &values(changes));
        generate(&words(), "exp_001", both, &|_| Vec::new())
    }

    #[test]
    fn changes_stand_over_the_baseline_and_that_over_the_defaults() {
        let config = made(&[("r", "32"), ("note", "x")], &[("rank", "8")]).unwrap();
        assert_eq!(
            said(&config.values),
            "learning_rate = 2e-4, note = x, r = 8"
        );
        assert_eq!(config.changed, ["r"]);
        assert_eq!(Config::read(&config.json()).unwrap(), config);
        assert!(config.yaml().contains("learning_rate: 2.0e-4"));
        assert!(Config::read("{\"torn").is_err());
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let Err(Refusal::Schema(faults)) = made(
            &[("r", "0")],
            &[
                ("learning_rat", "1"),
                ("train_split", "0.8"),
                ("val_split", "0.3"),
            ],
        ) else {
            panic!("it passes");
        };
        let said: Vec<&str> = faults.iter().map(|one| one.message.as_str()).collect();
        // Nothing of a set with an unknown word counts: what it would have changed is not known.
        assert_eq!(
            said,
            [
                "there is no parameter learning_rat",
                "r = 0 is out of range"
            ]
        );
        assert!(faults[0].right.starts_with("did you mean learning_rate?"));
        let Err(Refusal::Schema(faults)) =
            made(&[], &[("train_split", "0.8"), ("val_split", "0.3")])
        else {
            panic!("a sum passes");
        };
        assert_eq!(faults[0].parameter, "train_split, val_split");
        assert!(made(&[], &[("train_split", "0.8"), ("val_split", "0.2")]).is_ok());
        let Err(Refusal::Schema(faults)) = made(&[], &[("r", "8"), ("rank", "16")]) else {
            panic!("twice passes");
        };
        assert!(faults[0].message.contains("twice"));
    }

    #[test]
    fn a_constraint_refuses_by_name_and_evidence() {
        let learned = |values: &Assignment| {
            let rate = values["learning_rate"].number().unwrap();
            let broken = rate > 0.01;
            broken
                .then(|| Violation {
                    constraint: "learning_rate_max".into(),
                    says: format!("learning_rate = {rate}, at most 0.01"),
                    evidence: "3 of 3 runs ended in NaN".into(),
                })
                .into_iter()
                .collect()
        };
        let ask = |rate: &str| {
            let changes = values(&[("learning_rate", rate)]);
            generate(&words(), "e", (&Assignment::new(), &changes), &learned)
        };
        assert!(ask("0.01").is_ok());
        let Err(Refusal::Constraints(all)) = ask("0.05") else {
            panic!("a learned constraint is not enforced");
        };
        assert_eq!(all[0].constraint, "learning_rate_max");
        assert!(all[0].evidence.contains("3 of 3"));
    }
}
