//! Tables that a file may have several of: `[[name]]`, each with the lines that its keys stand in.

use super::{Layers, Set, line_of, nearest};
use crate::config::problem::Problem;
use std::collections::BTreeMap;
use toml::de::{DeArray, DeValue};

/// One `[[name]]` of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOfSeveral {
    /// The table's name.
    pub name: String,
    /// `alttp.toml:12`.
    pub place: String,
    /// What it says.
    pub values: toml::Table,
    /// Its keys in the order written, each with its line.
    pub lines: Vec<(String, u32)>,
}

impl OneOfSeveral {
    /// `alttp.toml:14`, where a key stands; the table's own place where that is not known.
    pub fn line_of(&self, key: &str) -> String {
        let file = self.place.rsplit_once(':').map(|(file, _)| file);
        let found = self.lines.iter().find(|(known, _)| known == key);
        match (file, found) {
            (Some(file), Some((_, line))) => format!("{file}:{line}"),
            _ => self.place.clone(),
        }
    }

    /// A problem with one of its keys.
    pub fn problem(&self, key: &str, message: String, right: String) -> Problem {
        let place = self.line_of(key);
        let (file, line) = place.rsplit_once(':').unwrap_or((&place, ""));
        let value = self.values.get(key).map(ToString::to_string);
        let said = value
            .as_ref()
            .map_or(String::new(), |value| format!(" {key} = {value}"));
        Problem {
            message,
            at: format!("{place}   [[{}]]{said}", self.name),
            right: Some(right),
            file: Some(file.into()),
            line: line.parse().ok(),
            key: Some(format!("{}.{key}", self.name)),
            value,
        }
    }
}

impl Layers {
    /// Every `[[name]]` at once: `each` has their places, the text their values.
    pub(super) fn add_several(&mut self, name: &str, each: &DeArray, text: &str, file: &str) {
        let whole = toml::from_str::<toml::Table>(text).unwrap_or_default();
        let all = name
            .split('.')
            .try_fold(&toml::Value::Table(whole), |value, part| value.get(part))
            .and_then(toml::Value::as_array)
            .cloned();
        for (values, placed) in all.into_iter().flatten().zip(each.iter()) {
            let (toml::Value::Table(values), DeValue::Table(table)) = (values, placed.get_ref())
            else {
                continue;
            };
            let mut keys: Vec<(usize, &str)> = table
                .keys()
                .map(|key| (key.span().start, key.get_ref().as_ref()))
                .collect();
            keys.sort_unstable();
            let keys = keys.into_iter();
            self.several.push(OneOfSeveral {
                name: name.into(),
                place: format!("{file}:{}", line_of(text, placed.span().start)),
                values,
                lines: keys
                    .map(|(at, key)| (key.to_string(), line_of(text, at)))
                    .collect(),
            });
        }
    }

    /// The tables of one name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a OneOfSeveral> {
        self.several.iter().filter(move |one| one.name == name)
    }

    /// Takes the keys of one such table over what is set; `extra` are keys that are handled elsewhere.
    pub fn repeated(&mut self, one: &OneOfSeveral, extra: &[&str]) {
        for (short, value) in &one.values {
            let name = format!("{}.{short}", one.name);
            let Some(key) = self.keys.iter().find(|key| key.name == name) else {
                if !extra.contains(&short.as_str()) {
                    let hint = nearest(&name, self.keys).map_or(String::new(), |nearest| {
                        format!("did you mean `{nearest}`?  ")
                    });
                    let right = format!("{hint}all keys: campaignd check --keys");
                    let message = format!("unknown key `{name}`");
                    self.problems.push(one.problem(short, message, right));
                }
                continue;
            };
            let place = one.line_of(short);
            let at = format!("{place}   [[{}]] {short} = {value}", one.name);
            let file = place
                .rsplit_once(':')
                .and_then(|(file, line)| Some((file.to_string(), line.parse().ok()?)));
            self.put(key, value.clone(), place.clone(), at, file);
        }
    }

    /// Takes a value from another table of keys, as it came to be there.
    pub fn inherit(&mut self, name: &str, set: &Set) {
        if let Some(key) = self.keys.iter().find(|key| key.name == name) {
            self.set.insert(key.name, set.clone());
        }
    }

    /// Numbers by name; names that were written with dots, and so became tables, are one name again.
    pub fn pattern(&self, name: &str) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        if let Some(table) = self.get(name).and_then(|set| set.value.as_table()) {
            flatten("", table, &mut found);
        }
        found
    }
}

/// The tables of numbers below a table, by their dotted names. What is no number is NaN, which every check refuses.
pub(in crate::config) fn flatten(
    prefix: &str,
    table: &toml::Table,
    found: &mut BTreeMap<String, f64>,
) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        match value.as_table() {
            Some(inner) => flatten(&format!("{name}."), inner, found),
            None => {
                found.insert(name, super::as_number(value).unwrap_or(f64::NAN));
            }
        }
    }
}
