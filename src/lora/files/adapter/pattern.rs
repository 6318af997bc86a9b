//! How PEFT finds out which modules it is about: names, ends of names, and regular expressions.
//!
//! The expressions are Python's; what this program's engine does not have (looking around, references back) is refused. It takes
//! linear time, so a file from elsewhere cannot make it hang.

use crate::lora::files::keys::Keys;
use regex_lite::Regex;
use serde_json::Value;

/// What `rank_pattern` and `alpha_pattern` are: the first that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Patterns<T>(Vec<(Regex, T)>);

impl<T: Copy> Patterns<T> {
    /// Compiles keys in the order in which PEFT would try them.
    ///
    /// # Errors
    /// A sentence that names `key`, where they stand, and the expression.
    pub fn new(key: &str, pairs: impl IntoIterator<Item = (String, T)>) -> Result<Self, String> {
        let compiled = pairs.into_iter().map(|(pattern, value)| {
            // PEFT: the whole name, or an end of it that begins after a dot.
            Ok((
                compile(key, &pattern, &format!(r"^(?:.*\.)?(?:{pattern})$"))?,
                value,
            ))
        });
        compiled.collect::<Result<_, String>>().map(Self)
    }

    /// The value for a module's name.
    pub fn of(&self, name: &str) -> Option<T> {
        let found = self.0.iter().find(|(pattern, _)| pattern.is_match(name));
        found.map(|(_, value)| *value)
    }
}

fn compile(key: &str, said: &str, full: &str) -> Result<Regex, String> {
    Regex::new(full).map_err(|error| {
        format!("{key}: {said:?} is no regular expression that is known here: {error}")
    })
}

/// Names or an expression.
#[derive(Clone, Debug)]
enum Names {
    /// A module's name, or the end of one that begins after a dot.
    Ends(Vec<String>),
    /// The whole name.
    Whole(Regex),
}

impl Names {
    fn read(keys: &Keys, key: &str) -> Result<Option<Self>, String> {
        match keys.value(key) {
            Some(Value::String(pattern)) => {
                let whole = compile(key, pattern, &format!("^(?:{pattern})$"))?;
                Ok(Some(Names::Whole(whole)))
            }
            _ => Ok(keys.texts(key)?.map(Names::Ends)),
        }
    }

    fn name(&self, module: &str) -> bool {
        match self {
            Names::Whole(pattern) => pattern.is_match(module),
            Names::Ends(ends) => ends.iter().any(|end| {
                let before = module.strip_suffix(end.as_str());
                before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }),
        }
    }
}

/// Which modules have an adapter.
#[derive(Clone, Debug)]
pub struct Targets {
    /// None: all linear ones but the loss head.
    included: Option<Names>,
    excluded: Option<Names>,
    layers: Option<Vec<u64>>,
    /// What may stand before a layer's number; empty: anything.
    numbered: Vec<Regex>,
}

impl Targets {
    /// Reads `target_modules`, `exclude_modules`, `layers_to_transform` and `layers_pattern`.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn read(keys: &Keys) -> Result<Self, String> {
        const KEY: &str = "target_modules";
        let shorthand = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            text.eq_ignore_ascii_case("all-linear")
        };
        let included = match keys.value(KEY) {
            None => return Err(format!("{KEY} is missing")),
            Some(value) if shorthand(value) => None,
            Some(_) => Names::read(keys, KEY)?,
        };
        // PEFT asks for layers only where modules are listed.
        let listed = !matches!(included, Some(Names::Whole(_)));
        let layers = layers(keys)?.filter(|layers| listed && !layers.is_empty());
        let patterns = match keys.value("layers_pattern") {
            Some(Value::String(one)) if !one.is_empty() => vec![one.clone()],
            Some(Value::String(_)) => Vec::new(),
            _ => keys.texts("layers_pattern")?.unwrap_or_default(),
        };
        let numbered = patterns.iter().map(|said| {
            let full = format!(r"^(?:.*?\.)?(?:{said})\.([0-9]+)\.");
            compile("layers_pattern", said, &full)
        });
        Ok(Self {
            included,
            excluded: Names::read(keys, "exclude_modules")?,
            layers,
            numbered: numbered.collect::<Result<_, _>>()?,
        })
    }

    /// Whether a module is among them; `linear`: whether "all linear ones" means it.
    pub fn name(&self, module: &str, linear: bool) -> bool {
        let excluded = self
            .excluded
            .as_ref()
            .is_some_and(|names| names.name(module));
        let included = self
            .included
            .as_ref()
            .map_or(linear, |names| names.name(module));
        included
            && !excluded
            && self.layers.as_ref().is_none_or(|layers| {
                self.layer(module)
                    .is_some_and(|layer| layers.contains(&layer))
            })
    }

    fn layer(&self, module: &str) -> Option<u64> {
        if self.numbered.is_empty() {
            // The first number between dots that something with a dot before it precedes.
            let parts: Vec<&str> = module.split('.').collect();
            let numbers = parts.iter().skip(2).take(parts.len().saturating_sub(3));
            return numbers.filter_map(|part| part.parse().ok()).next();
        }
        let found = self
            .numbered
            .iter()
            .find_map(|pattern| pattern.captures(module));
        found.and_then(|found| found.get(1)?.as_str().parse().ok())
    }
}

/// `layers_to_transform`: a number or several.
fn layers(keys: &Keys) -> Result<Option<Vec<u64>>, String> {
    const KEY: &str = "layers_to_transform";
    let Some(value) = keys.value(KEY) else {
        return Ok(None);
    };
    let several = || value.as_array()?.iter().map(Value::as_u64).collect();
    let layers = value.as_u64().map(|one| vec![one]).or_else(several);
    layers
        .map(Some)
        .ok_or_else(|| format!("{KEY} is {value}, not a layer's number or several"))
}
