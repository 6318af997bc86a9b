//! What a model wrote, as what it was asked for. Nothing here trusts it: names are cut to what a workflow may have, and what
//! does not read is an error of the sample.

use crate::{
    llm::json_repair,
    trajectory::record::Reflection,
    workflow::{
        errors::{self, Diagnosis},
        lint::Issue,
        plan::{Plan, Step},
    },
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The contents of the fenced blocks of a text, in order. An unclosed last one counts: the answer was cut there.
pub(super) fn blocks(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, opened)) = rest.split_once("```") {
        let Some((_, body)) = opened.split_once('\n') else {
            break;
        };
        let (block, after) = body.split_once("\n```").unwrap_or((body, ""));
        found.push(block);
        rest = after;
    }
    found
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let repaired = json_repair::repair(text)?;
    serde_json::from_value(repaired.value).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
struct Steps {
    steps: Vec<Step>,
}

/// The steps of an answer in the frame of a plan.
pub(super) fn plan(text: &str, frame: &Plan) -> Result<Plan, String> {
    let Steps { steps } = json(text)?;
    if steps.is_empty() {
        return Err("the plan has no steps".into());
    }
    let word = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if let Some(step) = steps.iter().find(|step| !word(&step.process)) {
        return Err(format!("{:?} is no name of a process", step.process));
    }
    Ok(Plan {
        steps,
        ..frame.clone()
    })
}

#[derive(Deserialize)]
struct Review {
    issues: Vec<Remark>,
}

#[derive(Deserialize)]
struct Remark {
    line: i64,
    #[serde(rename = "type")]
    kind: String,
}

/// How far a review agrees with the truth, 0 to 1: the harmonic mean of the shares of its remarks that are true and of
/// the findings that it has (F1). A line off by one is the same place.
pub(super) fn agreement(text: &str, truth: &[Issue]) -> Option<f64> {
    let review: Review = json(text).ok()?;
    if review.issues.is_empty() && truth.is_empty() {
        return Some(1.0);
    }
    let same = |remark: &Remark, issue: &Issue| {
        remark.kind == issue.rule.name() && remark.line.abs_diff(i64::from(issue.line)) <= 1
    };
    let right = review
        .issues
        .iter()
        .filter(|remark| truth.iter().any(|issue| same(remark, issue)));
    let found = truth
        .iter()
        .filter(|issue| review.issues.iter().any(|remark| same(remark, issue)));
    let both = review.issues.len() + truth.len();
    Some((right.count() + found.count()) as f64 / both as f64)
}

#[derive(Deserialize)]
struct Cause {
    kind: Option<String>,
    message: Option<String>,
    process: Option<String>,
}

/// A diagnosis, if its kind is one that the catalogue knows.
pub(super) fn diagnosis(text: &str) -> Result<Option<Diagnosis>, String> {
    let cause: Cause = json(text)?;
    let Some(kind) = cause.kind else {
        return Ok(None);
    };
    let entry = errors::entry(&kind).ok_or_else(|| format!("{kind:?} is no kind of error"))?;
    Ok(Some(Diagnosis {
        category: entry.category,
        kind,
        message: cause.message.unwrap_or_default(),
        line: 0,
        process: cause.process,
        exit_status: None,
        confidence: 0.0,
        also: Vec::new(),
    }))
}

/// What a failure teaches.
pub(super) fn reflection(text: &str) -> Result<Reflection, String> {
    json(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_blocks_are_taken_in_order_and_a_cut_one_counts() {
        let text = "Here:\n```nextflow\nprocess A {}\n```\nand\n```groovy\nx = 1\n```\n";
        assert_eq!(blocks(text), ["process A {}", "x = 1"]);
        assert_eq!(blocks("```\nprocess B {"), ["process B {"]);
        assert!(blocks("no code").is_empty());
    }
}
