//! Fine-tunes for `campaignd train`: `train.toml`, which it reads, `finetune.yaml`, which says the same to people, and the job.

use super::{
    File, Place,
    shell::{Job, command},
};
use crate::{
    experiment::{
        plan::{Plan, Run},
        vocabulary::Vocabulary,
        yaml::Node,
    },
    parameters::{Assignment, Domain, Value},
    training::settings::Settings,
};

/// Where a run's adapter will be, below its directory.
pub const ADAPTER: &str = "adapter";

/// The files of a run's fine-tune.
///
/// # Errors
/// What is missing, or cannot be said in a script.
pub fn files(
    plan: &Plan,
    words: &Vocabulary,
    run: &Run,
    place: &Place,
) -> Result<Vec<File>, String> {
    let settings = plan.settings(run);
    let config = toml(words, &settings)?;
    check(plan, &config)?;
    let file = |name: &str, text: String| File {
        path: format!("{}/{name}", run.name),
        text,
    };
    Ok(vec![
        file("finetune.yaml", yaml(plan, words, &settings)),
        file("train.toml", config),
        file("finetune.slurm", script(plan, run, place)?),
    ])
}

/// A value as the trainer's files have it: a set by its members, a whole number without a point.
fn value(words: &Vocabulary, name: &str, value: &Value) -> Result<Vec<String>, Value> {
    if let Some(members) = words.set(name, value) {
        return Ok(members.to_vec());
    }
    let domain = words.schema.parameter(name).map(|one| &one.domain);
    Err(match (domain, value) {
        (Some(Domain::Range { whole: true, .. }), Value::Number(number)) => {
            Value::Whole(*number as i64)
        }
        _ => value.clone(),
    })
}

/// `train.toml`.
///
/// # Errors
/// The text cannot be made.
pub fn toml(words: &Vocabulary, settings: &Assignment) -> Result<String, String> {
    let mut table = toml::Table::new();
    for (name, given) in settings {
        let set = match value(words, name, given) {
            Ok(members) => {
                toml::Value::Array(members.into_iter().map(toml::Value::String).collect())
            }
            Err(Value::Flag(flag)) => flag.into(),
            Err(Value::Whole(whole)) => whole.into(),
            Err(Value::Number(number)) => number.into(),
            Err(Value::Text(text)) => text.into(),
        };
        table.insert(name.clone(), set);
    }
    let text = toml::to_string(&table).map_err(|error| error.to_string())?;
    Ok(format!("# campaignd train --config train.toml\n{text}"))
}

/// That the trainer takes it: what must hold between settings, no range of one says.
fn check(plan: &Plan, config: &str) -> Result<(), String> {
    let settings: Settings = toml::from_str(config).map_err(|error| error.to_string())?;
    if let Some((key, value, right)) = settings.problems().first() {
        return Err(format!("{key} cannot be {value} here: {right}"));
    }
    if settings.early_stopping_patience > 0 && plan.holdout.is_empty() {
        return Err(
            "early stopping looks at held-out rows, and there are none: --holdout FILE".into(),
        );
    }
    Ok(())
}

fn yaml(plan: &Plan, words: &Vocabulary, settings: &Assignment) -> String {
    let mut node = Node::map([
        ("model", plan.model.as_ref().map_or(Node::Null, Node::text)),
        ("data", Node::texts(&plan.data)),
        ("holdout", Node::texts(&plan.holdout)),
        ("output", Node::text(ADAPTER)),
    ]);
    for (name, given) in settings {
        let set = match value(words, name, given) {
            Ok(members) => Node::texts(members),
            Err(value) => Node::Scalar(value),
        };
        node.set(&format!("training.{name}"), set);
    }
    node.document("train.toml and finetune.slurm say the same to campaignd train")
}

fn script(plan: &Plan, run: &Run, place: &Place) -> Result<String, String> {
    let model = plan
        .model
        .as_deref()
        .ok_or("no model is named: --model DIR")?;
    if plan.data.is_empty() {
        return Err("no rows are named to learn from: --data FILE".into());
    }
    let mut line = vec![
        place.campaignd.as_str(),
        "train",
        "--config",
        "train.toml",
        "--model",
        model,
        "--data",
    ];
    line.extend(plan.data.iter().map(String::as_str));
    if !plan.holdout.is_empty() {
        line.push("--holdout");
        line.extend(plan.holdout.iter().map(String::as_str));
    }
    // A job that is put back into the queue goes on where it was.
    line.extend(["--output", ADAPTER, "--name", &run.name, "--resume"]);
    let directory = place.of(&run.name, "");
    Job {
        name: &format!("{}-{}", plan.name, run.name),
        directory: &directory,
        resources: &plan.resources,
        lines: vec![format!("exec {}", command(&line))],
    }
    .script()
}
