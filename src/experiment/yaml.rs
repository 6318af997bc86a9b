//! YAML as every reader takes it, of version 1.1 as of 1.2: maps, lists and scalars in block style.
//!
//! PyYAML and most of Python's tools read YAML 1.1, where `no` is false, `1e-5` a text and `12:30` the number 750. A text is
//! written plain only where no reader can take it for anything else; else in double quotes, with JSON's escapes.

use crate::parameters::Value;

/// A part of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing.
    Null,
    /// A scalar.
    Scalar(Value),
    /// Several, in order.
    List(Vec<Node>),
    /// By name, in order.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Node::Scalar(Value::Text(text.into()))
    }

    /// Several texts.
    pub fn texts<T: Into<String>>(all: impl IntoIterator<Item = T>) -> Self {
        Node::List(all.into_iter().map(Node::text).collect())
    }

    /// A whole number.
    pub fn whole(number: impl Into<i64>) -> Self {
        Node::Scalar(Value::Whole(number.into()))
    }

    /// Yes or no.
    pub fn flag(flag: bool) -> Self {
        Node::Scalar(Value::Flag(flag))
    }

    /// By name, in order.
    pub fn map<K: Into<String>>(all: impl IntoIterator<Item = (K, Node)>) -> Self {
        Node::Map(
            all.into_iter()
                .map(|(key, one)| (key.into(), one))
                .collect(),
        )
    }

    /// Values by their names.
    pub fn values(all: &crate::parameters::Assignment) -> Self {
        Node::map(
            all.iter()
                .map(|(name, value)| (name.as_str(), Node::Scalar(value.clone()))),
        )
    }

    /// Sets what stands at a path of keys, which are made where they are missing.
    pub fn set(&mut self, path: &str, node: Node) {
        let Node::Map(entries) = self else {
            *self = Node::Map(Vec::new());
            return self.set(path, node);
        };
        let (key, rest) = path
            .split_once('.')
            .map_or((path, None), |(key, rest)| (key, Some(rest)));
        let at = entries.iter().position(|(name, _)| name == key);
        let at = at.unwrap_or_else(|| {
            entries.push((key.into(), Node::Null));
            entries.len() - 1
        });
        match rest {
            Some(rest) => entries[at].1.set(rest, node),
            None => entries[at].1 = node,
        }
    }

    /// What stands at a path of keys.
    pub fn get(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| match node {
            Node::Map(entries) => Some(&entries.iter().find(|(name, _)| name == key)?.1),
            _ => None,
        })
    }

    /// The document, with a remark of one line at its head.
    pub fn document(&self, remark: &str) -> String {
        let mut text = match remark {
            "" => String::new(),
            remark => format!("# {}\n", remark.replace(char::is_control, " ")),
        };
        match self {
            Node::Map(entries) if !entries.is_empty() => map(entries, 0, &mut text),
            Node::List(all) if !all.is_empty() => list(all, 0, &mut text),
            other => text += &(inline(other) + "\n"),
        }
        text
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn map(entries: &[(String, Node)], depth: usize, text: &mut String) {
    for (key, node) in entries {
        *text += &format!("{}{}:", indent(depth), quoted(key));
        below(node, depth, text);
    }
}

fn list(all: &[Node], depth: usize, text: &mut String) {
    for node in all {
        *text += &format!("{}-", indent(depth));
        below(node, depth, text);
    }
}

/// What stands behind a colon or a dash: in the same line, or in lines below.
fn below(node: &Node, depth: usize, text: &mut String) {
    match node {
        Node::Map(entries) if !entries.is_empty() => {
            text.push('\n');
            map(entries, depth + 1, text);
        }
        Node::List(all) if !all.is_empty() => {
            text.push('\n');
            list(all, depth + 1, text);
        }
        other => *text += &format!(" {}\n", inline(other)),
    }
}

fn inline(node: &Node) -> String {
    match node {
        Node::Null => "null".into(),
        Node::Scalar(value) => scalar(value),
        Node::List(_) => "[]".into(),
        Node::Map(_) => "{}".into(),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Whole(whole) => whole.to_string(),
        Value::Number(number) => self::number(*number),
        Value::Text(text) => quoted(text),
    }
}

/// With a point and, where there are powers of ten, their sign: what YAML 1.1 takes for a number.
fn number(number: f64) -> String {
    if number.is_nan() {
        return ".nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.into();
    }
    let text = Value::Number(number).to_string();
    let (digits, power) = text
        .split_once('e')
        .map_or((text.as_str(), None), |(d, p)| (d, Some(p)));
    let point = if digits.contains('.') { "" } else { ".0" };
    match power {
        None => format!("{digits}{point}"),
        Some(power) => {
            let sign = if power.starts_with('-') { "" } else { "+" };
            format!("{digits}{point}e{sign}{power}")
        }
    }
}

/// Words that some reader takes for something else.
const TAKEN: [&str; 12] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf",
];

