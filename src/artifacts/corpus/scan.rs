//! Finds where the elements of a file begin and end, in a stream of bytes and without holding any.
//!
//! In an array or a row of objects the ends are where brackets balance. So that one broken element does not swallow those
//! behind it, the scan knows three things that JSON forbids: a string that goes on over a newline, a bracket that closes
//! none, and an object that begins inside an object where a key must come.

use super::shape::Shape;

/// How deep brackets are told apart; the parser refuses what is deeper long before.
const DEEPEST: usize = 4096;

/// Bytes that stand for an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The file ends before it does.
    pub torn: bool,
}

/// What separates tokens.
pub(super) fn blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The bytes of a mark that some editors put in front of a text.
pub(super) const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Which brackets are open.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    open: Vec<u8>,
    deeper: u64,
    escaped: bool,
    /// Inside a string.
    pub string: bool,
    /// The last byte that was no blank and outside of strings, where a string counts as its quote.
    pub last: u8,
}

impl Nesting {
    pub fn step(&mut self, byte: u8) {
        if self.string {
            return self.step_in_string(byte);
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return,
            b'"' => self.string = true,
            b'{' | b'[' if self.open.len() == DEEPEST => self.deeper += 1,
            b'{' | b'[' => self.open.push(byte),
            b'}' => self.close(b'{'),
            b']' => self.close(b'['),
            _ => {}
        }
        self.last = byte;
    }

    fn step_in_string(&mut self, byte: u8) {
        let escaped = std::mem::take(&mut self.escaped);
        match byte {
            // No string holds a newline: its quote was forgotten.
            b'\n' => self.string = false,
            _ if escaped => {}
            b'\\' => self.escaped = true,
            b'"' => self.string = false,
            _ => {}
        }
    }

    /// Closes the innermost bracket of this sort with all that was left open in it.
    fn close(&mut self, opening: u8) {
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if let Some(at) = self.open.iter().rposition(|open| *open == opening) {
            self.open.truncate(at);
        }
    }

    pub fn balanced(&self) -> bool {
        self.open.is_empty()
    }

    /// The innermost open bracket.
    pub fn top(&self) -> Option<u8> {
        self.open.last().copied()
    }
}

/// Where the scan of a file stands.
#[derive(Debug)]
pub(super) enum Scan {
    Lines { start: u64, line: u64 },
    Elements(Elements),
}

impl Scan {
    pub fn new(shape: Shape) -> Self {
        match shape {
            Shape::Lines => Scan::Lines { start: 0, line: 1 },
            Shape::Array | Shape::Objects => Scan::Elements(Elements::new(shape)),
        }
    }

    /// Goes over the next bytes, which begin at `base` in the file.
    pub fn scan(&mut self, bytes: &[u8], base: u64, spans: &mut Vec<Span>) {
        let (start, line) = match self {
            Scan::Elements(elements) => return elements.scan(bytes, base, spans),
            Scan::Lines { start, line } => (start, line),
        };
        let mut rest = bytes;
        while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            rest = &rest[length + 1..];
            let end = base + (bytes.len() - rest.len()) as u64;
            spans.push(Span {
                start: *start,
                end: end - 1,
                line: *line,
                torn: false,
            });
            *start = end;
            *line += 1;
        }
    }

    /// The file ends at `end`.
    pub fn end(&mut self, end: u64, spans: &mut Vec<Span>) {
        let open = match self {
            Scan::Lines { start, line } => (*start < end).then_some((*start, *line)),
            Scan::Elements(elements) => elements.unfinished(end),
        };
        spans.extend(open.map(|(start, line)| Span {
            start,
            end,
            line,
            torn: true,
        }));
    }

    /// Where the element begins whose end was not yet seen.
    pub fn open(&self) -> Option<u64> {
        match self {
            Scan::Lines { start, .. } => Some(*start),
            Scan::Elements(elements) => elements.open.map(|(start, _)| start),
        }
    }
}

/// Elements by their brackets.
#[derive(Debug)]
pub(super) struct Elements {
    array: bool,
    /// Between the brackets of the array.
    inside: bool,
    nesting: Nesting,
    /// Start and line of the current element.
    open: Option<(u64, u64)>,
    /// Where its last byte that is no blank is.
    last_at: u64,
    line: u64,
}

impl Elements {
    fn new(shape: Shape) -> Self {
        Self {
            array: shape == Shape::Array,
            inside: false,
            nesting: Nesting::default(),
            open: None,
            last_at: 0,
            line: 1,
        }
    }

    fn scan(&mut self, bytes: &[u8], base: u64, spans: &mut Vec<Span>) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.nesting.string && !self.nesting.escaped {
                // Most bytes are in strings, and few of them matter.
                let rest = &bytes[at..];
                let plain = rest
                    .iter()
                    .position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))
                    .unwrap_or(rest.len());
                if plain > 0 {
                    at += plain;
                    self.last_at = base + at as u64 - 1;
                    continue;
                }
            }
            self.byte(*byte, base + at as u64, spans);
            at += 1;
        }
    }

    fn byte(&mut self, byte: u8, at: u64, spans: &mut Vec<Span>) {
        match self.open {
            Some(_) if self.ends_before(byte) => {
                self.finish(spans);
                self.between(byte, at, spans);
            }
            Some(_) => self.within(byte, at, spans),
            None => self.between(byte, at, spans),
        }
        self.line += u64::from(byte == b'\n');
    }

    /// Whether the current element cannot go on with this byte: a bare value at a separator, an object where another one
    /// begins in place of a key.
    fn ends_before(&self, byte: u8) -> bool {
        if self.nesting.string {
            return false;
        }
        match self.nesting.top() {
            None => blank(byte) || (self.inside && matches!(byte, b',' | b']')),
            Some(top) => top == b'{' && byte == b'{' && self.nesting.last != b':',
        }
    }

    fn within(&mut self, byte: u8, at: u64, spans: &mut Vec<Span>) {
        let string = self.nesting.string;
        self.nesting.step(byte);
        if !blank(byte) {
            self.last_at = at;
        }
        if !string && matches!(byte, b'}' | b']') && self.nesting.balanced() {
            self.finish(spans);
        }
    }

    fn between(&mut self, byte: u8, at: u64, spans: &mut Vec<Span>) {
        match byte {
            _ if blank(byte) => {}
            b',' if self.inside => {}
            b']' if self.inside => self.inside = false,
            b'[' if self.array && !self.inside => self.inside = true,
            // The mark at the head of a file, and of one that was joined to it.
            _ if !self.inside && MARK.contains(&byte) => {}
            _ => {
                self.open = Some((at, self.line));
                self.within(byte, at, spans);
            }
        }
    }

    fn finish(&mut self, spans: &mut Vec<Span>) {
        let (start, line) = self.open.take().expect("it is called for an open element");
        // A comma is between elements where the one before it was left open.
        let comma = self.nesting.last == b',' && !self.nesting.balanced();
        let end = self.last_at + u64::from(!comma);
        self.nesting = Nesting::default();
        spans.push(Span {
            start,
            end,
            line,
            torn: false,
        });
    }

    /// What the end of the file leaves open: an element, or the array itself.
    fn unfinished(&self, end: u64) -> Option<(u64, u64)> {
        self.open.or(self.inside.then_some((end, self.line)))
    }
}
