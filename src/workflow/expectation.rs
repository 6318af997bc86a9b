//! What a run on a test data set has to yield: `mapping_rate > 80 %`, and whether it did (specification 1, 5.2).
//!
//! Nothing passes on zero observations: a metric that the run does not state fails, and so does NaN. Several values of one
//! metric, one for each sample, all have to hold.

use serde::{Deserialize, Serialize};

/// How an observed value is compared with the wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    More,
    AtLeast,
    Less,
    AtMost,
    Equal,
}

/// The words of the comparisons, the longer ones first: `>=` begins with `>`.
const WORDS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    (">", Comparison::More),
    ("<", Comparison::Less),
];

/// What would be right, for messages.
pub const FORM: &str = "METRIC OP NUMBER, such as mapping_rate > 80 %; OP is > >= < <= or ==";

/// One expectation.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    metric: String,
    comparison: Comparison,
    /// As written, and in percent where that is said.
    number: f64,
    percent: bool,
    /// `> 80 %`, as a person wrote it.
    wanted: String,
}

/// A value that a run states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// The number, in percent where that is known.
    pub value: f64,
    /// Whether it is known to be in percent: said with `%`, or by the metric's name.
    pub percent: bool,
}

/// An expectation held against a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The metric.
    pub metric: String,
    /// What was wanted of it, such as `> 80 %`.
    pub wanted: String,
    /// What the run states; of several values the one furthest from what is wanted. None where it states nothing.
    pub observed: Option<f64>,
    /// How many values there were.
    pub values: u64,
    /// Whether all of them are as wanted.
    pub passed: bool,
    /// Why it failed, where the numbers alone do not say so.
    pub why: Option<String>,
}

impl Expectation {
    /// The expectation that a metric is as `wanted` says: `> 80 %`.
    ///
    /// # Errors
    /// A sentence with what is wrong.
    pub fn of(metric: &str, wanted: &str) -> Result<Self, String> {
        let metric = metric.trim();
        if metric.is_empty() || metric.chars().any(|sign| sign.is_control()) {
            return Err(format!("\"{wanted}\" names no metric"));
        }
        let wanted = wanted.trim();
        let found = WORDS
            .iter()
            .find_map(|(word, comparison)| Some((*comparison, wanted.strip_prefix(word)?)));
        let Some((comparison, rest)) = found else {
            return Err(format!(
                "\"{wanted}\" of {metric} begins with no comparison"
            ));
        };
        let (number, percent) = match rest.trim().strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (rest.trim(), false),
        };
        let read: Option<f64> = number
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        let number = read.ok_or_else(|| format!("\"{number}\" of {metric} is no finite number"))?;
        Ok(Self {
            metric: metric.into(),
            comparison,
            number,
            percent,
            wanted: wanted.into(),
        })
    }

    /// A whole expectation: `mapping_rate > 80 %`.
    ///
    /// # Errors
    /// A sentence with what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(at) = text.find(['>', '<', '=']) else {
            return Err(format!("\"{text}\" has no comparison"));
        };
        let (metric, wanted) = text.split_at(at);
        Self::of(metric, wanted)
    }

    /// The metric.
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// What is wanted of it: `> 80 %`.
    pub fn wanted(&self) -> &str {
        &self.wanted
    }

    /// Holds it against the values that a run states.
    pub fn check(&self, observed: &[Observed]) -> Check {
        let worst = observed
            .iter()
            .max_by(|a, b| self.shortfall(a.value).total_cmp(&self.shortfall(b.value)));
        let doubtful = observed.iter().find(|one| self.doubtful(one));
        let why = match (worst, doubtful) {
            (None, _) => Some(format!("the run states no {}", self.metric)),
            (_, Some(one)) => Some(format!(
                "{} may be a share or percent: state it as \"{} %\"",
                one.value, one.value
            )),
            (Some(worst), None) if worst.value.is_nan() => Some("the value is no number".into()),
            _ => None,
        };
        let holds = observed.iter().all(|one| self.holds(one.value));
        Check {
            metric: self.metric.clone(),
            wanted: self.wanted.clone(),
            observed: worst
                .map(|worst| worst.value)
                .filter(|value| value.is_finite()),
            values: observed.len() as u64,
            passed: why.is_none() && holds,
            why,
        }
    }

    fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::More => value > self.number,
            Comparison::AtLeast => value >= self.number,
            Comparison::Less => value < self.number,
            Comparison::AtMost => value <= self.number,
            Comparison::Equal => value == self.number,
        }
    }

    /// How far a value is from what is wanted, in the direction that fails; NaN is the furthest.
    fn shortfall(&self, value: f64) -> f64 {
        let off = match self.comparison {
            Comparison::More | Comparison::AtLeast => self.number - value,
            Comparison::Less | Comparison::AtMost => value - self.number,
            Comparison::Equal => (value - self.number).abs(),
        };
        if off.is_nan() { f64::INFINITY } else { off }
    }

    /// Whether percent are wanted of a number that may as well be a share: 0.83 is either.
    fn doubtful(&self, one: &Observed) -> bool {
        self.percent && !one.percent && one.value > 0.0 && one.value <= 1.0
    }
}

