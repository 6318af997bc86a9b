//! The forgiving parser: reads one object or list from a place on, and notes what it forgave.

use super::{MAX_DEPTH, Repair};
use serde_json::{Map, Value};

/// Reads a text from one place on.
pub struct Parser<'a> {
    text: &'a str,
    at: usize,
    work: usize,
    repairs: Vec<Repair>,
    /// The closers that are expected, outermost first.
    open: Vec<u8>,
}

impl<'a> Parser<'a> {
    /// A parser that stands at `start` and may read `work` characters.
    pub fn new(text: &'a str, start: usize, work: usize) -> Self {
        Self {
            text,
            at: start,
            work,
            repairs: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Where it stands, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Characters that may still be read.
    pub fn work_left(&self) -> usize {
        self.work
    }

    /// What it forgave.
    pub fn into_repairs(self) -> Vec<Repair> {
        self.repairs
    }

    /// Reads the object or list it stands at; `None` when it is none.
    pub fn top(&mut self) -> Option<Value> {
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.list(),
            _ => None,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Takes the next character.
    fn bump(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.work = self.work.checked_sub(1)?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Pays for `length` bytes that were looked at; what cannot be paid ends all reading.
    fn pay(&mut self, length: usize) -> Option<()> {
        let left = self.work.checked_sub(length);
        self.work = left.unwrap_or(0);
        left.map(|_| ())
    }

    fn note(&mut self, repair: Repair) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    /// Passes over white space and comments. A code fence that ends counts as the end of the text.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            if rest.starts_with(|c: char| c.is_whitespace() || c == '\u{feff}') {
                if self.bump().is_none() {
                    return;
                }
                continue;
            }
            let length = if rest.starts_with("//") || rest.starts_with('#') {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                return;
            };
            self.note(Repair::Comment);
            self.work = self.work.saturating_sub(length);
            self.at += length;
        }
    }

    fn ended(&self) -> bool {
        self.at == self.text.len() || self.rest().starts_with("```")
    }

    /// Whether the list or object is over: its closer is taken, or one is missing. `None` when the work is spent.
    fn closed(&mut self) -> Option<bool> {
        self.skip();
        if self.work == 0 {
            return None;
        }
        if self.ended() {
            self.note(Repair::MissingCloser);
            return Some(true);
        }
        let next = self.peek()?;
        let Some((&expected, outer)) = self.open.split_last() else {
            return Some(false);
        };
        if next == expected {
            self.bump()?;
            return Some(true);
        }
        if next != b'}' && next != b']' {
            return Some(false);
        }
        if outer.contains(&next) {
            // It closes what lies around; ours is missing.
            self.note(Repair::MissingCloser);
        } else {
            self.note(Repair::WrongCloser);
            self.bump()?;
        }
        Some(true)
    }

    /// The comma behind a member, or its absence.
    fn comma(&mut self) -> Option<()> {
        self.skip();
        match self.peek() {
            Some(b',') => {
                self.bump()?;
                self.skip();
                while self.peek() == Some(b',') {
                    self.note(Repair::TrailingComma);
                    self.bump()?;
                    self.skip();
                }
                if matches!(self.peek(), Some(b'}' | b']')) {
                    self.note(Repair::TrailingComma);
                }
            }
            Some(b'}' | b']') => {}
            _ if self.ended() => {}
            _ => self.note(Repair::MissingComma),
        }
        Some(())
    }

    fn enter(&mut self, closer: u8) -> Option<()> {
        self.open.push(closer);
        self.bump()?;
        (self.open.len() <= MAX_DEPTH).then_some(())
    }

    fn object(&mut self) -> Option<Value> {
        self.enter(b'}')?;
        let mut members = Map::new();
        while !self.closed()? {
            let key = self.key()?;
            self.skip();
            if self.ended() {
                // The text ends before the value: there is no such member.
                continue;
            }
            if self.peek()? != b':' {
                return None;
            }
            self.bump()?;
            self.skip();
            if self.ended() {
                continue;
            }
            let value = self.value()?;
            members.insert(key, value);
            self.comma()?;
        }
        self.open.pop();
        Some(Value::Object(members))
    }

    fn list(&mut self) -> Option<Value> {
        self.enter(b']')?;
        let mut items = Vec::new();
        while !self.closed()? {
            items.push(self.value()?);
            self.comma()?;
        }
        self.open.pop();
        Some(Value::Array(items))
    }

    fn key(&mut self) -> Option<String> {
        if let Some(closer) = self.quote() {
            return self.string(closer);
        }
        let rest = self.rest();
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '.');
        let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
        if length == 0 {
            return None;
        }
        self.pay(length)?;
        self.note(Repair::UnquotedKey);
        self.at += length;
        Some(rest[..length].to_owned())
    }

