//! JSON as Python writes it: chat templates were written for `json.dumps`, whose spaces and escapes are part of what a model
//! has learned.

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};
use std::fmt::Write;

/// Nesting that is written.
const DEEPEST: usize = 100;

/// The filter `tojson`: `ensure_ascii` (false unless told) and `indent`, as the `transformers` library defines it, which does
/// not escape what HTML would.
pub fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut writer = Writer {
        text: String::new(),
        ascii: ascii.unwrap_or(false),
        indent,
    };
    writer.value(&value, 0)?;
    Ok(writer.text)
}

struct Writer {
    text: String,
    ascii: bool,
    indent: Option<usize>,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidOperation, what);
        if depth > DEEPEST {
            return Err(invalid("tojson is asked for too deep a value".into()));
        }
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self
                .text
                .push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.text += &value.to_string(),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.group(['[', ']'], items.len(), depth, |writer, at| {
                    writer.value(&items[at], depth + 1)
                })?;
            }
            ValueKind::Map => {
                let keys: Vec<Value> = value.try_iter()?.collect();
                self.group(['{', '}'], keys.len(), depth, |writer, at| {
                    writer.string(&keys[at].to_string());
                    writer.text.push_str(": ");
                    writer.value(&value.get_item(&keys[at])?, depth + 1)
                })?;
            }
            other => return Err(invalid(format!("a value that is {other} is no JSON"))),
        }
        Ok(())
    }

    /// Brackets around `count` items; an empty group has nothing between them whatever the indent.
    fn group(
        &mut self,
        brackets: [char; 2],
        count: usize,
        depth: usize,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.text.push(brackets[0]);
        for at in 0..count {
            if at > 0 {
                self.text.push(',');
            }
            match self.indent {
                Some(indent) => self.line(indent * (depth + 1)),
                None if at > 0 => self.text.push(' '),
                None => {}
            }
            item(self, at)?;
        }
        if let Some(indent) = self.indent.filter(|_| count > 0) {
            self.line(indent * depth);
        }
        self.text.push(brackets[1]);
        Ok(())
    }

    fn line(&mut self, spaces: usize) {
        self.text.push('\n');
        // Wider than any screen is of no use to anybody but to fill memory.
        self.text.extend(std::iter::repeat_n(' ', spaces.min(1024)));
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                c if c < ' ' || (self.ascii && c > '~') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a string cannot fail.
                        let _ = write!(self.text, "\\u{unit:04x}");
                    }
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}
