//! What is asked of planning: how often, over what, by which metric, and how much of it without a person.

use crate::{
    parameters::{Assignment, Domain, Value},
    planning::{Acquisition, approval::Risk},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// `[planning]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanningSpec {
    /// Rounds of training; fewer if nothing is left to try.
    pub cycles: u32,
    /// Proposals of a cycle.
    pub proposals: u32,
    /// What is made better.
    pub metric: String,
    /// When it is good enough.
    pub stop_when: Option<Goal>,
    /// What is varied, and over what.
    pub vary: BTreeMap<String, Domain>,
    /// Up to which risk a proposal needs no person; none: each one does.
    pub approval: Option<Risk>,
    /// How proposals are chosen.
    pub acquisition: Acquisition,
    /// So many experiments that fail one after the other end the campaign.
    pub failures: u32,
}

impl Default for PlanningSpec {
    fn default() -> Self {
        Self {
            cycles: 1,
            proposals: 3,
            metric: "eval_loss".into(),
            stop_when: None,
            vary: BTreeMap::new(),
            approval: Some(Risk::Medium),
            acquisition: Acquisition::ExpectedImprovement,
            failures: 3,
        }
    }
}

/// `eval_loss < 0.5`: a bar that one metric has to pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// Which metric.
    pub metric: String,
    /// Whether it has to be below.
    pub below: bool,
    /// What it has to pass; reaching it is enough with `or_equal`.
    pub value: f64,
    /// Whether reaching it is enough.
    pub or_equal: bool,
}

impl Goal {
    /// Whether these metrics pass it; a metric that is not there passes nothing.
    pub fn reached(&self, metrics: &BTreeMap<String, f64>) -> bool {
        metrics.get(&self.metric).is_some_and(|found| {
            (self.or_equal && *found == self.value)
                || if self.below {
                    *found < self.value
                } else {
                    *found > self.value
                }
        })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.below { '<' } else { '>' };
        let equal = if self.or_equal { "=" } else { "" };
        write!(
            f,
            "{} {sign}{equal} {}",
            self.metric,
            Value::Number(self.value)
        )
    }
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let right = || format!("\"{text}\" is no goal: write one as eval_loss < 0.5");
        let at = text.find(['<', '>']).ok_or_else(right)?;
        let below = text[at..].starts_with('<');
        let rest = &text[at + 1..];
        let or_equal = rest.starts_with('=');
        let value = rest.trim_start_matches('=').trim();
        let value: f64 = value.parse().map_err(|_| right())?;
        let metric = text[..at].trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | '/');
        if metric.is_empty() || !metric.chars().all(plain) || !value.is_finite() {
            return Err(right());
        }
        Ok(Goal {
            metric: metric.into(),
            below,
            value,
            or_equal,
        })
    }
}

/// The most proposals of a cycle.
pub const MOST_PROPOSALS: u32 = 64;
/// The most cycles.
pub const MOST_CYCLES: u32 = 1_000;

impl PlanningSpec {
    /// What is wrong, as key and sentence; `base` is the fine-tune that proposals change.
    pub fn faults(&self, base: Option<&super::RunSpec>) -> Vec<(&'static str, String)> {
        let Self {
            cycles, proposals, ..
        } = self;
        let mut faults = Vec::new();
        let mut refuse = |wrong: bool, key: &'static str, sentence: String| {
            if wrong {
                faults.push((key, sentence));
            }
        };
        refuse(
            !(1..=MOST_CYCLES).contains(cycles),
            "planning.cycles",
            format!("{cycles} cycles are not 1 to {MOST_CYCLES}"),
        );
        refuse(
            !(1..=MOST_PROPOSALS).contains(proposals),
            "planning.proposals",
            format!("{proposals} proposals are not 1 to {MOST_PROPOSALS}"),
        );
        refuse(
            self.failures == 0,
            "planning.failures",
            "0 failures would end every campaign".into(),
        );
        refuse(
            self.metric.is_empty(),
            "planning.metric",
            "no metric is named".into(),
        );
        refuse(
            base.is_none(),
            "planning.cycles",
            "there is no [training] to plan".into(),
        );
        refuse(
            self.vary.is_empty() && *cycles > 1,
            "planning.vary",
            "nothing is varied: a second cycle has nothing to try".into(),
        );
        for (name, domain) in &self.vary {
            let ends = base.map_or(Ok(()), |base| ends(base, name, domain));
            let problem = domain.problem().or(ends.err()).unwrap_or_default();
            refuse(
                !problem.is_empty(),
                "planning.vary",
                format!("{name} = \"{domain}\": {problem}"),
            );
        }
        faults
    }
}

/// Whether a fine-tune takes every choice, or both ends of a range.
fn ends(base: &super::RunSpec, name: &str, domain: &Domain) -> Result<(), String> {
    let values = match domain {
        Domain::Choice(values) => values.clone(),
        Domain::Range {
            low, high, whole, ..
        } => [low, high]
            .map(|end| match whole {
                true => Value::Whole(*end as i64),
                false => Value::Number(*end),
            })
            .to_vec(),
    };
    values.into_iter().try_for_each(|value| {
        let one = Assignment::from([(name.to_string(), value)]);
        base.with(&base.name, &one).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_read_written_and_reached() {
        for (text, value, reached) in [
            ("eval_loss < 0.5", 0.4, true),
            ("eval_loss < 0.5", 0.5, false),
            ("eval_loss <= 0.5", 0.5, true),
            ("auc > 0.9", 0.95, true),
            ("auc >= 0.9", 0.9, true),
            ("auc > 0.9", f64::NAN, false),
        ] {
            let goal: Goal = text.parse().unwrap();
            assert_eq!(goal.to_string(), text);
            let metrics = BTreeMap::from([(goal.metric.clone(), value)]);
            assert_eq!(goal.reached(&metrics), reached, "{text} with {value}");
            assert!(!goal.reached(&BTreeMap::new()), "no metric reaches nothing");
        }
        for text in [
            "",
            "eval_loss",
            "< 0.5",
            "eval loss < 1",
            "a < b",
            "a < nan",
            "a == 1",
        ] {
            assert!(text.parse::<Goal>().is_err(), "{text}");
        }
    }
}
