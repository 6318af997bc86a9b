//! The keys of `[planning]` and `[budget]`.

use super::{
    keys::{Key, Kind, key},
    layers::Layers,
};
use crate::{
    machines::spec::{BudgetSpec, Goal, PlanningSpec, TrainingSpec},
    parameters::{Domain, Value},
};
use std::collections::BTreeMap;

/// The keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key(
        "planning.cycles",
        Kind::Whole(1, 1_000),
        "3",
        "rounds",
        "of training; fewer when nothing is left or one is good enough",
    ),
    key(
        "planning.proposals",
        Kind::Whole(1, 64),
        "3",
        "runs",
        "that each further round tries",
    ),
    key(
        "planning.metric",
        Kind::Text,
        "\"eval_loss\"",
        "",
        "what is made better: losses down, accuracies up",
    ),
    key(
        "planning.stop_when",
        Kind::Text,
        "\"\"",
        "",
        "good enough: \"eval_loss < 0.5\"",
    ),
    key(
        "planning.vary",
        Kind::Domains,
        "",
        "table",
        "settings with what they may be: { r = [8, 16], learning_rate = \"1e-5..1e-3:log\" }",
    ),
    key(
        "planning.approval",
        Kind::Word(&["none", "low", "medium", "high"]),
        "\"medium\"",
        "risk",
        "up to which no person is asked; \"none\": each proposal waits for one",
    ),
    key(
        "planning.acquisition",
        Kind::Word(&["expected_improvement", "upper_confidence_bound"]),
        "\"expected_improvement\"",
        "",
        "what makes one worth trying",
    ),
    key(
        "planning.failures",
        Kind::Whole(1, 1_000),
        "3",
        "runs",
        "that fail one after the other end the campaign",
    ),
    key(
        "budget.gpu_hours",
        Kind::Amount,
        "",
        "hours",
        "GPUs times hours, looked at before each launch; without it no limit",
    ),
    key(
        "budget.gpu_hour_usd",
        Kind::Amount,
        "",
        "USD",
        "what a GPU costs an hour: bounds GPUs by budget.usd, too",
    ),
    key(
        "budget.wall",
        Kind::Duration,
        "",
        "time",
        "since it was handed in; without it no limit",
    ),
    key(
        "budget.jobs",
        Kind::Whole(1, i64::MAX as u64),
        "",
        "jobs",
        "launched, further attempts among them; without it no limit",
    ),
];

/// Whether a key is anybody's business: the defaults of planning are nobody's where nothing is planned.
pub fn concerns(layers: &Layers, key: &str) -> bool {
    !key.starts_with("planning.") || layers.tables.iter().any(|(name, _)| name == "planning")
}

/// What the layers say of planning; none where the table is not there. Complaints go to the layers.
pub fn planning(layers: &mut Layers, training: Option<&TrainingSpec>) -> Option<PlanningSpec> {
    if !layers.tables.iter().any(|(name, _)| name == "planning") {
        return None;
    }
    let whole = |key: &str| u32::try_from(layers.whole(key)).unwrap_or(u32::MAX);
    let goal = layers.string("planning.stop_when");
    let read: Option<Result<Goal, String>> = (!goal.is_empty()).then(|| goal.parse());
    let spec = PlanningSpec {
        cycles: whole("planning.cycles"),
        proposals: whole("planning.proposals"),
        metric: layers.string("planning.metric"),
        stop_when: read.clone().and_then(Result::ok),
        vary: domains(layers, "planning.vary"),
        approval: layers.string("planning.approval").parse().ok(),
        acquisition: layers
            .string("planning.acquisition")
            .parse()
            .unwrap_or(PlanningSpec::default().acquisition),
        failures: whole("planning.failures"),
    };
    if let Some(Err(message)) = read {
        layers.complain("planning.stop_when", message, None);
    }
    let base = training.and_then(|training| training.runs.first());
    for (key, message) in spec.faults(base) {
        let right = match key {
            "planning.vary" => "vary = { r = [8, 16, 32], learning_rate = \"1e-5..1e-3:log\" }",
            _ => "campaignd check --keys",
        };
        layers.complain(key, message, Some(right.into()));
    }
    Some(spec)
}

fn domains(layers: &Layers, name: &str) -> BTreeMap<String, Domain> {
    let table = layers.get(name).and_then(|set| set.value.as_table());
    let table = table.into_iter().flatten();
    // What is none was complained of when it was read.
    table
        .filter_map(|(key, value)| Some((key.clone(), domain(value).ok()?)))
        .collect()
}

/// A domain as a file has it: a text, or a list of values.
///
/// # Errors
/// A sentence.
pub fn domain(value: &toml::Value) -> Result<Domain, String> {
    let one = |value: &toml::Value| match value {
        toml::Value::Boolean(flag) => Ok(Value::Flag(*flag)),
        toml::Value::Integer(whole) => Ok(Value::Whole(*whole)),
        toml::Value::Float(number) => Ok(Value::Number(*number)),
        toml::Value::String(text) => Ok(Value::Text(text.clone())),
        other => Err(format!("{other} is no value")),
    };
    let domain = match value {
        toml::Value::String(text) => Domain::parse(text)?,
        toml::Value::Array(values) => {
            Domain::Choice(values.iter().map(one).collect::<Result<_, _>>()?)
        }
        other => return Err(format!("{other} is neither a list nor a range")),
    };
    domain.problem().map_or(Ok(domain), Err)
}

/// What the layers say of the budget; none where nothing is bounded.
pub fn budget(layers: &Layers) -> Option<BudgetSpec> {
    let amount = |key: &str| layers.get(key).map(|_| layers.number(key));
    let whole = |key: &str| layers.get(key).map(|_| layers.whole(key));
    let budget = BudgetSpec {
        usd: amount("budget.usd"),
        tokens: whole("budget.tokens"),
        gpu_hours: amount("budget.gpu_hours"),
        gpu_hour_usd: amount("budget.gpu_hour_usd"),
        wall_seconds: layers.duration("budget.wall").map(|wall| wall.as_secs()),
        jobs: whole("budget.jobs"),
    };
    (budget != BudgetSpec::default()).then_some(budget)
}