    fn value(&mut self) -> Option<Value> {
        if let Some(closer) = self.quote() {
            return self.string(closer).map(Value::String);
        }
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.list(),
            _ => self.bare(),
        }
    }

    /// The quote that ends the string that begins here.
    fn quote(&self) -> Option<char> {
        match self.rest().chars().next()? {
            '"' => Some('"'),
            '\'' => Some('\''),
            '`' if !self.ended() => Some('`'),
            '“' | '”' => Some('”'),
            _ => None,
        }
    }

    fn string(&mut self, closer: char) -> Option<String> {
        if closer != '"' {
            self.note(Repair::OtherQuotes);
        }
        self.bump()?;
        let mut out = String::new();
        while self.at < self.text.len() {
            match self.bump()? {
                '\\' => self.escape(&mut out)?,
                c if c == closer && self.closes() => return Some(out),
                c => {
                    if c == closer {
                        self.note(Repair::InnerQuote);
                    } else if c.is_control() && c.is_ascii() {
                        self.note(Repair::RawNewline);
                    }
                    out.push(c);
                }
            }
        }
        self.note(Repair::MissingCloser);
        Some(out)
    }

    /// Whether the quote just taken ends its string: what may follow a string follows.
    fn closes(&mut self) -> bool {
        let rest = self.rest();
        let blank = rest.find(|c| c != ' ' && c != '\t').unwrap_or(rest.len());
        self.work = self.work.saturating_sub(blank);
        let next = &rest[blank..];
        next.is_empty()
            || next.starts_with([',', '}', ']', ':', '\n', '\r'])
            || next.starts_with("//")
            || next.starts_with("/*")
            || next.starts_with("```")
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let Some(escaped) = self.rest().chars().next() else {
            return Some(());
        };
        self.bump()?;
        let meant = match escaped {
            '"' | '\\' | '/' => escaped,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode(),
            '\'' => {
                self.note(Repair::BadEscape);
                '\''
            }
            other => {
                // What was meant is the backslash: shell and patterns are full of them.
                self.note(Repair::BadEscape);
                out.push('\\');
                other
            }
        };
        out.push(meant);
        Some(())
    }

    /// The character of `\uXXXX`, which may be two of them.
    fn unicode(&mut self) -> char {
        let read = |rest: &str| {
            u32::from_str_radix(
                rest.get(..4)
                    .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?,
                16,
            )
            .ok()
        };
        let Some(first) = read(self.rest()) else {
            self.note(Repair::BadEscape);
            return char::REPLACEMENT_CHARACTER;
        };
        self.at += 4;
        let second = self.rest().strip_prefix("\\u").and_then(read);
        let pair = second
            .filter(|low| (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(low));
        if let Some(low) = pair {
            self.at += 6;
            return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00))
                .unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        char::from_u32(first).unwrap_or_else(|| {
            self.note(Repair::BadEscape);
            char::REPLACEMENT_CHARACTER
        })
    }

    /// A value without quotes: a number, a literal, or text up to what ends a member.
    fn bare(&mut self) -> Option<Value> {
        let rest = self.rest();
        let mut length = rest.find([',', '}', ']', '\n']).unwrap_or(rest.len());
        for comment in [" //", " /*", " #", "```"] {
            length = rest[..length].find(comment).unwrap_or(length);
        }
        self.pay(length)?;
        let word = rest[..length].trim();
        // A quote or a colon inside is no bare value but text that is not understood.
        if word.is_empty() || word.contains(['"', '{', '[']) {
            return None;
        }
        self.at += length;
        Some(self.literal(word))
    }

    fn literal(&mut self, word: &str) -> Value {
        if let Ok(value) = serde_json::from_str(word) {
            return value;
        }
        let (repair, value) = match word {
            "True" | "TRUE" => (Repair::PythonLiteral, Value::Bool(true)),
            "False" | "FALSE" => (Repair::PythonLiteral, Value::Bool(false)),
            "None" | "NULL" | "Null" | "nil" => (Repair::PythonLiteral, Value::Null),
            "NaN" | "nan" | "Infinity" | "-Infinity" | "undefined" => {
                (Repair::NoValue, Value::Null)
            }
            // The word broke off while it was written.
            _ if self.ended() && "true".starts_with(word) => {
                (Repair::MissingCloser, Value::Bool(true))
            }
            _ if self.ended() && "false".starts_with(word) => {
                (Repair::MissingCloser, Value::Bool(false))
            }
            _ if self.ended() && "null".starts_with(word) => (Repair::MissingCloser, Value::Null),
            _ => number(word).map_or_else(
                || (Repair::UnquotedValue, Value::String(word.to_owned())),
                |value| (Repair::Number, value),
            ),
        };
        self.note(repair);
        value
    }
}

/// A number as other languages write it.
fn number(word: &str) -> Option<Value> {
    let plain = word.strip_prefix('+').unwrap_or(word).replace('_', "");
    if !plain
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
    {
        return None;
    }
    if let Ok(whole) = plain.parse::<i64>() {
        return Some(whole.into());
    }
    let number = plain.parse::<f64>().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}
