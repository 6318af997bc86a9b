//! JSON lines as tables.

use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write};

/// What one sampler reached on one function.
#[derive(Default)]
struct Reached {
    regrets: Vec<f64>,
    chosen: Vec<f64>,
    seconds: Vec<f64>,
}

fn mean(all: &[f64]) -> f64 {
    all.iter().sum::<f64>() / all.len() as f64
}

/// Standard error of the mean.
fn error(all: &[f64]) -> f64 {
    let (n, mean) = (all.len() as f64, mean(all));
    let squares: f64 = all.iter().map(|one| (one - mean).powi(2)).sum();
    if n > 1.0 {
        (squares / (n - 1.0) / n).sqrt()
    } else {
        0.0
    }
}

fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
}

fn number(line: &Value, key: &str) -> f64 {
    line[key].as_f64().unwrap_or(f64::NAN)
}

fn regrets(lines: &[Value], out: &mut String) {
    let mut all: BTreeMap<(String, u64, String), Reached> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["bench"] == "regret") {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let trials = line["trials"].as_u64().unwrap_or_default();
        let reached = all
            .entry((text("function"), trials, text("sampler")))
            .or_default();
        reached.regrets.push(number(line, "regret"));
        reached.chosen.push(number(line, "chosen"));
        reached
            .seconds
            .push(number(line, "seconds") / trials.max(1) as f64);
    }
    if all.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "| function | trials | sampler | seeds | mean regret | error | median regret | of the chosen | ms a trial |\n|---|--:|---|--:|--:|--:|--:|--:|--:|"
    );
    for ((function, trials, sampler), reached) in &all {
        let _ = writeln!(
            out,
            "| {function} | {trials} | {sampler} | {} | {:.4} | {:.4} | {:.4} | {:.4} | {:.1} |",
            reached.regrets.len(),
            mean(&reached.regrets),
            error(&reached.regrets),
            median(&reached.regrets),
            mean(&reached.chosen),
            1e3 * mean(&reached.seconds),
        );
    }
}

fn costs(lines: &[Value], out: &mut String) {
    let mut head = "\n| results | parameters | sampler | from nothing, ms | least, ms | median, ms | batch of 8, ms |\n|--:|--:|---|--:|--:|--:|--:|\n";
    for line in lines.iter().filter(|line| line["bench"] == "cost") {
        let _ = writeln!(
            out,
            "{head}| {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            line["results"],
            line["parameters"],
            line["sampler"].as_str().unwrap_or_default(),
            1e3 * number(line, "first"),
            1e3 * number(line, "least"),
            1e3 * number(line, "median"),
            1e3 * number(line, "batch_of_8"),
        );
        head = "";
    }
}

/// Both tables.
pub fn of(lines: &[Value]) -> String {
    let mut out = String::new();
    regrets(lines, &mut out);
    costs(lines, &mut out);
    out
}
