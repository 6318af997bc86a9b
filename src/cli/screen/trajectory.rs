//! A trajectory to read. Its text was written by models and by generators of others: nothing of it may act on a terminal,
//! and nothing that is missing is an error.

mod execution;
mod steps;
#[cfg(test)]
mod tests;
mod work;

use super::{
    super::style::{Style, ago, thousands},
    fit::labelled,
};
use crate::{control::trajectories::TrajectoryView, time::Timestamp};
use serde_json::Value;
use steps::steps;
use work::{plan, trouble, validation};

/// Keys that this screen shows in words, or that others are for. What else a row has is listed.
const KNOWN: &[&str] = &[
    "id",
    "trajectory_id",
    "index",
    "query",
    "analysis_type",
    "organism",
    "complexity",
    "template",
    "slots",
    "scenario",
    "steps",
    "routing_decisions",
    "agent_decisions",
    "model_comparisons",
    "plan_json",
    "generated_code",
    "config_code",
    "readme",
    "validation_iterations",
    "validation_issues",
    "final_validation_passed",
    "drafts",
    "cycles",
    "execution_submitted",
    "execution_completed",
    "execution_exit_code",
    "execution_logs_path",
    "error_resolutions",
    "reflection",
    "outcome",
    "outcome_reason",
    "total_tokens",
    "total_cost_usd",
    "total_latency_ms",
    "session_id",
    "user_feedback",
    "parent",
    "created_at",
    "completed_at",
    "quality_score",
    "quality_parts",
    "query_parts",
    "accepted",
    "planned_defect",
    "planted_fault",
];
/// Signs of a value that has no screen of its own.
const SHORT: usize = 200;

/// Text on one line, in which nothing acts on a terminal.
pub fn clean(text: &str) -> String {
    let plain = |sign: char| if sign.is_control() { '\u{fffd}' } else { sign };
    let spaced = text.replace(['\n', '\r', '\t'], " ");
    spaced.chars().map(plain).collect()
}

/// The same for a text whose lines count.
pub fn clean_lines(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| clean(&line.replace('\t', "    ")))
        .collect();
    lines.join("\n")
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn count(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// A value as a word or short JSON.
fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    };
    if text.chars().count() <= SHORT {
        return text;
    }
    let kept: String = text.chars().take(SHORT).collect();
    format!(
        "{kept}... ({} signs)",
        thousands(text.chars().count() as u64)
    )
}

fn named(name: &str) -> String {
    format!("  {name:<10} ")
}

/// The whole of it.
pub fn trajectory(view: &TrajectoryView, style: Style, now: Timestamp) -> String {
    let row = &view.trajectory;
    let mut shown = head(view, style, now) + &about(view, style, now);
    for part in [
        steps(row, style),
        plan(row),
        validation(row, style),
        trouble(row),
        execution::execution(view, style),
    ] {
        shown += &part;
    }
    shown + &others(row) + &ways(view)
}

/// Enough of it to judge by: what was asked, what came of it, what the code looks like.
pub fn brief(view: &TrajectoryView, style: Style, now: Timestamp) -> String {
    let row = &view.trajectory;
    let mut shown = head(view, style, now) + &about(view, style, now) + &plan(row);
    if let Some(code) = text(row, "generated_code") {
        let lines = thousands(code.lines().count() as u64);
        shown += &labelled(&named("code"), &format!("{lines} lines; c shows them"));
    }
    shown + &others(row)
}

fn head(view: &TrajectoryView, style: Style, now: Timestamp) -> String {
    let row = &view.trajectory;
    let outcome =
        text(row, "outcome").map_or(String::new(), |word| style.word(&clean(word)) + "  ");
    let made = text(row, "completed_at").or(text(row, "created_at"));
    let made = made.map_or(String::new(), |at| format!("   {} ago", ago(Some(at), now)));
    let (id, campaign, phase) = (clean(&view.id), &view.campaign, &view.phase);
    labelled("", &format!("{id}  {outcome}{campaign}, {phase}{made}"))
}

