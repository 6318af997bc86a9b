//! The quality of a trajectory, read from the query and from what was made of it. Labels of planned faults and defects are
//! not looked at: whoever clears them gets the same score.

use super::record::{QualityParts, TrajectoryRecord};
use crate::{
    generation::{QualityParts as QueryParts, score as query},
    workflow::{
        lint::{Issue, Severity, lint},
        plan::{Plan, Step, missing},
    },
};
use std::collections::HashSet;

/// The least score of a sample that is worth learning from. One finding or one unmet wish is below it.
pub const ACCEPTANCE: f64 = 0.75;

/// Score of a sound trajectory whose query states no useful fact; the rest is earned by facts.
const VAGUE: f64 = 0.85;
/// What a cycle of repair costs, as a share of the first look's worth.
const REPAIR: f64 = 0.1;

/// What a trajectory made.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// The query.
    pub query: &'a str,
    /// What its quality is made of.
    pub query_parts: &'a QueryParts,
    /// The last plan.
    pub plan: &'a Plan,
    /// `main.nf`.
    pub code: &'a str,
    /// `nextflow.config`.
    pub config: &'a str,
    /// `README.md`.
    pub readme: &'a str,
    /// What the linter says of the code.
    pub issues: &'a [Issue],
    /// Cycles spent.
    pub cycles: u32,
}

/// A score, 0 to 1, with its parts: the weakest of lint, completeness, structure and diversity, less what repairs cost,
/// times a base that grows with the facts that the query states.
pub fn score(made: &Made<'_>) -> (f64, QualityParts) {
    let parts = QualityParts {
        lint: round(lint_part(made.issues)),
        plan_completeness: round(completeness(made)),
        code_structure: round(structure(made)),
        repairs_needed: round(1.0 / (1.0 + REPAIR * f64::from(made.cycles))),
        diversity: made.query_parts.distinct,
    };
    let soundness = [
        parts.lint,
        parts.plan_completeness,
        parts.code_structure,
        parts.diversity,
    ];
    let weakest = soundness.into_iter().fold(1.0, f64::min);
    let facts = VAGUE + (1.0 - VAGUE) * made.query_parts.specific;
    (round(weakest * parts.repairs_needed * facts), parts)
}

/// Scores a record again, from its artefacts alone. One without plan or code scores 0.
pub fn score_again(record: &TrajectoryRecord) -> (f64, QualityParts) {
    let plan: Option<Plan> = record
        .plan_json
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let (Some(plan), Some(code)) = (&plan, &record.generated_code) else {
        return (0.0, QualityParts::default());
    };
    score(&Made {
        query: &record.query,
        query_parts: &record.query_parts,
        plan,
        code,
        config: record.config_code.as_deref().unwrap_or(""),
        readme: record.readme.as_deref().unwrap_or(""),
        issues: &lint(code),
        cycles: record.cycles,
    })
}

/// Four decimals: enough for any statistic, and short lines.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// What the linter's findings leave: a third after one error, half after one warning.
pub fn lint_part(issues: &[Issue]) -> f64 {
    let weight = |issue: &Issue| match issue.severity {
        Severity::Error => 2.0,
        Severity::Warning => 1.0,
    };
    1.0 / (1.0 + issues.iter().map(weight).sum::<f64>())
}

/// The worth of a plan alone, 0 to 1: the share of the tools that the query names and it uses, over one more than the
/// steps whose input nothing makes.
pub fn plan_quality(query: &str, plan: &Plan) -> f64 {
    let asked = query::tools_named(query);
    let used = |tool: &&&str| plan.steps.iter().any(|step| step.tool == ***tool);
    let honoured = match asked.len() {
        0 => 1.0,
        all => asked.iter().filter(used).count() as f64 / all as f64,
    };
    honoured / (1 + missing(plan).len()) as f64
}

/// The query's own soundness times the plan's.
fn completeness(made: &Made<'_>) -> f64 {
    let parts = made.query_parts;
    let sound = parts
        .slots_filled
        .min(parts.compatible)
        .min(parts.complexity_consistent);
    sound * plan_quality(made.query, made.plan)
}

/// The share of the plan's processes that the code defines, and of the two other files that speak of them.
fn structure(made: &Made<'_>) -> f64 {
    let steps = &made.plan.steps;
    if steps.is_empty() {
        return 0.0;
    }
    let defined: HashSet<&str> = made.code.lines().filter_map(defines).collect();
    let there = |step: &&Step| defined.contains(step.process.as_str());
    let processes = steps.iter().filter(there).count();
    let config = usize::from(made.config.contains("process"));
    let readme = usize::from(steps.iter().all(|step| made.readme.contains(&step.tool)));
    (processes + config + readme) as f64 / (steps.len() + 2) as f64
}

/// The process that a line begins to define.
fn defines(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("process ")?.trim_start();
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(&rest[..end.unwrap_or(rest.len())])
}
