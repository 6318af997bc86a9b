//! What an experiment will take, by what others took. Every number names its basis; where there is none, there is no number.

use crate::parameters::{Assignment, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One estimate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Of what.
    pub what: String,
    /// How much; none: not estimated.
    pub amount: Option<f64>,
    /// In what: hours, GiB, GPU hours, USD.
    pub unit: String,
    /// What it rests on, or why there is none.
    pub basis: String,
}

/// What a history says of an experiment, as far as it is used here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Past {
    /// Its id.
    pub experiment_id: String,
    /// How it ended.
    pub status: String,
    /// What was set.
    pub config: Assignment,
    /// What was measured.
    pub metrics: BTreeMap<String, f64>,
    /// How long it took.
    pub duration_seconds: f64,
    /// GPU hours that it used.
    #[serde(default)]
    pub gpu_hours: f64,
}

/// Reads `training_history.json`.
///
/// # Errors
/// A sentence: it is torn, or no history.
pub fn history(text: &str) -> Result<Vec<Past>, String> {
    #[derive(Deserialize)]
    struct File {
        experiments: Vec<serde_json::Value>,
    }
    let whole: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON, or torn: {error}"))?;
    let file: File = serde_json::from_value(whole)
        .map_err(|_| "it is no training history: it has no list of experiments".to_string())?;
    let each = file.experiments.into_iter().zip(1..);
    each.map(|(one, number)| {
        serde_json::from_value(one)
            .map_err(|error| format!("it is no training history: its experiment {number}: {error}"))
    })
    .collect()
}

/// What the estimates are made of.
#[derive(Clone, Debug, Default)]
pub struct Basis<'a> {
    /// The history, if there is one, and what it is called.
    pub history: Option<(&'a str, &'a [Past])>,
    /// The base model.
    pub model: Option<&'a str>,
    /// What is set in the baseline run.
    pub settings: Assignment,
    /// The parameter that says how many passes there are.
    pub epochs: &'a str,
    /// GPUs of a run; 0: processors.
    pub gpus: f64,
    /// USD of a GPU hour.
    pub price: Option<f64>,
}

/// A number and what it rests on; or why there is none.
type Found = Result<(f64, String), String>;

