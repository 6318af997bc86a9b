//! Layers of values over one table of keys: each later one wins, and remembers whom it overruled.

mod fit;
mod several;

use super::{keys::Key, places::Env, problem::Problem};
use crate::time::parse_duration;
use fit::{from_text, misfit};
pub use several::OneOfSeveral;
pub(super) use several::flatten;
use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// The value.
    pub value: toml::Value,
    /// `default`, `alttp.toml:5`, `QUALITY_THRESHOLD (alttp.toml:5 says 0.75)`.
    pub from: String,
    /// For an error: `alttp.toml:5   quality_threshold = 0.8`.
    pub at: String,
    file: Option<(String, u32)>,
}

/// Values by key.
#[derive(Debug)]
pub struct Layers {
    keys: &'static [Key],
    set: BTreeMap<&'static str, Set>,
    /// Everything wrong so far.
    pub problems: Vec<Problem>,
    /// A file could not be read at all: what it might have said is unknown, and nothing more can be judged.
    pub unread: bool,
    /// Tables that a file has, even empty ones.
    pub tables: Vec<(String, String)>,
    /// The names of tables that a file may have several of.
    pub may_repeat: &'static [&'static str],
    /// Those that there are, `[[name]]`, in the order written.
    pub several: Vec<OneOfSeveral>,
}

impl Layers {
    /// The defaults.
    pub fn new(keys: &'static [Key]) -> Self {
        let mut set = BTreeMap::new();
        for key in keys.iter().filter(|key| !key.default.is_empty()) {
            let value = toml::from_str::<toml::Table>(&format!("x = {}", key.default))
                .ok()
                .and_then(|mut table| table.remove("x"))
                .expect("defaults are TOML: a test reads every one");
            let at = format!("the default {} = {}", key.name, key.default);
            set.insert(
                key.name,
                Set {
                    value,
                    from: "default".into(),
                    at,
                    file: None,
                },
            );
        }
        Self {
            keys,
            set,
            problems: Vec::new(),
            unread: false,
            tables: Vec::new(),
            may_repeat: &[],
            several: Vec::new(),
        }
    }

    /// Reads a file over what is set. `extra` are tables that are known and handled elsewhere.
    pub fn file(&mut self, path: &Path, extra: &[&str]) {
        match fs::read_to_string(path) {
            Ok(text) => self.text(&text, &shown(path), extra),
            Err(error) => {
                self.unread = true;
                self.problems.push(unreadable(path, &error));
            }
        }
    }

    /// Reads a file's text over what is set; `file` names it in messages.
    pub fn text(&mut self, text: &str, file: &str, extra: &[&str]) {
        match DeTable::parse(text) {
            Ok(table) => self.table("", table.get_ref(), text, file, extra),
            Err(error) => {
                self.unread = true;
                let line = error.span().map(|span| line_of(text, span.start));
                self.problems.push(Problem {
                    message: format!(
                        "the file is no TOML: {}",
                        error.message().replace('\n', " ")
                    ),
                    at: line.map_or(file.into(), |line| format!("{file}:{line}")),
                    file: Some(file.into()),
                    line,
                    ..Problem::default()
                });
            }
        }
    }

