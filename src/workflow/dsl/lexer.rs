//! Code into tokens. One unclosed block is one finding: an opening that is never closed ends where a `process NAME {` or
//! `workflow {` begins, for these stand nowhere but at the top of a file.

#[cfg(test)]
pub use super::token::LOOKS;
use super::token::{Kind, Quote, Token, look};

/// An opening without a closing, or a closing that closes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclosed {
    /// The token's byte.
    pub at: u32,
    /// Whether it is a closing without an opening.
    pub stray: bool,
}

/// A text and its tokens.
#[derive(Debug)]
pub struct Lexed<'a> {
    /// The text.
    pub text: &'a str,
    /// Its tokens; the openings are paired, an unclosed one with an empty closing where it was given up.
    pub tokens: Vec<Token>,
    /// What does not pair, at most one a top-level block.
    pub unclosed: Vec<Unclosed>,
    /// Steps that the lexer took: a measure of work that needs no clock.
    pub steps: u64,
}

impl<'a> Lexed<'a> {
    /// A token's text.
    pub fn of(&self, at: usize) -> &'a str {
        look(1);
        let Some(token) = self.tokens.get(at) else {
            return "";
        };
        self.text
            .get(token.start as usize..token.end as usize)
            .unwrap_or("")
    }

    /// What a token is.
    pub fn kind(&self, at: usize) -> Option<Kind> {
        look(1);
        self.tokens.get(at).map(|token| token.kind)
    }

    /// Whether a token is this word.
    pub fn is(&self, at: usize, word: &str) -> bool {
        look(1);
        self.tokens.get(at).is_some_and(|token| {
            let (start, end) = (token.start as usize, token.end as usize);
            token.kind == Kind::Word
                && end - start == word.len()
                && self.text.as_bytes().get(start..end) == Some(word.as_bytes())
        })
    }

    /// The index after a token and, where it opens something, after what it opens.
    pub fn after(&self, at: usize) -> usize {
        look(1);
        match self.tokens.get(at) {
            Some(token) if token.kind.opens() => token.mate as usize + 1,
            _ => at + 1,
        }
    }

    /// The characters of a string token without interpolation, marks left off.
    pub fn inner(&self, at: usize) -> &'a str {
        let text = self.of(at);
        let Some(Kind::Text(quote)) = self.kind(at) else {
            return text;
        };
        let mark = if text.starts_with('$') {
            2
        } else {
            quote.width()
        };
        let body = text.get(mark..).unwrap_or("");
        let end = body.len().saturating_sub(mark);
        let closed = body.as_bytes().get(end) == Some(&quote.byte());
        body.get(..if closed || mark == 2 { end } else { body.len() })
            .unwrap_or(body)
    }
}

/// Something open while lexing, with the number of openings of each kind below it in the same interpolation.
#[derive(Clone, Copy)]
pub(super) struct Open {
    pub token: usize,
    pub kind: Kind,
    outer: [u32; 3],
}

/// The state of one pass.
pub(super) struct Lexer<'a> {
    pub text: &'a str,
    pub bytes: &'a [u8],
    pub at: usize,
    pub tokens: Vec<Token>,
    pub stack: Vec<Open>,
    pub first: bool,
    pub steps: u64,
    counts: [u32; 3],
    unclosed: Vec<Unclosed>,
    blamed: Option<usize>,
    strayed: bool,
    no_slashy_before: usize,
    no_dollar_slashy: bool,
}

