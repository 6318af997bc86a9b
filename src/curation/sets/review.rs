//! A review of a workflow: what is said of it, how bad that is, and whether it is true.

use super::chat::compact;
use crate::workflow::lint::{Fixable, Issue, RULES, Severity};
use serde::{Deserialize, Serialize};

/// One remark, in the specification's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remark {
    pub line: i64,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub message: String,
}

/// A whole review. `severity` is the worst, `auto_fixable` whether all can be mended without asking; none of both where
/// nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Review {
    pub issues: Vec<Remark>,
    pub severity: Option<Severity>,
    pub auto_fixable: Option<bool>,
}

impl From<&Issue> for Remark {
    fn from(issue: &Issue) -> Remark {
        Remark {
            line: issue.line.into(),
            kind: issue.rule.name().into(),
            message: issue.message.clone(),
        }
    }
}

impl Review {
    /// The truth.
    pub fn of(issues: &[Issue]) -> Review {
        Review {
            issues: issues.iter().map(Remark::from).collect(),
            // The worst comes first in the order of severities.
            severity: issues.iter().map(|issue| issue.severity).min(),
            auto_fixable: (!issues.is_empty())
                .then(|| issues.iter().all(|issue| issue.auto_fixable)),
        }
    }

    /// What somebody says, true or not, rated as the linter rates such findings: so that a wrong review is told from a right
    /// one by what it says and not by its shape.
    pub fn claimed(issues: Vec<Remark>, truth: &[Issue]) -> Review {
        let rated = issues.iter().map(|remark| rating(remark, truth));
        let (severities, fixable): (Vec<_>, Vec<_>) = rated.unzip();
        Review {
            severity: severities.into_iter().min(),
            auto_fixable: (!issues.is_empty()).then(|| fixable.into_iter().all(|fixable| fixable)),
            issues,
        }
    }

    /// As the answer of a model.
    pub fn answer(&self) -> String {
        compact(self)
    }
}

/// How bad a remark would be, and whether it could be mended.
fn rating(remark: &Remark, truth: &[Issue]) -> (Severity, bool) {
    if let Some(issue) = truth.iter().find(|issue| same(remark, issue)) {
        return (issue.severity, issue.auto_fixable);
    }
    let rule = RULES.iter().find(|rule| rule.name == remark.kind);
    rule.map_or((Severity::Error, false), |rule| {
        (rule.severity, rule.fixable == Fixable::Always)
    })
}

/// Whether a remark names a finding. A line off by one is the same place.
pub(super) fn same(remark: &Remark, issue: &Issue) -> bool {
    remark.kind == issue.rule.name() && remark.line.abs_diff(issue.line.into()) <= 1
}

/// What a model said, where it can be read: the object in its text, with or without a fence or prose around it.
pub(super) fn read(feedback: &str) -> Option<Vec<Remark>> {
    #[derive(Deserialize)]
    struct Said {
        issues: Vec<Remark>,
    }
    let (from, to) = (feedback.find('{')?, feedback.rfind('}')?);
    let said: Said = serde_json::from_str(feedback.get(from..=to)?).ok()?;
    Some(said.issues)
}

/// Whether a review is wrong: it misses a finding, or names one that is not there.
pub(super) fn wrong(said: &[Remark], truth: &[Issue]) -> bool {
    let missed = truth
        .iter()
        .any(|issue| !said.iter().any(|remark| same(remark, issue)));
    let false_one = said
        .iter()
        .any(|remark| !truth.iter().any(|issue| same(remark, issue)));
    missed || false_one
}
