//! What came of a trajectory's steps: the plan, what the validator said of each draft, errors and what they teach.

use super::{
    super::{super::style::Style, fit::labelled},
    clean, count, list, named, short, text,
};
use serde_json::Value;

/// The steps of the plan.
pub(super) fn plan(row: &Value) -> String {
    let plan: Option<Value> =
        text(row, "plan_json").and_then(|plan| serde_json::from_str(plan).ok());
    let plan = plan.as_ref().or_else(|| row.get("plan_json"));
    let mut shown = String::new();
    for (at, step) in plan
        .map_or(&[][..], |plan| list(plan, "steps"))
        .iter()
        .enumerate()
    {
        let word = |key: &str| text(step, key).map(clean);
        let name = word("process")
            .or_else(|| word("id"))
            .or_else(|| word("tool"));
        let name = name.unwrap_or_else(|| short(step));
        let why = word("purpose").map_or(String::new(), |why| format!(": {why}"));
        let label = named(if at == 0 { "plan" } else { "" });
        shown += &labelled(&format!("{label}{:>2} ", at + 1), &format!("{name}{why}"));
    }
    shown
}

/// What the validator said of each draft, and at last.
pub(super) fn validation(row: &Value, style: Style) -> String {
    let looks = count(row, "validation_iterations");
    let mut shown = String::new();
    if looks > 0 {
        let passed = row.get("final_validation_passed").and_then(Value::as_bool) == Some(true);
        let word = style.word(if passed { "yes" } else { "no" });
        let cycles = count(row, "cycles");
        let text = format!("passed {word}, looks {looks}, repair cycles {cycles}");
        shown += &labelled(&named("validation"), &text);
    }
    for (at, draft) in list(row, "drafts").iter().enumerate() {
        let mut issues: Vec<&Value> = list(draft, "issues").iter().collect();
        issues.sort_by_key(|issue| count(issue, "line"));
        let found = format!("findings {}", issues.len());
        shown += &labelled(&named(&format!("draft {}", at + 1)), &found);
        for issue in issues {
            shown += &labelled("      ", &finding(issue));
        }
        if let Some(feedback) = text(draft, "feedback") {
            shown += &labelled("      ", &format!("said: {}", clean(feedback)));
        }
    }
    for issue in list(row, "validation_issues") {
        shown += &labelled(&named("left"), &short(issue));
    }
    shown
}

/// `line 12: error missing_container: the process has none`.
fn finding(issue: &Value) -> String {
    let word = |key: &str| text(issue, key).map_or("-".into(), clean);
    let (line, rule) = (count(issue, "line"), word("type"));
    format!(
        "line {line}: {} {rule}: {}",
        word("severity"),
        word("message")
    )
}

/// Errors, what was done about them, and what is learned.
pub(super) fn trouble(row: &Value) -> String {
    let mut shown = String::new();
    for error in list(row, "error_resolutions") {
        let word = |key: &str| text(error, key).map(clean);
        let kind = word("error_type").unwrap_or_else(|| "-".into());
        let message = word("error_message").unwrap_or_default();
        shown += &labelled(&named("error"), &format!("{kind}: {message}"));
        let tried = error
            .get("resolution_attempted")
            .or(error.get("resolution"));
        if let Some(tried) = tried.filter(|tried| !tried.is_null()) {
            let ended = error.get("resolution_success").or(error.get("outcome"));
            let ended = ended.map_or(String::new(), |ended| match ended {
                Value::Bool(true) => " -> it helped".into(),
                Value::Bool(false) => " -> it did not help".into(),
                other => format!(" -> {}", short(other)),
            });
            shown += &labelled("      ", &format!("{}{ended}", action(tried)));
        }
    }
    if let Some(reflection) = row.get("reflection").filter(|value| value.is_object()) {
        for key in ["root_cause", "prevention", "alternative", "learning"] {
            if let Some(said) = text(reflection, key) {
                shown += &labelled(&named(key), &clean(said));
            }
        }
    }
    shown
}

fn action(tried: &Value) -> String {
    match (text(tried, "action"), text(tried, "new_value")) {
        (Some(action), Some(value)) => format!("{}: {}", clean(action), clean(value)),
        (Some(action), None) => clean(action),
        (None, _) => short(tried),
    }
}