fn about(view: &TrajectoryView, style: Style, now: Timestamp) -> String {
    let row = &view.trajectory;
    let mut shown = String::new();
    let mut say = |name: &str, value: String| {
        if !value.is_empty() {
            shown += &labelled(&named(name), &value);
        }
    };
    say("query", text(row, "query").map_or(String::new(), clean));
    let kind = [
        "analysis_type",
        "organism",
        "complexity",
        "template",
        "scenario",
    ];
    let kind: Vec<String> = kind
        .iter()
        .filter_map(|key| text(row, key))
        .map(clean)
        .collect();
    say("kind", kind.join(", "));
    say(
        "repairs",
        text(row, "parent")
            .filter(|_| view.phase == "repair")
            .map_or(String::new(), clean),
    );
    let slots = row.get("slots").and_then(Value::as_object);
    let slots = slots.map(|slots| {
        slots
            .iter()
            .map(|(key, value)| format!("{} {}", clean(key), short(value)))
    });
    say(
        "slots",
        slots.map_or(String::new(), |slots| slots.collect::<Vec<_>>().join(", ")),
    );
    say(
        "outcome",
        text(row, "outcome_reason").map_or(String::new(), clean),
    );
    say("quality", quality(row));
    let defect = row.get("planned_defect").filter(|value| !value.is_null());
    say(
        "defect",
        defect.map_or(String::new(), |defect| {
            let line = defect.get("line").and_then(Value::as_u64).unwrap_or(0);
            let place = if line > 0 {
                format!(" in line {line}")
            } else {
                String::new()
            };
            let kind = text(defect, "type").unwrap_or("unknown");
            format!("{}{place} of the first draft, on purpose", clean(kind))
        }),
    );
    say(
        "fault",
        text(row, "planted_fault").map_or(String::new(), |fault| {
            format!("{} in the query, on purpose", clean(fault))
        }),
    );
    if let Some(said) = &view.feedback {
        let note = said
            .note
            .as_deref()
            .map_or(String::new(), |note| format!(": {}", clean(note)));
        let word = style.word(said.feedback.name());
        let at = ago(Some(&said.given_at), now);
        say(
            "feedback",
            format!("{word} (uid {}, {at} ago){note}", said.uid),
        );
    }
    shown
}

/// `0.912: lint 1.00, diversity 0.80; accepted`.
fn quality(row: &Value) -> String {
    let Some(score) = row.get("quality_score").and_then(Value::as_f64) else {
        return String::new();
    };
    let parts = row.get("quality_parts").and_then(Value::as_object);
    let parts = parts.into_iter().flatten().map(|(name, part)| {
        let part = part
            .as_f64()
            .map_or("-".into(), |part| format!("{part:.2}"));
        format!("{} {part}", clean(name))
    });
    let parts: Vec<String> = parts.collect();
    let colon = if parts.is_empty() { "" } else { ": " };
    let accepted = match row.get("accepted").and_then(Value::as_bool) {
        Some(true) => "; accepted",
        Some(false) => "; not accepted",
        None => "",
    };
    format!("{score:.3}{colon}{}{accepted}", parts.join(", "))
}

/// What a foreign generator's rows have beside.
fn others(row: &Value) -> String {
    let fields = row.as_object().into_iter().flatten();
    fields
        .filter(|(key, _)| !KNOWN.contains(&key.as_str()))
        .map(|(key, value)| labelled(&named(&clean(key)), &short(value)))
        .collect()
}

fn ways(view: &TrajectoryView) -> String {
    let word = format!("{}/{}", view.campaign, clean(&view.id));
    let mut ways = Vec::new();
    if text(&view.trajectory, "generated_code").is_some() {
        ways.push(format!("campaignctl trajectory {word} --code > main.nf"));
    }
    ways.push(format!(
        "campaignctl feedback {word} positive|negative|neutral"
    ));
    super::fit::choices(&named("you"), &ways, "   or: ")
}
