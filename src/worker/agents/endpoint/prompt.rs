//! Prompts: the files of `config/prompts/` with their slots filled.

use crate::{
    llm::JsonFormat,
    trajectory::record::TrajectoryRecord,
    workflow::{
        errors,
        lint::{Issue, RULES},
        plan::Plan,
    },
};
use serde_json::{Value, json};

/// Characters of a log that are shown: its end, where the cause stands (specification 1, 6.2).
const LOG: usize = 6_000;

/// Fills `{name}` by the value of that name. One pass, so that a brace in a value is left as it is.
fn fill(template: &str, slots: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let named = slots
            .iter()
            .find_map(|(name, value)| Some((value, after.strip_prefix(name)?.strip_prefix('}')?)));
        match named {
            Some((value, after)) => {
                text.push_str(value);
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

/// What earlier failures teach, as a paragraph.
pub(super) fn lessons(lessons: &[&str]) -> String {
    if lessons.is_empty() {
        return String::new();
    }
    let lines: String = lessons
        .iter()
        .map(|lesson| format!("\n- {lesson}"))
        .collect();
    format!("\nLearned from earlier failures:{lines}\n")
}

fn shown(plan: &Plan) -> String {
    serde_json::to_string(&plan.steps).unwrap_or_default()
}

fn listed(issues: &[Issue]) -> String {
    let line = |issue: &Issue| {
        format!(
            "line {}: {}: {}\n",
            issue.line,
            issue.rule.name(),
            issue.message
        )
    };
    issues.iter().map(line).collect()
}

pub(super) fn planner(
    record: &TrajectoryRecord,
    example: &Plan,
    flaws: &[String],
    lessons: &str,
) -> String {
    let flaws = if flaws.is_empty() {
        String::new()
    } else {
        format!(
            "\nThe plan before did not hold together: {}\n",
            flaws.join("; ")
        )
    };
    fill(
        include_str!("../../../../config/prompts/planner.md"),
        &[
            ("query", &record.query),
            ("analysis_type", &record.analysis_type),
            ("organism", record.organism.as_deref().unwrap_or("not said")),
            ("complexity", &record.complexity),
            ("example", &shown(example)),
            ("flaws", &flaws),
            ("lessons", lessons),
        ],
    )
}

pub(super) fn codegen(record: &TrajectoryRecord, plan: &Plan, lessons: &str) -> String {
    fill(
        include_str!("../../../../config/prompts/codegen.md"),
        &[
            ("query", &record.query),
            ("analysis_type", &record.analysis_type),
            ("plan", &shown(plan)),
            ("lessons", lessons),
        ],
    )
}

pub(super) fn repair(code: &str, issues: &[Issue], lessons: &str) -> String {
    fill(
        include_str!("../../../../config/prompts/repair.md"),
        &[
            ("issues", &listed(issues)),
            ("code", code),
            ("lessons", lessons),
        ],
    )
}

pub(super) fn validator(code: &str) -> String {
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    // Numbered, because models count lines badly.
    let numbered: String = code
        .lines()
        .enumerate()
        .map(|(at, line)| format!("{}: {line}\n", at + 1))
        .collect();
    fill(
        include_str!("../../../../config/prompts/validator.md"),
        &[("code", &numbered), ("rules", &rules.join(", "))],
    )
}

pub(super) fn documenter(record: &TrajectoryRecord, plan: &Plan, code: &str) -> String {
    fill(
        include_str!("../../../../config/prompts/documenter.md"),
        &[
            ("query", &record.query),
            ("plan", &shown(plan)),
            ("code", code),
        ],
    )
}

pub(super) fn diagnostician(record: &TrajectoryRecord, log: &str) -> String {
    let kinds: Vec<&str> = errors::entries()
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    let from = log.char_indices().rev().nth(LOG).map_or(0, |(at, _)| at);
    fill(
        include_str!("../../../../config/prompts/diagnostician.md"),
        &[
            ("query", &record.query),
            ("log", &log[from..]),
            ("kinds", &kinds.join(", ")),
        ],
    )
}

pub(super) fn reflect(record: &TrajectoryRecord) -> String {
    fill(
        include_str!("../../../../config/prompts/reflect.md"),
        &[
            ("query", &record.query),
            ("analysis_type", &record.analysis_type),
            ("cycles", &record.cycles.to_string()),
            ("issues", &record.validation_issues.join("\n")),
        ],
    )
}

fn object(name: &str, members: &Value) -> JsonFormat {
    let names: Vec<&String> = members
        .as_object()
        .into_iter()
        .flat_map(|all| all.keys())
        .collect();
    JsonFormat {
        name: name.into(),
        schema: json!({
            "type": "object",
            "properties": members,
            "required": names,
            "additionalProperties": false,
        }),
    }
}

pub(super) fn plan_schema() -> JsonFormat {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let step = object(
        "step",
        &json!({
            "id": text, "process": text, "tool": text, "purpose": text, "inputs": texts, "outputs": texts,
        }),
    );
    object(
        "plan",
        &json!({ "steps": { "type": "array", "items": step.schema } }),
    )
}

pub(super) fn validator_schema() -> JsonFormat {
    let issue = object(
        "issue",
        &json!({
            "line": { "type": "integer" }, "type": { "type": "string" }, "message": { "type": "string" },
        }),
    );
    object(
        "review",
        &json!({ "issues": { "type": "array", "items": issue.schema } }),
    )
}

pub(super) fn diagnosis_schema() -> JsonFormat {
    let maybe = json!({ "type": ["string", "null"] });
    object(
        "diagnosis",
        &json!({ "kind": maybe, "message": maybe, "process": maybe }),
    )
}

pub(super) fn reflection_schema() -> JsonFormat {
    let text = json!({ "type": "string" });
    object(
        "reflection",
        &json!({ "root_cause": text, "prevention": text, "alternative": text, "learning": text }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_slots_are_filled_and_values_are_not_read_again() {
        let text = fill(
            "{query} and {\"a\": 1} and {unknown}",
            &[("query", "{query} { }")],
        );
        assert_eq!(text, "{query} { } and {\"a\": 1} and {unknown}");
    }
}