/// Plain where it is surely a text, else in quotes.
fn quoted(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | '+');
    let taken = TAKEN.iter().any(|word| text.eq_ignore_ascii_case(word));
    if text.starts_with(first) && text.chars().all(plain) && !taken {
        return text.into();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            // Line ends and marks that a reader may fold, drop or refuse.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out += &format!("\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_every_reader_takes_them_for() {
        for (value, written) in [
            (Value::Text("no".into()), "\"no\""),
            (Value::Text("Off".into()), "\"Off\""),
            (Value::Text("1e-5".into()), "\"1e-5\""),
            (Value::Text("12:30".into()), "\"12:30\""),
            (Value::Text("a: b".into()), "\"a: b\""),
            (Value::Text("a #b".into()), "\"a #b\""),
            (Value::Text("".into()), "\"\""),
            (Value::Text("- a".into()), "\"- a\""),
            (Value::Text("~".into()), "\"~\""),
            (Value::Text("0x1F".into()), "\"0x1F\""),
            (Value::Text(".5".into()), "\".5\""),
            (
                Value::Text("a\"b\\c\nd\u{85}".into()),
                "\"a\\\"b\\\\c\\nd\\u0085\"",
            ),
            (Value::Text("torch.optim.AdamW".into()), "torch.optim.AdamW"),
            (Value::Text("/models/a-b_c.d".into()), "/models/a-b_c.d"),
            (Value::Text("größe".into()), "\"größe\""),
            (Value::Number(1e-5), "1.0e-5"),
            (Value::Number(2.5e-7), "2.5e-7"),
            (Value::Number(1e20), "1.0e+20"),
            (Value::Number(3.0), "3.0"),
            (Value::Number(0.03), "0.03"),
            (Value::Whole(8), "8"),
            (Value::Flag(true), "true"),
        ] {
            assert_eq!(scalar(&value), written);
        }
    }

    #[test]
    fn maps_and_lists_stand_in_blocks() {
        let mut node = Node::map([
            (
                "model",
                Node::map([("files", Node::texts(["a", "no"])), ("nil", Node::Null)]),
            ),
            ("empty", Node::List(Vec::new())),
            (
                "12",
                Node::List(vec![Node::map([
                    ("a", Node::whole(1)),
                    ("b", Node::whole(2)),
                ])]),
            ),
        ]);
        node.set("model.lr", Node::Scalar(Value::Number(1e-5)));
        node.set("new.deep", Node::flag(false));
        assert_eq!(
            node.get("model.lr"),
            Some(&Node::Scalar(Value::Number(1e-5)))
        );
        assert_eq!(
            node.document("made\nby"),
            "# made by\nmodel:\n  files:\n    - a\n    - \"no\"\n  nil: null\n  lr: 1.0e-5\nempty: []\n\"12\":\n  -\n    a: 1\n    b: 2\nnew:\n  deep: false\n"
        );
    }
}
