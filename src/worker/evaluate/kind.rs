//! What a row asks for, and whether an answer gives it. A right answer is compared by what it says: a decision by its tier,
//! a workflow by the linter, a review by its findings, a diagnosis by kind and remedy.

use crate::{
    evaluation::{job::Metric, paired::Share},
    workflow::lint::{Severity, lint},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tier of a model.
    Routing,
    /// A workflow.
    Codegen,
    /// What is wrong with a workflow.
    Validation,
    /// Why a task failed and what helps.
    Recovery,
    /// Anything else: only the same text is right.
    Other,
}

impl Kind {
    /// By the columns that its data set has, or by an answer that is a workflow.
    pub fn of(row: &Value, answer: &str) -> Self {
        let has = |key: &str| row.get(key).is_some();
        if has("optimal_tier") {
            Kind::Routing
        } else if has("generated_code") || is_workflow(answer) {
            Kind::Codegen
        } else if has("issues") && has("severity") {
            Kind::Validation
        } else if has("error_type") && has("resolution") {
            Kind::Recovery
        } else {
            Kind::Other
        }
    }
}

fn is_workflow(text: &str) -> bool {
    let begins = |word: &str| {
        let mut lines = text.lines().map(str::trim_start);
        lines.any(|line| line.starts_with(word) && line.contains('{'))
    };
    begins("process ") && begins("workflow")
}

/// What an answer adds to each metric of its kind, beside the one that is right.
pub fn judge(kind: Kind, right: &str, answer: &str) -> BTreeMap<Metric, Share> {
    let mut found = BTreeMap::from([(Metric::ExactMatch, one(words(right) == words(answer)))]);
    match kind {
        Kind::Other => {}
        Kind::Routing => {
            let tier =
                |text: &str| Some(object(text)?.get("optimal_tier")?.as_str()?.to_uppercase());
            found.insert(Metric::Routing, one(said(tier, right, answer)));
        }
        Kind::Codegen => {
            found.insert(Metric::LintPass, one(passes(code(answer))));
        }
        Kind::Validation => {
            found.insert(Metric::Precision, precision(right, answer));
        }
        Kind::Recovery => {
            let remedy = |text: &str| {
                let said = object(text)?;
                let action = said.get("resolution")?.get("action")?;
                Some((said.get("error_type")?.clone(), action.clone()))
            };
            found.insert(Metric::Recovery, one(said(remedy, right, answer)));
        }
    }
    found
}

fn one(right: bool) -> Share {
    Share {
        sum: f64::from(u8::from(right)),
        count: 1.0,
    }
}

/// Texts are the same but for white space.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Whether both say the same, and anything at all.
fn said<T: PartialEq>(what: impl Fn(&str) -> Option<T>, right: &str, answer: &str) -> bool {
    what(right).is_some_and(|right| what(answer) == Some(right))
}

/// The JSON object in an answer, with or without a fence or prose around it.
fn object(text: &str) -> Option<Value> {
    let (from, to) = (text.find('{')?, text.rfind('}')?);
    serde_json::from_str(text.get(from..=to)?).ok()
}

/// The code of an answer: that of its first fenced block, or all of it. An unclosed block goes to the end.
fn code(answer: &str) -> &str {
    let opened = answer
        .split_once("```")
        .and_then(|(_, rest)| rest.split_once('\n'));
    let Some((_, body)) = opened else {
        return answer;
    };
    body.split_once("\n```").map_or(body, |(block, _)| block)
}

/// A workflow without an error; nothing is no workflow.
fn passes(code: &str) -> bool {
    is_workflow(code)
        && lint(code)
            .iter()
            .all(|issue| issue.severity != Severity::Error)
}

/// True findings among those that are said, each counted once however often it is said, and each issue found once. What
/// cannot be read says none.
fn precision(right: &str, answer: &str) -> Share {
    let mut truth = findings(right);
    truth.sort_unstable();
    let claimed: BTreeSet<(i64, String)> = findings(answer).into_iter().collect();
    let mut hits = 0;
    // Both go by lines, so that the first issue left is the one that no later finding needs more.
    for (line, kind) in &claimed {
        let found = |issue: &(i64, String)| issue.1 == *kind && issue.0.abs_diff(*line) <= 1;
        if let Some(at) = truth.iter().position(found) {
            truth.remove(at);
            hits += 1;
        }
    }
    Share {
        sum: f64::from(hits),
        count: claimed.len() as f64,
    }
}