/// The tokens of a text. Bytes beyond 4 GiB are not read.
pub fn lex(text: &str) -> Lexed<'_> {
    let mut end = text.len().min(u32::MAX as usize - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        at: 0,
        tokens: Vec::with_capacity(text.len() / 5 + 8),
        stack: Vec::new(),
        first: true,
        steps: 0,
        counts: [0; 3],
        unclosed: Vec::new(),
        blamed: None,
        strayed: false,
        no_slashy_before: 0,
        no_dollar_slashy: false,
    };
    if lexer.bytes.starts_with(b"#!") {
        lexer.line_comment();
    }
    loop {
        match lexer.stack.last() {
            Some(&Open {
                token,
                kind: Kind::Quoted(quote),
                ..
            }) => lexer.string(token, quote),
            _ if lexer.at >= lexer.bytes.len() => break,
            _ => lexer.code(),
        }
    }
    lexer.give_up();
    lexer.unclosed.sort_by_key(|found| found.at);
    look(lexer.steps);
    Lexed {
        text,
        tokens: lexer.tokens,
        unclosed: lexer.unclosed,
        steps: lexer.steps,
    }
}

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl Lexer<'_> {
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// A token from `start` to where the lexer stands.
    pub fn push(&mut self, kind: Kind, start: usize) -> usize {
        let index = self.tokens.len();
        self.tokens.push(Token {
            kind,
            first: std::mem::take(&mut self.first),
            start: start as u32,
            end: self.at as u32,
            mate: index as u32,
        });
        index
    }

    fn slot(kind: Kind) -> Option<usize> {
        match kind {
            Kind::Brace => Some(0),
            Kind::Paren => Some(1),
            Kind::Bracket => Some(2),
            _ => None,
        }
    }

    pub fn open(&mut self, kind: Kind, start: usize) {
        let token = self.push(kind, start);
        let outer = self.counts;
        match Self::slot(kind) {
            Some(slot) => self.counts[slot] += 1,
            // An interpolation and a string begin anew: nothing in them closes what is around them.
            None => self.counts = [0; 3],
        }
        self.stack.push(Open { token, kind, outer });
    }

    /// Closes the innermost opening with what lies between `start` and where the lexer stands.
    pub fn close(&mut self, start: usize) {
        let Some(open) = self.stack.pop() else { return };
        self.counts = open.outer;
        let index = self.push(Kind::Close, start);
        self.tokens[index].mate = open.token as u32;
        self.tokens[open.token].mate = index as u32;
    }

    /// One finding for a top-level block, however much in it does not pair.
    pub fn blame(&mut self, at: u32, stray: bool) {
        let block = self.stack.first().map(|open| open.token);
        if block.is_some() && self.blamed == block {
            return;
        }
        if stray && block.is_none() && std::mem::replace(&mut self.strayed, true) {
            return;
        }
        self.blamed = block;
        self.unclosed.push(Unclosed { at, stray });
    }

    /// Gives up everything that is open. A string that swallowed the rest is the culprit, else the outermost block.
    pub fn give_up(&mut self) {
        let string = |open: &&Open| matches!(open.kind, Kind::Quoted(_));
        let culprit = self.stack.iter().find(string).or(self.stack.first());
        if let Some(at) = culprit.map(|open| self.tokens[open.token].start) {
            self.blame(at, false);
        }
        while !self.stack.is_empty() {
            self.close(self.at);
        }
    }

    fn line_comment(&mut self) {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        self.at += length.unwrap_or(rest.len());
    }

    fn block_comment(&mut self) {
        let start = self.at;
        self.at += 2;
        while self.at < self.bytes.len() {
            match self.byte(self.at) {
                b'*' if self.byte(self.at + 1) == b'/' => {
                    self.at += 2;
                    return;
                }
                b'\n' => self.first = true,
                _ => {}
            }
            self.at += 1;
        }
        self.blame(start as u32, false);
    }

    /// One token, comment or blank of code.
    fn code(&mut self) {
        self.steps += 1;
        let start = self.at;
        let (byte, next) = (self.byte(start), self.byte(start + 1));
        match byte {
            b'\n' => {
                self.first = true;
                self.at += 1;
            }
            b' ' | b'\t' | b'\r' | b'\\' => {
                while matches!(self.byte(self.at), b' ' | b'\t' | b'\r' | b'\\') {
                    self.at += 1;
                }
            }
            b'/' if next == b'/' => self.line_comment(),
            b'/' if next == b'*' => self.block_comment(),
            b'0'..=b'9' => self.number(),
            b'$' if next == b'/' && self.value_may_stand() => self.dollar_slashy(),
            b'/' if self.value_may_stand() => self.slashy(),
            b'\'' | b'"' => self.quote(byte),
            b'{' | b'(' | b'[' => {
                self.at += 1;
                let kind = match byte {
                    b'{' => Kind::Brace,
                    b'(' => Kind::Paren,
                    _ => Kind::Bracket,
                };
                self.open(kind, start);
            }
            b'}' | b')' | b']' => self.closing(byte),
            _ if word_byte(byte) => self.word(),
            _ => self.sign(byte, next),
        }
    }

    fn word(&mut self) {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|&byte| !word_byte(byte));
        self.at += length.unwrap_or(rest.len());
        let text = &self.bytes[start..self.at];
        let heads = text == b"process" || text == b"workflow";
        if heads && !self.stack.is_empty() && self.statement_starts() && self.heads_block(start) {
            self.at = start;
            self.give_up();
            self.first = true;
            self.at = start + text.len();
        }
        self.push(Kind::Word, start);
    }

    fn statement_starts(&self) -> bool {
        let last = self.tokens.last().map(|token| token.kind);
        self.first || matches!(last, Some(Kind::Close | Kind::Semicolon))
    }

    /// Whether `process NAME {` or `workflow [NAME] {` stands here.
    pub fn heads_block(&self, at: usize) -> bool {
        let rest = &self.bytes[at..];
        let (mut at, named) = if rest.starts_with(b"process") {
            (at + 7, true)
        } else if rest.starts_with(b"workflow") {
            (at + 8, false)
        } else {
            return false;
        };
        let keyword = at;
        at = self.past_blanks(at);
        let name = at;
        while word_byte(self.byte(at)) && at < self.bytes.len() {
            at += 1;
        }
        let has_name = at > name && name > keyword;
        (has_name || (!named && at == name)) && self.byte(self.past_blanks(at)) == b'{'
    }

    pub fn past_blanks(&self, mut at: usize) -> usize {
        while self.byte(at).is_ascii_whitespace() {
            at += 1;
        }
        at
    }

    fn number(&mut self) {
        let start = self.at;
        let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        while digit(self.byte(self.at))
            || (self.byte(self.at) == b'.' && self.byte(self.at + 1).is_ascii_digit())
        {
            self.at += 1;
        }
        self.push(Kind::Number, start);
    }

    /// Whether a value may stand here, so that a slash begins a string and divides nothing.
    fn value_may_stand(&self) -> bool {
        let Some(last) = self.tokens.last() else {
            return true;
        };
        match last.kind {
            Kind::Word => matches!(
                &self.bytes[last.start as usize..last.end as usize],
                b"return" | b"in" | b"case" | b"assert"
            ),
            Kind::Number | Kind::Text(_) | Kind::Close | Kind::Dot => false,
            _ => true,
        }
    }

    /// `/../` on one line; where none closes, the slash divides.
    fn slashy(&mut self) {
        let start = self.at;
        let mut at = start + 1;
        if start >= self.no_slashy_before {
            loop {
                match self.byte(at) {
                    b'\\' => at += 2,
                    b'/' => {
                        self.at = at + 1;
                        self.push(Kind::Text(Quote::Slashy), start);
                        return;
                    }
                    b'\n' => break,
                    0 if at >= self.bytes.len() => break,
                    _ => at += 1,
                }
            }
            self.steps += (at - start) as u64;
            self.no_slashy_before = at;
        }
        self.at = start + 1;
        self.push(Kind::Sign, start);
    }

    fn dollar_slashy(&mut self) {
        let start = self.at;
        let end = if self.no_dollar_slashy {
            None
        } else {
            self.text[start + 2..].find("/$")
        };
        self.no_dollar_slashy = end.is_none();
        match end {
            Some(length) => {
                self.at = start + 2 + length + 2;
                self.push(Kind::Text(Quote::Slashy), start);
            }
            None => {
                self.at = start + 1;
                self.push(Kind::Sign, start);
            }
        }
    }

    fn quote(&mut self, byte: u8) {
        let start = self.at;
        let triple = self.byte(start + 1) == byte && self.byte(start + 2) == byte;
        let quote = match (byte, triple) {
            (b'\'', true) => Quote::TripleSingle,
            (b'\'', false) => Quote::Single,
            (_, true) => Quote::TripleDouble,
            (_, false) => Quote::Double,
        };
        self.at += quote.width();
        self.open(Kind::Quoted(quote), start);
    }

    /// Closes the nearest opening of the kind; what is still open inside it is unclosed. A closing of nothing is stray.
    fn closing(&mut self, byte: u8) {
        let start = self.at;
        self.at += 1;
        let kind = match byte {
            b'}' => Kind::Brace,
            b')' => Kind::Paren,
            _ => Kind::Bracket,
        };
        let slot = Self::slot(kind).unwrap_or_default();
        let interp = byte == b'}' && self.in_interp();
        if self.counts[slot] == 0 && !interp {
            self.blame(start as u32, true);
            return;
        }
        let wanted = if self.counts[slot] > 0 {
            kind
        } else {
            Kind::Interp
        };
        while let Some(open) = self.stack.last().copied() {
            if open.kind == wanted {
                self.close(start);
                return;
            }
            self.blame(self.tokens[open.token].start, false);
            let here = std::mem::replace(&mut self.at, start);
            self.close(start);
            self.at = here;
        }
    }

    /// Whether what is open closest to here, blocks of this level left aside, is an interpolation.
    fn in_interp(&self) -> bool {
        let depth: u32 = self.counts.iter().sum();
        let below = self.stack.len().checked_sub(depth as usize + 1);
        below.is_some_and(|at| self.stack[at].kind == Kind::Interp)
    }

    fn sign(&mut self, byte: u8, next: u8) {
        let start = self.at;
        let third = self.byte(start + 2);
        let (kind, width) = match (byte, next) {
            (b'=', b'=') if third == b'~' => (Kind::Compare, 3),
            (b'=', b'=' | b'~') | (b'!', b'=') | (b'<' | b'>', b'=') => (Kind::Compare, 2),
            (b'=', _) => (Kind::Assign, 1),
            (b'-', b'>') => (Kind::Arrow, 2),
            (b'.', b'.') => (Kind::Sign, 2),
            (b'.', b'&') | (b'?' | b'*', b'.') | (b':', b':') => (Kind::Dot, 2),
            (b'.', _) => (Kind::Dot, 1),
            (b'?', b':') => (Kind::Elvis, 2),
            (b'?', _) => (Kind::Question, 1),
            (b',', _) => (Kind::Comma, 1),
            (b':', _) => (Kind::Colon, 1),
            (b';', _) => (Kind::Semicolon, 1),
            (b'|', b'|') | (b'&', b'&') => (Kind::Logic, 2),
            (b'|', _) => (Kind::Pipe, 1),
            (b'&', _) => (Kind::Amp, 1),
            (b'<' | b'>' | b'+' | b'-' | b'*', _) if next == byte => (Kind::Sign, 2),
            (b'+' | b'-' | b'*' | b'/' | b'%', b'=') => (Kind::Sign, 2),
            _ => (Kind::Sign, 1),
        };
        self.at += width;
        self.push(kind, start);
    }
}
