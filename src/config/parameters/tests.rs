//! The parameters, held to what trains with them.

use super::*;
use crate::{
    config::training::load_training,
    experiment::{config::generate, scaffold::builtin::toml as train_toml},
    training::settings::Settings,
};
use std::path::Path;

fn settings(values: &Assignment) -> Result<Settings, String> {
    let words = vocabulary(BackEnd::Builtin);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("train.toml");
    std::fs::write(&file, train_toml(words, values).unwrap()).unwrap();
    let read = load_training(Some(&file), Path::new("/"));
    read.map(|(settings, _)| settings)
        .map_err(|all| format!("{all:?}"))
}

/// Every value of a domain that says something about its ends.
fn ends(domain: &Domain) -> Vec<Value> {
    match domain {
        Domain::Choice(values) => values.clone(),
        Domain::Range {
            low,
            high,
            whole: true,
            ..
        } => vec![Value::Whole(*low as i64), Value::Whole(*high as i64)],
        Domain::Range { low, high, .. } => vec![Value::Number(*low), Value::Number(*high)],
    }
}

#[test]
fn every_parameter_of_the_builtin_back_end_is_a_setting_and_every_value_is_taken() {
    let words = vocabulary(BackEnd::Builtin);
    let known = serde_json::to_value(Settings::default()).unwrap();
    for one in &words.schema.parameters {
        assert!(known.get(&one.name).is_some(), "{} is no setting", one.name);
        for value in ends(&one.domain) {
            let set = Assignment::from([(one.name.clone(), value.clone())]);
            let read = settings(&set).unwrap_or_else(|why| panic!("{} = {value}: {why}", one.name));
            assert_eq!(read.problems(), Vec::new(), "{} = {value}", one.name);
            let other = serde_json::to_value(&read).unwrap();
            let told = words
                .set(&one.name, &value)
                .map(|all| serde_json::json!(all));
            let told = told.unwrap_or_else(|| serde_json::to_value(&value).unwrap());
            let same = match (told.as_f64(), other[&one.name].as_f64()) {
                (Some(a), Some(b)) => a == b,
                _ => told == other[&one.name],
            };
            assert!(
                same,
                "{} = {value} is read as {}",
                one.name, other[&one.name]
            );
        }
    }
    let unnamed: Vec<&String> = known
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| words.schema.parameter(name).is_none())
        .collect();
    assert_eq!(
        unnamed,
        ["alpha_pattern", "rank_pattern"],
        "a setting that nobody can vary"
    );
}

#[test]
fn the_defaults_are_the_trainers() {
    let words = vocabulary(BackEnd::Builtin);
    assert_eq!(settings(&words.defaults).unwrap(), Settings::default());
}

#[test]
fn sums_are_held_and_other_words_lead_to_the_parameter() {
    let generic = vocabulary(BackEnd::Generic);
    let made = |train: f64, val: f64| {
        let values = [("train_split", train), ("val_split", val)];
        let values = values.map(|(name, value)| (name.to_string(), Value::Number(value)));
        generate(generic, "e", (&Assignment::new(), &values.into()), &|_| {
            Vec::new()
        })
        .is_ok()
    };
    assert!(made(0.8, 0.2) && made(0.8, 0.195) && !made(0.8, 0.25));
    for back_end in [BackEnd::Builtin, BackEnd::Torchtune] {
        let words = vocabulary(back_end);
        for word in [
            "r",
            "learning_rate",
            "max_seq_len",
            "batch_size",
            "epochs",
            "packing",
            "max_grad_norm",
            "target_modules",
        ] {
            assert!(words.named(word).is_ok(), "{back_end}: {word}");
        }
        for (word, name) in &words.also {
            assert!(words.schema.parameter(name).is_some());
            assert!(
                words
                    .schema
                    .parameter(word)
                    .is_none_or(|one| one.name == *name),
                "{word} is two things"
            );
        }
    }
}

#[test]
fn a_list_of_modules_is_known_as_the_set_that_has_them() {
    let words = vocabulary(BackEnd::Builtin);
    let record: Assignment = [
        (
            "target_modules".to_string(),
            Value::Text("[\"v_proj\",\"q_proj\"]".into()),
        ),
        ("r".to_string(), Value::Whole(8)),
        ("model".to_string(), Value::Text("/m".into())),
        ("learning_rate".to_string(), Value::Number(2.0)),
    ]
    .into();
    let (known, left) = words.recognised(&record);
    assert_eq!(known["target_modules"], Value::Text("q_v".into()));
    assert_eq!(left, ["learning_rate", "model"]);
}

#[test]
fn a_file_that_is_wrong_is_told() {
    let one = |name: &str, domain: &str, default: &str| {
        format!(
            "[[parameter]]\nname = \"{name}\"\ndomain = \"{domain}\"\nabout = \"\"\nshort = \"{name}\"\ndefault = {default}\n"
        )
    };
    let read = |text: &str| read(BackEnd::Generic, text);
    assert!(read(&one("a", "1..2", "1")).is_ok());
    for text in [
        one("a", "2..1", "1"),
        one("a", "1..2", "3"),
        one("a", "1..2", "1") + &one("a", "1..2", "1"),
        one("a", "1..2", "1") + "unit = 3\n",
    ] {
        assert!(read(&text).is_err(), "{text}");
    }
}
