//! A JSON object as `config.json` and its like have them: a key may be missing or null, and what is there may be of any type.

use super::header::bad;
use crate::artifacts::named;
use serde_json::{Map, Value};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Bytes of such a file at most.
const MOST_BYTES: u64 = 16 << 20;
/// Sizes that a model may have at most; far more than any has, and small enough that a few of them multiply in 64 bits.
const MOST: u64 = 1 << 30;

/// The object.
#[derive(Clone, Debug)]
pub struct Keys(pub Map<String, Value>);

/// Reads such a file's text.
///
/// # Errors
/// Names the path; `InvalidData` for one that is larger than any such file.
pub fn text(path: &Path) -> io::Result<Vec<u8>> {
    let read = || {
        let mut text = Vec::new();
        let file = File::open(path)?;
        if file.take(MOST_BYTES + 1).read_to_end(&mut text)? as u64 > MOST_BYTES {
            return Err(bad(format!("it has more than {MOST_BYTES} bytes")));
        }
        Ok(text)
    };
    read().map_err(|error| named(error, "read", path))
}

impl Keys {
    /// Reads a file that is one object.
    ///
    /// # Errors
    /// Those of [`text`], and of [`Keys::parse`] with the path.
    pub fn read(path: &Path) -> io::Result<Self> {
        let parsed = Self::parse(&text(path)?);
        parsed.map_err(|sentence| named(bad(sentence), "read", path))
    }

    /// Reads a text that is one object.
    ///
    /// # Errors
    /// A sentence for one that is not.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let object = serde_json::from_slice(text);
        object
            .map(Self)
            .map_err(|error| format!("it is no JSON object: {error}"))
    }

    /// What a key says; null says nothing.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        key: &str,
        what: &str,
        of: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        of(value)
            .map(Some)
            .ok_or_else(|| format!("{key} is {value}, not {what}"))
    }

    /// A whole number from 1 on.
    ///
    /// # Errors
    /// A sentence that names key and value.
    pub fn count(&self, key: &str) -> Result<Option<usize>, String> {
        let counted = |value: &Value| value.as_u64().filter(|n| (1..=MOST).contains(n));
        let count = self.typed(key, "a whole number from 1 on", counted)?;
        Ok(count.map(|n| n as usize))
    }

    /// A whole number from 0 on.
    ///
    /// # Errors
    /// A sentence that names key and value.
    pub fn index(&self, key: &str) -> Result<Option<usize>, String> {
        let counted = |value: &Value| value.as_u64().filter(|n| *n <= MOST);
        let count = self.typed(key, "a whole number from 0 on", counted)?;
        Ok(count.map(|n| n as usize))
    }

    /// A finite number.
    ///
    /// # Errors
    /// A sentence that names key and value.
    pub fn number(&self, key: &str) -> Result<Option<f64>, String> {
        let finite = |value: &Value| value.as_f64().filter(|number| number.is_finite());
        self.typed(key, "a number", finite)
    }

    /// A number above 0.
    ///
    /// # Errors
    /// A sentence that names key and value.
    pub fn positive(&self, key: &str) -> Result<Option<f64>, String> {
        let positive = |value: &Value| value.as_f64().filter(|&n| n > 0.0 && n.is_finite());
        self.typed(key, "a number above 0", positive)
    }

    /// True or false.
    ///
    /// # Errors
    /// A sentence that names key and value.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// A text.
    ///
    /// # Errors
    /// A sentence that names key and value.
    pub fn text(&self, key: &str) -> Result<Option<&str>, String> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let text = value.as_str();
        text.map(Some)
            .ok_or_else(|| format!("{key} is {value}, not a text"))
    }

    /// An object.
    ///
    /// # Errors
    /// A sentence that names key and value.
    pub fn object(&self, key: &str) -> Result<Option<Keys>, String> {
        let object = |value: &Value| value.as_object().cloned().map(Keys);
        self.typed(key, "an object", object)
    }

    /// A list of texts.
    ///
    /// # Errors
    /// A sentence that names key and value.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, String> {
        let text = |value: &Value| value.as_str().map(String::from);
        let texts = |value: &Value| value.as_array()?.iter().map(text).collect();
        self.typed(key, "a list of texts", texts)
    }
}