fn findings(text: &str) -> Vec<(i64, String)> {
    let said = object(text);
    let issues = said
        .as_ref()
        .and_then(|said| said.get("issues")?.as_array());
    let read = |issue: &Value| {
        let kind = issue.get("type")?.as_str()?;
        Some((issue.get("line")?.as_i64()?, kind.to_owned()))
    };
    issues.map_or(Vec::new(), |issues| {
        issues.iter().filter_map(read).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn share(kind: Kind, metric: Metric, right: &str, answer: &str) -> (f64, f64) {
        let found = judge(kind, right, answer)[&metric];
        (found.sum, found.count)
    }

    #[test]
    fn rows_are_known_by_their_columns() {
        let kinds = [
            (json!({ "optimal_tier": "SMALL" }), "", Kind::Routing),
            (json!({ "generated_code": "x" }), "", Kind::Codegen),
            (
                json!({ "issues": [], "severity": null }),
                "",
                Kind::Validation,
            ),
            (
                json!({ "error_type": "x", "resolution": {} }),
                "",
                Kind::Recovery,
            ),
            (json!({}), "process A { }\nworkflow { A() }", Kind::Codegen),
            (json!({}), "we process {x}", Kind::Other),
        ];
        for (row, answer, kind) in kinds {
            assert_eq!(Kind::of(&row, answer), kind, "{row} {answer}");
        }
    }

    #[test]
    fn white_space_is_no_difference_and_letters_are() {
        let exact = |a, b| share(Kind::Other, Metric::ExactMatch, a, b).0;
        assert_eq!(exact("a  b\nc", " a b c "), 1.0);
        assert_eq!(exact("a b", "ab"), 0.0);
        assert_eq!(exact("a", ""), 0.0);
    }

    #[test]
    fn a_decision_is_its_tier() {
        let right = r#"{"optimal_tier":"SMALL","optimal_model":"a","reasoning":"x"}"#;
        let of = |answer| share(Kind::Routing, Metric::Routing, right, answer);
        assert_eq!(
            of("```json\n{\"optimal_tier\": \"small\"}\n```"),
            (1.0, 1.0)
        );
        assert_eq!(of(r#"{"optimal_tier":"LARGE"}"#), (0.0, 1.0));
        assert_eq!(of("SMALL"), (0.0, 1.0));
    }

    #[test]
    fn a_review_is_as_precise_as_its_findings_are_true() {
        let right = r#"{"issues":[{"line":4,"type":"missing_output","message":"m"}]}"#;
        let of = |answer| share(Kind::Validation, Metric::Precision, right, answer);
        let two =
            r#"{"issues":[{"line":5,"type":"missing_output"},{"line":4,"type":"missing_tag"}]}"#;
        assert_eq!(of(two), (1.0, 2.0));
        assert_eq!(of(r#"{"issues":[]}"#), (0.0, 0.0));
        assert_eq!(of("no idea"), (0.0, 0.0));
        assert_eq!(
            of(r#"{"issues":[{"line":7,"type":"missing_output"}]}"#),
            (0.0, 1.0)
        );
        // Saying it again, or a line beside it, finds nothing more.
        let again = r#"{"issues":[{"line":4,"type":"missing_output"},{"line":4,"type":"missing_output"},{"line":3,"type":"missing_output"}]}"#;
        assert_eq!(of(again), (1.0, 2.0));
    }

    #[test]
    fn a_diagnosis_is_its_kind_and_remedy() {
        let right = r#"{"error_type":"oom","resolution":{"action":"more","new_value":"8 GB"}}"#;
        let of = |answer| share(Kind::Recovery, Metric::Recovery, right, answer).0;
        assert_eq!(
            of(r#"{"error_type":"oom","resolution":{"action":"more"}}"#),
            1.0
        );
        assert_eq!(
            of(r#"{"error_type":"oom","resolution":{"action":"less"}}"#),
            0.0
        );
        assert_eq!(of("{}"), 0.0);
    }

    #[test]
    fn workflows_pass_the_linter_or_not() {
        let good = crate::workflow::fix::fix(GOOD).text;
        let of = |answer: &str| share(Kind::Codegen, Metric::LintPass, "x", answer).0;
        assert_eq!(of(&good), 1.0, "{:?}", lint(&good));
        assert_eq!(of(&format!("Here:\n```groovy\n{good}\n```\nfine")), 1.0);
        assert_eq!(of(&good[..good.len() / 2]), 0.0);
        assert_eq!(of(""), 0.0);
    }

    const GOOD: &str = "nextflow.enable.dsl = 2\n\nprocess COUNT {\n    tag \"${id}\"\n    label 'small'\n    container 'ubuntu:22.04'\n\n    input:\n    tuple val(id), path(reads)\n\n    output:\n    path \"${id}.txt\"\n\n    script:\n    \"\"\"\n    wc -l ${reads} > ${id}.txt\n    \"\"\"\n}\n\nworkflow {\n    COUNT(Channel.fromPath(params.reads).map { file -> tuple(file.baseName, file) })\n}\n";
}
