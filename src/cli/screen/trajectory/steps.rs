//! The steps of a trajectory as a table: who did what with which model, and what it cost.

use super::{
    super::{
        super::style::{Style, seconds, thousands},
        fit::{Row, labelled, table},
    },
    clean, count, list, named, short, text,
};
use serde_json::Value;

fn milliseconds(value: Option<&Value>) -> String {
    match value.and_then(Value::as_f64) {
        Some(ms) if ms < 1000.0 => format!("{ms:.0}ms"),
        Some(ms) => seconds(ms / 1000.0),
        None => "-".into(),
    }
}

/// A line a step; where no model was asked, nothing was spent and nothing waited for.
pub(super) fn steps(row: &Value, style: Style) -> String {
    let steps = list(row, "steps");
    if steps.is_empty() {
        return String::new();
    }
    let head = ["AGENT", "ACTION", "MODEL", "TOKENS", "COST", "LATENCY"];
    let mut rows = vec![Row {
        name: "  STEP".into(),
        cells: head.map(String::from).into(),
    }];
    rows.extend(steps.iter().map(step));
    let asked = steps.iter().any(|step| text(step, "model_used").is_some());
    if asked {
        let total = |key: &str| row.get(key).and_then(Value::as_f64).unwrap_or(0.0);
        let mut cells = vec![String::new(); 3];
        cells.push(thousands(total("total_tokens") as u64));
        cells.push(format!("${:.4}", total("total_cost_usd")));
        cells.push(milliseconds(row.get("total_latency_ms")));
        rows.push(Row {
            name: "   all".into(),
            cells,
        });
    }
    let lines = table(&rows, "<<<>>>");
    let mut shown = String::new();
    for (at, line) in lines.iter().enumerate() {
        shown += &format!("{line}\n");
        let step = at.checked_sub(1).and_then(|at| steps.get(at));
        if let Some(error) = step.and_then(|step| text(step, "error")) {
            let failed = format!("        {}: ", style.word("failed"));
            shown += &labelled(&failed, &clean(error));
        }
    }
    shown + &models(steps)
}

fn step(step: &Value) -> Row {
    let word = |key: &str| text(step, key).map_or("-".into(), clean);
    let model = text(step, "model_used");
    let spent = |shown: String| model.map_or("-".into(), |_| shown);
    let cost = step.get("cost_usd").and_then(Value::as_f64).unwrap_or(0.0);
    let number = step.get("step_id").map_or("-".into(), short);
    Row {
        name: format!("  {number:>4}"),
        cells: vec![
            word("agent"),
            word("action"),
            text(step, "model_tier").or(model).map_or("-".into(), clean),
            spent(thousands(
                count(step, "input_tokens") + count(step, "output_tokens"),
            )),
            spent(format!("${cost:.4}")),
            milliseconds(step.get("latency_ms")),
        ],
    }
}

/// The models behind the tiers, each once: their names are too long for a column.
fn models(steps: &[Value]) -> String {
    let named_by = |step: &Value| {
        let (tier, model) = (text(step, "model_tier")?, text(step, "model_used")?);
        Some(format!("{} {}", clean(tier), clean(model)))
    };
    let mut models: Vec<String> = steps.iter().filter_map(named_by).collect();
    models.sort();
    models.dedup();
    if models.is_empty() {
        return String::new();
    }
    labelled(&named("models"), &models.join(", "))
}
