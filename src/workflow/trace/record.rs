//! A table's text, cut into records and fields.

use std::borrow::Cow;

use memchr::memchr;

/// What stands between the fields of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// Tabs, and no quoting: as Nextflow writes it.
    Tab,
    /// Commas, with the quoting of CSV.
    Comma,
}

impl Delimiter {
    /// What a header line is cut by: tabs where it has any.
    pub fn of(header: &str) -> Delimiter {
        if header.contains('\t') {
            Delimiter::Tab
        } else {
            Delimiter::Comma
        }
    }
}

/// How a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With the end of its line.
    Line,
    /// With the end of the text: it may have been cut.
    Text,
}

/// Reads a text record by record.
pub(super) struct Records<'a> {
    rest: &'a str,
    delimiter: Delimiter,
    /// No closing quote is left in the text, so that it is not looked for again.
    unclosed: bool,
}

impl<'a> Records<'a> {
    pub fn new(text: &'a str, delimiter: Delimiter) -> Records<'a> {
        Records {
            rest: text,
            delimiter,
            unclosed: false,
        }
    }

    /// Puts the fields of the next record into `fields`; none at the end of the text.
    pub fn next(&mut self, fields: &mut Vec<Cow<'a, str>>) -> Option<End> {
        fields.clear();
        if self.rest.is_empty() {
            return None;
        }
        let stop = memchr(b'\n', self.rest.as_bytes());
        let line = &self.rest[..stop.unwrap_or(self.rest.len())];
        let sign = match self.delimiter {
            Delimiter::Tab => '\t',
            Delimiter::Comma if memchr(b'"', line.as_bytes()).is_some() => {
                return Some(self.quoted(fields));
            }
            Delimiter::Comma => ',',
        };
        let bare = line.trim_end_matches('\r');
        fields.extend(bare.split(sign).map(Cow::Borrowed));
        self.rest = &self.rest[line.len()..];
        Some(self.end())
    }

    /// A record with quotes in it, which may go on over the ends of lines.
    fn quoted(&mut self, fields: &mut Vec<Cow<'a, str>>) -> End {
        loop {
            let mut field = self.opened().unwrap_or_default();
            let stop = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            // What follows a closing quote belongs to the field as well: no standard says so, and nothing is lost.
            let tail = &self.rest[..stop];
            let last = !self.rest[stop..].starts_with(',');
            let tail = if last {
                tail.trim_end_matches('\r')
            } else {
                tail
            };
            if field.is_empty() {
                field = Cow::Borrowed(tail);
            } else if !tail.is_empty() {
                field.to_mut().push_str(tail);
            }
            fields.push(field);
            self.rest = &self.rest[stop..];
            if last {
                return self.end();
            }
            self.rest = &self.rest[1..];
        }
    }

    /// The text between quotes, where a field begins with one that is closed.
    fn opened(&mut self) -> Option<Cow<'a, str>> {
        let inside = self.rest.strip_prefix('"').filter(|_| !self.unclosed)?;
        let bytes = inside.as_bytes();
        let (mut at, mut doubled) = (0, false);
        loop {
            let Some(quote) = memchr(b'"', &bytes[at..]) else {
                self.unclosed = true;
                return None;
            };
            at += quote;
            if bytes.get(at + 1) != Some(&b'"') {
                break;
            }
            (at, doubled) = (at + 2, true);
        }
        self.rest = &inside[at + 1..];
        let text = &inside[..at];
        Some(if doubled {
            Cow::Owned(text.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(text)
        })
    }

    fn end(&mut self) -> End {
        match self.rest.strip_prefix('\n') {
            Some(rest) => {
                self.rest = rest;
                End::Line
            }
            None => End::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, delimiter: Delimiter) -> Vec<Vec<String>> {
        let mut records = Records::new(text, delimiter);
        let (mut fields, mut read) = (Vec::new(), Vec::new());
        while records.next(&mut fields).is_some() {
            read.push(fields.iter().map(|field| field.to_string()).collect());
        }
        read
    }

    #[test]
    fn quotes_hold_commas_quotes_and_lines() {
        let text = "a,\"b,\"\"c\"\"\",\"\"\r\n1,\"two\nlines\",3\n";
        let expected = [["a", "b,\"c\"", ""], ["1", "two\nlines", "3"]];
        assert_eq!(all(text, Delimiter::Comma), expected);
    }

    #[test]
    fn a_quote_that_is_never_closed_swallows_nothing() {
        let text = "\"a,b\nc,\"d\n1,2";
        let read = all(text, Delimiter::Comma);
        assert_eq!(read.last().unwrap(), &["1", "2"]);
        let tabs = all("a\t\"b\nc\td", Delimiter::Tab);
        assert_eq!(tabs, [["a", "\"b"], ["c", "d"]]);
    }
}
