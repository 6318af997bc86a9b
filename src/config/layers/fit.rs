//! Whether a value is what its key wants, and a variable's text as such a value.

use super::{Set, as_number, several::flatten};
use crate::{
    config::{
        keys::{Key, Kind},
        planning,
        problem::Problem,
    },
    time::parse_duration,
};
use std::collections::BTreeMap;

/// A variable's text as the kind of value its key wants; what does not fit stays a text and is refused as one.
pub fn from_text(kind: Kind, text: &str) -> toml::Value {
    let as_text = || toml::Value::String(text.into());
    match kind {
        Kind::Whole(..) => text
            .trim()
            .parse::<i64>()
            .map_or_else(|_| as_text(), toml::Value::Integer),
        Kind::Share => text
            .trim()
            .parse::<f64>()
            .map_or_else(|_| as_text(), toml::Value::Float),
        Kind::Flag => match text.trim().to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => toml::Value::Boolean(true),
            "false" | "0" | "no" | "off" => toml::Value::Boolean(false),
            _ => as_text(),
        },
        _ => as_text(),
    }
}

/// Why a value does not fit its key.
pub fn misfit(key: &Key, set: &Set) -> Option<Problem> {
    let value = &set.value;
    let (wrong_type, wanted): (bool, String) = match key.kind {
        Kind::Text => (!value.is_str(), "a text".into()),
        Kind::Whole(..) => (!value.is_integer(), "a whole number".into()),
        Kind::Share => (as_number(value).is_none(), "a number from 0 to 1".into()),
        Kind::Amount => (as_number(value).is_none(), "a number from 0 on".into()),
        Kind::Flag => (!value.is_bool(), "true or false".into()),
        Kind::Duration => (
            !value.is_str(),
            "a duration: \"10s\", \"5m\", \"48h\"".into(),
        ),
        Kind::Word(words) => (!value.is_str(), format!("one of {}", quoted(words))),
        Kind::List => (
            !value
                .as_array()
                .is_some_and(|all| all.iter().all(toml::Value::is_str)),
            "a list of texts".into(),
        ),
        Kind::Split => (!value.is_array(), "three shares: [0.8, 0.1, 0.1]".into()),
        Kind::Numbers => {
            let mut numbers = BTreeMap::new();
            let table = value.as_table();
            table.inspect(|table| flatten("", table, &mut numbers));
            let sound = table.is_some() && numbers.values().all(|number| number.is_finite());
            (!sound, "numbers by name: { q_proj = 8 }".into())
        }
        Kind::Domains => (
            !value.is_table(),
            "lists or ranges by name: { r = [8, 16] }".into(),
        ),
    };
    let (message, right) = if wrong_type {
        (format!("{} has the wrong type", key.name), wanted)
    } else {
        match key.kind {
            Kind::Whole(least, most) => {
                let fits = value
                    .as_integer()
                    .and_then(|n| u64::try_from(n).ok())
                    .is_some_and(|n| n >= least && n <= most);
                (!fits).then(|| {
                    (
                        format!("{} is out of range", key.name),
                        format!("{least} to {most}"),
                    )
                })?
            }
            Kind::Share => {
                let number = as_number(value)?;
                (!(0.0..=1.0).contains(&number)).then(|| {
                    (
                        format!("{} is out of range", key.name),
                        share_hint(key, number),
                    )
                })?
            }
            Kind::Amount => {
                let number = as_number(value)?;
                (!(number >= 0.0 && number.is_finite()))
                    .then(|| (format!("{} is out of range", key.name), wanted))?
            }
            Kind::Duration => {
                let text = value.as_str()?;
                (!text.is_empty() && parse_duration(text).is_err())
                    .then(|| (format!("{} is no duration", key.name), wanted))?
            }
            Kind::Word(words) => {
                let word = value.as_str()?;
                (!words.contains(&word))
                    .then(|| (format!("{} has no such value", key.name), quoted(words)))?
            }
            Kind::Split => {
                let shares: Vec<f64> = value.as_array()?.iter().filter_map(as_number).collect();
                let sound = shares.len() == 3
                    && value.as_array()?.len() == 3
                    && shares.iter().all(|share| (0.0..=1.0).contains(share))
                    && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9;
                (!sound).then(|| (format!("{} is no split", key.name), wanted))?
            }
            Kind::Domains => {
                let mut all = value.as_table().into_iter().flatten();
                all.find_map(|(name, value)| {
                    let why = planning::domain(value).err()?;
                    Some((
                        format!("{}.{name}: {why}", key.name),
                        "a list of values, or a range: \"1e-5..1e-3:log\"".into(),
                    ))
                })?
            }
            Kind::Text | Kind::Flag | Kind::List | Kind::Numbers => return None,
        }
    };
    Some(Problem {
        message,
        at: set.at.clone(),
        right: Some(right),
        file: set.file.as_ref().map(|(file, _)| file.clone()),
        line: set.file.as_ref().map(|(_, line)| *line),
        key: Some(key.name.into()),
        value: Some(value.to_string()),
    })
}

fn share_hint(key: &Key, number: f64) -> String {
    let name = key.env.unwrap_or(key.name);
    if number > 1.0 && number <= 100.0 {
        format!("0 to 1; for {number} percent: {name}={:.2}", number / 100.0)
    } else {
        "0 to 1".into()
    }
}

fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(" or ")
}