impl Basis<'_> {
    /// Completed fine-tunes of the same model, or why there are none.
    fn alike(&self) -> Result<(&str, Vec<&Past>), String> {
        let Some((name, all)) = self.history else {
            return Err("no history: not estimated".into());
        };
        let Some(model) = self.model else {
            return Err("no model is named: not estimated".into());
        };
        let word = |path: &str| {
            path.trim_end_matches('/')
                .rsplit('/')
                .next()
                .map(String::from)
        };
        let same = |one: &&Past| {
            let text = match one.config.get("model") {
                Some(Value::Text(text)) => word(text),
                _ => None,
            };
            one.status == "completed" && text.is_some() && text == word(model)
        };
        let found: Vec<&Past> = all.iter().filter(same).collect();
        match found.is_empty() {
            true => Err(format!(
                "{name} has no completed run of the same model: not estimated"
            )),
            false => Ok((name, found)),
        }
    }

    fn epochs(&self, values: &Assignment) -> Option<f64> {
        let words = [self.epochs, "num_train_epochs", "epochs"];
        let value = words.iter().find_map(|word| values.get(*word)?.number());
        value.filter(|epochs| *epochs > 0.0)
    }

    /// The median over runs of the same model of a number that grows with the passes; brought to the passes of this experiment
    /// where all runs say theirs.
    fn of_a_run(&self, number: impl Fn(&Past) -> f64) -> Found {
        let (name, runs) = self.alike()?;
        let own = self.epochs(&self.settings);
        let sound = |value: f64| value.is_finite() && value > 0.0;
        let scaled: Option<Vec<f64>> = own.and_then(|own| {
            let each = runs.iter().filter(|run| sound(number(run)));
            each.map(|run| Some(number(run) / self.epochs(&run.config)? * own))
                .collect()
        });
        let plain = || {
            runs.iter()
                .map(|run| number(run))
                .filter(|value| sound(*value))
                .collect()
        };
        let by_epochs = scaled.is_some();
        let values: Vec<f64> = scaled.unwrap_or_else(plain);
        let Some(median) = median(&values) else {
            return Err(format!(
                "{name} does not say it of runs of the same model: not estimated"
            ));
        };
        let runs = counted(values.len(), "run");
        let passes = match (by_epochs, own) {
            (true, Some(own)) => format!(", by epoch, times {own}"),
            _ => String::new(),
        };
        Ok((
            median,
            format!("median of {runs} of the same model in {name}{passes}"),
        ))
    }

    /// Hours of one run.
    pub fn hours(&self) -> Found {
        let (seconds, basis) = self.of_a_run(|run| run.duration_seconds)?;
        Ok((seconds / 3600.0, basis))
    }

    /// GPU hours of one run.
    pub fn gpu_hours(&self) -> Found {
        if let Ok(found) = self.of_a_run(|run| run.gpu_hours) {
            return Ok(found);
        }
        let (hours, basis) = self.hours()?;
        if self.gpus <= 0.0 {
            return Err("no GPU is asked for: not estimated".into());
        }
        Ok((
            hours * self.gpus,
            format!("{basis}; {} a run", counted(self.gpus as usize, "GPU")),
        ))
    }

    fn memory(&self) -> Found {
        let scale = |name: &str| match name {
            name if !name.contains("memory") => None,
            name if name.ends_with("_gib") || name.ends_with("_gb") => Some(1.0),
            name if name.ends_with("_mib") || name.ends_with("_mb") => Some(1.0 / 1024.0),
            name if name.ends_with("_bytes") => Some(1.0 / f64::from(1 << 30)),
            _ => None,
        };
        let (name, runs) = self.alike()?;
        let peak = |run: &&Past| {
            let all = run
                .metrics
                .iter()
                .filter_map(|(name, value)| Some(value * scale(name)?));
            all.reduce(f64::max)
        };
        let values: Vec<f64> = runs.iter().filter_map(peak).collect();
        let most = values.iter().copied().reduce(f64::max);
        let most = most.ok_or(format!("{name} says nothing of memory: not estimated"))?;
        Ok((
            most,
            format!(
                "most of {} of the same model in {name}",
                counted(values.len(), "run")
            ),
        ))
    }

    /// All of them, for so many runs.
    pub fn all(&self, runs: usize) -> Vec<Estimate> {
        let of = |what: &str, unit: &str, found: Found| {
            let (amount, basis) = match found {
                Ok((amount, basis)) => (Some(amount), basis),
                Err(why) => (None, why),
            };
            Estimate {
                what: what.into(),
                amount,
                unit: unit.into(),
                basis,
            }
        };
        let times = |found: Found| {
            found.map(|(one, basis)| (one * runs as f64, format!("{runs} runs; {basis}")))
        };
        let cost = match (self.price, times(self.gpu_hours())) {
            (None, _) => Err("no price of a GPU hour is given: not estimated".into()),
            (_, Err(why)) => Err(why),
            (Some(price), Ok((hours, basis))) => {
                Ok((hours * price, format!("{price} USD a GPU hour; {basis}")))
            }
        };
        vec![
            of("time of one run", "hours", self.hours()),
            of(
                "time of all runs, one after the other",
                "hours",
                times(self.hours()),
            ),
            of("memory of one run", "GiB", self.memory()),
            of("GPU hours", "GPU hours", times(self.gpu_hours())),
            of("cost", "USD", cost),
        ]
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The median; none of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(id: &str, model: &str, seconds: f64, epochs: i64, gpu_hours: f64) -> Past {
        Past {
            experiment_id: id.into(),
            status: "completed".into(),
            config: [
                ("model".to_string(), Value::Text(model.into())),
                ("num_train_epochs".to_string(), Value::Whole(epochs)),
            ]
            .into(),
            metrics: BTreeMap::new(),
            duration_seconds: seconds,
            gpu_hours,
        }
    }

    #[test]
    fn every_number_has_its_basis_and_none_is_made_up() {
        let none = Basis {
            model: Some("/m/llama"),
            epochs: "num_train_epochs",
            gpus: 1.0,
            price: Some(2.0),
            ..Basis::default()
        };
        for estimate in none.all(4) {
            assert_eq!(
                (estimate.amount, estimate.basis.as_str()),
                (None, "no history: not estimated")
            );
        }
        let all = [
            past("a", "/other/llama/", 3600.0, 1, 0.0),
            past("b", "llama", 7200.0 * 3.0, 3, 0.0),
            past("c", "llama", 10_800.0, 1, 0.0),
            past("d", "qwen", 1.0, 1, 9.0),
            Past {
                status: "failed".into(),
                ..past("e", "llama", 5.0, 1, 0.0)
            },
        ];
        let mut some = Basis {
            history: Some(("history.json", &all)),
            settings: [("num_train_epochs".to_string(), Value::Whole(2))].into(),
            ..none
        };
        let (hours, basis) = some.hours().unwrap();
        assert_eq!(hours, 4.0);
        assert_eq!(
            basis,
            "median of 3 runs of the same model in history.json, by epoch, times 2"
        );
        let estimates = some.all(5);
        assert_eq!(estimates[1].amount, Some(20.0));
        assert_eq!(
            (estimates[2].amount, estimates[2].basis.as_str()),
            (None, "history.json says nothing of memory: not estimated")
        );
        assert_eq!(estimates[3].amount, Some(20.0));
        assert_eq!(estimates[4].amount, Some(40.0));
        some.model = Some("gemma");
        assert!(
            some.hours()
                .unwrap_err()
                .contains("no completed run of the same model")
        );
    }

    #[test]
    fn a_torn_or_foreign_history_is_told() {
        let text = r#"{"experiments":[{"experiment_id":"a","status":"completed","config":{"r":8},"metrics":{},"duration_seconds":3.5,"ended_at_ms":1}],"total_experiments":1}"#;
        assert_eq!(history(text).unwrap()[0].duration_seconds, 3.5);
        for (text, told) in [
            (&text[..40], "torn"),
            ("[]", "no list of experiments"),
            ("{\"runs\":[]}", "no list of experiments"),
            (r#"{"experiments":[{"id":1}]}"#, "its experiment 1"),
        ] {
            let why = history(text).unwrap_err();
            assert!(why.contains(told), "{why}");
        }
    }
}