/// Whether a metric's name says that it is in percent, as the names of MultiQC do.
pub fn in_percent(metric: &str) -> bool {
    let name = metric.to_ascii_lowercase();
    ["percent", "pct", "perc", "%"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: f64) -> Observed {
        Observed {
            value,
            percent: false,
        }
    }

    fn check(text: &str, values: &[f64]) -> Check {
        let observed: Vec<Observed> = values.iter().copied().map(plain).collect();
        Expectation::parse(text).unwrap().check(&observed)
    }

    #[test]
    fn every_comparison_at_and_beside_its_number() {
        for (text, below, at, above) in [
            ("m > 80", false, false, true),
            ("m >= 80", false, true, true),
            ("m < 80", true, false, false),
            ("m <= 80", true, true, false),
            ("m == 80", false, true, false),
            ("m>80%", false, false, true),
        ] {
            let passed = [79.5, 80.0, 80.5].map(|value| check(text, &[value]).passed);
            assert_eq!(passed, [below, at, above], "{text}");
        }
    }

    #[test]
    fn nothing_passes_without_a_value_nor_with_nan() {
        for text in ["m > 1", "m < 1", "m == 1"] {
            let none = check(text, &[]);
            assert!(!none.passed && none.observed.is_none(), "{none:?}");
            assert_eq!(none.why.as_deref(), Some("the run states no m"));
            assert!(!check(text, &[f64::NAN]).passed);
            assert!(!check(text, &[2.0, f64::NAN, 0.5]).passed);
        }
    }

    #[test]
    fn every_sample_has_to_hold_and_the_worst_is_shown() {
        let found = check("m > 80 %", &[91.0, 70.0, 85.0]);
        assert_eq!((found.observed, found.values), (Some(70.0), 3));
        assert!(!found.passed);
        assert_eq!(check("m < 5 %", &[1.5, 9.0]).observed, Some(9.0));
        assert!(check("m > 80 %", &[91.0, 85.0]).passed);
    }

    #[test]
    fn a_share_is_not_taken_for_percent() {
        for text in ["rate > 80 %", "rate < 5 %"] {
            let found = check(text, &[0.9]);
            assert!(!found.passed, "{found:?}");
            assert!(found.why.unwrap().contains("share"));
        }
        let said = Observed {
            value: 0.9,
            percent: true,
        };
        assert!(
            Expectation::parse("rate < 5 %")
                .unwrap()
                .check(&[said])
                .passed
        );
        assert!(check("rate > 0.8", &[0.9]).passed, "no percent are asked");
    }

    #[test]
    fn what_is_no_expectation_is_refused_with_what_is_wrong() {
        for (text, why) in [
            ("mapping_rate", "no comparison"),
            ("> 80", "names no metric"),
            ("m = 80", "begins with no comparison"),
            ("m > high", "no finite number"),
            ("m > nan", "no finite number"),
            ("m > inf", "no finite number"),
            ("m > ", "no finite number"),
            ("m > 80 % of all", "no finite number"),
        ] {
            let error = Expectation::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