    fn table(&mut self, prefix: &str, table: &DeTable, text: &str, file: &str, extra: &[&str]) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let line = line_of(text, key.span().start);
            let place = format!("{file}:{line}");
            let known = self.keys.iter().find(|known| known.name == name);
            match (value.get_ref(), known) {
                (_, Some(known)) => self.put_file(known, value, text, file, line),
                (DeValue::Table(inner), None) if self.is_table(&name) => {
                    self.tables.push((name.clone(), place));
                    self.table(&format!("{name}."), inner, text, file, extra);
                }
                (DeValue::Table(_), None) if extra.contains(&name.as_str()) => {
                    self.tables.push((name, place))
                }
                (DeValue::Array(each), None) if self.may_repeat.contains(&name.as_str()) => {
                    self.add_several(&name, each, text, file)
                }
                _ => self.unknown(&name, value, text, file, line),
            }
        }
    }

    fn is_table(&self, name: &str) -> bool {
        self.keys.iter().any(|key| {
            key.name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
        })
    }

    fn put_file(
        &mut self,
        key: &'static Key,
        value: &Spanned<DeValue>,
        text: &str,
        file: &str,
        line: u32,
    ) {
        let written = text.get(value.span()).unwrap_or("").to_string();
        let first = written.lines().next().unwrap_or("");
        let at = format!("{file}:{line}   {} = {first}", key.name);
        let plain = toml::from_str::<toml::Table>(&format!("x = {written}"))
            .ok()
            .and_then(|mut table| table.remove("x"));
        // What dotted keys and headers make, `seed.x = 1`, has no text of its own: a table, found by its name.
        let plain = if matches!(value.get_ref(), DeValue::Table(_)) {
            table_of(text, key.name)
        } else {
            plain.unwrap_or_else(|| toml::Value::Table(toml::Table::new()))
        };
        self.put(
            key,
            plain,
            format!("{file}:{line}"),
            at,
            Some((file.into(), line)),
        );
    }

    fn unknown(&mut self, name: &str, value: &Spanned<DeValue>, text: &str, file: &str, line: u32) {
        let written = text
            .get(value.span())
            .unwrap_or("")
            .lines()
            .next()
            .unwrap_or("")
            .to_string();
        let nearest = nearest(name, self.keys);
        let short = name.rsplit('.').next().unwrap_or(name);
        let hint = nearest.map_or(String::new(), |nearest| {
            format!("did you mean `{nearest}`?  ")
        });
        self.problems.push(Problem {
            message: format!("unknown key `{name}`"),
            at: format!("{file}:{line}   {short} = {written}"),
            right: Some(format!("{hint}all keys: campaignd check --keys")),
            file: Some(file.into()),
            line: Some(line),
            key: Some(name.into()),
            value: Some(written),
        });
    }

    /// Takes what the environment says: the specification's names, and the same behind `CAMPAIGND_`.
    pub fn environment(&mut self, env: &Env) {
        for key in self.keys {
            let Some(name) = key.env else { continue };
            for variable in [name.to_string(), format!("CAMPAIGND_{name}")] {
                if let Some(text) = env.get(&variable) {
                    let at = format!("environment {variable} = \"{text}\"");
                    self.put(key, from_text(key.kind, text), variable, at, None);
                }
            }
        }
    }

    /// Takes a flag.
    pub fn flag(&mut self, name: &str, flag: &str, value: toml::Value) {
        if let Some(key) = self.keys.iter().find(|key| key.name == name) {
            let at = format!("{flag} {value}");
            self.put(key, value, flag.into(), at, None);
        }
    }

    /// Sets a value that follows from others.
    pub fn derive(&mut self, name: &'static str, value: toml::Value, from: &str) {
        let at = format!("{name} = {value}   ({from})");
        self.set.insert(
            name,
            Set {
                value,
                from: from.into(),
                at,
                file: None,
            },
        );
    }

    fn put(
        &mut self,
        key: &'static Key,
        value: toml::Value,
        from: String,
        at: String,
        file: Option<(String, u32)>,
    ) {
        let below = self
            .set
            .get(key.name)
            .filter(|below| below.from != "default");
        let (from, at) = match below {
            Some(below) if below.value != value => (
                format!("{from} ({} says {})", below.from, below.value),
                format!("{at}   (over {}, {})", below.from, below.value),
            ),
            _ => (from, at),
        };
        let set = Set {
            value,
            from,
            at,
            file,
        };
        if let Some(problem) = misfit(key, &set) {
            self.problems.push(problem);
            return;
        }
        self.set.insert(key.name, set);
    }

    /// What is set for a key.
    pub fn get(&self, name: &str) -> Option<&Set> {
        self.set.get(name)
    }

    /// Keys in the order of the table, with what is set.
    pub fn all(&self) -> impl Iterator<Item = (&'static Key, &Set)> {
        self.keys
            .iter()
            .filter_map(|key| Some((key, self.set.get(key.name)?)))
    }

    /// A text; empty when it is not set.
    pub fn string(&self, name: &str) -> String {
        self.get(name)
            .and_then(|set| set.value.as_str())
            .unwrap_or("")
            .into()
    }

    /// A whole number; 0 when it is not set.
    pub fn whole(&self, name: &str) -> u64 {
        let value = self.get(name).and_then(|set| set.value.as_integer());
        value
            .and_then(|value| u64::try_from(value).ok())
            .unwrap_or(0)
    }

    /// A number; NaN, which every check refuses, when it is not set.
    pub fn number(&self, name: &str) -> f64 {
        self.get(name)
            .and_then(|set| as_number(&set.value))
            .unwrap_or(f64::NAN)
    }

    /// A flag.
    pub fn yes(&self, name: &str) -> bool {
        self.get(name)
            .and_then(|set| set.value.as_bool())
            .unwrap_or(false)
    }

    /// A duration; none when it is not set, or empty.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        parse_duration(self.get(name)?.value.as_str()?).ok()
    }

    /// A list of texts.
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.get(name).and_then(|set| set.value.as_array());
        values
            .into_iter()
            .flatten()
            .filter_map(|value| value.as_str().map(String::from))
            .collect()
    }

    /// Numbers of a list.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        let values = self.get(name).and_then(|set| set.value.as_array());
        values.into_iter().flatten().filter_map(as_number).collect()
    }

    /// A problem with the value of a key.
    pub fn complain(&mut self, name: &str, message: String, right: Option<String>) {
        let set = self.get(name).cloned();
        let file = set.as_ref().and_then(|set| set.file.clone());
        self.problems.push(Problem {
            message,
            at: set.as_ref().map_or(name.into(), |set| set.at.clone()),
            right,
            file: file.as_ref().map(|(file, _)| file.clone()),
            line: file.map(|(_, line)| line),
            key: Some(name.into()),
            value: set.map(|set| set.value.to_string()),
        });
    }

    /// Shows a value to nobody: somebody wrote a secret there.
    pub fn hide(&mut self, name: &str) {
        if let Some(set) = self.set.get_mut(name) {
            set.value = toml::Value::String("(hidden)".into());
            let place = set.at.split_once(" = ").map_or("", |(place, _)| place);
            set.at = format!("{place} = (hidden)");
        }
    }
}

/// The table of that dotted name in a file.
fn table_of(text: &str, name: &str) -> toml::Value {
    let whole = toml::from_str::<toml::Table>(text).unwrap_or_default();
    let found = name
        .split('.')
        .try_fold(&toml::Value::Table(whole), |value, part| value.get(part))
        .cloned();
    found.unwrap_or_else(|| toml::Value::Table(toml::Table::new()))
}

fn as_number(value: &toml::Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// A file's name as people know it.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.get(..offset).unwrap_or(text);
    u32::try_from(before.matches('\n').count())
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::IsADirectory => "this is a directory, not a file".into(),
        io::ErrorKind::PermissionDenied => "the file may not be read".into(),
        io::ErrorKind::InvalidData => "the file is no text".into(),
        _ => format!("the file cannot be read: {error}"),
    };
    Problem {
        message,
        at: shown(path),
        right: Some("a campaign file: campaignd init my.toml writes one".into()),
        file: Some(shown(path)),
        ..Problem::default()
    }
}

fn nearest(name: &str, keys: &'static [Key]) -> Option<&'static str> {
    let best = keys
        .iter()
        .map(|key| (strsim::jaro_winkler(name, key.name), key.name));
    best.filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
