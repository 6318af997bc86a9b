//! How a trajectory's workflow ran: its end, its tasks, its error, and what its test data set expects.

use super::{
    super::{super::style::Style, fit::labelled},
    clean, count, list, named, short, text,
};
use crate::{control::trajectories::TrajectoryView, time::two_units};
use serde_json::Value;
use std::time::Duration;

/// Nothing where it was not run.
pub(super) fn execution(view: &TrajectoryView, style: Style) -> String {
    let Some(run) = &view.execution else {
        return String::new();
    };
    let word = |key: &str| text(run, key).map(clean);
    let outcome = word("outcome").unwrap_or_else(|| "-".into());
    let reason = word("outcome_reason").map_or(String::new(), |why| format!(": {why}"));
    let ended = format!("{}{reason}", style.word(&outcome));
    let mut shown = labelled(&named("execution"), &ended);
    let mut about = Vec::new();
    about.extend(word("dataset").map(|set| format!("on {set}")));
    about.extend(lasted(run).map(two_units));
    about.extend(word("logs_path").map(|path| format!("in {path}")));
    let mut say = |value: String| shown += &labelled("      ", &value);
    if !about.is_empty() {
        say(about.join(", "));
    }
    if let Some(metrics) = run.get("metrics").filter(|metrics| metrics.is_object()) {
        let [all, completed, failed] =
            ["total_processes", "completed_processes", "failed_processes"]
                .map(|key| count(metrics, key));
        if all > 0 {
            say(format!(
                "tasks {all}, completed {completed}, failed {failed}"
            ));
        }
    }
    if let Some(cause) = run.get("diagnosis").filter(|cause| cause.is_object()) {
        let part = |key: &str| text(cause, key).map_or("-".into(), clean);
        say(format!("cause {}: {}", part("kind"), part("message")));
    }
    let met = run.get("error_resolution");
    if let Some(help) = met.and_then(|met| text(met, "resolution_attempted")) {
        say(format!("what should help: {}", clean(help)));
    }
    list(run, "checks")
        .iter()
        .for_each(|one| say(check(one, style)));
    for note in list(run, "notes") {
        say(format!("note: {}", short(note)));
    }
    shown
}

/// `mapping_rate > 80 %: no, it is 71.5`.
fn check(check: &Value, style: Style) -> String {
    let part = |key: &str| text(check, key).map_or("-".into(), clean);
    let passed = check.get("passed").and_then(Value::as_bool) == Some(true);
    let found = match (
        text(check, "why"),
        check.get("observed").and_then(Value::as_f64),
    ) {
        (Some(why), _) => format!(", {}", clean(why)),
        (None, Some(value)) => format!(", it is {value}"),
        (None, None) => String::new(),
    };
    let word = style.word(if passed { "yes" } else { "no" });
    format!("{} {}: {word}{found}", part("metric"), part("wanted"))
}

fn lasted(run: &Value) -> Option<Duration> {
    let at = |key: &str| humantime::parse_rfc3339(text(run, key)?).ok();
    at("ended_at")?.duration_since(at("started_at")?).ok()
}
