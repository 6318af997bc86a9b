//! The inside of strings: escapes, `$name`, `${ }` that holds code again, and what only a shell would read.

use super::{
    lexer::Lexer,
    token::{Kind, Quote},
};

/// Bytes that may mean something in a string; all others are passed over in one go.
fn marks(byte: u8) -> bool {
    matches!(byte, b'\\' | b'$' | b'\n' | b'\'' | b'"')
}

impl Lexer<'_> {
    /// Reads on in a string up to its end or its next interpolation.
    pub(super) fn string(&mut self, token: usize, quote: Quote) {
        self.steps += 1;
        let interpolates = matches!(quote, Quote::Double | Quote::TripleDouble);
        let mark = quote.byte();
        let start = self.at;
        while self.at < self.bytes.len() {
            let byte = self.bytes[self.at];
            match byte {
                b'\\' => self.at += 2,
                b'$' if interpolates => {
                    self.literal(start);
                    self.dollar();
                    return;
                }
                b'\n' if !quote.many_lines() => {
                    self.unclosed_string(token, start);
                    return;
                }
                b'\n' => {
                    self.at += 1;
                    if self.block_begins() {
                        self.literal(start);
                        self.give_up();
                        self.first = true;
                        return;
                    }
                }
                _ if byte == mark && self.ends(quote) => {
                    self.end_string(token, quote, start);
                    return;
                }
                _ => {
                    let rest = &self.bytes[self.at + 1..];
                    let plain = rest.iter().position(|&byte| marks(byte));
                    self.at += 1 + plain.unwrap_or(rest.len());
                }
            }
        }
        // An escape may point beyond the last byte.
        self.at = self.bytes.len();
        self.literal(start);
        self.give_up();
    }

    fn ends(&self, quote: Quote) -> bool {
        let mark = quote.byte();
        quote.width() == 1 || (self.byte(self.at + 1) == mark && self.byte(self.at + 2) == mark)
    }

    /// No script holds a line that begins a process: whoever meets one in a string knows that the string was never closed.
    /// A workflow's name proves nothing, other languages have such lines; a nameless one does.
    fn block_begins(&self) -> bool {
        let at = self.past_indent();
        match self.byte(at) {
            b'p' => self.heads_block(at),
            b'w' if self.bytes[at..].starts_with(b"workflow") => {
                self.byte(self.past_blanks(at + 8)) == b'{'
            }
            _ => false,
        }
    }

    fn past_indent(&self) -> usize {
        let mut at = self.at;
        while matches!(self.byte(at), b' ' | b'\t' | b'\r') {
            at += 1;
        }
        at
    }

    fn literal(&mut self, start: usize) {
        if self.at > start {
            self.first = false;
            self.push(Kind::Literal, start);
        }
    }

    /// A string without interpolation becomes one token.
    fn end_string(&mut self, token: usize, quote: Quote, start: usize) {
        if self.tokens.len() > token + 1 {
            self.literal(start);
            let mark = self.at;
            self.at += quote.width();
            self.close(mark);
            return;
        }
        self.at += quote.width();
        self.whole(token, quote);
    }

    fn whole(&mut self, token: usize, quote: Quote) {
        self.close(self.at);
        self.tokens.truncate(token + 1);
        let whole = &mut self.tokens[token];
        whole.kind = Kind::Text(quote);
        whole.end = self.at as u32;
        whole.mate = token as u32;
    }

    fn unclosed_string(&mut self, token: usize, start: usize) {
        let Some(opened) = self.tokens.get(token).map(|token| token.start) else {
            return;
        };
        self.blame(opened, false);
        if self.tokens.len() > token + 1 {
            self.literal(start);
            self.close(self.at);
        } else if let Some(Kind::Quoted(quote)) = self.tokens.get(token).map(|t| t.kind) {
            self.whole(token, quote);
        }
        self.first = true;
    }

    /// A dollar: code, a name, or something for the shell.
    fn dollar(&mut self) {
        let start = self.at;
        let next = self.byte(start + 1);
        if next == b'{' {
            if let Some(end) = self.shell_expansion(start + 2) {
                self.at = end;
                self.push(Kind::Shell, start);
                return;
            }
            self.at += 2;
            self.open(Kind::Interp, start);
        } else if next.is_ascii_alphabetic() || next == b'_' {
            self.name(start);
        } else {
            self.at += 1;
            self.push(Kind::Shell, start);
        }
    }

    fn name(&mut self, start: usize) {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let begins = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        self.at += 1;
        loop {
            while part(self.byte(self.at)) {
                self.at += 1;
            }
            if self.byte(self.at) != b'.' || !begins(self.byte(self.at + 1)) {
                break;
            }
            self.at += 1;
        }
        self.push(Kind::Name, start);
    }

    /// The byte after `${..}` if no Groovy reads it but a shell does: `${#x}`, `${x:-y}`, `${x##*/}`, `${x%%.*}`, `${x[@]}`.
    fn shell_expansion(&mut self, body: usize) -> Option<usize> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let mut at = body;
        let hash = self.byte(at) == b'#';
        at += usize::from(hash);
        while word(self.byte(at)) {
            at += 1;
        }
        let shell = match (self.byte(at), self.byte(at + 1)) {
            _ if hash => true,
            _ if at == body => false,
            (b':' | b'#' | b',', _) => true,
            (b'/', b'/') | (b'%', b'%') | (b'^', b'^') => true,
            (b'[', b'@' | b'*') => true,
            _ => false,
        };
        if !shell {
            return None;
        }
        let line = |byte: &u8| *byte == b'}' || *byte == b'\n';
        let length = self.bytes[at..].iter().position(line);
        let end = at + length.unwrap_or(self.bytes.len() - at);
        self.steps += (end - at) as u64;
        Some(end + usize::from(self.byte(end) == b'}'))
    }
}
